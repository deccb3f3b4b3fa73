//! What a run measures, by the names of the CI/CD conventions where they have one.

mod instruments;
mod measures;
mod memory;

pub(super) use measures::Measures;

use super::pipe::Flush;
use super::post::Post;
use opentelemetry_otlp::{ExporterBuildError, MetricExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider, Temporality};
use std::sync::Arc;
use std::time::Duration;

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

/// The reader has a clock of its own; at the end the provider is asked.
pub(super) struct ByItself;

impl Flush for ByItself {
    fn flush(&self) {}
}
