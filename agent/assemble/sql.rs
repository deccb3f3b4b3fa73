//! The SQL of a bundle, read as it will be run.

use crate::bundle::{
    self, Action, Bundle, MigrationOrder, Migrations, Mistake, Mistakes, Origin, Place,
};
use crate::providers::postgres::{File, FileMistake, Order, Placeholder, Placeholders};

/// Reads all migrations of a bundle without a server.
///
/// # Errors
/// All that is wrong with them. A run asks only for those that are pending: what a database has
/// had cannot be mended any more.
pub fn read_sql(bundle: &Bundle) -> Result<(), Mistakes> {
    let mut found = Vec::new();
    for (_, step) in bundle.leaves() {
        if let Action::Migrations(migrations) = &step.action {
            let mistakes = files(migrations).into_iter().map(|file| file.mistakes());
            found.extend(mistakes.flatten().map(mistake));
        }
    }
    match Mistakes::of(found) {
        Some(mistakes) => Err(mistakes),
        None => Ok(()),
    }
}

/// The files of a step.
pub(super) fn files(migrations: &Migrations) -> Vec<File> {
    let placeholders = migrations.placeholders.iter();
    let placeholders: Placeholders = placeholders
        .map(|(name, value)| {
            let value = match value {
                bundle::Placeholder::Identifier(name) => Placeholder::Identifier(name.clone()),
                bundle::Placeholder::Literal(text) => Placeholder::Literal(text.clone()),
            };
            (name.clone(), value)
        })
        .collect();
    let files = migrations.files.iter().map(|file| {
        let order = match file.order {
            MigrationOrder::Version(version) => Order::Version(version),
            MigrationOrder::Repeatable => Order::Repeatable,
        };
        let path = file.file.to_string_lossy();
        File::new(order, &file.description, path, &file.sql, &placeholders)
    });
    files.collect()
}

fn mistake(found: FileMistake) -> Mistake {
    let excerpt = found.excerpt;
    Mistake {
        excerpt: Some(excerpt.source().to_owned()),
        place: Place {
            origin: Origin::File(excerpt.file.into()),
            line: excerpt.line,
            column: excerpt.column,
            length: 1,
        },
        what: found.what,
        hints: vec![found.hint],
    }
}
