//! The command line of the test bed.

use crate::eventually::chain;
use crate::launch::{Launch, become_program};
use crate::server::Server;
use crate::{Error, Trace, down, status, up};
use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

/// Brings up the real servers that the tests and the demo run against.
///
/// They stay up until `down`, which makes the next `up` a matter of a second. State, logs and
/// addresses are below target/testbed (or `TESTBED_STATE`); what is built once a machine is
/// below ~/.cache/firstlight (or `FIRSTLIGHT_CACHE`).
#[derive(Debug, Parser)]
#[command(name = "testbed")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Brings up the servers named, or all; what is up already stays
    Up {
        /// A server
        names: Vec<Server>,
    },
    /// Ends all that was started and removes its data; the cache stays
    Down,
    /// Shows what is up
    Status,
    /// Prints where the servers are, as KEY=VALUE
    Env,
    /// Prints a trace as a tree with durations
    Trace {
        /// The base URL of Jaeger's query service
        #[arg(long)]
        jaeger: String,
        /// The trace, in hex
        id: String,
    },
    /// Becomes a program, after having put itself on record
    #[command(hide = true)]
    Launch {
        #[arg(long)]
        folder: PathBuf,
        #[arg(long)]
        stands_in: PathBuf,
        #[arg(long)]
        unprivileged: bool,
        program: PathBuf,
        #[arg(last = true)]
        arguments: Vec<OsString>,
    },
}

/// Does what the command line says.
#[must_use]
pub fn run() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Up { names } => in_runtime(up::up(&names)),
        Command::Down => in_runtime(down::down()),
        Command::Status => status::status(),
        Command::Env => status::print_env(),
        Command::Trace { jaeger, id } => in_runtime(print_trace(&jaeger, &id)),
        Command::Launch {
            folder,
            stands_in,
            unprivileged,
            program,
            arguments,
        } => {
            let launch = Launch::new(program)
                .arguments(arguments)
                .stands_in(stands_in);
            let launch = if unprivileged {
                launch.unprivileged()
            } else {
                launch
            };
            Err(become_program(&folder, &launch))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Error::Several { errors }) => {
            for error in errors {
                eprintln!("testbed: {}", chain(&error));
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("testbed: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

async fn print_trace(jaeger: &str, id: &str) -> Result<(), Error> {
    println!("{}", Trace::of_jaeger(jaeger, id).await?);
    Ok(())
}

/// One thread is enough: the servers do the work.
fn in_runtime(work: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| Error::Runtime { source })?
        .block_on(work)
}
