//! What a run measures, by the names of the CICD conventions where they have one.

use super::pipe::Flush;
use super::post::Post;
use opentelemetry::metrics::{Counter, Histogram, Meter, MeterProvider, UpDownCounter};
use opentelemetry_otlp::{ExporterBuildError, MetricExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider, Temporality};
use std::sync::Arc;
use std::time::Duration;

/// From a look at an object to a run that waits for a cluster, in seconds.
const SECONDS: [f64; 14] = [
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0,
];

/// The instruments of a run.
#[derive(Debug)]
pub(super) struct Instruments {
    pub(super) run_duration: Histogram<f64>,
    pub(super) run_active: UpDownCounter<i64>,
    pub(super) run_errors: Counter<u64>,
    pub(super) step_duration: Histogram<f64>,
    pub(super) step_changes: Counter<u64>,
    pub(super) step_wait: Histogram<f64>,
}

impl Instruments {
    pub(super) fn new(meter: &Meter) -> Self {
        let seconds = |name: &'static str, description: &'static str| {
            let histogram = meter.f64_histogram(name).with_unit("s");
            histogram
                .with_description(description)
                .with_boundaries(SECONDS.to_vec())
                .build()
        };
        Self {
            run_duration: seconds("cicd.pipeline.run.duration", "How long runs take."),
            run_active: meter
                .i64_up_down_counter("cicd.pipeline.run.active")
                .with_unit("{run}")
                .with_description("How many runs are under way.")
                .build(),
            run_errors: meter
                .u64_counter("cicd.pipeline.run.errors")
                .with_unit("{error}")
                .with_description("How many steps failed.")
                .build(),
            step_duration: seconds("firstlight.step.duration", "How long steps take."),
            step_changes: meter
                .u64_counter("firstlight.step.changes")
                .with_unit("{change}")
                .with_description("How many changes were made.")
                .build(),
            step_wait: seconds("firstlight.step.wait", "How long steps wait for others."),
        }
    }
}

/// A provider that posts the whole state now and then.
pub(super) fn provider(
    resource: Resource,
    every: Duration,
    post: Arc<Post>,
) -> Result<SdkMeterProvider, ExporterBuildError> {
    // Prometheus takes no other temporality, and only of this one a state may be skipped.
    let exporter = post
        .used_by(MetricExporter::builder().with_http())
        .with_temporality(Temporality::Cumulative)
        .build()?;
    let reader = PeriodicReader::builder(exporter)
        .with_interval(every)
        .build();
    Ok(SdkMeterProvider::builder()
        .with_resource(resource)
        .with_reader(reader)
        .build())
}

/// The instruments of that provider.
pub(super) fn instruments(provider: &SdkMeterProvider) -> Instruments {
    Instruments::new(&provider.meter("firstlight"))
}

/// The reader has a clock of its own; at the end the provider is asked.
pub(super) struct ByItself;

impl Flush for ByItself {
    fn flush(&self) {}
}
