//! `status` and `env`: what is up, and where.

use crate::error::InFile;
use crate::progress::{mebibytes, say};
use crate::record::Record;
use crate::server::Server;
use crate::{Error, env, place};
use std::fs;

/// A line for each server.
pub(crate) fn status() -> Result<(), Error> {
    let state = place::state();
    let mut lines = Vec::new();
    for server in Server::ALL {
        let folder = place::folder(&state, server.name());
        let ready = env::address(&folder).exists();
        let text = match Record::read(&folder)?.filter(Record::is_running) {
            Some(record) => format!(
                "{}, pid {}, {}, log {}",
                if ready { "up" } else { "not ready" },
                record.pid,
                mebibytes(server.resident(&state)?),
                folder.join("log").display()
            ),
            None if ready => format!("ended, log {}", folder.join("log").display()),
            None => "down".to_owned(),
        };
        lines.push(format!("{:<17}  {text}\n", server.name()));
    }
    say(&lines.concat());
    Ok(())
}

/// The environment file.
pub(crate) fn print_env() -> Result<(), Error> {
    let path = env::file(&place::state());
    if !path.exists() {
        return Err(Error::NotUp { path });
    }
    say(&fs::read_to_string(&path).file("read", &path)?);
    Ok(())
}
