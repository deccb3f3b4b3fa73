//! Why a run does not get on, in one sentence: the same wherever somebody may look.
//!
//! The built program waits on a real API server for a claim that nobody can serve.

use std::path::Path;
use std::process::{Command, Output};

use regex::Regex;
use serde_json::{Value, json};
use tempfile::TempDir;
use testbed::{Api, Cluster, Env, unique};

use crate::received::{Collector, Received, attributes, list, text};

const BUNDLE: &str = "apiVersion: firstlight.dev/v1alpha1
kind: Bundle
metadata: { name: shop }
phases:
  - name: store
    timeout: 4s
    steps:
      - apply: { path: manifests/data.yaml }
";
const CLAIM: &str = "apiVersion: v1
kind: PersistentVolumeClaim
metadata: { name: data }
spec:
  storageClassName: nowhere
  accessModes: [ReadWriteOnce]
  resources: { requests: { storage: 1Gi } }
";
/// What docs/diagnosis.md says of a claim whose class does not exist. Which classes there are
/// instead follows, and is others' affair here.
const SENTENCE: &str = "PersistentVolumeClaim data is Pending: it asks for 1Gi of StorageClass nowhere, \
                        which does not exist";

/// A bundle, and a namespace on the API server with the Job that the program believes to run in.
struct Shop {
    cluster: Cluster,
    api: Api,
    folder: TempDir,
    job: Value,
}

impl Shop {
    async fn new() -> Self {
        let cluster = Env::load().and_then(|env| env.api_server());
        let cluster = cluster.expect("an API server is up");
        let api = Api::of(&cluster, &unique("told")).await.expect("a client");
        let namespace = api.namespace();
        let named = json!({ "metadata": { "name": namespace } });
        api.post("/api/v1/namespaces", &named)
            .await
            .expect("a namespace");
        let container = json!({ "name": "agent", "image": "example.com/firstlight" });
        let job = json!({ "metadata": { "name": "shop-1" }, "spec": { "template": {
            "spec": { "restartPolicy": "Never", "containers": [container] } } } });
        let jobs = format!("/apis/batch/v1/namespaces/{namespace}/jobs");
        let job = api.post(&jobs, &job).await.expect("a Job");
        let folder = tempfile::tempdir().expect("a folder");
        let manifests = folder.path().join("manifests");
        std::fs::create_dir(&manifests).expect("a folder");
        for (name, content) in [("bundle.yaml", BUNDLE), ("data.yaml", CLAIM)] {
            std::fs::write(manifests.join(name), content).expect("a file");
        }
        Self {
            cluster,
            api,
            folder,
            job,
        }
    }

    fn termination(&self) -> std::path::PathBuf {
        self.folder.path().join("termination")
    }

    /// Runs the program in an environment that holds nothing else.
    fn run(&self, program: &mut Command, variables: &[(&str, &str)]) -> Output {
        let uid = text(&self.job["metadata"]["uid"]);
        program
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("KUBECONFIG", &self.cluster.kubeconfig)
            .env("FIRSTLIGHT_BUNDLE", self.folder.path())
            .env("FIRSTLIGHT_NAMESPACE", self.api.namespace())
            .env("FIRSTLIGHT_TERMINATION_LOG", self.termination())
            .env("FIRSTLIGHT_JOB_NAME", "shop-1")
            .env("FIRSTLIGHT_JOB_UID", uid)
            .envs(variables.iter().copied())
            .output()
            .expect("the program runs")
    }

    /// The record of the run.
    async fn record(&self) -> Value {
        let namespace = self.api.namespace();
        let path = format!("/api/v1/namespaces/{namespace}/configmaps/firstlight-shop");
        let record = self.api.get(&path).await.expect("a record");
        serde_json::from_str(&text(&record["data"]["record.json"])).expect("JSON")
    }

    /// What the Events on the Job say.
    async fn events(&self) -> Vec<String> {
        let path = format!("/api/v1/namespaces/{}/events", self.api.namespace());
        let events = self.api.get(&path).await.expect("events");
        let about = list(&events["items"]).iter();
        let about = about.filter(|it| it["involvedObject"]["uid"] == self.job["metadata"]["uid"]);
        about.map(|event| text(&event["message"])).collect()
    }
}

/// The diagnosis in an event of a wait.
fn in_a_span(received: &Received) -> Option<String> {
    let waits = received.all("wait");
    let mut events = waits.iter().flat_map(|span| list(&span["events"]));
    events.find_map(|event| attributes(event).remove("firstlight.diagnosis"))
}

fn agent() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_firstlight"))
}

#[tokio::test]
async fn the_same_sentence_is_in_every_place() {
    let (id, collector, shop) = (unique("told"), Collector::new(), Shop::new().await);
    let output = shop.run(
        &mut Command::new(agent()),
        &[
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                collector.endpoint("http/protobuf"),
            ),
            ("OTEL_RESOURCE_ATTRIBUTES", &format!("test.run={id}")),
            ("FIRSTLIGHT_LOG", "json"),
        ],
    );
    let said = String::from_utf8(output.stdout).expect("text");
    assert_eq!(output.status.code(), Some(69), "{said}");

    // While it waits, in the log and in the span of the wait.
    let lines = said
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut told = lines.filter_map(|line| line["fields"]["diagnosis"].as_str().map(str::to_owned));
    let diagnosis = told
        .next()
        .unwrap_or_else(|| panic!("no diagnosis: {said}"));
    assert!(diagnosis.contains(SENTENCE), "{diagnosis}");
    let received = collector
        .when(&id, |received| match in_a_span(received) {
            Some(_) if received.names().contains("RUN shop") => Ok(()),
            _ => Err(format!("{:?}", received.spans)),
        })
        .await;
    assert_eq!(in_a_span(&received).as_deref(), Some(diagnosis.as_str()));

    // At its end, on the spans of the step and of the run.
    for (name, result) in [
        ("store/data", "cicd.pipeline.task.run.result"),
        ("RUN shop", "cicd.pipeline.result"),
    ] {
        let span = received.span(name);
        let status = text(&span["status"]["message"]);
        assert!(status.contains(&diagnosis), "{name}: {status}");
        let said = attributes(span);
        assert_eq!(
            (&*said["error.type"], &*said[result]),
            ("timed_out", "timeout")
        );
    }

    // Then in the last line, the message of the pod's end and the Event on the Job.
    let last = said.lines().last().unwrap_or_default();
    assert!(last.contains(&diagnosis), "{last}");
    let termination = std::fs::read_to_string(shop.termination()).expect("a message");
    assert_eq!(termination.trim_end(), last);
    let events = shop.events().await;
    assert!(events.iter().any(|message| message == last), "{events:?}");

    // Above it, and in the record, what became of the telemetry.
    let above = said.lines().nth_back(1).unwrap_or_default();
    let spans = received.spans.len();
    let all = format!("telemetry: {spans} of {spans} spans delivered, ");
    assert!(above.starts_with(&all), "{above} of {spans} spans");
    let kept = shop.record().await;
    let signal = &kept["telemetry"]["signals"][0];
    assert_eq!(signal["what"], "spans", "{kept}");
    assert_eq!(
        (&signal["made"], &signal["delivered"]),
        (&json!(spans), &json!(spans))
    );
}

/// What is on the screen, each run of spaces and line ends as one space.
fn shown(output: &[u8]) -> String {
    let screen = String::from_utf8_lossy(output);
    let control = Regex::new("\x1b\\[[0-9;?]*[A-Za-z]").expect("a pattern");
    let plain = control.replace_all(&screen, "");
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_person_at_a_terminal_sees_it_while_it_waits() {
    let shop = Shop::new().await;
    let program = agent().display().to_string();
    let mut terminal = Command::new("script");
    terminal.args(["--quiet", "--return", "--command", &program, "/dev/null"]);
    let output = shop.run(&mut terminal, &[("TERM", "xterm")]);
    let seen = shown(&output.stdout);
    assert_eq!(output.status.code(), Some(69), "{seen}");
    let last = std::fs::read_to_string(shop.termination()).expect("a message");
    assert!(last.contains(SENTENCE), "{last}");
    // The picture, before the failure is told.
    let (picture, _) = seen.split_once(&format!("({SENTENCE}")).unwrap_or_default();
    assert!(picture.contains(SENTENCE), "{seen}");
}
