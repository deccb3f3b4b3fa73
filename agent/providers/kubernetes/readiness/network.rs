//! Service.

use super::super::live::Live;
use super::Readiness;

/// A load balancer is ready when it has an address; every other Service when it is there.
pub(super) fn service(live: &Live) -> Readiness {
    if live.text("/spec/type") != "LoadBalancer" {
        return Readiness::Ready;
    }
    if live.list("/status/loadBalancer/ingress").is_empty() {
        return Readiness::not_ready("the load balancer has no address yet");
    }
    Readiness::Ready
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_load_balancer_is_waited_for() {
        for kind in ["ClusterIP", "NodePort", "ExternalName"] {
            let live = Live::new(json!({ "spec": { "type": kind } }));
            assert_eq!(service(&live), Readiness::Ready);
        }
        let spec = json!({ "type": "LoadBalancer", "clusterIP": "10.0.0.1" });
        let without = Live::new(json!({ "spec": spec, "status": { "loadBalancer": {} } }));
        assert_eq!(
            service(&without),
            Readiness::not_ready("the load balancer has no address yet")
        );
        let with = Live::new(json!({ "spec": spec, "status": {
            "loadBalancer": { "ingress": [{ "ip": "192.0.2.1" }] } } }));
        assert_eq!(service(&with), Readiness::Ready);
    }
}
