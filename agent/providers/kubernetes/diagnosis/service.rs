//! A Service that leads nowhere.

use std::collections::BTreeSet;

use super::super::live::Live;

/// A Service, and what it is to lead to.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) live: Live,
    /// The addresses that take connections.
    pub(super) ready: usize,
    /// All pods of its namespace; none if they could not be read.
    pub(super) pods: Option<Vec<Live>>,
}

impl Service {
    /// Why nobody answers behind it. `below` is what is wrong with the worst pod that it selects.
    pub(super) fn cause(&self, below: Option<String>) -> Option<String> {
        if self.live.text("/spec/type") == "ExternalName" || self.ready > 0 {
            return None;
        }
        let why = self.why(below)?;
        Some(format!("no ready endpoint: {why}"))
    }

    fn why(&self, below: Option<String>) -> Option<String> {
        let selector = self.live.texts("/spec/selector");
        if selector.is_empty() {
            return Some("it has no selector, and nobody else has made one for it".to_owned());
        }
        if below.is_some() {
            return below;
        }
        let pods = self.pods.as_ref()?;
        let selected: Vec<&Live> = pods.iter().filter(|pod| self.selects(pod)).collect();
        if let Some(pod) = selected.first() {
            let port = self.unknown_port(pod)?;
            return Some(format!(
                "its targetPort {port} is the name of no port of pod {}",
                pod.name()
            ));
        }
        let wanted: Vec<String> = selector
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let wanted = wanted.join(",");
        let others = self.others();
        Some(format!("no pod has its selector's labels {wanted}{others}"))
    }

    pub(super) fn selects(&self, pod: &Live) -> bool {
        let selector = self.live.texts("/spec/selector");
        let labels = pod.texts("/metadata/labels");
        !selector.is_empty()
            && selector
                .iter()
                .all(|(key, value)| labels.get(key) == Some(value))
    }

    /// What pods have under the same keys, where somebody may have meant them.
    fn others(&self) -> String {
        const MOST: usize = 5;
        let selector = self.live.texts("/spec/selector");
        let pods = self.pods.iter().flatten();
        let labels = pods.flat_map(|pod| pod.texts("/metadata/labels"));
        let alike = labels.filter(|(key, _)| selector.contains_key(key));
        let alike: BTreeSet<String> = alike.map(|(key, value)| format!("{key}={value}")).collect();
        let alike: Vec<String> = alike.into_iter().take(MOST).collect();
        if alike.is_empty() {
            return String::new();
        }
        format!("; pods here have {}", alike.join(", "))
    }

    /// A port that is meant by a name that the pod does not give to any.
    fn unknown_port(&self, pod: &Live) -> Option<&str> {
        let containers = pod.list("/spec/containers").iter();
        let ports = containers.filter_map(|container| container["ports"].as_array());
        let names: Vec<&str> = ports
            .flatten()
            .filter_map(|port| port["name"].as_str())
            .collect();
        let wanted = self.live.list("/spec/ports").iter();
        let mut wanted = wanted.filter_map(|port| port["targetPort"].as_str());
        wanted.find(|port| !names.contains(port))
    }
}

/// How many addresses of these slices take connections.
pub(super) fn ready(slices: &[Live]) -> usize {
    let endpoints = slices.iter().flat_map(|slice| slice.list("/endpoints"));
    let ready = endpoints.filter(|endpoint| endpoint["conditions"]["ready"] != false);
    ready.count()
}

/// The Service, name and namespace, that the API server called in vain by its own words:
/// `Post "https://hook.lens.svc:443/check?timeout=10s": …`.
pub(super) fn called(message: &str) -> Option<(&str, &str)> {
    let (_, url) = message.split_once("\"https://")?;
    let host = url.split([':', '/', '"']).next()?;
    host.strip_suffix(".svc")?.split_once('.')
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(labels: &Value) -> Live {
        Live::new(json!({ "metadata": { "name": "web-0", "labels": labels },
            "spec": { "containers": [{ "ports": [{ "name": "http" }] }] } }))
    }

    fn service(selector: &Value, pods: Vec<Live>) -> Service {
        let ports = json!([{ "port": 80, "targetPort": "web" }]);
        Service {
            live: Live::new(json!({ "spec": { "selector": selector, "ports": ports } })),
            ready: 0,
            pods: Some(pods),
        }
    }

    #[test]
    fn why_nobody_answers() {
        let web = json!({ "app": "web" });
        let said = |selector: &Value, pods, below: Option<&str>| {
            let cause = service(selector, pods).cause(below.map(str::to_owned));
            cause.expect("a cause")
        };
        for (selector, pods, below, expected) in [
            (
                json!(null),
                vec![],
                None,
                "it has no selector, and nobody else has made one for it",
            ),
            (
                web.clone(),
                vec![],
                None,
                "no pod has its selector's labels app=web",
            ),
            (
                web.clone(),
                vec![pod(&json!({ "app": "shop", "tier": "a" }))],
                None,
                "no pod has its selector's labels app=web; pods here have app=shop",
            ),
            (
                web.clone(),
                vec![pod(&web)],
                Some("pod web-0: container web runs and is not ready"),
                "pod web-0: container web runs and is not ready",
            ),
            (
                web.clone(),
                vec![pod(&web)],
                None,
                "its targetPort web is the name of no port of pod web-0",
            ),
        ] {
            assert_eq!(
                said(&selector, pods, below),
                format!("no ready endpoint: {expected}")
            );
        }
        let mut answered = service(&web, vec![]);
        answered.ready = 1;
        assert_eq!(answered.cause(None), None);
    }

    #[test]
    fn ready_addresses() {
        let slice = Live::new(json!({ "endpoints": [
            { "conditions": { "ready": true } }, { "conditions": { "ready": false } },
            { "conditions": {} }] }));
        assert_eq!(ready(&[slice]), 2, "unknown counts as ready");
    }

    #[test]
    fn the_service_that_was_called() {
        let message = "Internal error occurred: failed calling webhook \"a.example.com\": failed to \
             call webhook: Post \"https://hook.lens.svc:443/check?timeout=10s\": dial tcp \
             10.96.0.7:443: connect: connection refused";
        assert_eq!(called(message), Some(("hook", "lens")));
        assert_eq!(called("Post \"https://127.0.0.1:9443/\": refused"), None);
        assert_eq!(called("etcd has no leader"), None);
    }
}
