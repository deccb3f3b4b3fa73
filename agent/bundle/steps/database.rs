//! `database: { name, owner?, extensions? }`: a database of Postgres and what it is made with.

use super::{Context, Made, Part};
use crate::bundle::yaml::Node;
use crate::bundle::{Action, Database, Extension};

const DATABASE: &str = "database";

pub(super) fn read(node: &Node, context: Context<'_>) -> Option<Made> {
    let reader = context.reader;
    let fields = reader.fields(node, "a database", &["name", "owner", "extensions"])?;
    let (name, owner) = (fields.need_text("name"), fields.text("owner"));
    let extensions = fields.get("extensions");
    let extensions = extensions.and_then(|node| reader.items(node, "extensions"));
    let extensions = extensions.unwrap_or_default().iter();
    let extensions: Vec<_> = extensions
        .filter_map(|node| Some((node, reader.text(node, "extensions")?)))
        .collect();
    let name = name?;
    let database = Action::Database(Database {
        name: name.clone(),
        owner,
    });
    if extensions.is_empty() {
        return Some(Made::step(name, database));
    }
    let first = Part {
        name: DATABASE.to_owned(),
        needs: Vec::new(),
        location: reader.location(node.at),
        action: Some(database),
    };
    let others = extensions.into_iter().map(|(node, extension)| Part {
        name: format!("extension-{extension}"),
        needs: vec![DATABASE.to_owned()],
        location: reader.location(node.at),
        action: Some(Action::Extension(Extension {
            database: name.clone(),
            name: extension,
        })),
    });
    let parts = std::iter::once(first).chain(others).collect();
    Some(Made::group(Some(name.clone()), parts))
}
