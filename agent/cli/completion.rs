//! The completion script of a shell.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Which shell
    shell: Shell,
}

pub(super) fn completion<C: CommandFactory>(arguments: &Arguments) -> u8 {
    clap_complete::generate(
        arguments.shell,
        &mut C::command(),
        "firstlight",
        &mut std::io::stdout(),
    );
    0
}
