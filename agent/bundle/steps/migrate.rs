//! `migrate: { path, database, owner? }`: the files `V<number>__<words>.sql` of a folder, in the order
//! of their numbers. SQL is taken as it is; folders below are not looked into.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Context, Made, drift};
use crate::bundle::mistakes::{Mistake, Place};
use crate::bundle::yaml::Node;
use crate::bundle::{Action, MigrationFile, Migrations};

const FORM: &str = "V<number>__<words>.sql, as in V0001__clusters.sql";

pub(super) fn read(node: &Node, context: Context<'_>) -> Option<Made> {
    let fields =
        context
            .reader
            .fields(node, "a migration", &["path", "database", "owner", "drift"])?;
    let database = fields.need_text("database");
    let (folder, name) = context.folder(&fields)?;
    let mut files: BTreeMap<u64, MigrationFile> = BTreeMap::new();
    let mut any = false;
    for (path, is_folder) in context.files().list(&folder, context.found()) {
        if is_folder || path.extension().is_none_or(|extension| extension != "sql") {
            continue;
        }
        any = true;
        let Some(file) = file(&path, context) else {
            continue;
        };
        if let Some(first) = files.get(&file.version) {
            let first = first.file.display();
            let what = format!("version {} is also that of {first}", file.version);
            let mistake = Mistake::new(Place::whole(&path), what);
            context
                .found()
                .add(mistake.hint("give the newer file the next free number"));
            continue;
        }
        files.insert(file.version, file);
    }
    if !any {
        let what = format!("there is no migration in `{}`", folder.display());
        let mistake = context.reader.mistake(fields.need("path")?.at, what);
        context
            .found()
            .add(mistake.hint(format!("its files are named {FORM}")));
    }
    let migrations = Migrations {
        database: database?,
        owner: fields.text("owner"),
        files: files.into_values().collect(),
        drift: drift::read(&fields),
    };
    let mut made = Made::step("", Action::Migrations(migrations));
    made.name = name;
    Some(made)
}

fn file(path: &Path, context: Context<'_>) -> Option<MigrationFile> {
    let name = path.file_name()?.to_str()?;
    let whole = |what: String| Mistake::new(Place::whole(path), what);
    let (version, description) = match parse(name) {
        Ok(parsed) => parsed,
        Err(hint) => {
            let what = "the name of a migration is ".to_owned() + FORM;
            context.found().add(whole(what).hint_if(hint));
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
        version,
        description,
        file: path.to_owned(),
        sql,
    })
}

/// The version and the words in a file's name, or what is most likely meant.
fn parse(name: &str) -> Result<(u64, String), Option<String>> {
    let stem = name.strip_suffix(".sql").unwrap_or(name);
    if stem.starts_with("R__") {
        return Err(Some(
            "there are no repeatable migrations; write each change as a new version".to_owned(),
        ));
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
    let simple = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    if stem.starts_with('V') && !words.is_empty() && words.chars().all(simple) {
        return Ok((version, words.replace('_', " ")));
    }
    let words = rest.split(|c: char| !c.is_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let words = words.join("_");
    Err((!words.is_empty()).then(|| format!("did you mean `V{digits}__{words}.sql`?")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read() {
        assert_eq!(
            parse("V0001__gpu_devices.sql"),
            Ok((1, "gpu devices".to_owned()))
        );
        assert_eq!(parse("V20__a.sql"), Ok((20, "a".to_owned())));
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
        assert_eq!(meant("V__nodes.sql"), None);
        assert_eq!(meant("V99999999999999999999__nodes.sql"), None);
    }
}
