//! The resolved bundle, offline.

use super::{CliError, print_json, say, session, wants_json};
use crate::bundle::render;
use crate::settings::Settings;

pub(super) fn render(settings: &Settings) -> Result<u8, CliError> {
    let bundle = session::load_offline(settings)?;
    if wants_json(settings) {
        print_json(&render::json(&bundle))?;
    } else {
        say(&render::yaml(&bundle).map_err(CliError::Render)?);
    }
    Ok(0)
}
