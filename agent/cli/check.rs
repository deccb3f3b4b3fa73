//! Is everything current?

use super::session::{Preview, Session};
use super::{CliError, print_json, pruning, say, style, wants_json};
use crate::console;
use crate::engine::{Class, Outcome, Report};
use crate::record::RunRecord;
use crate::settings::{Otel, Settings};

pub(super) async fn check(settings: &Settings, otel: &Otel) -> Result<u8, CliError> {
    let session = Session::open(settings, otel).await?;
    let pruning = pruning::Arguments::default().of(&session);
    let left = pruning::left(&session).await?;
    let report = session.preview(pruning, Preview::Check).await?;
    let exit = class(&report).map_or(0, Class::exit_code);
    let record = RunRecord {
        left,
        ..RunRecord::new(&report, exit)
    };
    if wants_json(settings) {
        print_json(&record)?;
    } else {
        say(&record.remark());
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
