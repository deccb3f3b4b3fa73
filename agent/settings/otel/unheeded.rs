//! Standard variables that mean nothing here. Whoever sets one is told so.

use super::reader::Reader;

const QUEUE: &str = "what waits is bounded in bytes, by FIRSTLIGHT_SPOOL_LIMIT";
const BATCH: &str = "a request holds what one second brings, 256 items or 1 MiB at most";
const TIMEOUT: &str =
    "an attempt has OTEL_EXPORTER_OTLP_TIMEOUT, and is repeated until the run ends";

/// Each with what holds instead.
pub(super) const UNHEEDED: [(&str, &str); 13] = [
    ("OTEL_BSP_MAX_QUEUE_SIZE", QUEUE),
    ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", BATCH),
    ("OTEL_BSP_SCHEDULE_DELAY", BATCH),
    ("OTEL_BSP_EXPORT_TIMEOUT", TIMEOUT),
    ("OTEL_BLRP_MAX_QUEUE_SIZE", QUEUE),
    ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", BATCH),
    ("OTEL_BLRP_SCHEDULE_DELAY", BATCH),
    ("OTEL_BLRP_EXPORT_TIMEOUT", TIMEOUT),
    ("OTEL_METRIC_EXPORT_TIMEOUT", TIMEOUT),
    ("OTEL_METRICS_EXEMPLAR_FILTER", "there are no exemplars"),
    (
        "OTEL_LOG_LEVEL",
        "the level of the log is FIRSTLIGHT_LOG_LEVEL",
    ),
    ("OTEL_CONFIG_FILE", "only variables are read"),
    ("OTEL_EXPERIMENTAL_CONFIG_FILE", "only variables are read"),
];

/// A sentence for each that is set.
pub(super) fn unheeded(reader: &Reader) -> Vec<String> {
    let set = UNHEEDED
        .iter()
        .filter(|(name, _)| reader.text(name).is_some());
    set.map(|(name, instead)| format!("environment variable {name} has no effect here: {instead}"))
        .collect()
}
