//! The instruments of a run.

use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter, UpDownCounter};

/// From a look at an object to a run that waits for a cluster, in seconds.
const SECONDS: [f64; 14] = [
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0,
];

/// Each is named and described in docs/telemetry.md.
#[derive(Debug)]
pub(super) struct Instruments {
    pub(super) run_duration: Histogram<f64>,
    pub(super) run_active: UpDownCounter<i64>,
    pub(super) run_errors: Counter<u64>,
    pub(super) run_resources: Gauge<u64>,
    pub(super) run_drift: Gauge<u64>,
    pub(super) run_last_success: Gauge<f64>,
    pub(super) run_last_failure: Gauge<f64>,
    pub(super) step_duration: Histogram<f64>,
    pub(super) step_wait: Histogram<f64>,
    pub(super) step_retries: Counter<u64>,
}

impl Instruments {
    pub(super) fn new(meter: &Meter) -> Self {
        let counter = |name, unit, description| {
            let counter = meter.u64_counter(name).with_unit(unit);
            counter.with_description(description).build()
        };
        let gauge = |name, unit, description| {
            let gauge = meter.u64_gauge(name).with_unit(unit);
            gauge.with_description(description).build()
        };
        Self {
            run_duration: seconds(meter, "cicd.pipeline.run.duration", "How long runs take."),
            run_active: meter
                .i64_up_down_counter("cicd.pipeline.run.active")
                .with_unit("{run}")
                .with_description("How many runs are in this state.")
                .build(),
            run_errors: counter(
                "cicd.pipeline.run.errors",
                "{error}",
                "How many steps failed.",
            ),
            run_resources: gauge(
                "firstlight.run.resources",
                "{resource}",
                "How many resources ended so in the run.",
            ),
            run_drift: gauge(
                "firstlight.run.drift",
                "{difference}",
                "How much differed although the same bundle had been made current before.",
            ),
            run_last_success: time(
                meter,
                "firstlight.run.last_success",
                "When the run succeeded, in Unix time.",
            ),
            run_last_failure: time(
                meter,
                "firstlight.run.last_failure",
                "When the run failed, in Unix time.",
            ),
            step_duration: seconds(meter, "firstlight.step.duration", "How long steps take."),
            step_wait: seconds(
                meter,
                "firstlight.step.wait",
                "How long steps wait for others.",
            ),
            step_retries: counter(
                "firstlight.step.retries",
                "{retry}",
                "How many looks followed an error.",
            ),
        }
    }
}

fn seconds(meter: &Meter, name: &'static str, description: &'static str) -> Histogram<f64> {
    meter
        .f64_histogram(name)
        .with_unit("s")
        .with_description(description)
        .with_boundaries(SECONDS.to_vec())
        .build()
}

fn time(meter: &Meter, name: &'static str, description: &'static str) -> Gauge<f64> {
    let gauge = meter.f64_gauge(name).with_unit("s");
    gauge.with_description(description).build()
}
