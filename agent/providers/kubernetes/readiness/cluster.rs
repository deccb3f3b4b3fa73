//! What other objects need: Namespace, `CustomResourceDefinition`, `APIService`.

use super::super::live::Live;
use super::Verdict;

pub(super) fn namespace(live: &Live) -> Verdict {
    match live.text("/status/phase") {
        "Active" => Verdict::Ready,
        phase => Verdict::NotReady(format!("phase is {phase:?}")),
    }
}

pub(super) fn definition(live: &Live) -> Verdict {
    if let Some(refused) = live.denies("NamesAccepted") {
        return Verdict::Failed(refused.said());
    }
    match live.condition("Established") {
        Some(established) if established.is_true() => Verdict::Ready,
        Some(established) => Verdict::NotReady(established.said()),
        None => Verdict::not_ready("not established yet"),
    }
}

pub(super) fn api_service(live: &Live) -> Verdict {
    match live.condition("Available") {
        Some(available) if available.is_true() => Verdict::Ready,
        Some(available) => Verdict::NotReady(available.said()),
        None => Verdict::not_ready("not available yet"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn conditions(list: &[(&str, &str)]) -> Vec<Value> {
        list.iter()
            .map(|(kind, status)| json!({ "type": kind, "status": status, "reason": "Because" }))
            .collect()
    }

    #[test]
    fn definitions() {
        let definition_with = |list: &[(&str, &str)]| {
            definition(&Live::new(
                json!({ "status": { "conditions": conditions(list) } }),
            ))
        };
        assert_eq!(
            definition_with(&[]),
            Verdict::not_ready("not established yet")
        );
        assert_eq!(
            definition_with(&[("NamesAccepted", "False"), ("Established", "True")]),
            Verdict::Failed("NamesAccepted is False (Because)".to_owned())
        );
        assert_eq!(
            definition_with(&[("NamesAccepted", "True"), ("Established", "False")]),
            Verdict::not_ready("Established is False (Because)")
        );
        assert_eq!(
            definition_with(&[("NamesAccepted", "True"), ("Established", "True")]),
            Verdict::Ready
        );
    }

    #[test]
    fn api_services() {
        let service_with = |list: &[(&str, &str)]| {
            api_service(&Live::new(
                json!({ "status": { "conditions": conditions(list) } }),
            ))
        };
        assert_eq!(service_with(&[]), Verdict::not_ready("not available yet"));
        assert_eq!(
            service_with(&[("Available", "False")]),
            Verdict::not_ready("Available is False (Because)")
        );
        assert_eq!(service_with(&[("Available", "True")]), Verdict::Ready);
    }

    #[test]
    fn namespaces() {
        let in_phase = |phase: &str| namespace(&Live::new(json!({ "status": { "phase": phase } })));
        assert_eq!(in_phase("Active"), Verdict::Ready);
        assert_eq!(
            in_phase("Terminating"),
            Verdict::not_ready("phase is \"Terminating\"")
        );
    }
}
