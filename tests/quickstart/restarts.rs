//! Pods of the real cluster that are killed, each at another point of its life, and the pods that go
//! on for them: one trace, nothing open, and the dead one named. All of them at the same time,
//! because the Job controller lets ten seconds pass before it makes the next pod.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use testbed::{Attempt, Span, Trace, eventually};

use crate::cluster::{Bed, NAMESPACE};

const PATIENCE: Duration = Duration::from_mins(3);

/// As large as a Secret can be: to read it takes more memory than the pod may have.
const LARGE: usize = 1_000_000;
const TIGHT: &str = "5Mi";

/// A Job, and when its first pod is killed.
struct Point {
    name: &'static str,
    /// What the API server cannot write until then: resource and name.
    held_up: Option<(&'static str, &'static str)>,
    /// What the pod has said.
    until: &'static str,
    end: End,
}

/// How the first pod ends, and what is seen of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// Deleted by force before its run has begun, so that it was no attempt.
    BeforeItsRun,
    /// Killed; its run is ended by its death.
    Killed,
    /// Out of memory; its run is ended by its death.
    OutOfMemory,
    /// Killed when its run had ended by itself.
    AfterItsRun,
}

const POINTS: [Point; 5] = [
    // The first one, because it is made with little memory.
    Point {
        name: "waiting",
        held_up: None,
        until: "Secret waiting-login does not exist",
        end: End::OutOfMemory,
    },
    Point {
        name: "early",
        held_up: Some(("leases", "firstlight-early")),
        until: "waiting for answers of the API server",
        end: End::BeforeItsRun,
    },
    Point {
        name: "young",
        held_up: None,
        until: "schema: started",
        end: End::Killed,
    },
    Point {
        name: "writing",
        held_up: None,
        until: "V0002",
        end: End::Killed,
    },
    Point {
        name: "ending",
        held_up: Some(("configmaps", "firstlight-ending")),
        until: "run ended: ",
        end: End::AfterItsRun,
    },
];

pub(crate) async fn a_pod_that_dies_is_followed_by_one_that_finishes(bed: &Bed) {
    let jaeger = format!("http://127.0.0.1:{}", bed.forward("jaeger", 16686));
    let manifests = POINTS.map(|point| slow_schema(bed, point.name));
    for (point, manifest) in POINTS.iter().zip(&manifests) {
        point.hold_up(bed);
        bed.kubectl_with(&["apply", "-f", "-"], &rights(manifest, point.name));
        if point.end != End::OutOfMemory {
            point.log_in(bed);
        }
    }
    let [waiting, others @ ..] = &manifests;
    bed.kubectl_with(&["apply", "-f", "-"], &limit().to_string());
    bed.kubectl_with(&["apply", "-f", "-"], waiting);
    has_little_memory(bed, POINTS[0].name).await;
    bed.kubectl(&["-n", NAMESPACE, "delete", "limitrange", "tight"]);
    // All at once, so that each is looked at from its beginning.
    bed.kubectl_with(&["apply", "-f", "-"], &others.join("\n---\n"));
    join_all(POINTS.iter().map(|point| point.lives_on(bed, &jaeger))).await;
}

impl Point {
    async fn lives_on(&self, bed: &Bed, jaeger: &str) {
        let victim = self.victim(bed).await;
        match self.end {
            End::OutOfMemory => self.run_out_of_memory(bed, &victim).await,
            End::BeforeItsRun => {
                let now = ["--grace-period=0", "--force"];
                bed.kubectl(&[&["-n", NAMESPACE, "delete", "pod", &victim], &now[..]].concat());
            }
            End::Killed | End::AfterItsRun => bed.kill(&victim),
        }
        self.let_go(bed);
        bed.succeeded(self.name, PATIENCE).await;
        let log = bed.log(self.name);
        assert!(
            log.contains("V0006") || self.end == End::AfterItsRun,
            "{log}"
        );
        if ["writing", "ending"].contains(&self.name) {
            assert!(!log.contains("V0001"), "it was applied already: {log}");
        }
        self.is_one_trace(bed, jaeger, &victim).await;
    }

    /// The first pod, when it has come to the point.
    async fn victim(&self, bed: &Bed) -> String {
        let label = format!("batch.kubernetes.io/job-name={}", self.name);
        let what = format!("a pod of {} says {:?}", self.name, self.until);
        let victim = eventually(&what, PATIENCE, async || {
            let pods = bed.get(&["pods", "-l", &label]);
            let pod = &pods["items"][0];
            let name = pod["metadata"]["name"].as_str().unwrap_or_default();
            match pod["status"]["phase"].as_str() {
                Some("Running") => {}
                Some("Failed" | "Succeeded") => return Attempt::Never(pod["status"].to_string()),
                _ => return Attempt::NotYet(pod["status"].to_string()),
            }
            let log = bed.kubectl(&["-n", NAMESPACE, "logs", name]);
            if log.contains(self.until) {
                Attempt::Done(name.to_owned())
            } else {
                Attempt::NotYet(log)
            }
        });
        victim.await.expect("a pod to kill")
    }

    /// Lets it read more than it has memory for.
    async fn run_out_of_memory(&self, bed: &Bed, victim: &str) {
        self.write_login(bed, &"x".repeat(LARGE));
        let what = format!("the kernel kills {victim}");
        let killed = eventually(&what, PATIENCE, async || {
            let status = bed.get(&["pod", victim])["status"].clone();
            let end = &status["containerStatuses"][0]["state"]["terminated"];
            match end["reason"].as_str() {
                Some("OOMKilled") => Attempt::Done(()),
                Some(_) => Attempt::Never(end.to_string()),
                None => Attempt::NotYet(status.to_string()),
            }
        });
        killed.await.expect("it is out of memory");
        let login = format!("{}-login", self.name);
        bed.kubectl(&["-n", NAMESPACE, "delete", "secret", &login]);
        self.log_in(bed);
    }

    /// Puts the password of Postgres where the bundle looks for it.
    fn log_in(&self, bed: &Bed) {
        self.write_login(bed, &bed.secret("postgres-admin", "password"));
    }

    fn write_login(&self, bed: &Bed, password: &str) {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": { "name": format!("{}-login", self.name), "namespace": NAMESPACE },
            "stringData": { "password": password },
        });
        // Not applied: what was applied would be kept in an annotation, which is too small for it.
        bed.kubectl_with(&["create", "-f", "-"], &secret.to_string());
    }

    /// Makes the API server ask somebody who is not there before it writes.
    fn hold_up(&self, bed: &Bed) {
        let Some((resource, object)) = self.held_up else {
            return;
        };
        let nobody = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": { "name": self.webhook() },
            "webhooks": [{
                "name": format!("{}.firstlight.dev", self.webhook()),
                "clientConfig": { "service": { "namespace": NAMESPACE, "name": "nobody" } },
                "rules": [{ "apiGroups": ["*"], "apiVersions": ["*"], "resources": [resource],
                            "operations": ["CREATE", "UPDATE"] }],
                "matchConditions": [{ "name": "object",
                    "expression": format!("object.metadata.name == '{object}'") }],
                "failurePolicy": "Fail", "sideEffects": "None",
                "admissionReviewVersions": ["v1"], "timeoutSeconds": 1,
            }],
        });
        bed.kubectl_with(&["apply", "-f", "-"], &nobody.to_string());
    }

    fn let_go(&self, bed: &Bed) {
        if self.held_up.is_some() {
            let kind = "validatingwebhookconfiguration";
            bed.kubectl(&["delete", kind, &self.webhook()]);
        }
    }

    fn webhook(&self) -> String {
        format!("nobody-{}", self.name)
    }

    /// The first attempt is the root, the other one is below it and went well; the dead one is named
    /// in trace, log and record.
    async fn is_one_trace(&self, bed: &Bed, jaeger: &str, victim: &str) {
        let map = bed.get(&["configmap", &format!("firstlight-{}", self.name)]);
        let record = map["data"]["record.json"].as_str().expect("a record");
        let record: Value = serde_json::from_str(record).expect("JSON");
        let attempts = if self.end == End::BeforeItsRun { 1 } else { 2 };
        let trace = self.trace(&record, jaeger, attempts).await;
        let known: BTreeSet<&str> = trace.spans.iter().map(|span| span.id.as_str()).collect();
        assert_eq!(
            known.len(),
            trace.spans.len(),
            "none is there twice: {trace}"
        );
        let mut others = trace.spans.iter().skip(1);
        let orphan = others.find(|span| !known.contains(span.parent.as_str()));
        assert_eq!(orphan, None, "one root, and each parent is there: {trace}");
        let runs = self.runs(&trace);
        let last = runs[attempts - 1];
        assert!(runs[0].parent.is_empty() && !last.failed, "{trace}");
        let (name, spans) = (self.name, trace.spans.len());
        if self.end == End::BeforeItsRun {
            assert_eq!(record["attempt"], Value::Null, "{record}");
            println!("{name}: {spans} spans; nobody had begun before");
            return;
        }
        assert_eq!(last.parent, runs[0].id, "{trace}");
        let (how, kind) = match self.end {
            End::OutOfMemory => ("was OOMKilled", "OOMKilled"),
            _ => ("ended with exit code 137", "exit_code_137"),
        };
        let how = format!("the pod {victim} {how}");
        let after = record["after"].as_str().unwrap_or_default();
        assert!(
            record["attempt"] == 2 && after.starts_with(&how),
            "{record}"
        );
        let log = bed.log(name);
        assert!(log.contains(&format!("attempt 2: {how}")), "{log}");
        if self.end == End::AfterItsRun {
            assert!(!runs[0].failed, "it had ended by itself: {trace}");
        } else {
            let said = &runs[0].said;
            let expected = format!("attempt 1 was cut short: {how}");
            assert!(said.starts_with(&expected), "{said}");
            assert_eq!(runs[0].error, kind, "{trace}");
        }
        println!(
            "{name}: {spans} spans; {after}; the run: {:?}",
            runs[0].said
        );
    }

    async fn trace(&self, record: &Value, jaeger: &str, attempts: usize) -> Trace {
        let id = record["traceId"].as_str().expect("a trace");
        let what = format!("{attempts} runs of {} are in the trace", self.name);
        let trace = eventually(&what, PATIENCE, async || {
            match Trace::of_jaeger(jaeger, id).await {
                Ok(trace) if self.runs(&trace).len() == attempts => Attempt::Done(trace),
                Ok(trace) => Attempt::NotYet(trace.to_string()),
                Err(error) => Attempt::not_yet(&error),
            }
        });
        trace.await.unwrap_or_else(|error| panic!("{error}"))
    }

    fn runs<'a>(&self, trace: &'a Trace) -> Vec<&'a Span> {
        let name = format!("RUN {}", self.name);
        let runs = trace.spans.iter();
        runs.filter(|span| span.name == name).collect()
    }
}

fn limit() -> Value {
    json!({
        "apiVersion": "v1", "kind": "LimitRange",
        "metadata": { "name": "tight", "namespace": NAMESPACE },
        "spec": { "limits": [{ "type": "Container",
            "default": { "memory": TIGHT }, "defaultRequest": { "memory": "1Mi" } }] },
    })
}

async fn has_little_memory(bed: &Bed, job: &str) {
    let label = format!("batch.kubernetes.io/job-name={job}");
    let made = eventually("its pod is made", PATIENCE, async || {
        let pods = bed.get(&["pods", "-l", &label]);
        let container = &pods["items"][0]["spec"]["containers"][0];
        match container["resources"]["limits"]["memory"].as_str() {
            Some(TIGHT) => Attempt::Done(()),
            _ if container.is_null() => Attempt::NotYet("no pod".to_owned()),
            _ => Attempt::Never(container["resources"].to_string()),
        }
    });
    made.await.expect("a pod with little memory");
}

/// A Job with a bundle of its own, whose migrations take their time.
fn slow_schema(bed: &Bed, name: &str) -> String {
    let container = bed.get(&["cronjob", "firstlight"])["spec"]["jobTemplate"]["spec"]["template"]
        ["spec"]["containers"][0]
        .clone();
    let variables = container["env"].as_array().expect("variables").iter();
    let mut endpoints = variables.filter(|it| it["name"] == "OTEL_EXPORTER_OTLP_ENDPOINT");
    let endpoint = endpoints.next().and_then(|it| it["value"].as_str());
    let template = include_str!("slow-schema.yaml");
    template
        .replace("WHICH", name)
        .replace("IMAGE", container["image"].as_str().expect("an image"))
        .replace("COLLECTOR", endpoint.expect("an endpoint"))
}

/// The Roles that `firstlight rbac` prints for that bundle.
fn rights(manifest: &str, account: &str) -> String {
    let documents: Vec<Value> = serde_saphyr::from_multiple(manifest).expect("YAML");
    let bundle = tempfile::tempdir().expect("a folder");
    for (key, text) in documents[0]["data"].as_object().expect("files") {
        let folder = match key.as_str() {
            "bundle.yaml" => "manifests",
            _ => "sql",
        };
        let folder = bundle.path().join(folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join(key), text.as_str().expect("text")).expect("a file");
    }
    let output = Command::new(env!("CARGO_BIN_EXE_firstlight"))
        .args(["rbac", "--namespace", NAMESPACE])
        .args(["--service-account", account, "--bundle"])
        .arg(bundle.path())
        .output()
        .expect("the agent starts");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}
