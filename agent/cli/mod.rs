//! The commands, one file each, and what they share.

mod check;
mod completion;
mod error;
mod lint;
mod only;
mod options;
mod plan;
mod progress;
mod pruning;
mod rbac;
mod render;
mod repair;
mod replay;
mod report;
mod rights;
mod run;
mod session;
mod status;
mod succession;
mod task;
mod uninstall;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use crate::console::Style;
use crate::engine::Class;
use crate::settings::{Otel, Output, Settings};
use error::CliError;
use options::Options;

/// The exit code of `plan --detailed-exitcode` when there are changes.
const CHANGES: u8 = 2;

const EXAMPLES: &str = "\
Examples:
  firstlight --bundle . --profile quickstart     make the installation current (the default command is run)
  firstlight plan --set images.grafana=grafana/grafana:11.1.0
                                                 what that would change, as a diff
  firstlight run --only schema                   one phase
  firstlight check -o json                       is everything current? changes nothing
  firstlight status                              the last run, phase by phase
  firstlight report > run.html                   a page of it, to keep, send and print
  firstlight lint --bundle my-stack              the mistakes of a bundle, offline
  firstlight replay undelivered-1f2e.jsonl       send the telemetry that a run could not deliver
  source <(firstlight completion bash)           completion for this shell

Every option can be given as a variable: --profile as FIRSTLIGHT_PROFILE. Telemetry is configured
by the standard OTEL_* variables.

Exit codes: 0 current, 1 a check was answered with no, 2 changes (plan --detailed-exitcode),
65 diverged, 69 unavailable, 70 bug, 75 locked or stopped, 77 forbidden, 78 wrong settings or bundle.";

/// Brings a freshly installed platform to life, and proves it.
///
/// Waits for operators, applies objects, migrates Postgres, sets up OpenSearch and Grafana, and
/// asks every question of the bundle, as one graph of steps. A second run changes nothing.
#[derive(Debug, Parser)]
#[command(name = "firstlight", version, after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make everything current; the default.
    Run(pruning::Arguments),
    /// Show what a run would change, as a diff, and change nothing.
    Plan(plan::Arguments),
    /// Look at everything, change nothing, and fail if something is not current.
    Check,
    /// Delete what the bundle owns, in reverse order; what holds data only with --purge.
    Uninstall(uninstall::Arguments),
    /// Set the history of migrations right, each file by its name.
    Repair(repair::Arguments),
    /// Show the last run and each of its phases.
    Status,
    /// Make a page of a run (HTML, self-contained), from its record or its trace.
    Report(report::Arguments),
    /// Check the bundle, offline.
    Lint,
    /// Print the least Roles that a run needs, each rule with its reason, offline.
    Rbac(rbac::Arguments),
    /// Print the bundle with all values filled in, offline.
    Render,
    /// Send telemetry that a run could not deliver to the endpoints of the OTEL_* variables.
    Replay(replay::Arguments),
    /// Print the completion script of a shell.
    Completion(completion::Arguments),
}

/// Reads arguments and environment, runs the command and says how it ended.
#[must_use]
pub fn main() -> ExitCode {
    // A provider set already is as good: the clients only need one to be there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let settings = Settings::from_env().map(|settings| cli.options.over(settings));
    let (code, log) = match settings {
        Ok(settings) => {
            let log = settings.termination_log.clone();
            (dispatch(cli.command, &settings), log)
        }
        Err(error) => (Err(error.into()), None),
    };
    ExitCode::from(code.unwrap_or_else(|error| leave(&error, log.as_deref())))
}

fn dispatch(command: Option<Command>, settings: &Settings) -> Result<u8, CliError> {
    match command.unwrap_or(Command::Run(pruning::Arguments::default())) {
        Command::Run(pruning) => block_on(run::run(settings, &Otel::from_env(), pruning)),
        Command::Uninstall(arguments) => block_on(uninstall::uninstall(
            settings,
            &Otel::from_env(),
            &arguments,
        )),
        Command::Plan(arguments) => block_on(plan::plan(settings, &Otel::from_env(), &arguments)),
        Command::Check => block_on(check::check(settings, &Otel::from_env())),
        Command::Repair(arguments) => block_on(repair::repair(settings, &arguments)),
        Command::Replay(arguments) => {
            block_on(replay::replay(settings, &Otel::from_env(), &arguments))
        }
        Command::Status => block_on(status::status(settings)),
        Command::Report(arguments) => report::report(settings, &arguments),
        Command::Lint => lint::lint(settings),
        Command::Rbac(arguments) => rbac::rbac(settings, &arguments),
        Command::Render => render::render(settings),
        Command::Completion(arguments) => Ok(completion::completion::<Cli>(&arguments)),
    }
}

fn block_on<T>(command: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Runtime::new().map_err(CliError::Runtime)?;
    let done = runtime.block_on(command);
    // What still runs belongs to nobody: names being resolved, connections being closed.
    runtime.shutdown_background();
    done
}

/// Wrong arguments are wrong settings; asking for help is not.
fn usage(error: &clap::Error) -> ExitCode {
    // If nobody can be told, the exit code still tells.
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        _ => ExitCode::from(Class::Invalid.exit_code()),
    }
}

/// Says why the command could not even start.
fn leave(error: &CliError, log: Option<&Path>) -> u8 {
    eprintln!("{}", error.text());
    if let Some(log) = log {
        session::leave_word(log, &error.sentence());
    }
    error.class().exit_code()
}

/// Whether standard output is coloured.
fn style(settings: &Settings) -> Style {
    use std::io::IsTerminal as _;
    let coloured = std::io::stdout().is_terminal() && !settings.no_color;
    if coloured {
        Style::Colour
    } else {
        Style::Plain
    }
}

/// Prints. A reader that has gone away does not change how the command ends.
fn say(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Prints for machines.
fn print_json(value: &impl serde::Serialize) -> Result<(), CliError> {
    let text = serde_json::to_string_pretty(value).map_err(CliError::Json)?;
    say(&format!("{text}\n"));
    Ok(())
}

/// Whether machines are asked for.
fn wants_json(settings: &Settings) -> bool {
    settings.output.unwrap_or_default() == Output::Json
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
