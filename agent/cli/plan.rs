//! What a run would change.

use clap::Args;

use super::session::{Preview, Session};
use super::{CHANGES, CliError, print_json, pruning, say, style, wants_json};
use crate::console;
use crate::engine::{Class, Outcome, Report};
use crate::record::RunRecord;
use crate::settings::{Otel, Settings};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Exit with 2 when there are changes
    #[arg(long)]
    detailed_exitcode: bool,
    #[command(flatten)]
    pruning: pruning::Arguments,
}

pub(super) async fn plan(
    settings: &Settings,
    otel: &Otel,
    arguments: &Arguments,
) -> Result<u8, CliError> {
    let session = Session::open(settings, otel).await?;
    let pruning = arguments.pruning.of(&session);
    let left = pruning::left(&session).await?;
    let report = session.preview(pruning, Preview::Plan).await?;
    let changes = report.count("changed") > 0;
    let exit = match cannot_tell(&report) {
        Some(class) => class.exit_code(),
        None if changes && arguments.detailed_exitcode => CHANGES,
        None => 0,
    };
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

/// The gravest reason why a step's plan is not known: a failure, or a server that does not
/// answer although nothing that comes before it is to be changed. Who only waits changes nothing.
fn cannot_tell(report: &Report) -> Option<Class> {
    let steps = report.steps.iter().filter(|step| !step.optional);
    let unanswered = steps.filter_map(|step| match &step.outcome {
        Outcome::Deferred {
            error: Some(error),
            after: None,
            ..
        } => Some(error.class()),
        _ => None,
    });
    unanswered.chain(report.class()).max()
}
