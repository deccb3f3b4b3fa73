//! One phase of a bundle: `--only`.

use super::CliError;
use crate::bundle::{Body, Bundle, Node};

/// The bundle with one phase; what that phase needs of others is taken to be there.
pub(super) fn only(mut bundle: Bundle, phase: &str) -> Result<Bundle, CliError> {
    let known: Vec<String> = bundle.phases.iter().map(|node| node.id.clone()).collect();
    bundle.phases.retain(|node| node.id == phase);
    if bundle.phases.is_empty() {
        return Err(CliError::NoSuchPhase {
            name: phase.to_owned(),
            known,
        });
    }
    let inside = format!("{phase}/");
    for node in &mut bundle.phases {
        keep_needs(node, &inside);
    }
    Ok(bundle)
}

fn keep_needs(node: &mut Node, inside: &str) {
    node.needs.retain(|need| need.starts_with(inside));
    if let Body::Group(members) = &mut node.body {
        for member in members {
            keep_needs(member, inside);
        }
    }
}
