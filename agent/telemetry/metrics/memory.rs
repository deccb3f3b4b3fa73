//! The memory of this process, as Linux tells it.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, Meter};
use std::sync::{Arc, OnceLock};

const STATUS: &str = "/proc/self/status";

/// Registers the two metrics. They are looked up whenever the state is posted, once it is known
/// whose run it is.
pub(super) fn observe(meter: &Meter, pipeline: &Arc<OnceLock<KeyValue>>) {
    let of = Arc::clone(pipeline);
    meter
        .i64_observable_up_down_counter("process.memory.usage")
        .with_unit("By")
        .with_description("The amount of physical memory in use.")
        .with_callback(move |instrument| tell(instrument, "VmRSS:", &of))
        .build();
    let of = Arc::clone(pipeline);
    meter
        .i64_observable_gauge("firstlight.process.memory.peak")
        .with_unit("By")
        .with_description("The most physical memory that was in use.")
        .with_callback(move |instrument| tell(instrument, "VmHWM:", &of))
        .build();
}

fn tell(instrument: &dyn AsyncInstrument<i64>, field: &str, pipeline: &OnceLock<KeyValue>) {
    // What no system tells is not measured.
    let status = std::fs::read_to_string(STATUS).unwrap_or_default();
    if let (Some(bytes), Some(name)) = (bytes(&status, field), pipeline.get()) {
        instrument.observe(bytes, std::slice::from_ref(name));
    }
}

/// The field's value, which the kernel gives in KiB.
fn bytes(status: &str, field: &str) -> Option<i64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kib: i64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_words_are_read() {
        let status = "Name:\tfirstlight\nVmHWM:\t   31416 kB\nVmRSS:\t   27182 kB\n";
        assert_eq!(bytes(status, "VmHWM:"), Some(31_416 * 1024));
        assert_eq!(bytes(status, "VmRSS:"), Some(27_182 * 1024));
        assert_eq!(bytes(status, "VmSwap:"), None);
    }
}
