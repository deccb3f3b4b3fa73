//! Whether an object that is there may be written to.

use std::collections::BTreeSet;

use super::super::kind::Target;
use super::super::live::Live;
use super::super::{Client, Error, MANAGER};
use crate::engine::FieldChange;

/// Where the server keeps which field is whose.
const MANAGED: &str = "metadata.managedFields";

/// Takes note of an object, or refuses to change one that somebody else has made.
///
/// It is ours when our name is among its field managers, or when the inventory knows its uid.
///
/// # Errors
/// [`Error::Foreign`] if `changes` would be made to an object of others and `adopt` does not
/// say so.
pub(in super::super) fn claim(
    client: &Client,
    target: &Target,
    live: &Live,
    changes: &[FieldChange],
    adopt: bool,
) -> Result<(), Error> {
    let ledger = client.ledger();
    let known = ledger.note(target);
    // To own a field together with others who want the same changes nothing of theirs.
    let theirs = changes.iter().filter(|change| change.path != MANAGED);
    let fields: Vec<String> = theirs.map(|change| change.path.clone()).collect();
    let is_ours = is_written_by_us(live) || known.uid.as_deref() == Some(live.uid());
    if !is_ours && !adopt && !fields.is_empty() {
        return Err(Error::Foreign {
            target: target.to_string(),
            managers: managers(live),
            fields,
        });
    }
    ledger.saw(target, live, !is_ours, changes.is_empty());
    Ok(())
}

/// Takes note of an object that we have just made, of which not every kind says who it was.
pub(in super::super) fn made(client: &Client, target: &Target, live: &Live) {
    client.ledger().saw(target, live, false, true);
}

/// Whether we are among those who have written to it.
pub(super) fn is_written_by_us(live: &Live) -> bool {
    let entries = live.list("/metadata/managedFields");
    entries.iter().any(|entry| entry["manager"] == MANAGER)
}

/// Who has written to it.
fn managers(live: &Live) -> Vec<String> {
    let entries = live.list("/metadata/managedFields").iter();
    let names = entries.filter_map(|entry| entry["manager"].as_str());
    let names: BTreeSet<String> = names.map(str::to_owned).collect();
    names.into_iter().collect()
}
