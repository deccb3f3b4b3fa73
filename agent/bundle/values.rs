//! Values: defaults, then the profile, then files, then `--set`; merged as Helm merges them.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::files::Files;
use super::mistakes::{Found, Mistake, Origin, Place};
use super::parse;
use super::set::{self, Assignment, Step};
use super::yaml::{self, Node, Spot};
use super::{Options, schema, suggest};

const DEFAULTS: &str = "manifests/values.yaml";
const PROFILES: &str = "manifests/profiles";

/// The merged values, and where each of them was said.
pub(super) struct Values {
    pub(super) merged: Value,
    /// Whether every file and argument could be read. If not, templates would miss values that
    /// are there, and say so once for each.
    pub(super) complete: bool,
    layers: Vec<Layer>,
}

enum Layer {
    File {
        path: PathBuf,
        root: Node,
    },
    Set {
        argument: String,
        list: Vec<Assignment>,
    },
}

impl Values {
    /// Reads, merges and checks all values.
    pub(super) fn load(options: &Options, files: &Files, found: &Found) -> Self {
        let mut values = Self {
            merged: Value::Object(Map::new()),
            complete: true,
            layers: Vec::new(),
        };
        if files.exists(Path::new(DEFAULTS)) {
            let text = files.read(Path::new(DEFAULTS), found);
            values.add_file(Path::new(DEFAULTS), text, found);
        }
        if let Some(profile) = &options.profile {
            values.add_profile(profile, files, found);
        }
        for path in &options.values_files {
            let text = files.read_from(path, path, found);
            values.add_file(path, text, found);
        }
        for argument in &options.set {
            values.add_set(argument, found);
        }
        values.complete = found.count() == 0;
        if values.complete {
            schema::check(&values, files, found);
        }
        values
    }

    fn add_profile(&mut self, profile: &str, files: &Files, found: &Found) {
        let path = Path::new(PROFILES).join(format!("{profile}.yaml"));
        if files.exists(&path) && !profile.contains('/') {
            let text = files.read(&path, found);
            return self.add_file(&path, text, found);
        }
        let exists = files.exists(Path::new(PROFILES));
        let known = exists.then(|| files.list(Path::new(PROFILES), found));
        let known: Vec<String> = known.unwrap_or_default().iter().filter_map(stem).collect();
        let what = format!("there is no profile `{profile}`");
        let hint = suggest::hint(profile, known.iter().map(String::as_str));
        found.add(Mistake::new(Place::whole(&path), what).hint_if(hint));
    }

    fn add_file(&mut self, path: &Path, text: Option<String>, found: &Found) {
        let Some(text) = text else { return };
        let (mut documents, problems) = parse::parse(&text);
        for problem in problems {
            found.add(problem.into_mistake(path));
        }
        if documents.len() > 1 {
            let what = "values are one document, and here starts another";
            found.add(Mistake::new(Place::at(path, documents[1].at), what));
        }
        let Some(root) = (!documents.is_empty()).then(|| documents.swap_remove(0)) else {
            return;
        };
        match root.to_value() {
            Value::Null => {}
            // A null in the defaults is a value; only above them there is something to remove.
            more @ Value::Object(_) if self.layers.is_empty() => self.merged = more,
            more @ Value::Object(_) => merge(&mut self.merged, more),
            _ => {
                let what = format!("values are a map, not {}", root.kind());
                found.add(Mistake::new(Place::at(path, root.at), what));
            }
        }
        let path = path.to_owned();
        self.layers.push(Layer::File { path, root });
    }

    fn add_set(&mut self, argument: &str, found: &Found) {
        match set::parse(argument) {
            Ok(list) => {
                for Assignment { path, value, .. } in &list {
                    set::assign(&mut self.merged, path, value.clone());
                }
                let argument = argument.to_owned();
                self.layers.push(Layer::Set { argument, list });
            }
            Err(fault) => {
                let place = set_place(&told_until(argument, fault.column), fault.column, 1);
                found.add(
                    Mistake::new(place, fault.what).hint(
                        r"write a.b=value; a comma or a dot that is meant has a `\` before it",
                    ),
                );
            }
        }
    }

    /// Where the value at a path was said last; of what was never said, where its parent was.
    pub(super) fn place(&self, path: &[Step]) -> Place {
        self.find(path, false)
    }

    /// Where the key at the end of a path was said last.
    pub(super) fn key_place(&self, path: &[Step]) -> Place {
        self.find(path, true)
    }

    /// The same, of a value that must not be shown: of an argument only the keys are left.
    pub(super) fn hidden_place(&self, path: &[Step]) -> Place {
        let mut layers = self.layers.iter().rev();
        let said = layers.find_map(|layer| Some((layer, layer.place(path, false)?)));
        match said {
            Some((Layer::Set { argument, list }, _)) => {
                let (told, _) = told(argument, list, None);
                set_place(&told, 1, 0)
            }
            _ => self.place(path),
        }
    }

    fn find(&self, path: &[Step], key: bool) -> Place {
        let paths = (0..=path.len()).rev().map(|length| &path[..length]);
        for path in paths {
            let mut places = self.layers.iter().rev().map(|layer| layer.place(path, key));
            if let Some(place) = places.find_map(|place| place) {
                return place;
            }
        }
        Place::whole(Path::new(DEFAULTS))
    }

    /// Whether the value at a path was said by `--set`.
    pub(super) fn is_set(&self, path: &[Step]) -> bool {
        matches!(self.place(path).origin, Origin::Set(_))
    }
}

impl Layer {
    fn place(&self, path: &[Step], key: bool) -> Option<Place> {
        match self {
            Self::File { path: file, root } => {
                locate(root, path, key).map(|spot| Place::at(file, spot))
            }
            Self::Set { argument, list } => {
                let said = |a: &&Assignment| {
                    !path.is_empty() && (a.path.starts_with(path) || path.starts_with(&a.path))
                };
                let assignment = list.iter().rev().find(said)?;
                let (told, column) = told(argument, list, Some(assignment));
                Some(set_place(&told, column, assignment.length))
            }
        }
    }
}

/// An argument as it is told: with the value that it is about and where that begins, and without
/// all others. One may be a password, and mistakes end up in logs.
fn told(argument: &str, list: &[Assignment], about: Option<&Assignment>) -> (String, usize) {
    let characters: Vec<char> = argument.chars().collect();
    let (mut told, mut column, mut from) = (String::new(), 1, 0);
    for assignment in list {
        let value = assignment.column - 1..assignment.column - 1 + assignment.length;
        told.extend(&characters[from..value.start]);
        if about == Some(assignment) {
            column = told.chars().count() + 1;
            told.extend(&characters[value.clone()]);
        } else if assignment.length > 0 {
            told.push('…');
        }
        from = value.end;
    }
    told.extend(&characters[from..]);
    (told, column)
}

/// An argument that cannot be read, up to where it is wrong. Behind the first `=` nobody can tell
/// what is a value.
fn told_until(argument: &str, column: usize) -> String {
    let keys = argument
        .split('=')
        .next()
        .unwrap_or_default()
        .chars()
        .count();
    let characters = argument.chars().take(column).enumerate();
    characters
        .map(|(at, c)| if at > keys { '…' } else { c })
        .collect()
}

fn set_place(argument: &str, column: usize, length: usize) -> Place {
    Place {
        origin: Origin::Set(argument.to_owned()),
        line: 1,
        column,
        length,
    }
}

/// Where a value stands: a scalar itself, of a map or a list its key; or always its key.
fn locate(root: &Node, path: &[Step], of_key: bool) -> Option<Spot> {
    let mut at = root.at;
    let mut node = root;
    for step in path {
        match step {
            Step::Key(name) => {
                let (key, next) = node.entry(name)?;
                let nested = matches!(
                    next.content,
                    yaml::Content::Mapping(_) | yaml::Content::Sequence(_)
                );
                at = if of_key || nested || next.is_null() {
                    key.at
                } else {
                    next.at
                };
                node = next;
            }
            Step::Index(index) => {
                let yaml::Content::Sequence(items) = &node.content else {
                    return None;
                };
                node = items.get(*index)?;
                at = node.at;
            }
        }
    }
    Some(at)
}

fn stem((path, _): &(PathBuf, bool)) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    name.strip_suffix(".yaml").map(str::to_owned)
}

/// Merges values as Helm does: maps deeply, everything else is replaced, a null removes.
pub(super) fn merge(into: &mut Value, from: Value) {
    let Value::Object(from) = from else {
        *into = from;
        return;
    };
    if !into.is_object() {
        *into = Value::Object(Map::new());
    }
    let Value::Object(into) = into else { return };
    for (key, value) in from {
        if value.is_null() {
            into.remove(&key);
        } else {
            merge(into.entry(key).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn maps_are_merged_lists_replaced_and_nulls_remove() {
        let mut values = json!({ "a": { "b": 1, "c": 2 }, "list": [1, 2], "gone": { "x": 1 } });
        merge(
            &mut values,
            json!({ "a": { "b": 3 }, "list": [4], "gone": null, "new": { "y": 1, "z": null } }),
        );
        assert_eq!(
            values,
            json!({ "a": { "b": 3, "c": 2 }, "list": [4], "new": { "y": 1 } })
        );
    }

    #[test]
    fn a_map_replaces_what_is_none_and_the_other_way_round() {
        let mut values = json!({ "a": 1, "b": { "c": 1 } });
        merge(&mut values, json!({ "a": { "x": 1 }, "b": 2 }));
        assert_eq!(values, json!({ "a": { "x": 1 }, "b": 2 }));
    }

    #[test]
    fn the_last_place_that_says_a_value_is_known() {
        let root = |text: &str| parse::parse(text).0.swap_remove(0);
        let file = |path: &str, text: &str| Layer::File {
            path: path.into(),
            root: root(text),
        };
        let set = "a.c=5,pin=4711".to_owned();
        let values = Values {
            merged: Value::Null,
            complete: true,
            layers: vec![
                file("defaults", "a:\n  b: 1\n  c: 2\nz: 1\n"),
                file("profile", "a: { b: 3 }\n"),
                Layer::Set {
                    list: set::parse(&set).expect("one"),
                    argument: set,
                },
            ],
        };
        let place = |path: &[&str]| {
            let path: Vec<Step> = path
                .iter()
                .map(|key| Step::Key((*key).to_owned()))
                .collect();
            values.place(&path).to_string()
        };
        assert_eq!(place(&["a", "b"]), "profile:1:9");
        assert_eq!(place(&["a", "c"]), "--set 'a.c=5,pin=…'");
        assert_eq!(place(&["pin"]), "--set 'a.c=…,pin=4711'");
        let hidden = values.hidden_place(&[Step::Key("pin".to_owned())]);
        assert_eq!(hidden.to_string(), "--set 'a.c=…,pin=…'");
        assert_eq!(place(&["z"]), "defaults:4:4");
        assert_eq!(place(&["z", "nope"]), "defaults:4:4");
    }
}
