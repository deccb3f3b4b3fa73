//! The quickstart with and without telemetry: its Job in a cluster that runs pods, as users install it.

use std::path::Path;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use testbed::{Cluster, Env, unique};

use crate::Failure;
use crate::results::Case;
use crate::telemetry::{AGAIN, INSTALLATIONS, PEER, Side, middle, turns};

/// Of `manifests/bootstrap.yaml`.
const NAMESPACE: &str = "lens";
const MANIFEST: &str = "manifests/bootstrap.yaml";
const IMAGE: &str = "target/image/firstlight.tar";
const TEMPLATE: &str = "--from=cronjob/firstlight";

type Times = Vec<(Side, Duration)>;

/// Installs it on both sides, and runs it again and again with nothing to do.
pub(crate) fn measure() -> Result<Vec<Case>, Failure> {
    let cluster = Env::load()?.cluster()?;
    cluster.import(Path::new(IMAGE))?;
    let quickstart = Quickstart(cluster);
    let mut fresh = Times::new();
    for side in turns(INSTALLATIONS) {
        fresh.push((side, quickstart.install(side)?));
    }
    let mut again = Times::new();
    for side in turns(AGAIN) {
        again.push((side, quickstart.run_again(side)?));
    }
    quickstart.remove()?;
    let case = |what: &str, times: &Times| {
        let (with, without) = (middle(times, Side::With)?, middle(times, Side::Without)?);
        Some(Case::timed(what.to_owned(), with, PEER, without))
    };
    let fresh = case("the quickstart, installed", &fresh);
    let again = case("the quickstart again, nothing to do", &again);
    Ok(fresh.into_iter().chain(again).collect())
}

struct Quickstart(Cluster);

impl Quickstart {
    fn kubectl(&self, arguments: &[&str], document: &str) -> Result<String, Failure> {
        Ok(self.0.kubectl_says(arguments, document)?)
    }

    fn remove(&self) -> Result<(), Failure> {
        let delete = ["delete", "namespace", NAMESPACE, "--ignore-not-found"];
        self.kubectl(&delete, "").map(drop)
    }

    /// From nothing.
    fn install(&self, side: Side) -> Result<Duration, Failure> {
        self.remove()?;
        let documents = ["create", "--dry-run=client", "-o", "json", "-f", MANIFEST];
        let documents = self.kubectl(&documents, "")?;
        let documents = serde_json::Deserializer::from_str(&documents).into_iter();
        let mut items: Vec<Value> = documents.collect::<Result<_, _>>()?;
        let job = items.iter_mut().find(|item| item["kind"] == "Job");
        let job = job.ok_or("the manifest holds no Job")?;
        set(job, side);
        let name = job["metadata"]["name"].as_str().unwrap_or_default();
        let name = name.to_owned();
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
        self.kubectl(&["apply", "-f", "-"], &list.to_string())?;
        self.took(&name, side)
    }

    fn run_again(&self, side: Side) -> Result<Duration, Failure> {
        let name = unique("again");
        let create = ["-n", NAMESPACE, "create", "job", &name, TEMPLATE];
        let create = [&create[..], &["--dry-run=client", "-o", "json"]].concat();
        let mut job: Value = serde_json::from_str(&self.kubectl(&create, "")?)?;
        set(&mut job, side);
        let create = ["-n", NAMESPACE, "create", "-f", "-"];
        self.kubectl(&create, &job.to_string())?;
        self.took(&name, side)
    }

    /// From the first line of the Job's log to the last one, which is written when all that was to
    /// be delivered is.
    fn took(&self, job: &str, side: Side) -> Result<Duration, Failure> {
        let job = format!("job/{job}");
        let wait = ["-n", NAMESPACE, "wait", "--for=condition=complete", &job];
        self.kubectl(&[&wait[..], &["--timeout=10m"]].concat(), "")?;
        let log = self.kubectl(&["-n", NAMESPACE, "logs", "--timestamps", &job], "")?;
        let lines: Vec<&str> = log.lines().collect();
        let [first, .., last] = lines.as_slice() else {
            return Err(format!("{job} has written no log").into());
        };
        let took = at(last)?.duration_since(at(first)?).try_into()?;
        eprintln!("{side:?}: {took:?}, {last}");
        Ok(took)
    }
}

/// The moment that a line begins with.
fn at(line: &str) -> Result<Timestamp, Failure> {
    let (moment, _) = line.split_once(' ').ok_or("a line without a moment")?;
    Ok(moment.parse()?)
}

/// Lets a Job do without telemetry, or leaves it that. The checks that look for it are left out on
/// both sides: one cannot be asked them.
fn set(job: &mut Value, side: Side) {
    let container = &mut job["spec"]["template"]["spec"]["containers"][0];
    let Some(variables) = container["env"].as_array_mut() else {
        return;
    };
    variables.push(json!({ "name": "FIRSTLIGHT_SET", "value": "telemetry.enabled=false" }));
    if side == Side::Without {
        variables.push(json!({ "name": "OTEL_SDK_DISABLED", "value": "true" }));
    }
}
