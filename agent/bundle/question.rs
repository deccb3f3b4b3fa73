//! The questions of a bundle.

use serde_json::Value;

/// A question that must be answered with yes.
#[derive(Debug, Clone, PartialEq)]
pub enum Check {
    /// A URL answers.
    Http {
        /// What is asked.
        url: String,
        /// The status that is expected.
        status: u16,
        /// What the body must contain.
        contains: Option<String>,
    },
    /// A query returns one row with one value, compared as text.
    Sql {
        /// Where it is asked.
        database: String,
        /// The question.
        query: String,
        /// What the answer must be.
        expect: Expect,
    },
    /// An instant query has a non-empty result.
    Promql {
        /// The base URL of Prometheus or of what speaks like it.
        url: String,
        /// The question.
        query: String,
    },
    /// An index or alias has documents.
    Search {
        /// What is searched.
        index: String,
        /// A query in OpenSearch's own words; everything unless given.
        query: Option<Value>,
        /// How many documents at least.
        at_least: u64,
    },
    /// A trace can be read back.
    Trace {
        /// The base URL of Jaeger's query service.
        url: String,
        /// Where a span is sent over OTLP/HTTP first; none to look for this run's own trace.
        send: Option<String>,
    },
    /// A datasource of Grafana answers.
    Datasource {
        /// Which one.
        uid: String,
    },
    /// What runs in the cluster is what should run.
    Running {
        /// Of which workload.
        workload: Workload,
        /// What is asked of it.
        ask: RunningAsk,
    },
    /// Objects are still as the bundle has them.
    Drift {
        /// The id of the step or phase that applies them.
        of: String,
        /// Those, known once all steps are.
        objects: Vec<Drifting>,
    },
}

/// An object of the bundle that may have been changed since.
#[derive(Debug, Clone, PartialEq)]
pub struct Drifting {
    /// The document.
    pub object: Value,
    /// Whether its step takes fields that another manager owns.
    pub force: bool,
    /// Whether it has a checksum of the configuration that its pods read.
    pub restarts: bool,
}

/// A workload of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// `Deployment`, `StatefulSet` or `DaemonSet`.
    pub kind: &'static str,
    /// The installation's namespace unless given.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

/// What is asked of a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunningAsk {
    /// Every pod is of the newest revision, and ready.
    Rollout,
    /// Every pod runs this image.
    Image {
        /// The first unless given.
        container: Option<String>,
        /// That of the workload unless given.
        image: Option<String>,
        /// `sha256:…`
        digest: Option<String>,
    },
    /// The container has these variables.
    Environment {
        /// The first unless given.
        container: Option<String>,
        /// The variables.
        names: Vec<String>,
    },
    /// The Secret has these keys, and the pods use them.
    Keys {
        /// The Secret.
        secret: String,
        /// Its keys.
        keys: Vec<String>,
    },
}

/// What the answer to a query must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// Exactly this text.
    Value(String),
    /// A number not below this one.
    AtLeast(i64),
}
