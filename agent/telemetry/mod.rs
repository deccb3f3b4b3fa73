//! Traces, metrics and logs over OTLP.
