//! A Job on the test bed's API server, which has no controllers: the test makes its pods, runs the
//! program as each of them, kills it, and says of the pod what a kubelet would.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use tempfile::TempDir;
use testbed::{Attempt, Cluster, Env, eventually, unique};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

/// No run of these tests takes longer on the busiest machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// A Job, its bundle, and where its telemetry goes.
pub(crate) struct Job {
    cluster: Cluster,
    bundle: TempDir,
    kubeconfig: PathBuf,
    pub(crate) namespace: String,
    pub(crate) name: String,
    uid: String,
    endpoint: String,
    variables: Vec<(&'static str, String)>,
}

/// The program as one pod of the Job.
pub(crate) struct Pod {
    child: Child,
    /// Its lines, which are always read, as a kubelet does: a pipe that is full would stop it.
    output: UnboundedReceiver<String>,
    pub(crate) said: Vec<String>,
}

impl Job {
    /// A Job with a bundle of these phases, that exports by HTTP to this endpoint.
    pub(crate) fn new(name: &str, phases: &str, endpoint: &str) -> Self {
        let cluster = Env::load().and_then(|env| env.api_server());
        let cluster = cluster.expect("an API server");
        let mut job = Self {
            bundle: tempfile::tempdir().expect("a folder"),
            kubeconfig: cluster.kubeconfig.clone(),
            cluster,
            namespace: unique(name),
            name: name.to_owned(),
            uid: String::new(),
            endpoint: endpoint.to_owned(),
            variables: Vec::new(),
        };
        let bundle = format!(
            "apiVersion: firstlight.dev/v1alpha1\nkind: Bundle\nmetadata: {{ name: {name} }}\nphases:\n{phases}"
        );
        job.write("manifests/bundle.yaml", &bundle);
        job.kubectl(&["create", "namespace", &job.namespace.clone()], "");
        job.uid = job.create(&json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": name },
            "spec": { "template": { "spec": spec("Never") } },
        }));
        job
    }

    /// What all that the Job sends is known by.
    pub(crate) fn mark(&self) -> &str {
        &self.namespace
    }

    /// Writes a file of the bundle.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.bundle.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }

    /// Where the API server listens, as `host:port`.
    pub(crate) fn api_server(&self) -> String {
        let text = std::fs::read_to_string(&self.kubeconfig).expect("a kubeconfig");
        let (_, rest) = text.split_once("https://").expect("a server");
        rest.split('"').next().expect("its address").to_owned()
    }

    /// Lets its pods ask the API server there.
    pub(crate) fn ask_at(&mut self, address: &str) {
        let text = std::fs::read_to_string(&self.kubeconfig).expect("a kubeconfig");
        let text = text.replace(&self.api_server(), address);
        self.kubeconfig = self.bundle.path().join("kubeconfig");
        std::fs::write(&self.kubeconfig, text).expect("a file");
    }

    /// Lets its pods send their telemetry there.
    pub(crate) fn send_to(&mut self, endpoint: &str) {
        endpoint.clone_into(&mut self.endpoint);
    }

    /// Sets a variable of its pods.
    pub(crate) fn set(&mut self, variable: &'static str, value: &str) {
        self.variables.push((variable, value.to_owned()));
    }

    /// Starts the next pod.
    pub(crate) fn start(&self, name: &str) -> Pod {
        let uid = self.create(&json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name }, "spec": spec("Never"),
        }));
        let mut child = Command::new(env!("CARGO_BIN_EXE_firstlight"))
            .args(["run", "--log", "json"])
            .env_clear()
            .env("KUBECONFIG", &self.kubeconfig)
            .env("FIRSTLIGHT_BUNDLE", self.bundle.path())
            .env("FIRSTLIGHT_NAMESPACE", &self.namespace)
            .env("FIRSTLIGHT_POD_NAME", name)
            .env("FIRSTLIGHT_POD_UID", uid)
            .env("FIRSTLIGHT_JOB_NAME", &self.name)
            .env("FIRSTLIGHT_JOB_UID", &self.uid)
            .env("FIRSTLIGHT_LOG_LEVEL", "warn,firstlight=debug")
            .env(
                "FIRSTLIGHT_TERMINATION_LOG",
                self.bundle.path().join("termination"),
            )
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", &self.endpoint)
            .env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
            .env(
                "OTEL_RESOURCE_ATTRIBUTES",
                format!("test.run={}", self.mark()),
            )
            .envs(self.variables.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the program starts");
        let output = child.stdout.take().expect("its output is a pipe");
        let (told, heard) = unbounded_channel();
        tokio::spawn(async move {
            let mut lines = BufReader::new(output).lines();
            // It ends with the program, or with the test.
            while let Ok(Some(line)) = lines.next_line().await {
                if told.send(line).is_err() {
                    return;
                }
            }
        });
        Pod {
            child,
            output: heard,
            said: Vec::new(),
        }
    }

    /// Says how the pod's container ended, as a kubelet does.
    pub(crate) fn ended(&self, pod: &str, reason: &str, code: u8) {
        let end = json!({ "reason": reason, "exitCode": code,
            "startedAt": "2026-01-31T08:00:00Z", "finishedAt": "2026-01-31T08:00:41Z" });
        let status = json!({ "status": { "phase": "Failed", "containerStatuses": [{
            "name": "firstlight", "image": "example.com/firstlight", "imageID": "",
            "ready": false, "restartCount": 0, "state": { "terminated": end } }] } });
        self.patch_status("pod", pod, &status);
    }

    /// Makes the Deployment ready, which nobody runs.
    pub(crate) fn make_ready(&self, deployment: &str) {
        let status = json!({ "status": { "observedGeneration": 1, "replicas": 1,
            "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1 } });
        self.patch_status("deployment", deployment, &status);
    }

    /// The record of the last run.
    pub(crate) fn record(&self) -> Value {
        let map = self.get("configmap", &format!("firstlight-{}", self.name));
        let text = map["data"]["record.json"].as_str().expect("a record");
        serde_json::from_str(text).expect("JSON")
    }

    /// What is kept for the next pod.
    pub(crate) fn progress(&self) -> Value {
        let name = format!("firstlight-{}-progress", self.name);
        let said = self.kubectl(
            &[
                "get",
                "configmap",
                &name,
                "--ignore-not-found",
                "-o",
                "json",
            ],
            "",
        );
        serde_json::from_str(&said).unwrap_or_default()
    }

    /// Waits until the attempt has this span on record as open.
    pub(crate) async fn has_open(&self, attempt: &str, span: &str) {
        let kept = eventually("the progress is on record", PATIENCE, async || {
            let progress = self.progress();
            let notes = &progress["metadata"]["annotations"];
            if notes["firstlight.dev/attempt"].as_str() != Some(attempt) {
                return Attempt::NotYet(notes.to_string());
            }
            // Protobuf keeps texts as they are.
            let open = unpacked(progress["binaryData"]["open"].as_str().unwrap_or_default());
            if open.windows(span.len()).any(|part| part == span.as_bytes()) {
                Attempt::Done(())
            } else {
                Attempt::NotYet(format!("{} bytes without it", open.len()))
            }
        });
        kept.await.expect("it is kept");
    }

    /// Lets nobody write what is kept for the next pod, or lets it be written again.
    pub(crate) async fn hold_up_progress(&self, is_held: bool) {
        let progress = format!("firstlight-{}-progress", self.name);
        let webhook = format!("{}.firstlight.dev", self.namespace);
        let nobody = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": { "name": webhook },
            "webhooks": [{
                "name": webhook,
                "clientConfig": { "url": "https://127.0.0.1:1/" },
                "rules": [{ "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"],
                            "operations": ["CREATE", "UPDATE"] }],
                "matchConditions": [{ "name": "object", "expression": format!(
                    "object.metadata.namespace == '{}' && object.metadata.name == '{progress}'",
                    self.namespace) }],
                "failurePolicy": "Fail", "sideEffects": "None",
                "admissionReviewVersions": ["v1"], "timeoutSeconds": 1,
            }],
        });
        let verb = if is_held { "create" } else { "delete" };
        self.kubectl(&[verb, "-f", "-"], &nobody.to_string());
        let any = json!({ "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": progress, "namespace": self.namespace } });
        // The API server hears of its own webhooks a moment later.
        let known = eventually("the webhook is known", PATIENCE, async || {
            let apply = ["apply", "--server-side", "--dry-run=server", "-f", "-"];
            match self.cluster.kubectl_says(&apply, &any.to_string()) {
                Ok(_) if is_held => Attempt::NotYet("it can be written".to_owned()),
                Err(error) if is_held && error.to_string().contains("failed calling webhook") => {
                    Attempt::Done(())
                }
                Err(error) => Attempt::NotYet(error.to_string()),
                Ok(_) => Attempt::Done(()),
            }
        });
        known.await.expect("it is");
    }

    /// Says that this holder of the lock has written the inventory last.
    pub(crate) fn claim_inventory(&self, holder: u32) {
        let name = format!("firstlight-{}-inventory-0", self.name);
        let note = format!("firstlight.dev/lease-transitions={holder}");
        self.kubectl(&["annotate", "--overwrite", "configmap", &name, &note], "");
    }

    pub(crate) fn delete(&self, kind: &str, name: &str) {
        let now = ["delete", kind, name, "--grace-period=0", "--force"];
        self.kubectl(&now, "");
    }

    pub(crate) fn create_namespace(&self, name: &str) {
        self.kubectl(&["create", "namespace", name], "");
    }

    fn get(&self, kind: &str, name: &str) -> Value {
        let said = self.kubectl(&["get", kind, name, "-o", "json"], "");
        serde_json::from_str(&said).expect("JSON")
    }

    fn patch_status(&self, kind: &str, name: &str, status: &Value) {
        let status = status.to_string();
        let patch = [
            "patch",
            kind,
            name,
            "--subresource=status",
            "--type=merge",
            "-p",
            &status,
        ];
        self.kubectl(&patch, "");
    }

    /// The uid of a new object.
    fn create(&self, object: &Value) -> String {
        let path = ["create", "-f", "-", "-o", "jsonpath={.metadata.uid}"];
        self.kubectl(&path, &object.to_string())
    }

    fn kubectl(&self, arguments: &[&str], document: &str) -> String {
        let mut all = vec!["-n", self.namespace.as_str()];
        all.extend(arguments);
        let said = self.cluster.kubectl_says(&all, document);
        said.unwrap_or_else(|error| panic!("{error}"))
    }
}

impl Pod {
    /// Reads on to the first log line with all of these words in it.
    pub(crate) async fn until(&mut self, words: &[&str]) {
        let found = async {
            while let Some(line) = self.output.recv().await {
                let is_it = words.iter().all(|word| line.contains(word));
                self.said.push(line);
                if is_it {
                    return;
                }
            }
            panic!("it ended without {words:?}:\n{}", self.said.join("\n"));
        };
        let found = timeout(PATIENCE, found).await;
        found.unwrap_or_else(|_| panic!("it does not say {words:?}:\n{}", self.said.join("\n")));
    }

    /// Kills it, as the kernel does when memory runs out.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.expect("it is there to be killed");
    }

    /// Waits for its end; its exit code.
    pub(crate) async fn end(&mut self) -> i32 {
        let end = async {
            while let Some(line) = self.output.recv().await {
                self.said.push(line);
            }
            self.child.wait().await.expect("it ran")
        };
        let status = timeout(PATIENCE, end).await;
        let status = status.unwrap_or_else(|_| panic!("it goes on:\n{}", self.said.join("\n")));
        status.code().unwrap_or(-1)
    }
}

/// What is kept in a `ConfigMap` in base64, compressed.
pub(crate) fn unpacked(text: &str) -> Vec<u8> {
    let packed = STANDARD.decode(text).expect("base64");
    let mut bytes = Vec::new();
    let read = GzDecoder::new(packed.as_slice()).read_to_end(&mut bytes);
    read.map(|_| bytes).unwrap_or_default()
}

fn spec(restart: &str) -> Value {
    json!({
        "restartPolicy": restart,
        "containers": [{ "name": "firstlight", "image": "example.com/firstlight" }],
    })
}
