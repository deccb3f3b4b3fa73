//! The cluster, by the kubectl that a user has.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use testbed::{Attempt, Cluster, Env, eventually};

/// The namespace of manifests/bootstrap.yaml.
pub(crate) const NAMESPACE: &str = "lens";

/// A cluster and what was asked of it.
pub(crate) struct Bed {
    cluster: Cluster,
}

impl Bed {
    /// The test bed's cluster, with the agent's image and without an earlier installation.
    pub(crate) fn clean() -> Self {
        let bed = Self {
            cluster: Env::load()
                .and_then(|env| env.cluster())
                .expect("a cluster"),
        };
        let archive = root().join("target/image/firstlight.tar");
        assert!(
            archive.exists(),
            "{} is absent: run `make image`",
            archive.display()
        );
        bed.cluster
            .import(&archive)
            .expect("the agent's image is imported");
        bed.kubectl(&["delete", "namespace", NAMESPACE, "--ignore-not-found"]);
        bed
    }

    /// What kubectl prints; its failure fails the test.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        self.kubectl_with(arguments, "")
    }

    /// The same with a document on its standard input.
    pub(crate) fn kubectl_with(&self, arguments: &[&str], document: &str) -> String {
        let said = self.cluster.kubectl_says(arguments, document);
        said.unwrap_or_else(|error| panic!("{error}"))
    }

    /// An object, or a list, of the installation's namespace.
    pub(crate) fn get(&self, what: &[&str]) -> Value {
        let mut arguments = vec!["-n", NAMESPACE, "get", "-o", "json"];
        arguments.extend(what);
        serde_json::from_str(&self.kubectl(&arguments)).expect("JSON")
    }

    /// The one Job of a rendering of the chart.
    pub(crate) fn job_of(&self, manifest: &str) -> String {
        let arguments = ["create", "--dry-run=client", "-o", "name", "-f", "-"];
        let names = self.kubectl_with(&arguments, manifest);
        let job = names
            .lines()
            .find_map(|line| line.strip_prefix("job.batch/"));
        job.expect("a Job").to_owned()
    }

    /// Runs the CronJob's template once more, as the README says.
    pub(crate) fn rerun(&self, name: &str) {
        let from = "--from=cronjob/firstlight";
        self.kubectl(&["-n", NAMESPACE, "create", "job", name, from]);
    }

    /// The template as a Job that does something else than run.
    pub(crate) fn rerun_as(&self, name: &str, command: &str) -> String {
        let from = "--from=cronjob/firstlight";
        let options = ["--dry-run=client", "-o", "json"];
        let mut arguments = vec!["-n", NAMESPACE, "create", "job", name, from];
        arguments.extend(options);
        let mut job: Value = serde_json::from_str(&self.kubectl(&arguments)).expect("JSON");
        job["spec"]["template"]["spec"]["containers"][0]["args"] = serde_json::json!([command]);
        job.to_string()
    }

    /// Waits until the Job has succeeded; if it fails, what there is to see fails the test.
    pub(crate) async fn succeeded(&self, job: &str, within: Duration) {
        let what = format!("job {job} completes");
        let result = eventually(&what, within, async || {
            let status = self.get(&["job", job])["status"].clone();
            let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
            let is = |kind: &str| {
                conditions
                    .iter()
                    .any(|it| it["type"] == kind && it["status"] == "True")
            };
            if is("Complete") {
                Attempt::Done(())
            } else if is("Failed") {
                Attempt::Never(status.to_string())
            } else {
                Attempt::NotYet(status.to_string())
            }
        });
        if let Err(error) = result.await {
            panic!("{error}\n{}", self.evidence(job));
        }
    }

    /// The pods and the log of the Job.
    fn evidence(&self, job: &str) -> String {
        let pods = self.kubectl(&["-n", NAMESPACE, "get", "pods", "-o", "wide"]);
        let label = format!("batch.kubernetes.io/job-name={job}");
        let log = self.kubectl(&[
            "-n",
            NAMESPACE,
            "logs",
            "--tail=60",
            "--prefix",
            "-l",
            &label,
        ]);
        format!("{pods}\n{log}")
    }

    /// Kills the container of a pod that has one.
    pub(crate) fn kill(&self, pod: &str) {
        let status = self.get(&["pod", pod])["status"].clone();
        let id = status["containerStatuses"][0]["containerID"].as_str();
        let id = id.unwrap_or_else(|| panic!("no container runs: {status}"));
        let killed = self.cluster.kill(id);
        killed.unwrap_or_else(|error| panic!("{error}"));
    }

    /// The log of the Job's pod that went well.
    pub(crate) fn log(&self, job: &str) -> String {
        let of_job = format!("--selector=batch.kubernetes.io/job-name={job}");
        let well = "--field-selector=status.phase=Succeeded";
        let get = ["-n", NAMESPACE, "get", "pods", &of_job, well, "-o", "name"];
        let pod = self.kubectl(&get);
        self.kubectl(&["-n", NAMESPACE, "logs", pod.trim()])
    }

    /// The record of the last run.
    pub(crate) fn record(&self) -> Value {
        let map = self.get(&["configmap", "firstlight-lens"]);
        let text = map["data"]["record.json"].as_str().expect("a record");
        serde_json::from_str(text).expect("JSON")
    }

    /// A key of a Secret.
    pub(crate) fn secret(&self, name: &str, key: &str) -> String {
        let path = format!("-o=go-template={{{{index .data \"{key}\" | base64decode}}}}");
        self.kubectl(&["-n", NAMESPACE, "get", "secret", name, &path])
    }

    /// The port of this machine that leads to a Service's.
    pub(crate) fn forward(&self, service: &str, port: u16) -> u16 {
        let service = format!("{NAMESPACE}/{service}");
        self.cluster
            .forward(&service, port)
            .expect("the Service is forwarded")
    }
}

/// The chart rendered with further settings.
pub(crate) fn render(settings: &[&str]) -> String {
    let output = Command::new(testbed::program("helm").expect("helm"))
        .args([
            "template",
            "lens",
            "--namespace",
            NAMESPACE,
            "--set",
            "createNamespace=true",
        ])
        .args(settings)
        .arg(root().join("manifests/chart"))
        .output()
        .expect("helm runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("text")
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
