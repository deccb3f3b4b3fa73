//! The mistakes of a bundle, offline.

use serde_json::{Value, json};

use super::{CliError, print_json, say, session, wants_json};
use crate::assemble::read_sql;
use crate::bundle::{Mistake, Mistakes};
use crate::engine::Class;
use crate::settings::Settings;

pub(super) fn lint(settings: &Settings) -> Result<u8, CliError> {
    let loaded = session::load_offline(settings);
    let loaded = loaded.and_then(|bundle| read_sql(&bundle).map(|()| bundle).map_err(Into::into));
    if !wants_json(settings) {
        let bundle = loaded?;
        let (phases, steps) = (bundle.phases.len(), bundle.steps());
        say(&format!(
            "{}: {phases} phases, {steps} steps, no mistakes\n",
            bundle.name
        ));
        return Ok(0);
    }
    match loaded {
        Ok(_) => print_json(&json!({ "mistakes": [] })).map(|()| 0),
        Err(CliError::Bundle(mistakes)) => {
            print_json(&json!({ "mistakes": list(&mistakes) }))?;
            Ok(Class::Invalid.exit_code())
        }
        Err(error) => Err(error),
    }
}

fn list(mistakes: &Mistakes) -> Vec<Value> {
    let entry = |mistake: &Mistake| {
        json!({
            "place": mistake.place.to_string(),
            "line": mistake.place.line,
            "column": mistake.place.column,
            "what": mistake.what,
            "hints": mistake.hints,
        })
    };
    mistakes.iter().map(entry).collect()
}
