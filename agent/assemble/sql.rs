//! The SQL of a bundle, read as it will be run.

use super::AssembleError;
use super::servers::{Opened, Server};
use crate::bundle::{
    self, Action, Bundle, ImportFrom, MigrationOrder, Migrations, Mistake, Mistakes, Origin, Place,
};
use crate::providers::kubernetes;
use crate::providers::postgres::{
    self, Adoption, File, FileMistake, Order, Placeholder, Placeholders, Tool,
};

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

/// The steps of a bundle that migrate, with their ids.
///
/// # Errors
/// If one of them uses a server that the bundle does not name.
pub fn migrations(
    bundle: &Bundle,
    cluster: &kubernetes::Client,
) -> Result<Vec<(String, postgres::Migrations)>, AssembleError> {
    let opened = Opened::new(bundle, cluster, &postgres::Cancels::default());
    let mut found = Vec::new();
    for (node, step) in bundle.leaves() {
        if let Action::Migrations(migrations) = &step.action {
            let missing = || Server::Postgres.missing(&node.id);
            let server = opened.postgres.clone().ok_or_else(missing)?;
            found.push((node.id.clone(), resource(server, migrations)));
        }
    }
    Ok(found)
}

/// What a step makes current.
pub(super) fn resource(server: postgres::Server, migrations: &Migrations) -> postgres::Migrations {
    let mut resource = postgres::Migrations::new(server, &migrations.database, files(migrations));
    resource.owner.clone_from(&migrations.owner);
    resource.adoption = adoption(migrations);
    resource
}

/// The files of a step.
fn files(migrations: &Migrations) -> Vec<File> {
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
            MigrationOrder::Name => Order::Name,
            MigrationOrder::Repeatable => Order::Repeatable,
        };
        let path = file.file.to_string_lossy();
        File::new(order, &file.description, path, &file.sql, &placeholders)
    });
    files.collect()
}

/// How a database that has no history yet comes by one.
fn adoption(migrations: &Migrations) -> Option<Adoption> {
    Some(match migrations.adoption.as_ref()? {
        bundle::Adoption::Baseline(last) => Adoption::Baseline(last.clone()),
        bundle::Adoption::Import(from) => Adoption::Import(match from {
            ImportFrom::Flyway => Tool::Flyway,
            ImportFrom::GolangMigrate => Tool::GolangMigrate,
            ImportFrom::Sqlx => Tool::Sqlx,
        }),
    })
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
