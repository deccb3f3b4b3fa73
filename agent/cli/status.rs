//! The last run, from its record.

use super::{CliError, print_json, say, session, style, wants_json};
use crate::console;
use crate::record::RunRecord;
use crate::settings::Settings;

/// The record of the last run.
pub(super) async fn last(settings: &Settings) -> Result<RunRecord, CliError> {
    let (client, bundle) = session::open(settings).await?;
    let namespace = client.namespace().to_owned();
    let record = session::last_run(&client, &bundle.name).await?;
    record.ok_or(CliError::NoRecord {
        bundle: bundle.name,
        namespace,
    })
}

/// Exits with 0 when the record could be read, whatever it says.
pub(super) async fn status(settings: &Settings) -> Result<u8, CliError> {
    let record = last(settings).await?;
    if wants_json(settings) {
        print_json(&record)?;
    } else {
        say(&console::status(&record, style(settings)));
    }
    Ok(0)
}
