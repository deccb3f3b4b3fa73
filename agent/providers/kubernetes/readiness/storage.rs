//! `PersistentVolumeClaim` and `PersistentVolume`.

use super::super::kind::STORAGE_CLASS;
use super::super::live::Live;
use super::{Need, STALE, Sight, Verdict};

/// The class decides whether a claim that is not bound is as ready as it can be.
pub(super) fn needs(sight: &Sight<'_>) -> Vec<Need> {
    let class = sight.object.text("/spec/storageClassName");
    if sight.object.text("/status/phase") == "Pending" && !class.is_empty() {
        vec![sight.need(&STORAGE_CLASS, class)]
    } else {
        Vec::new()
    }
}

/// A claim of a class that waits for a first consumer is bound only when a pod uses it, which
/// may be a later step: it is ready enough.
pub(super) fn claim(sight: &Sight<'_>) -> Verdict {
    let live = sight.object;
    let class = sight.one("StorageClass", live.text("/spec/storageClassName"));
    match live.text("/status/phase") {
        "Bound" => Verdict::Ready,
        "Lost" => Verdict::Failed(format!(
            "its volume {} is lost",
            live.text("/spec/volumeName")
        )),
        "" => Verdict::not_ready(STALE),
        _ if class.is_some_and(waits_for_a_pod) => Verdict::Ready,
        phase => Verdict::NotReady(match (live.text("/spec/storageClassName"), class) {
            ("", _) => format!("{phase}, no storage class"),
            (name, Some(_)) => format!("{phase}, storage class {name}"),
            (name, None) => format!("{phase}, storage class {name} is not there or not readable"),
        }),
    }
}

fn waits_for_a_pod(class: &Live) -> bool {
    class.text("/volumeBindingMode") == "WaitForFirstConsumer"
}

pub(super) fn volume(live: &Live) -> Verdict {
    match live.text("/status/phase") {
        "Available" | "Bound" => Verdict::Ready,
        "Failed" => Verdict::Failed(live.text("/status/message").to_owned()),
        "" => Verdict::not_ready(STALE),
        phase => Verdict::not_ready(phase),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::kind::Target;
    use super::*;

    #[test]
    fn claims() {
        let judged = |object: &Live, mode: Option<&str>| {
            let class = mode.map(|mode| {
                Live::new(
                    json!({ "kind": "StorageClass", "metadata": { "name": "fast" },
                                  "volumeBindingMode": mode }),
                )
            });
            claim(&Sight::new(object, class.as_slice()))
        };
        let pending = |class: &str| {
            Live::new(
                json!({ "spec": { "storageClassName": class }, "status": { "phase": "Pending" } }),
            )
        };
        let bound = Live::new(json!({ "status": { "phase": "Bound" } }));
        let lost =
            Live::new(json!({ "spec": { "volumeName": "pv-1" }, "status": { "phase": "Lost" } }));
        let fast = pending("fast");
        assert_eq!(judged(&bound, None), Verdict::Ready);
        assert_eq!(
            judged(&lost, None),
            Verdict::Failed("its volume pv-1 is lost".to_owned())
        );
        assert_eq!(judged(&fast, Some("WaitForFirstConsumer")), Verdict::Ready);
        assert_eq!(
            judged(&fast, Some("Immediate")),
            Verdict::not_ready("Pending, storage class fast")
        );
        assert_eq!(
            judged(&fast, None),
            Verdict::not_ready("Pending, storage class fast is not there or not readable")
        );
        assert_eq!(
            judged(&pending(""), None),
            Verdict::not_ready("Pending, no storage class")
        );
        let asked = needs(&Sight::new(&fast, &[]));
        assert_eq!(asked, [Need::One(Target::new(STORAGE_CLASS, "", "fast"))]);
        assert_eq!(needs(&Sight::new(&bound, &[])), []);
    }

    #[test]
    fn volumes() {
        let volume_in = |phase: &str| {
            volume(&Live::new(
                json!({ "status": { "phase": phase, "message": "gone" } }),
            ))
        };
        assert_eq!(volume_in("Available"), Verdict::Ready);
        assert_eq!(volume_in("Released"), Verdict::not_ready("Released"));
        assert_eq!(volume_in("Failed"), Verdict::Failed("gone".to_owned()));
    }
}
