//! A claim for storage that is not bound.

use super::super::live::Live;
use super::event;
use super::scene::Scene;

const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";

/// What it asks for and what there is; none if it is bound, or only waits for a pod.
pub(super) fn cause(scene: &Scene, claim: &Live) -> Option<String> {
    let phase = claim.text("/status/phase");
    if phase == "Bound" {
        return None;
    }
    let event = event::latest(&scene.events, claim, &[]);
    let class = class(scene, claim);
    if event.is_none() && matches!(class, Class::WaitsForPod) {
        return None;
    }
    let size = claim.text("/spec/resources/requests/storage");
    let of = match class {
        Class::None(why) => format!(" and {why}"),
        Class::Absent { name, others } => {
            format!(" of StorageClass {name}, which does not exist{others}")
        }
        Class::Made { name, by } => format!(" of StorageClass {name} (provisioner {by})"),
        Class::WaitsForPod | Class::Unknown => {
            format!(" of StorageClass {}", claim.text("/spec/storageClassName"))
        }
    };
    let event = event.map_or_else(String::new, |event| format!(": {}", event::said(event)));
    Some(format!(
        "PersistentVolumeClaim {} is {phase}: it asks for {size}{of}{event}",
        claim.name()
    ))
}

/// What is known of the class that a claim asks for.
enum Class {
    /// It names none, and that is how it is.
    None(&'static str),
    Absent {
        name: String,
        others: String,
    },
    WaitsForPod,
    Made {
        name: String,
        by: String,
    },
    /// The classes could not be read.
    Unknown,
}

fn class(scene: &Scene, claim: &Live) -> Class {
    let Some(name) = claim
        .at("/spec/storageClassName")
        .and_then(|it| it.as_str())
    else {
        let classes = scene.classes.as_deref().unwrap_or_default();
        let has_default = classes.iter().any(is_default);
        return Class::None(match (&scene.classes, has_default) {
            (Some(_), false) => "names no StorageClass, and none is the default",
            _ => "names no StorageClass",
        });
    };
    if name.is_empty() {
        return Class::None(
            "its storageClassName is empty, so that only a PersistentVolume without a class fits",
        );
    }
    let Some(classes) = &scene.classes else {
        return Class::Unknown;
    };
    let Some(found) = classes.iter().find(|class| class.name() == name) else {
        let others: Vec<&str> = classes.iter().map(Live::name).collect();
        return Class::Absent {
            name: name.to_owned(),
            others: if others.is_empty() {
                " (there is none at all)".to_owned()
            } else {
                format!(" (there is {})", others.join(", "))
            },
        };
    };
    if found.text("/volumeBindingMode") == "WaitForFirstConsumer" {
        return Class::WaitsForPod;
    }
    Class::Made {
        name: name.to_owned(),
        by: found.text("/provisioner").to_owned(),
    }
}

fn is_default(class: &Live) -> bool {
    class.texts("/metadata/annotations").get(DEFAULT) == Some(&"true")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn claim(class: &Value) -> Live {
        Live::new(json!({
            "metadata": { "name": "data", "uid": "c" },
            "spec": { "storageClassName": class, "resources": { "requests": { "storage": "1Gi" } } },
            "status": { "phase": "Pending" },
        }))
    }

    fn said(class: &Value, classes: Option<&Value>, event: Option<&str>) -> Option<String> {
        let claim = claim(class);
        let mut scene = Scene::of(claim.clone());
        let classes = classes.and_then(Value::as_array);
        scene.classes = classes.map(|classes| classes.iter().cloned().map(Live::new).collect());
        scene.events = event
            .map(|message| {
                Live::new(json!({ "type": "Warning", "reason": "ProvisioningFailed",
                    "message": message, "involvedObject": { "uid": "c" } }))
            })
            .into_iter()
            .collect();
        cause(&scene, &claim)
    }

    #[test]
    fn claims() {
        let slow = json!({ "metadata": { "name": "slow" }, "provisioner": "example.com/disk" });
        let lazy =
            json!({ "metadata": { "name": "lazy" }, "volumeBindingMode": "WaitForFirstConsumer" });
        let usual = json!({ "metadata": { "name": "usual", "annotations": { DEFAULT: "true" } } });
        let classes = json!([slow, lazy]);
        for (class, classes, event, expected) in [
            (
                json!("fast"),
                Some(&classes),
                Some("storageclass.storage.k8s.io \"fast\" not found"),
                Some(
                    "it asks for 1Gi of StorageClass fast, which does not exist (there is slow, lazy): \
                     ProvisioningFailed: storageclass.storage.k8s.io \"fast\" not found",
                ),
            ),
            (
                json!("fast"),
                Some(&json!([])),
                None,
                Some(
                    "it asks for 1Gi of StorageClass fast, which does not exist (there is none at all)",
                ),
            ),
            (
                json!("fast"),
                None,
                None,
                Some("it asks for 1Gi of StorageClass fast"),
            ),
            (
                json!("slow"),
                Some(&classes),
                None,
                Some("it asks for 1Gi of StorageClass slow (provisioner example.com/disk)"),
            ),
            (json!("lazy"), Some(&classes), None, None),
            (
                json!("lazy"),
                Some(&classes),
                Some("no space"),
                Some("it asks for 1Gi of StorageClass lazy: ProvisioningFailed: no space"),
            ),
            (
                Value::Null,
                Some(&classes),
                None,
                Some("it asks for 1Gi and names no StorageClass, and none is the default"),
            ),
            (
                Value::Null,
                Some(&json!([usual])),
                None,
                Some("it asks for 1Gi and names no StorageClass"),
            ),
            (
                json!(""),
                Some(&classes),
                None,
                Some(
                    "it asks for 1Gi and its storageClassName is empty, so that only a \
                     PersistentVolume without a class fits",
                ),
            ),
        ] {
            let expected = expected
                .map(|expected| format!("PersistentVolumeClaim data is Pending: {expected}"));
            assert_eq!(said(&class, classes, event), expected, "{class}");
        }
    }
}
