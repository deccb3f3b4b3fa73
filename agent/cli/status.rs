//! The last run, from its record.

use super::{CliError, print_json, say, session, style, wants_json};
use crate::console;
use crate::settings::Settings;

/// Exits with 0 when the record could be read, whatever it says.
pub(super) async fn status(settings: &Settings) -> Result<u8, CliError> {
    let (client, bundle) = session::open(settings).await?;
    let namespace = client.namespace().to_owned();
    let record = session::last_run(&client, &bundle.name).await?;
    let record = record.ok_or(CliError::NoRecord {
        bundle: bundle.name,
        namespace,
    })?;
    if wants_json(settings) {
        print_json(&record)?;
    } else {
        say(&console::status(&record, style(settings)));
    }
    Ok(0)
}
