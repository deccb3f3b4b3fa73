//! What somebody else has changed, in words.

use std::collections::HashSet;
use std::fmt;

use crate::engine::FieldChange;

use super::super::client::Texts;

/// One object of the catalog that is not as the last run left it, or that was so until now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drifted {
    pub(super) kind: String,
    pub(super) name: String,
    /// What it is in: the table of a column, the schema of a table.
    pub(super) parent: String,
    /// Its definition; none where it was not there.
    pub(super) before: Option<String>,
    /// None where it is gone.
    pub(super) after: Option<String>,
    /// Whether it is different still.
    pub(super) differs: bool,
    /// Whether this very difference is on record.
    pub(super) noted: bool,
}

/// More than this of a definition is not shown.
const SHOWN: usize = 60;
/// How much is shown before the first difference.
const LEAD: usize = 20;
/// More objects than these are counted in a sentence.
const NAMED: usize = 5;

impl Drifted {
    /// From a row of the question.
    pub(super) fn read(row: Texts) -> Option<Self> {
        let mut values = row.into_iter();
        let mut next = || values.next().flatten();
        let (kind, name, parent) = (next()?, next()?, next()?);
        let (before, after) = (next(), next());
        let is = |text: Option<String>| text.as_deref() == Some("t");
        let (was_there, is_there) = (is(next()), is(next()));
        Some(Self {
            kind,
            name,
            parent,
            before: before.filter(|_| was_there),
            after: after.filter(|_| is_there),
            differs: is(next()),
            noted: is(next()),
        })
    }

    /// `column lens.nodes.name`
    fn what(&self) -> String {
        format!("{} {}", self.kind, self.name)
    }

    /// For people: what it was and what it is, from the first difference on.
    pub(super) fn field(&self) -> FieldChange {
        let (before, after) = match (&self.before, &self.after) {
            (Some(before), Some(after)) => {
                let (before, after) = apart(before, after);
                (Some(before), Some(after))
            }
            (before, after) => (before.as_deref().map(start), after.as_deref().map(start)),
        };
        FieldChange {
            path: self.what(),
            before,
            after,
            sensitive: false,
        }
    }
}

/// What it was and what it is, or that it is new or gone.
impl fmt::Display for Drifted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = self.what();
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => {
                let (before, after) = apart(before, after);
                write!(f, "{what} was `{before}` and is `{after}`")
            }
            (None, Some(_)) => write!(f, "{what} is new"),
            (Some(_) | None, None) => write!(f, "{what} is gone"),
        }
    }
}

/// Those that are different still. Of a table that is new or gone its columns need no word.
pub(super) fn telling(drifted: &[Drifted]) -> Vec<&Drifted> {
    let differing = || drifted.iter().filter(|it| it.differs);
    let whole: HashSet<_> = differing()
        .filter(|it| it.before.is_none() || it.after.is_none())
        .map(|it| (it.name.as_str(), it.after.is_none()))
        .collect();
    let is_part = |it: &&Drifted| {
        let gone = it.after.is_none();
        let one_sided = gone || it.before.is_none();
        one_sided && whole.contains(&(it.parent.as_str(), gone))
    };
    differing().filter(|it| !is_part(it)).collect()
}

/// All of it in a sentence.
pub(super) fn sentence(telling: &[&Drifted]) -> String {
    let shown = telling.iter().take(NAMED).map(ToString::to_string);
    let mut shown: Vec<_> = shown.collect();
    let more = telling.len().saturating_sub(NAMED);
    shown.extend((more > 0).then(|| format!("and {more} more")));
    shown.join("; ")
}

/// Two texts from a little before their first difference.
fn apart(one: &str, other: &str) -> (String, String) {
    let same = one.chars().zip(other.chars()).take_while(|(a, b)| a == b);
    let same = same.count();
    let long = |text: &str| text.chars().count() > SHOWN;
    let cuts = same > LEAD && (long(one) || long(other));
    let lead = if cuts { same - LEAD } else { 0 };
    let cut = |text: &str| {
        let head = if lead > 0 { "…" } else { "" };
        let rest: String = text.chars().skip(lead).collect();
        format!("{head}{}", start(&rest))
    };
    (cut(one), cut(other))
}

/// The beginning of a text, in one line.
fn start(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= SHOWN {
        return line;
    }
    let shown: String = line.chars().take(SHOWN).collect();
    format!("{shown}…")
}

#[cfg(test)]
mod tests {
    use super::{Drifted, sentence, telling};

    fn drifted(what: &str, parent: &str, before: Option<&str>, after: Option<&str>) -> Drifted {
        let (kind, name) = what.split_once(' ').expect("kind and name");
        Drifted {
            kind: kind.to_owned(),
            name: name.to_owned(),
            parent: parent.to_owned(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
            differs: true,
            noted: false,
        }
    }

    #[test]
    fn what_was_changed_is_said_from_the_difference_on() {
        let long = "CREATE INDEX nodes_by_name ON lens.nodes USING btree (name, cluster_id)";
        let other = "CREATE INDEX nodes_by_name ON lens.nodes USING hash (name)";
        for (drifted, expected) in [
            (
                drifted(
                    "column lens.nodes.name",
                    "lens.nodes",
                    Some("text"),
                    Some("integer"),
                ),
                "column lens.nodes.name was `text` and is `integer`",
            ),
            (
                drifted(
                    "index lens.nodes_by_name",
                    "lens.nodes",
                    Some(long),
                    Some(other),
                ),
                "index lens.nodes_by_name was `…ON lens.nodes USING btree (name, cluster_id)` \
                 and is `…ON lens.nodes USING hash (name)`",
            ),
            (
                drifted("table lens.x", "lens", None, Some("owner lens")),
                "table lens.x is new",
            ),
            (
                drifted("view lens.x", "lens", Some("owner lens"), None),
                "view lens.x is gone",
            ),
        ] {
            let said = drifted.to_string();
            let spaceless = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(spaceless(&said), spaceless(expected));
        }
    }

    #[test]
    fn of_a_new_table_its_columns_need_no_word() {
        let all = [
            drifted("column lens.a.id", "lens.a", None, Some("bigint")),
            drifted("column lens.b.id", "lens.b", None, Some("bigint")),
            drifted("column lens.c.id", "lens.c", Some("bigint"), None),
            drifted("table lens.a", "lens", None, Some("owner x")),
            drifted("table lens.c", "lens", Some("owner x"), Some("owner y")),
            Drifted {
                differs: false,
                ..drifted("table lens.d", "lens", Some("owner x"), Some("owner x"))
            },
        ];
        let told: Vec<_> = telling(&all).iter().map(|it| it.name.clone()).collect();
        assert_eq!(told, ["lens.b.id", "lens.c.id", "lens.a", "lens.c"]);
    }

    #[test]
    fn many_are_counted() {
        let all: Vec<_> = (0..7)
            .map(|at| drifted(&format!("table lens.t{at}"), "lens", None, Some("x")))
            .collect();
        let said = sentence(&telling(&all));
        assert!(said.starts_with("table lens.t0 is new; "), "{said}");
        assert!(said.ends_with("table lens.t4 is new; and 2 more"), "{said}");
    }
}
