//! Why an object that is to go does not.

use serde_json::Value;

use super::super::Client;
use super::super::kind::{POD, Target};
use super::super::live::Live;

/// `Namespace lens: is being deleted, held by the finalizer kubernetes`
pub(super) fn waiting(target: &Target, live: &Live) -> String {
    match &finalizers(live)[..] {
        [] => format!("{target}: is being deleted"),
        [one] => format!("{target}: is being deleted, held by the finalizer {one}"),
        many => format!(
            "{target}: is being deleted, held by the finalizers {}",
            many.join(", ")
        ),
    }
}

fn finalizers(live: &Live) -> Vec<&str> {
    live.list("/metadata/finalizers")
        .iter()
        .chain(live.list("/spec/finalizers"))
        .filter_map(Value::as_str)
        .collect()
}

/// Who has to take its finalizers away, and what is known of why they did not.
pub(super) async fn explain(client: &Client, target: &Target, live: &Live) -> Option<String> {
    let mut said = Vec::new();
    for finalizer in finalizers(live) {
        said.push(match finalizer {
            "kubernetes.io/pvc-protection" => users(client, target).await,
            other => meaning(other, live),
        });
    }
    (!said.is_empty()).then(|| said.join("; "))
}

/// What a finalizer waits for.
fn meaning(finalizer: &str, live: &Live) -> String {
    match finalizer {
        "foregroundDeletion" => {
            "what depends on it is deleted first, by Kubernetes' garbage collector".to_owned()
        }
        "kubernetes" => contents(live),
        "kubernetes.io/pv-protection" => "a claim still uses the volume".to_owned(),
        "customresourcecleanup.apiextensions.k8s.io" => {
            "all objects of its kind are deleted first".to_owned()
        }
        own => match own.split_once('/') {
            Some((owner, _)) => format!(
                "the controller of {owner} must take {own} away; if it does not run any more, nobody does"
            ),
            None => format!("whoever has set {own} must take it away"),
        },
    }
}

/// What is left in a namespace, in the words of its controller.
fn contents(live: &Live) -> String {
    let left = live
        .conditions()
        .filter(|condition| condition.is_true() && !condition.message.is_empty())
        .map(|condition| condition.message);
    let left: Vec<&str> = left.collect();
    if left.is_empty() {
        "what is in the namespace is deleted first".to_owned()
    } else {
        left.join("; ")
    }
}

/// The pods that use a claim.
async fn users(client: &Client, claim: &Target) -> String {
    let namespace = claim.namespace.as_deref().unwrap_or_default();
    let pods = client.list(&POD, namespace, "", "").await;
    let pods = pods.unwrap_or_default();
    let uses = |pod: &&Live| {
        let volumes = pod.list("/spec/volumes").iter();
        let mut names = volumes.filter_map(|it| it.pointer("/persistentVolumeClaim/claimName"));
        names.any(|name| name == claim.name.as_str())
    };
    let users: Vec<&str> = pods.iter().filter(uses).map(Live::name).collect();
    if users.is_empty() {
        "a pod still uses the claim".to_owned()
    } else {
        format!("still used by pod {}", users.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::kind::CONFIG_MAP;
    use super::*;

    #[test]
    fn finalizers_are_named() {
        let target = Target::new(CONFIG_MAP, "lens", "a");
        let of = |finalizers: Value| Live::new(json!({ "metadata": { "finalizers": finalizers } }));
        for (finalizers, expected) in [
            (json!([]), "ConfigMap lens/a: is being deleted"),
            (
                json!(["example.com/keep"]),
                "ConfigMap lens/a: is being deleted, held by the finalizer example.com/keep",
            ),
            (
                json!(["a/b", "c/d"]),
                "ConfigMap lens/a: is being deleted, held by the finalizers a/b, c/d",
            ),
        ] {
            assert_eq!(waiting(&target, &of(finalizers)), expected);
        }
    }

    #[test]
    fn what_they_wait_for_is_said() {
        let namespace = Live::new(json!({ "status": { "conditions": [
            { "type": "NamespaceContentRemaining", "status": "True",
              "message": "Some resources are remaining: sheep.example.com has 1 resource instances" },
            { "type": "NamespaceDeletionContentFailure", "status": "False", "message": "All content deleted" },
        ] } }));
        assert_eq!(
            meaning("kubernetes", &namespace),
            "Some resources are remaining: sheep.example.com has 1 resource instances"
        );
        assert_eq!(
            meaning("example.com/keep", &namespace),
            "the controller of example.com must take example.com/keep away; if it does not run any more, nobody does"
        );
    }
}
