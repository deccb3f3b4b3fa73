//! `grants: { database, role, on: { database, schemas }, default, exact? }`: what a role may do.

use std::collections::BTreeSet;

use super::{Context, Made};
use crate::bundle::reader::Fields;
use crate::bundle::yaml::Node;
use crate::bundle::{Action, Grants, GrantsDefault, GrantsOn, suggest};

/// The key of a kind, the kind, and the rights that there are on it.
type Rights = (&'static str, &'static str, &'static [&'static str]);

const DATABASE: Rights = ("database", "database", &["CONNECT", "CREATE", "TEMPORARY"]);
const SCHEMA: Rights = ("schema", "schema", &["CREATE", "USAGE"]);
/// What there are several of in a schema.
const KINDS: [Rights; 4] = [
    (
        "tables",
        "table",
        &[
            "DELETE",
            "INSERT",
            "REFERENCES",
            "SELECT",
            "TRIGGER",
            "TRUNCATE",
            "UPDATE",
            MAINTAIN,
        ],
    ),
    ("sequences", "sequence", &["SELECT", "UPDATE", "USAGE"]),
    ("functions", "function", &["EXECUTE"]),
    ("types", "type", &["USAGE"]),
];
/// Only from Postgres 17, so it is not a part of `ALL`.
const MAINTAIN: &str = "MAINTAIN";

pub(super) fn read(node: &Node, context: Context<'_>) -> Option<Made> {
    let reader = context.reader;
    let allowed = &["database", "role", "exact", "on", "default"];
    let fields = reader.fields(node, "grants", allowed)?;
    let (database, role) = (fields.need_text("database"), fields.need_text("role"));
    let exact = fields.boolean("exact").unwrap_or(false);
    if fields.get("on").is_none() && fields.get("default").is_none() {
        let mistake = reader.mistake(fields.at(), "the step grants nothing");
        let hint = "say on what: on: { schemas: { public: { tables: [SELECT] } } }";
        context.found().add(mistake.hint(hint));
    }
    let on = on(&fields);
    let default = default(&fields, role.as_deref(), exact);
    let role = role?;
    let grants = Grants {
        database: database?,
        role: (role != "public").then(|| role.clone()),
        exact,
        on,
        default,
    };
    Some(Made::step(format!("grants-{role}"), Action::Grants(grants)))
}

fn on(fields: &Fields<'_>) -> Vec<GrantsOn> {
    let reader = fields.reader;
    let node = fields.get("on");
    let node = node.and_then(|node| reader.fields(node, "on", &["database", "schemas"]));
    let Some(fields) = node else {
        return Vec::new();
    };
    let mut on = Vec::new();
    let (key, kind, known) = DATABASE;
    on.extend(rights(&fields, key, known).map(|privileges| GrantsOn {
        kind,
        schema: None,
        object: None,
        privileges,
    }));
    let schemas = fields.get("schemas");
    let schemas = schemas.and_then(|node| reader.entries(node, "schemas"));
    for (key, node) in schemas.unwrap_or_default() {
        on.extend(in_schema(&fields, &key.text, node));
    }
    on
}

/// What is said of one schema: of itself, of all of a kind in it, of single objects.
fn in_schema(fields: &Fields<'_>, schema: &str, node: &Node) -> Vec<GrantsOn> {
    let allowed = &[
        "schema",
        "tables",
        "sequences",
        "functions",
        "types",
        "objects",
    ];
    let reader = fields.reader;
    let Some(fields) = reader.fields(node, "a schema", allowed) else {
        return Vec::new();
    };
    let place = |kind, object, privileges| GrantsOn {
        kind,
        schema: Some(schema.to_owned()),
        object,
        privileges,
    };
    let mut on = Vec::new();
    for (key, kind, known) in std::iter::once(SCHEMA).chain(KINDS) {
        let privileges = rights(&fields, key, known);
        on.extend(privileges.map(|privileges| place(kind, None, privileges)));
    }
    let objects = fields.get("objects").and_then(|node| {
        let allowed = &["tables", "sequences", "functions", "types"];
        reader.fields(node, "objects", allowed)
    });
    let Some(objects) = objects else {
        return on;
    };
    for (key, kind, known) in KINDS {
        let Some(node) = objects.get(key) else {
            continue;
        };
        let all = Fields::new(reader, "objects", node);
        for (name, _) in reader.entries(node, key).unwrap_or_default() {
            let privileges = rights(&all, &name.text, known);
            let object = Some(name.text.clone());
            on.extend(privileges.map(|privileges| place(kind, object, privileges)));
        }
    }
    on
}

/// Each is `{ owner, schema?, tables?, … }`.
fn default(fields: &Fields<'_>, role: Option<&str>, exact: bool) -> Vec<GrantsDefault> {
    let reader = fields.reader;
    let items = fields.get("default");
    let items = items.and_then(|node| reader.items(node, "default"));
    let mut default = Vec::new();
    for node in items.unwrap_or_default() {
        let allowed = &[
            "owner",
            "schema",
            "tables",
            "sequences",
            "functions",
            "types",
        ];
        let Some(fields) = reader.fields(node, "a default", allowed) else {
            continue;
        };
        let (owner, schema) = (fields.need_text("owner"), fields.text("schema"));
        let Some(owner) = owner else { continue };
        if role == Some(&owner) {
            let what = format!("`{owner}` has every right on what it makes");
            reader.add(fields.at(), what);
        }
        for (key, kind, known) in KINDS {
            let Some(privileges) = rights(&fields, key, known) else {
                continue;
            };
            if role == Some("public") && exact && schema.is_some() && known.len() == 1 {
                of_everywhere(&fields, key, &privileges);
            }
            default.push(GrantsDefault {
                owner: owner.clone(),
                schema: schema.clone(),
                kind,
                privileges,
            });
        }
    }
    default
}

/// That everybody may execute a function is a default of all schemas, and one schema cannot take
/// it away.
fn of_everywhere(fields: &Fields<'_>, key: &str, privileges: &BTreeSet<String>) {
    if !privileges.is_empty() {
        return;
    }
    let reader = fields.reader;
    let at = fields.entry(key).map_or(fields.at(), |(key, _)| key.at);
    let what = format!("what everybody may do with {key} cannot be taken away in one schema");
    let hint = "leave out `schema`: this right is given everywhere";
    reader.found.add(reader.mistake(at, what).hint(hint));
}

/// A list of rights; none where the key is not there.
fn rights(fields: &Fields<'_>, key: &str, known: &[&'static str]) -> Option<BTreeSet<String>> {
    let reader = fields.reader;
    let node = fields.get(key)?;
    let mut rights = BTreeSet::new();
    for item in reader.items(node, key)? {
        let Some(text) = reader.text(item, key) else {
            continue;
        };
        let right = match text.to_uppercase().as_str() {
            "TEMP" => "TEMPORARY".to_owned(),
            other => other.to_owned(),
        };
        if right == "ALL" {
            let all = known.iter().filter(|right| **right != MAINTAIN);
            rights.extend(all.map(|&right| right.to_owned()));
        } else if known.contains(&right.as_str()) {
            rights.insert(right);
        } else {
            let what = format!("there is no right `{text}` on this");
            let hint = suggest::hint(&right, known.iter().copied());
            let mistake = reader.mistake(item.at, what);
            reader.found.add(mistake.hint_if(hint));
        }
    }
    Some(rights)
}
