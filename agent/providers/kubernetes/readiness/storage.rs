//! `PersistentVolumeClaim` and `PersistentVolume`.

use super::super::live::Live;
use super::{Readiness, STALE};

/// The class that decides whether a claim that is not bound is as ready as it can be.
pub(super) fn class_to_ask(live: &Live) -> Option<&str> {
    let class = live.text("/spec/storageClassName");
    (live.text("/status/phase") == "Pending" && !class.is_empty()).then_some(class)
}

/// A claim of a class that waits for a first consumer is bound only when a pod uses it, which
/// may be a later step: it is ready enough.
pub(super) fn claim(live: &Live, class: Option<&Live>) -> Readiness {
    match live.text("/status/phase") {
        "Bound" => Readiness::Ready,
        "Lost" => Readiness::Failed(format!(
            "its volume {} is lost",
            live.text("/spec/volumeName")
        )),
        "" => Readiness::not_ready(STALE),
        _ if class.is_some_and(waits_for_a_pod) => Readiness::Ready,
        phase => Readiness::NotReady(match (live.text("/spec/storageClassName"), class) {
            ("", _) => format!("{phase}, no storage class"),
            (name, Some(_)) => format!("{phase}, storage class {name}"),
            (name, None) => format!("{phase}, storage class {name} is not there or not readable"),
        }),
    }
}

fn waits_for_a_pod(class: &Live) -> bool {
    class.text("/volumeBindingMode") == "WaitForFirstConsumer"
}

pub(super) fn volume(live: &Live) -> Readiness {
    match live.text("/status/phase") {
        "Available" | "Bound" => Readiness::Ready,
        "Failed" => Readiness::Failed(live.text("/status/message").to_owned()),
        "" => Readiness::not_ready(STALE),
        phase => Readiness::not_ready(phase),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn claims() {
        let pending = |class: &str| {
            Live::new(
                json!({ "spec": { "storageClassName": class }, "status": { "phase": "Pending" } }),
            )
        };
        let bound = Live::new(json!({ "status": { "phase": "Bound" } }));
        let lost =
            Live::new(json!({ "spec": { "volumeName": "pv-1" }, "status": { "phase": "Lost" } }));
        let lazy = Live::new(json!({ "volumeBindingMode": "WaitForFirstConsumer" }));
        let eager = Live::new(json!({ "volumeBindingMode": "Immediate" }));
        assert_eq!(claim(&bound, None), Readiness::Ready);
        assert_eq!(
            claim(&lost, None),
            Readiness::Failed("its volume pv-1 is lost".to_owned())
        );
        assert_eq!(claim(&pending("fast"), Some(&lazy)), Readiness::Ready);
        assert_eq!(
            claim(&pending("fast"), Some(&eager)),
            Readiness::not_ready("Pending, storage class fast")
        );
        assert_eq!(
            claim(&pending("fast"), None),
            Readiness::not_ready("Pending, storage class fast is not there or not readable")
        );
        assert_eq!(
            claim(&pending(""), None),
            Readiness::not_ready("Pending, no storage class")
        );
        assert_eq!(class_to_ask(&pending("fast")), Some("fast"));
        assert_eq!(class_to_ask(&bound), None);
    }

    #[test]
    fn volumes() {
        let volume_in = |phase: &str| {
            volume(&Live::new(
                json!({ "status": { "phase": phase, "message": "gone" } }),
            ))
        };
        assert_eq!(volume_in("Available"), Readiness::Ready);
        assert_eq!(volume_in("Released"), Readiness::not_ready("Released"));
        assert_eq!(volume_in("Failed"), Readiness::Failed("gone".to_owned()));
    }
}
