//! Service.

use serde_json::Value;

use super::super::kind::ENDPOINT_SLICE;
use super::{Need, Sight, Verdict};

/// The pods behind a Service are in its slices; without a selector somebody else keeps those.
pub(super) fn needs(sight: &Sight<'_>) -> Vec<Need> {
    if !has_selector(sight) {
        return Vec::new();
    }
    let labels = format!("kubernetes.io/service-name={}", sight.name());
    vec![sight.need_all(&ENDPOINT_SLICE, labels)]
}

/// A load balancer has an address; a Service with a selector has somebody to send requests to.
pub(super) fn service(sight: &Sight<'_>) -> Verdict {
    let live = sight.object;
    if live.text("/spec/type") == "LoadBalancer"
        && live.list("/status/loadBalancer/ingress").is_empty()
    {
        return Verdict::not_ready("the load balancer has no address yet");
    }
    if !has_selector(sight) {
        return Verdict::Ready;
    }
    let endpoints = || {
        sight
            .all("EndpointSlice")
            .flat_map(|slice| slice.list("/endpoints"))
    };
    // Nobody knowing is taken for yes, as the API says.
    let is_ready = |endpoint: &&Value| endpoint.pointer("/conditions/ready") != Some(&false.into());
    match (endpoints().filter(is_ready).count(), endpoints().count()) {
        (0, 0) => Verdict::not_ready("no endpoints: no pod matches its selector"),
        (0, all) => Verdict::NotReady(format!("0 of {all} endpoints ready")),
        _ => Verdict::Ready,
    }
}

fn has_selector(sight: &Sight<'_>) -> bool {
    let service = sight.object;
    service.text("/spec/type") != "ExternalName" && !service.texts("/spec/selector").is_empty()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::live::Live;
    use super::*;

    fn judged(object: Value, slices: &[Value]) -> Verdict {
        let around: Vec<Live> = slices
            .iter()
            .map(|endpoints| Live::new(json!({ "kind": "EndpointSlice", "endpoints": endpoints })))
            .collect();
        service(&Sight::new(&Live::new(object), &around))
    }

    #[test]
    fn without_a_selector_only_a_load_balancer_is_waited_for() {
        for kind in ["ClusterIP", "NodePort", "ExternalName"] {
            let found = judged(json!({ "spec": { "type": kind } }), &[]);
            assert_eq!(found, Verdict::Ready);
        }
        let spec = json!({ "type": "LoadBalancer", "clusterIP": "10.0.0.1" });
        let without = json!({ "spec": spec, "status": { "loadBalancer": {} } });
        assert_eq!(
            judged(without, &[]),
            Verdict::not_ready("the load balancer has no address yet")
        );
        let with = json!({ "spec": spec, "status": {
            "loadBalancer": { "ingress": [{ "ip": "192.0.2.1" }] } } });
        assert_eq!(judged(with, &[]), Verdict::Ready);
    }

    #[test]
    fn somebody_must_be_behind_it() {
        let web =
            || json!({ "metadata": { "name": "web" }, "spec": { "selector": { "app": "web" } } });
        let none = Verdict::not_ready("no endpoints: no pod matches its selector");
        assert_eq!(judged(web(), &[]), none);
        assert_eq!(judged(web(), &[Value::Null]), none);
        let waiting = json!([{ "conditions": { "ready": false } }]);
        assert_eq!(
            judged(web(), std::slice::from_ref(&waiting)),
            Verdict::not_ready("0 of 1 endpoints ready")
        );
        let ready = json!([{ "conditions": { "ready": true } }]);
        assert_eq!(judged(web(), &[waiting, ready]), Verdict::Ready);
        assert_eq!(
            judged(web(), &[json!([{ "conditions": {} }])]),
            Verdict::Ready
        );
        let object = Live::new(web());
        assert_eq!(needs(&Sight::new(&object, &[])).len(), 1);
    }
}
