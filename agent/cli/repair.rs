//! Set the history of migrations right, each file by its name.

use clap::Args;
use serde::Serialize;

use super::{CliError, print_json, say, session, wants_json};
use crate::assemble;
use crate::providers::postgres::{Mend, Mended, Migrations, Which};
use crate::settings::Settings;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Version of a migration whose checksum is taken from its file; may be given several times
    #[arg(long, value_name = "N")]
    version: Vec<u64>,
    /// The same for a file that is known by its name
    #[arg(long, value_name = "NAME")]
    file: Vec<String>,
    /// Version or file to note as applied, without running it
    #[arg(long, value_name = "N|NAME", value_parser = which)]
    accept: Vec<Which>,
    /// Version or file that the bundle does not have, for the history to forget
    #[arg(long, value_name = "N|NAME", value_parser = which)]
    remove: Vec<Which>,
    /// The step that migrates, if there are several
    #[arg(long, value_name = "ID")]
    step: Option<String>,
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "clap wants a parser that may fail"
)]
fn which(text: &str) -> Result<Which, String> {
    Ok(match text.parse() {
        Ok(version) => Which::Version(version),
        Err(_) => Which::File(text.to_owned()),
    })
}

#[derive(Serialize)]
struct Line<'a> {
    file: &'a str,
    what: &'a str,
}

pub(super) async fn repair(settings: &Settings, arguments: &Arguments) -> Result<u8, CliError> {
    let mends = arguments.mends();
    if mends.is_empty() {
        return Err(CliError::NothingNamed);
    }
    let (client, bundle) = session::open(settings).await?;
    let steps = assemble::migrations(&bundle, &client)?;
    let migrations = arguments.choose(steps)?;
    let done = migrations.repair(&mends).await?;
    if wants_json(settings) {
        let lines = done.iter().map(|Mended { file, what }| Line { file, what });
        print_json(&lines.collect::<Vec<_>>())?;
    } else if done.is_empty() {
        say("nothing is different: every checksum is the file's\n");
    }
    if !wants_json(settings) {
        for Mended { file, what } in &done {
            say(&format!("{file}: {what}\n"));
        }
    }
    Ok(0)
}

impl Arguments {
    fn mends(&self) -> Vec<Mend> {
        let versions = self.version.iter().map(|version| Which::Version(*version));
        let files = self.file.iter().cloned().map(Which::File);
        let checksums = versions.chain(files).map(Mend::Checksum);
        let accepted = self.accept.iter().cloned().map(Mend::Accept);
        let removed = self.remove.iter().cloned().map(Mend::Remove);
        checksums.chain(accepted).chain(removed).collect()
    }

    fn choose(&self, mut steps: Vec<(String, Migrations)>) -> Result<Migrations, CliError> {
        let known: Vec<String> = steps.iter().map(|(id, _)| id.clone()).collect();
        if let Some(step) = &self.step {
            steps.retain(|(id, _)| id == step);
            let found = steps.pop().map(|(_, migrations)| migrations);
            return found.ok_or_else(|| CliError::NoSuchStep(step.clone(), known));
        }
        match (steps.pop(), steps.is_empty()) {
            (Some((_, migrations)), true) => Ok(migrations),
            _ => Err(CliError::WhichStep(known)),
        }
    }
}
