//! Is everything current?

use super::session::Session;
use super::{CliError, print_json, say, style, wants_json};
use crate::console;
use crate::engine::{Class, Outcome, Report};
use crate::record::RunRecord;
use crate::settings::{Otel, Settings};

pub(super) async fn check(settings: &Settings, otel: &Otel) -> Result<u8, CliError> {
    let session = Session::open(settings, otel).await?;
    let report = session.preview(false).await?;
    let exit = class(&report).map_or(0, Class::exit_code);
    if wants_json(settings) {
        print_json(&RunRecord::new(&report, exit))?;
    } else {
        say(&console::plan(&report, style(settings)));
    }
    session.close().await;
    Ok(exit)
}

/// What would change is answered with no; what cannot be told has the class of its wait.
fn class(report: &Report) -> Option<Class> {
    let steps = report.steps.iter().filter(|step| !step.optional);
    let open = steps.filter_map(|step| match &step.outcome {
        Outcome::Changed(_) => Some(Class::Unmet),
        Outcome::Deferred { waiting, .. } => Some(waiting.class),
        _ => None,
    });
    open.chain(report.class()).max()
}
