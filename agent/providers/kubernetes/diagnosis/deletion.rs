//! An object that is to go and does not.

use super::super::live::Live;
use super::controller;
use super::scene::{Scene, named};

/// What holds it; none if it is not being deleted.
pub(super) fn held(scene: &Scene) -> Option<String> {
    let object = &scene.object;
    let since = object.text("/metadata/deletionTimestamp");
    if since.is_empty() {
        return None;
    }
    if let Some(left) = conditions(object) {
        return Some(format!("to be deleted since {since}, but {left}"));
    }
    let finalizers = object.list("/metadata/finalizers").iter();
    let mut held: Vec<String> = finalizers
        .filter_map(|finalizer| Some(why(scene, finalizer.as_str()?)))
        .collect();
    if held.is_empty() {
        return None;
    }
    held.extend(controller::cause(scene));
    Some(format!(
        "to be deleted since {since}, but {}",
        held.join("; ")
    ))
}

/// What namespaces and definitions say themselves of what is left in them.
fn conditions(object: &Live) -> Option<String> {
    let said: Vec<String> = object
        .conditions()
        .filter(|condition| condition.is_true() && !condition.message.is_empty())
        .filter(|condition| {
            condition.kind.starts_with("Namespace") || condition.kind == "Terminating"
        })
        .map(|condition| format!("{}: {}", condition.reason, condition.message))
        .collect();
    (!said.is_empty()).then(|| said.join("; "))
}

fn why(scene: &Scene, finalizer: &str) -> String {
    let users = scene.neighbours.as_deref().unwrap_or_default();
    match finalizer {
        "foregroundDeletion" => return "it waits until what it owns is gone".to_owned(),
        "kubernetes.io/pvc-protection" if !users.is_empty() => {
            let users: Vec<String> = users.iter().map(named).collect();
            return format!("used by {} ({finalizer})", users.join(", "));
        }
        _ => {}
    }
    let by = setter(&scene.object, finalizer)
        .map_or_else(String::new, |manager| format!(" that {manager} has set"));
    let unserved = match (&scene.groups, domain(finalizer)) {
        (Some(groups), Some(domain)) if !is_served(groups, domain) => {
            format!(", and no API group of {domain} is served")
        }
        _ => String::new(),
    };
    format!("nobody takes away the finalizer {finalizer}{by}{unserved}")
}

/// The field manager that has put the finalizer there.
fn setter<'a>(object: &'a Live, finalizer: &str) -> Option<&'a str> {
    let key = format!("v:\"{finalizer}\"");
    let mut managed = object.list("/metadata/managedFields").iter();
    let entry = managed.find(|entry| {
        let finalizers = entry.pointer("/fieldsV1/f:metadata/f:finalizers");
        finalizers.is_some_and(|finalizers| finalizers.get(&key).is_some())
    })?;
    entry["manager"].as_str()
}

/// `operator.example.com/cleanup` → `example.com`; none for the finalizers of Kubernetes itself.
pub(super) fn domain(finalizer: &str) -> Option<&str> {
    let host = finalizer.split('/').next()?;
    if host.ends_with("kubernetes.io") || host.ends_with("k8s.io") {
        return None;
    }
    let (rest, last) = host.rsplit_once('.')?;
    let start = rest.rfind('.').map_or(0, |dot| dot + 1);
    (!last.is_empty()).then(|| &host[start..])
}

fn is_served(groups: &[String], domain: &str) -> bool {
    let below = format!(".{domain}");
    groups
        .iter()
        .any(|group| group == domain || group.ends_with(&below))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn deleted(finalizers: &Value, rest: &Value) -> Scene {
        let mut object = rest.clone();
        object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        object["metadata"]["finalizers"] = finalizers.clone();
        Scene::of(Live::new(object))
    }

    #[test]
    fn who_set_it_and_whether_there_is_anybody() {
        let managed = json!({ "metadata": { "managedFields": [{ "manager": "keeper", "fieldsV1": {
            "f:metadata": { "f:finalizers": { ".": {}, "v:\"keep.example.com/it\"": {} } } } }] } });
        let mut scene = deleted(&json!(["keep.example.com/it"]), &managed);
        let nobody = "to be deleted since 2026-01-01T00:00:00Z, but nobody takes away the \
                      finalizer keep.example.com/it that keeper has set";
        assert_eq!(held(&scene).as_deref(), Some(nobody));
        scene.groups = Some(vec!["apps".to_owned(), "other.example.org".to_owned()]);
        assert_eq!(
            held(&scene),
            Some(format!(
                "{nobody}, and no API group of example.com is served"
            ))
        );
        scene.groups = Some(vec!["shop.example.com".to_owned()]);
        assert_eq!(held(&scene).as_deref(), Some(nobody));
    }

    #[test]
    fn a_namespace_says_what_is_left() {
        let condition = json!({ "type": "NamespaceFinalizersRemaining", "status": "True",
            "reason": "SomeFinalizersRemain", "message": "example.com/keep in 1 resource instances" });
        let rest = json!({ "kind": "Namespace", "status": { "conditions": [condition] } });
        assert_eq!(
            held(&deleted(&json!(null), &rest)).as_deref(),
            Some(
                "to be deleted since 2026-01-01T00:00:00Z, but SomeFinalizersRemain: \
                 example.com/keep in 1 resource instances"
            )
        );
    }

    #[test]
    fn a_claim_is_held_by_its_users() {
        let mut scene = deleted(&json!(["kubernetes.io/pvc-protection"]), &json!({}));
        scene.neighbours = Some(vec![Live::new(
            json!({ "kind": "Pod", "metadata": { "name": "db-0" } }),
        )]);
        assert_eq!(
            held(&scene).as_deref(),
            Some(
                "to be deleted since 2026-01-01T00:00:00Z, but used by pod db-0 (kubernetes.io/pvc-protection)"
            )
        );
        assert_eq!(held(&Scene::of(Live::new(json!({})))), None);
    }

    #[test]
    fn domains() {
        for (finalizer, expected) in [
            ("a.b.example.com/x", Some("example.com")),
            ("example.com/x", Some("example.com")),
            ("fluentbit.fluent.io", Some("fluent.io")),
            ("kubernetes.io/pvc-protection", None),
            ("foregroundDeletion", None),
        ] {
            assert_eq!(domain(finalizer), expected, "{finalizer}");
        }
    }
}
