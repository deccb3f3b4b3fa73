//! What became of a run's own telemetry.

use serde::{Deserialize, Serialize};

/// How much of a run's telemetry has arrived: in the stored record so far as was known when it was
/// written, in what is printed at the end of the run all of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TelemetryRecord {
    /// The one sentence about it.
    pub sentence: String,
    /// Each signal that was exported.
    pub signals: Vec<SignalRecord>,
    /// The file in which the rest was left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<String>,
}

/// How much of one signal has arrived.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignalRecord {
    /// `spans`, `log records` or `metrics`.
    pub what: String,
    /// How many were made.
    pub made: u64,
    /// How many the server took.
    pub delivered: u64,
    /// How many it refused for good.
    #[serde(default, skip_serializing_if = "is_none")]
    pub refused: u64,
    /// For how many there was no room.
    #[serde(default, skip_serializing_if = "is_none")]
    pub dropped: u64,
    /// How many were left to the run that has the lock next.
    #[serde(default, skip_serializing_if = "is_none")]
    pub handed_on: u64,
    /// How many seconds the longest wait of one for its server was.
    pub late: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_none(count: &u64) -> bool {
    *count == 0
}
