//! What kstatus says, the library that most installers wait with: its rules for any custom
//! resource, for comparison.

use super::super::super::live::Live;

/// Whether kstatus calls it `Current`.
pub(super) fn is_current(live: &Live) -> bool {
    if live.at("/metadata/deletionTimestamp").is_some() {
        return false;
    }
    let observed = live.at("/status/observedGeneration");
    if let Some(observed) = observed.and_then(serde_json::Value::as_i64)
        && Some(observed) != live.generation()
    {
        return false;
    }
    if live.holds("Reconciling").is_some() || live.holds("Stalled").is_some() {
        return false;
    }
    live.condition("Ready").is_none_or(|ready| ready.is_true())
}
