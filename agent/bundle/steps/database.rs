//! `database: { name, owner?, schemas?, extensions?, … }`: a database of Postgres and what it is
//! made with.

use std::collections::BTreeMap;

use super::role::{connection_limit, settings};
use super::{Context, Made, Part};
use crate::bundle::reader::Fields;
use crate::bundle::yaml::{Content, Node};
use crate::bundle::{Action, Database, Extension, Schema};

const DATABASE: &str = "database";
const KEYS: &[&str] = &[
    "name",
    "owner",
    "template",
    "encoding",
    "locale",
    "collate",
    "ctype",
    "connectionLimit",
    "settings",
    "roleSettings",
    "schemas",
    "extensions",
];

pub(super) fn read(node: &Node, context: Context<'_>) -> Option<Made> {
    let fields = context.reader.fields(node, "a database", KEYS)?;
    let name = fields.need_text("name");
    let locale = fields.text("locale");
    let database = Database {
        name: name.clone().unwrap_or_default(),
        owner: fields.text("owner"),
        template: fields.text("template"),
        encoding: fields.text("encoding"),
        collate: fields.text("collate").or_else(|| locale.clone()),
        ctype: fields.text("ctype").or(locale),
        connection_limit: connection_limit(&fields),
        settings: settings(&fields, "settings"),
        role_settings: role_settings(&fields),
    };
    let schemas = schemas(&fields, &database);
    let extensions = extensions(&fields, &database);
    let name = name?;
    let database = Action::Database(Box::new(database));
    if schemas.is_empty() && extensions.is_empty() {
        return Some(Made::step(name, database));
    }
    let first = Part {
        name: DATABASE.to_owned(),
        needs: Vec::new(),
        location: context.reader.location(fields.at()),
        action: Some(database),
    };
    let names: Vec<_> = schemas.iter().map(|part| part.name.clone()).collect();
    let extensions = extensions.into_iter().map(|(schema, mut part)| {
        let schema = schema.map(|schema| schema_part(&schema));
        part.needs
            .extend(schema.filter(|schema| names.contains(schema)));
        part
    });
    let parts = std::iter::once(first).chain(schemas).chain(extensions);
    Some(Made::group(Some(name), parts.collect()))
}

fn schema_part(name: &str) -> String {
    format!("schema-{name}")
}

fn role_settings(fields: &Fields<'_>) -> BTreeMap<String, BTreeMap<String, String>> {
    let reader = fields.reader;
    let roles = fields.get("roleSettings");
    let roles = roles.and_then(|node| reader.entries(node, "roleSettings"));
    let roles = roles.unwrap_or_default().iter();
    let one = |key: &str| {
        let all = Fields::new(reader, "roleSettings", fields.get("roleSettings")?);
        Some((key.to_owned(), settings(&all, key)))
    };
    roles.filter_map(|(key, _)| one(&key.text)).collect()
}

/// Each is a name, or `{ name, owner }`; who owns the database owns them, unless it is said.
fn schemas(fields: &Fields<'_>, database: &Database) -> Vec<Part> {
    let reader = fields.reader;
    let one = |node: &Node| {
        let (name, owner) = if let Content::Scalar(_) = node.content {
            (reader.text(node, "schemas")?, None)
        } else {
            let fields = reader.fields(node, "a schema", &["name", "owner"])?;
            let owner = fields.text("owner");
            (fields.need_text("name")?, owner)
        };
        Some(Part {
            name: schema_part(&name),
            needs: vec![DATABASE.to_owned()],
            location: reader.location(node.at),
            action: Some(Action::Schema(Schema {
                database: database.name.clone(),
                name,
                owner: owner.or_else(|| database.owner.clone()),
            })),
        })
    };
    items(fields, "schemas").iter().filter_map(one).collect()
}

/// Each is a name, or `{ name, version, schema }`; with the schema that it goes to.
fn extensions(fields: &Fields<'_>, database: &Database) -> Vec<(Option<String>, Part)> {
    let reader = fields.reader;
    let one = |node: &Node| {
        let mut extension = Extension {
            database: database.name.clone(),
            name: String::new(),
            version: None,
            schema: None,
        };
        if let Content::Scalar(_) = node.content {
            extension.name = reader.text(node, "extensions")?;
        } else {
            let allowed = &["name", "version", "schema"];
            let fields = reader.fields(node, "an extension", allowed)?;
            extension.version = fields.text("version");
            extension.schema = fields.text("schema");
            extension.name = fields.need_text("name")?;
        }
        let part = Part {
            name: format!("extension-{}", extension.name),
            needs: vec![DATABASE.to_owned()],
            location: reader.location(node.at),
            action: Some(Action::Extension(extension.clone())),
        };
        Some((extension.schema, part))
    };
    items(fields, "extensions").iter().filter_map(one).collect()
}

fn items<'n>(fields: &Fields<'n>, name: &str) -> &'n [Node] {
    let node = fields.get(name);
    let items = node.and_then(|node| fields.reader.items(node, name));
    items.unwrap_or_default()
}
