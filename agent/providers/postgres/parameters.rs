//! Parameters that the server sets at login, for a role, a database, or a role in a database:
//! `search_path`, `statement_timeout`.

use std::collections::BTreeMap;

use crate::engine::FieldChange;

use super::quote;

/// Parameters that are lists of names. Sent as one text they would become a single odd name.
const LISTS: [&str; 5] = [
    "search_path",
    "temp_tablespaces",
    "session_preload_libraries",
    "local_preload_libraries",
    "shared_preload_libraries",
];

/// A parameter that is not set as wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parameter {
    name: String,
    before: Option<String>,
    after: String,
}

/// What has to be set. `stored` is as the catalog keeps it: `name=value`. What is set beyond the
/// wanted ones is left alone.
pub(super) fn differing(wanted: &BTreeMap<String, String>, stored: &[String]) -> Vec<Parameter> {
    let stored = |name: &str| {
        let pairs = stored.iter().filter_map(|pair| pair.split_once('='));
        let mut named = pairs.filter(|(stored, _)| stored.eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value.to_owned())
    };
    let differing = wanted.iter().filter_map(|(name, after)| {
        let before = stored(name);
        let same = before
            .as_ref()
            .is_some_and(|before| same(name, before, after));
        (!same).then(|| Parameter {
            name: name.clone(),
            before,
            after: after.clone(),
        })
    });
    differing.collect()
}

impl Parameter {
    /// `ALTER ROLE x SET …`, of which `subject` is the first part.
    pub(super) fn sql(&self, subject: &str) -> String {
        let name: Vec<_> = self.name.split('.').map(quote::identifier).collect();
        let value = if is_list(&self.name) {
            let names = names(&self.after);
            let names: Vec<_> = names.iter().map(|name| quote::literal(name)).collect();
            names.join(", ")
        } else {
            quote::literal(&self.after)
        };
        format!("{subject} SET {} = {value}", name.join("."))
    }

    /// `settings.NAME` below a path.
    pub(super) fn field(&self, path: &str) -> FieldChange {
        FieldChange {
            path: format!("{path}.{}", self.name),
            before: self.before.clone(),
            after: Some(self.after.clone()),
            sensitive: false,
        }
    }
}

fn is_list(name: &str) -> bool {
    LISTS.iter().any(|list| list.eq_ignore_ascii_case(name))
}

fn same(name: &str, one: &str, other: &str) -> bool {
    if is_list(name) {
        names(one) == names(other)
    } else {
        one == other
    }
}

/// The names in a list as Postgres writes it: `lens, "$user", public`.
fn names(list: &str) -> Vec<String> {
    let mut names = Vec::new();
    let (mut name, mut quoted, mut is_name) = (String::new(), false, false);
    let mut rest = list.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' if quoted && rest.peek() == Some(&'"') => {
                rest.next();
                name.push('"');
            }
            '"' => {
                quoted = !quoted;
                is_name = true;
            }
            ',' if !quoted => {
                names.push(std::mem::take(&mut name));
                is_name = false;
            }
            c if quoted => name.push(c),
            c if c.is_whitespace() => {}
            c => name.extend(c.to_lowercase()),
        }
    }
    if is_name || !name.is_empty() {
        names.push(name);
    }
    names
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Parameter, differing};

    fn wanted(name: &str, value: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(name.to_owned(), value.to_owned())])
    }

    fn sql(name: &str, value: &str, stored: &[&str]) -> Vec<String> {
        let stored: Vec<_> = stored.iter().map(|&text| text.to_owned()).collect();
        let found = differing(&wanted(name, value), &stored);
        found.iter().map(|it| it.sql("ALTER ROLE r")).collect()
    }

    #[test]
    fn a_list_of_names_is_compared_name_by_name() {
        for (value, stored) in [
            ("lens, public", "search_path=lens, public"),
            ("\"$user\",public", "search_path=\"$user\", public"),
            ("$user, Public", "search_path=\"$user\", public"),
            ("\"\"", "search_path=\"\""),
        ] {
            assert!(sql("search_path", value, &[stored]).is_empty(), "{value}");
        }
        assert_eq!(
            sql("search_path", "lens, \"A, b\"", &["search_path=lens"]),
            ["ALTER ROLE r SET \"search_path\" = 'lens', 'A, b'"]
        );
    }

    #[test]
    fn a_value_is_compared_as_it_is_kept() {
        assert!(sql("TimeZone", "UTC", &["work_mem=4MB", "TimeZone=UTC"]).is_empty());
        assert!(sql("timezone", "UTC", &["TimeZone=UTC"]).is_empty());
        assert_eq!(
            sql("app.name", "it's = \\", &["app.name=x"]),
            [r#"ALTER ROLE r SET "app"."name" =  E'it''s = \\'"#]
        );
    }

    #[test]
    fn a_difference_shows_both_sides() {
        let found = differing(&wanted("work_mem", "8MB"), &["work_mem=4MB".to_owned()]);
        let field = Parameter::field(&found[0], "settings");
        assert_eq!(field.path, "settings.work_mem");
        assert_eq!(field.before.as_deref(), Some("4MB"));
        assert_eq!(field.after.as_deref(), Some("8MB"));
    }
}
