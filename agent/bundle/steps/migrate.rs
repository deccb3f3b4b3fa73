//! `migrate: { path, database, owner?, placeholders?, order?, baseline?, import?, drift? }`: the
//! files `V<number>__<words>.sql` and `R__<words>.sql` of one or more folders. SQL is taken as it
//! is; folders below are not looked into.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Context, Made, adoption, drift};
use crate::bundle::mistakes::{Mistake, Place};
use crate::bundle::reader::Fields;
use crate::bundle::yaml::{Content, Key, Node};
use crate::bundle::{Action, MigrationFile, MigrationOrder, Migrations, Placeholder};

const KEYS: &[&str] = &[
    "path",
    "database",
    "owner",
    "placeholders",
    "order",
    "baseline",
    "import",
    "drift",
];
const FORM: &str = "V<number>__<words>.sql, as in V0001__clusters.sql, or R__<words>.sql";
/// What whoever comes from another tool is to know.
const ANY_NAME: &str = "with `order: filename` a file may have any name, and names are the order";

/// The longest name that Postgres keeps.
const LONGEST_NAME: usize = 63;

pub(super) fn read(node: &Node, context: Context<'_>) -> Option<Made> {
    let fields = context.reader.fields(node, "a migration", KEYS)?;
    let database = fields.need_text("database");
    let placeholders = placeholders(&fields, context);
    let folders = folders(&fields, context)?;
    let (_, name) = folders.first()?.clone();
    let by_name = adoption::by_name(&fields);
    let mut files: Vec<MigrationFile> = Vec::new();
    let mut any = false;
    for (folder, _) in &folders {
        for (path, is_folder) in context.files().list(folder, context.found()) {
            if is_folder || path.extension().is_none_or(|extension| extension != "sql") {
                continue;
            }
            if by_name && adoption::is_undo(&path) {
                continue;
            }
            any = true;
            let Some(file) = file(&path, by_name, context) else {
                continue;
            };
            match same(&files, &file) {
                Some(mistake) => context.found().add(mistake),
                None => files.push(file),
            }
        }
    }
    if !any {
        nothing(&fields, &folders, context)?;
    }
    files.sort_by(adoption::compare);
    let migrations = Migrations {
        database: database?,
        owner: fields.text("owner"),
        placeholders,
        adoption: adoption::read(&fields, &files),
        files,
        drift: drift::read(&fields),
    };
    let mut made = Made::step("", Action::Migrations(migrations));
    made.name = name;
    Some(made)
}

/// The folders, and the name of each.
fn folders(fields: &Fields<'_>, context: Context<'_>) -> Option<Vec<(PathBuf, Option<String>)>> {
    let node = fields.need("path")?;
    let Content::Sequence(paths) = &node.content else {
        return Some(vec![context.folder(node)?]);
    };
    if paths.is_empty() {
        context.reader.add(node.at, "`path` names no folder");
        return None;
    }
    let folders = paths.iter().map(|path| context.folder(path));
    folders.collect()
}

fn nothing(
    fields: &Fields<'_>,
    folders: &[(PathBuf, Option<String>)],
    context: Context<'_>,
) -> Option<()> {
    let names = folders
        .iter()
        .map(|(folder, _)| format!("`{}`", folder.display()));
    let names: Vec<_> = names.collect();
    let what = format!("there is no migration in {}", names.join(" or "));
    let mistake = context.reader.mistake(fields.need("path")?.at, what);
    let hint = format!("its files are named {FORM}");
    context.found().add(mistake.hint(hint));
    Some(())
}

/// A mistake in one of the keys.
pub(super) fn wrong(fields: &Fields<'_>, key: &str, what: String, hint: Option<&str>) {
    let at = fields.get(key).map_or(fields.at(), |node| node.at);
    let mistake = fields.reader.mistake(at, what);
    fields
        .reader
        .found
        .add(mistake.hint_if(hint.map(str::to_owned)));
}

/// What is wrong if two files are one for the history.
fn same(files: &[MigrationFile], file: &MigrationFile) -> Option<Mistake> {
    let is_same = |other: &&MigrationFile| match file.order {
        MigrationOrder::Version(_) => other.order == file.order,
        MigrationOrder::Name | MigrationOrder::Repeatable => {
            other.file.file_name() == file.file.file_name()
        }
    };
    let first = files.iter().find(is_same)?.file.display();
    let (what, hint) = match file.order {
        MigrationOrder::Version(version) => (
            format!("version {version} is also that of {first}"),
            "give the newer file the next free number",
        ),
        MigrationOrder::Name | MigrationOrder::Repeatable => (
            format!("there is also {first}, and the history knows files by their names"),
            "give one of them another name",
        ),
    };
    let mistake = Mistake::new(Place::whole(&file.file), what);
    Some(mistake.hint(hint))
}

fn placeholders(fields: &Fields<'_>, context: Context<'_>) -> BTreeMap<String, Placeholder> {
    let reader = context.reader;
    let node = fields.get("placeholders");
    let entries = node.and_then(|node| reader.entries(node, "placeholders"));
    let mut placeholders = BTreeMap::new();
    for (key, node) in entries.unwrap_or_default() {
        if let Some(placeholder) = placeholder(key, node, context) {
            placeholders.insert(key.text.clone(), placeholder);
        }
    }
    placeholders
}

fn placeholder(key: &Key, node: &Node, context: Context<'_>) -> Option<Placeholder> {
    let reader = context.reader;
    let letter = |c: char| c.is_ascii_lowercase() || c == '_';
    let simple = |c: char| letter(c) || c.is_ascii_digit();
    if !(key.text.starts_with(letter) && key.text.chars().all(simple)) {
        let what = format!("`{}` is no name for a placeholder", key.text);
        let hint = "use small letters, digits and `_`, as in `${api_role}`";
        reader.found.add(reader.mistake(key.at, what).hint(hint));
        return None;
    }
    let fields = reader.fields(node, "a placeholder", &["identifier", "literal"])?;
    match (fields.get("identifier"), fields.get("literal")) {
        (Some(node), None) => {
            let name = reader.text(node, "identifier")?;
            if name.len() > LONGEST_NAME {
                let what = format!("`{name}` is longer than a name in Postgres may be");
                reader.add(node.at, what);
            }
            Some(Placeholder::Identifier(name))
        }
        (None, Some(node)) => reader.text(node, "literal").map(Placeholder::Literal),
        _ => {
            let mistake = reader.mistake(node.at, "a placeholder is a name or a text");
            let hint = "write { identifier: NAME } or { literal: TEXT }";
            reader.found.add(mistake.hint(hint));
            None
        }
    }
}

fn file(path: &Path, by_name: bool, context: Context<'_>) -> Option<MigrationFile> {
    let name = path.file_name()?.to_str()?;
    let whole = |what: String| Mistake::new(Place::whole(path), what);
    let (order, description) = match parse(name) {
        Ok(parsed) if !by_name || parsed.0 == MigrationOrder::Repeatable => parsed,
        _ if by_name => (MigrationOrder::Name, adoption::words(name)),
        Ok(parsed) => parsed,
        Err(hint) => {
            let what = "the name of a migration is ".to_owned() + FORM;
            let mistake = whole(what).hint_if(hint);
            context.found().add(mistake.hint(ANY_NAME));
            return None;
        }
    };
    let sql = context.files().read(path, context.found())?;
    if sql.trim().is_empty() {
        context
            .found()
            .add(whole("the migration is empty".to_owned()));
        return None;
    }
    Some(MigrationFile {
        order,
        description,
        file: path.to_owned(),
        sql,
    })
}

/// The place and the words in a file's name, or what is most likely meant.
fn parse(name: &str) -> Result<(MigrationOrder, String), Option<String>> {
    let stem = name.strip_suffix(".sql").unwrap_or(name);
    if let Some(words) = stem.strip_prefix("R__").filter(|words| are_words(words)) {
        return Ok((MigrationOrder::Repeatable, words.replace('_', " ")));
    }
    let unversioned = stem
        .strip_prefix('V')
        .or(stem.strip_prefix('v'))
        .unwrap_or(stem);
    let digits = unversioned
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(unversioned.len());
    let (digits, rest) = unversioned.split_at(digits);
    let Ok(version) = digits.parse::<u64>() else {
        return Err(None);
    };
    let words = rest.strip_prefix("__").unwrap_or_default();
    if stem.starts_with('V') && are_words(words) {
        return Ok((MigrationOrder::Version(version), words.replace('_', " ")));
    }
    let words = rest.split(|c: char| !c.is_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let words = words.join("_");
    Err((!words.is_empty()).then(|| format!("did you mean `V{digits}__{words}.sql`?")))
}

fn are_words(text: &str) -> bool {
    let simple = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    !text.is_empty() && text.chars().all(simple)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read() {
        let version = |number, words: &str| Ok((MigrationOrder::Version(number), words.to_owned()));
        assert_eq!(parse("V0001__gpu_devices.sql"), version(1, "gpu devices"));
        assert_eq!(parse("V20__a.sql"), version(20, "a"));
        let views = (MigrationOrder::Repeatable, "all views".to_owned());
        assert_eq!(parse("R__all_views.sql"), Ok(views));
        let meant = |name: &str| parse(name).expect_err(name);
        assert_eq!(
            meant("V3_nodes.sql").as_deref(),
            Some("did you mean `V3__nodes.sql`?")
        );
        assert_eq!(
            meant("v3__nodes.sql").as_deref(),
            Some("did you mean `V3__nodes.sql`?")
        );
        assert_eq!(
            meant("003-new nodes.sql").as_deref(),
            Some("did you mean `V003__new_nodes.sql`?")
        );
        assert_eq!(meant("nodes.sql"), None);
        assert_eq!(meant("R__.sql"), None);
        assert_eq!(meant("V__nodes.sql"), None);
        assert_eq!(meant("V99999999999999999999__nodes.sql"), None);
    }
}
