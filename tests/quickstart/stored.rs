//! What became of the run's telemetry in the stores of the stack, through its collector.

use std::time::Duration;

use serde_json::Value;
use testbed::{Attempt, eventually};

use crate::cluster::Bed;
use crate::stores::json;

const SOON: Duration = Duration::from_mins(1);

/// Traces, metrics and logs say which pod sent them, and no log record was lost while there was no
/// index yet.
pub(crate) async fn everywhere(bed: &Bed, job: &str) {
    let record = bed.record();
    let trace = record["traceId"].as_str().expect("the run's trace");
    the_trace_names_the_node(bed, trace).await;
    prometheus_knows_the_node_and_the_rule(bed).await;
    the_log_is_whole(bed, job).await;
}

/// The agent itself does not know it: the collector has asked the API server.
async fn the_trace_names_the_node(bed: &Bed, trace: &str) {
    let port = bed.forward("jaeger", 16686);
    let found = json(
        &format!("http://127.0.0.1:{port}/api/v3/traces/{trace}"),
        None,
    )
    .await;
    let resources = found["result"]["resourceSpans"].as_array().expect("spans");
    for resource in resources {
        let attributes = resource["resource"]["attributes"].as_array();
        let attributes = attributes.expect("attributes");
        for key in ["k8s.node.name", "k8s.pod.name", "k8s.cluster.name"] {
            let named = attributes.iter().any(|it| it["key"] == key);
            assert!(named, "no {key} in {attributes:?}");
        }
    }
}

async fn prometheus_knows_the_node_and_the_rule(bed: &Bed) {
    let base = format!(
        "http://127.0.0.1:{}/api/v1",
        bed.forward("prometheus", 9090)
    );
    let query = "target_info%7Bjob%3D%22firstlight%22%2Ck8s_node_name%21%3D%22%22%7D";
    let found = json(
        &format!("{base}/query?query=last_over_time({query}%5B1h%5D)"),
        None,
    )
    .await;
    assert_ne!(found["data"]["result"], serde_json::json!([]), "{found}");
    let rules = json(&format!("{base}/rules"), None).await;
    let rule = &rules["data"]["groups"][0]["rules"][0];
    assert_eq!(rule["name"], "LastInstallationFailed", "{rules}");
    assert_ne!(rule["health"], "err", "{rules}");
    assert_eq!(rule["alerts"], serde_json::json!([]), "{rules}");
}

/// Each line of the pod's log is a document of the store, also the first: it is older than the index.
/// What follows the end of the run is for people.
async fn the_log_is_whole(bed: &Bed, job: &str) {
    let log = bed.log(job);
    let ended = log.lines().position(|line| line.contains(" run ended: "));
    let lines = ended.expect("the log tells the end of the run") + 1;
    let base = format!(
        "http://127.0.0.1:{}/lens-logs",
        bed.forward("opensearch", 9200)
    );
    let found = eventually("the log of the run in OpenSearch", SOON, async || {
        json(&format!("{base}/_refresh"), None).await;
        let hits =
            format!("{base}/_search?q=kubernetes.workload:%22{job}%22&size=1&sort=@timestamp:asc");
        let found = json(&format!("{hits}&track_total_hits=true"), None).await;
        let count = found["hits"]["total"]["value"].as_u64().unwrap_or_default();
        if count == lines as u64 {
            return Attempt::Done(found);
        }
        Attempt::NotYet(format!("{count} documents for {lines} lines"))
    });
    let found = found.await.unwrap_or_else(|error| panic!("{error}"));
    // As the panel of the dashboard asks, and its link to one run.
    let first = &found["hits"]["hits"][0]["_source"];
    let run = first["instance"].as_str().expect("an instance");
    let asked = format!("{base}/_search?q=service:firstlight+AND+instance:%22{run}%22");
    let of_run = json(&format!("{asked}&track_total_hits=true"), None).await;
    assert_eq!(of_run["hits"]["total"]["value"], lines, "{of_run}");
    assert_eq!(first["kubernetes"]["workload"], job, "{first}");
    let began = |field: &Value| field.as_str().map(str::to_owned);
    let ingested = began(&first["event"]["ingested"]);
    assert!(began(&first["@timestamp"]) < ingested, "{first}");
    println!(
        "{} documents for {lines} lines",
        found["hits"]["total"]["value"]
    );
}
