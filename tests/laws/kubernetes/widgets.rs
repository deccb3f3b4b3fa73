//! A kind of the test's own, whose requests nobody else makes, and a graph of many objects.

use std::collections::BTreeMap;
use std::time::Duration;

use firstlight::engine::{
    Graph, GraphBuilder, Mode, Outcome, Pacing, Report, Reporters, Resource, Run, RunInfo, StepId,
    StepOptions,
};
use http::Method;
use serde_json::{Value, json};
use testbed::{Attempt, CustomKind, MERGE_PATCH, eventually, unique};
use tokio_util::sync::CancellationToken;

use super::bed::Bed;

/// A custom resource that is ready when somebody says so in its status.
pub(super) struct Widgets {
    pub(super) group: String,
    namespace: String,
}

impl Widgets {
    /// A kind that nobody has defined yet.
    pub(super) fn unknown(bed: &Bed) -> Self {
        Self {
            group: format!("{}.firstlight.test", unique("w")),
            namespace: bed.namespace.clone(),
        }
    }

    /// Defines the kind and waits until it is served.
    pub(super) async fn define(bed: &Bed) -> Self {
        let widgets = Self::unknown(bed);
        let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        bed.post(definitions, widgets.definition()).await;
        eventually("the kind is served", Duration::from_secs(30), async || {
            // From the server's cache: before that is filled, watches are turned away.
            let all = format!("{}?resourceVersion=0", widgets.path(""));
            match bed.ask(Method::GET, &all, "application/json", None).await {
                Ok(_) => Attempt::Done(()),
                Err(error) => Attempt::not_yet(&error),
            }
        })
        .await
        .expect("a served kind");
        widgets
    }

    /// The definition of the kind.
    pub(super) fn definition(&self) -> Value {
        CustomKind::new(&self.group, "v1", "Widget").definition()
    }

    /// Gives the definition another schema.
    pub(super) async fn change_definition(&self, bed: &Bed) {
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        let path = format!("{path}/widgets.{}", self.group);
        let mut definition = self.definition();
        let schema = &mut definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        schema["description"] = "A widget of the second series.".into();
        bed.patch(&path, definition).await;
    }

    pub(super) fn document(&self, name: &str) -> Value {
        json!({
            "apiVersion": format!("{}/v1", self.group),
            "kind": "Widget",
            "metadata": { "name": name, "labels": { "app.kubernetes.io/part-of": "test" } },
            "spec": { "size": 3, "colours": ["red", "green"], "note": "a widget" },
        })
    }

    /// The path of an object; of all with an empty name.
    pub(super) fn path(&self, name: &str) -> String {
        let (group, namespace) = (&self.group, &self.namespace);
        let all = format!("/apis/{group}/v1/namespaces/{namespace}/widgets");
        if name.is_empty() {
            all
        } else {
            format!("{all}/{name}")
        }
    }

    /// Says as its controller that an object is ready.
    pub(super) async fn make_ready(&self, bed: &Bed, name: &str) {
        let ready = json!({ "status": { "conditions": [{ "type": "Ready", "status": "True" }] } });
        let path = format!("{}/status?fieldManager=controller", self.path(name));
        let answer = bed
            .ask(Method::PATCH, &path, MERGE_PATCH, Some(&ready))
            .await;
        answer.expect("its status is written");
    }

    /// How many requests of each verb the API server has counted for the kind; tries are `try`.
    /// A watch is counted at some time while it lasts, so it is left out; and so is what empties the
    /// namespaces that other tests take away, of every kind there is.
    pub(super) async fn requests(&self, bed: &Bed) -> BTreeMap<String, u64> {
        let metrics = bed.text("/metrics").await;
        let group = format!("group=\"{}\"", self.group);
        let mut counts = BTreeMap::new();
        let lines = metrics.lines();
        for line in lines.filter(|line| line.starts_with("apiserver_request_total{")) {
            let other = ["subresource=\"status\"", "verb=\"WATCH\""];
            let empties = ["scope=\"namespace\"", "verb=\"DELETE\""];
            if !line.contains(&group)
                || other.iter().any(|other| line.contains(other))
                || empties.iter().all(|empties| line.contains(empties))
            {
                continue;
            }
            let label = |name: &str| {
                let (_, rest) = line.split_once(&format!("{name}=\"")).unwrap_or_default();
                rest.split('"').next().unwrap_or_default().to_owned()
            };
            let tried = !label("dry_run").is_empty();
            let verb = if tried {
                "try".to_owned()
            } else {
                label("verb")
            };
            let count = line
                .rsplit(' ')
                .next()
                .and_then(|text| text.parse::<f64>().ok());
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a counter of requests"
            )]
            let count = count.unwrap_or_default() as u64;
            *counts.entry(verb).or_default() += count;
        }
        counts
    }
}

/// What was counted since an earlier count.
pub(super) fn since(
    before: &BTreeMap<String, u64>,
    after: &BTreeMap<String, u64>,
) -> BTreeMap<String, u64> {
    let new = after.iter().map(|(verb, count)| {
        let earlier = before.get(verb).copied().unwrap_or_default();
        (verb.clone(), count - earlier)
    });
    new.filter(|(_, count)| *count > 0).collect()
}

/// A graph of steps side by side.
pub(super) struct Many(GraphBuilder);

impl Many {
    pub(super) fn new() -> Self {
        Self(Graph::builder())
    }

    pub(super) fn step(&mut self, name: &str, resource: impl Resource) {
        let options = StepOptions {
            kind: "test",
            timeout: Duration::from_mins(5),
            no_progress: None,
            optional: false,
        };
        self.0
            .step(StepId::new(name), Vec::new(), options, resource);
    }

    pub(super) async fn run(self, mode: Mode, reporters: Reporters) -> Report {
        let info = RunInfo {
            id: "test".to_owned(),
            bundle: "test".to_owned(),
            profile: None,
            namespace: "test".to_owned(),
            trace_id: None,
            attempt: firstlight::engine::Attempt::default(),
        };
        firstlight::engine::run(Run {
            info,
            graph: self.0.build().expect("steps without needs"),
            mode,
            pacing: Pacing::default(),
            reporters,
            stop: CancellationToken::new(),
        })
        .await
    }
}

/// How many steps ended in each way, and how the first one failed.
pub(super) fn outcomes(report: &Report) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for step in &report.steps {
        *counts.entry(step.outcome.word()).or_default() += 1;
        if let Outcome::Failed { error, .. } = &step.outcome {
            panic!("{}: {error:?}", step.id);
        }
    }
    counts
}
