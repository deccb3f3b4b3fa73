//! Delete what the bundle owns.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use clap::Args;

use super::run::carry_out;
use super::session::Session;
use super::task::Task;
use super::{CliError, run, say};
use crate::providers::kubernetes::Entry;
use crate::settings::{Otel, Settings};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Delete also what holds data: claims, volumes, namespaces, definitions, generated Secrets
    #[arg(long)]
    purge: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

pub(super) async fn uninstall(
    settings: &Settings,
    otel: &Otel,
    arguments: &Arguments,
) -> Result<u8, CliError> {
    if settings.only.is_some() {
        return Err(CliError::OnlyAll);
    }
    let session = run::open(settings, otel).await?;
    let read = async || Ok(session.inventory.read().await?);
    let recorded = session.insist(read).await?;
    if recorded.is_empty() {
        let namespace = session.client.namespace();
        let name = &session.bundle.name;
        say(&format!("{name} owns nothing in namespace {namespace}\n"));
        session.close().await;
        return Ok(0);
    }
    if !arguments.yes {
        confirm(&session, &recorded, arguments.purge)?;
    }
    let task = Task::Uninstall {
        recorded,
        purge: arguments.purge,
    };
    carry_out(session, settings, &task).await
}

/// Asks a person; without one, nothing is deleted.
fn confirm(session: &Session, recorded: &[Entry], purge: bool) -> Result<(), CliError> {
    let goes = |entry: &&Entry| !entry.adopted && (purge || !entry.keep);
    let going: Vec<String> = recorded.iter().filter(goes).map(Entry::to_string).collect();
    let count = going.len();
    if !std::io::stdin().is_terminal() {
        return Err(CliError::NotConfirmed { count });
    }
    let name = &session.bundle.name;
    say(&format!(
        "{name}: these {count} objects are deleted:\n  {}\nType yes to go on: ",
        going.join("\n  ")
    ));
    let _ = std::io::stdout().flush();
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    match read {
        Ok(_) if answer.trim() == "yes" => Ok(()),
        _ => Err(CliError::NotConfirmed { count }),
    }
}
