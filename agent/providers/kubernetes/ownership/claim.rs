//! Whether an object that is there may be written to.

use std::collections::BTreeSet;

use super::super::kind::Target;
use super::super::live::Live;
use super::super::{Client, Error, MANAGER};
use super::Entry;
use super::ledger::Note;
use super::stamp::{self, Holder};
use crate::engine::FieldChange;

/// Where the server keeps which field is whose.
pub(in super::super) const MANAGED: &str = "metadata.managedFields";

/// Takes note of an object, or refuses to change one that somebody else has made.
///
/// It is ours when it is marked as this bundle's; without a mark, when our name is among its field
/// managers or the inventory knows its uid.
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
    // To own a field together with others who want the same changes nothing of theirs, nor does
    // the mark.
    let theirs = changes.iter().filter(|change| change.path != MANAGED);
    let theirs = theirs.filter(|change| !stamp::is_it(change));
    let fields: Vec<String> = theirs.map(|change| change.path.clone()).collect();
    let is_ours = is_ours(stamp::holder(client, live), &known, live);
    if !is_ours && !adopt && !fields.is_empty() {
        return Err(Error::Foreign {
            target: target.to_string(),
            managers: makers(live),
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

fn is_ours(holder: Holder, known: &Note, live: &Live) -> bool {
    let is_known = known.uid.as_deref() == Some(live.uid());
    match holder {
        Holder::Us => true,
        // Who came later to it has it on record as adopted.
        Holder::Shared => is_known && !known.adopted,
        Holder::Others => false,
        Holder::Nobody => is_known || is_written_by_us(live),
    }
}

/// Whether an object that no run has seen yet was made by somebody else.
///
/// One that cannot be read now is not known to be: its step cannot write to it either, until it
/// has looked at it.
pub(super) async fn is_of_others(client: &Client, entry: &Entry) -> bool {
    if entry.uid.is_some() || entry.adopted {
        return false;
    }
    let Ok(Some(target)) = entry.target(client).await else {
        return false;
    };
    let found = client.look(&target).await;
    found.is_ok_and(|found| {
        found.is_some_and(|live| !is_ours(stamp::holder(client, &live), &Note::default(), &live))
    })
}

/// Whether we are among those who have written to it.
fn is_written_by_us(live: &Live) -> bool {
    let entries = live.list("/metadata/managedFields");
    entries.iter().any(|entry| entry["manager"] == MANAGER)
}

/// Who has made it: the bundles that it is marked with, or else its field managers.
fn makers(live: &Live) -> Vec<String> {
    let bundles = stamp::owners(live).map(|owner| format!("bundle {owner}"));
    let bundles: Vec<String> = bundles.collect();
    if !bundles.is_empty() {
        return bundles;
    }
    let entries = live.list("/metadata/managedFields").iter();
    let names = entries.filter_map(|entry| entry["manager"].as_str());
    let names: BTreeSet<String> = names.map(str::to_owned).collect();
    names.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_of_another_bundle_is_not_ours() {
        let live = Live::new(json!({ "metadata": { "uid": "1", "managedFields": [
            { "manager": MANAGER }] } }));
        for (holder, uid, adopted, expected) in [
            (Holder::Us, None, false, true),
            (Holder::Nobody, None, false, true),
            (Holder::Others, None, false, false),
            (Holder::Others, Some("1"), false, false),
            (Holder::Shared, None, false, false),
            (Holder::Shared, Some("1"), false, true),
            (Holder::Shared, Some("1"), true, false),
        ] {
            let known = Note {
                uid: uid.map(str::to_owned),
                adopted,
                ..Note::default()
            };
            let what = format!("{holder:?} {uid:?} {adopted}");
            assert_eq!(is_ours(holder, &known, &live), expected, "{what}");
        }
    }
}
