//! The last run, from its record.

use super::{CliError, print_json, session, style, wants_json};
use crate::console;
use crate::providers::kubernetes;
use crate::record::RunRecord;
use crate::settings::Settings;

/// Exits with 0 when the record could be read, whatever it says.
pub(super) async fn status(settings: &Settings) -> Result<u8, CliError> {
    let (client, bundle) = session::open(settings).await?;
    let namespace = client.namespace().to_owned();
    let text = kubernetes::RunRecord::new(client, &bundle.name)
        .read()
        .await?;
    let text = text.ok_or(CliError::NoRecord {
        bundle: bundle.name,
        namespace,
    })?;
    let record: RunRecord = serde_json::from_str(&text).map_err(CliError::Record)?;
    if wants_json(settings) {
        print_json(&record)?;
    } else {
        print!("{}", console::status(&record, style(settings)));
    }
    Ok(0)
}
