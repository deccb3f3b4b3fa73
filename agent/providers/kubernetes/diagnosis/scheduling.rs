//! A pod that no node takes: what it asks for, and what there is.

use serde_json::{Value, json};

use super::super::live::Live;
use super::super::quantity::{nanos, written};
use super::scene::{Scene, cut};

/// Why, in the scheduler's words, and for each resource that lacks what is asked and what there is.
pub(super) fn sentence(scene: &Scene, pod: &Live) -> Option<String> {
    let scheduled = pod.denies("PodScheduled")?;
    let why = first_sentence(scheduled.message);
    let mut said = format!("is not scheduled ({}: {})", scheduled.reason, cut(why, 300));
    for resource in lacking(scheduled.message) {
        let asked = written(resource, requests(pod, resource));
        said = format!("{said}; it asks for {asked} {resource}");
        if let Some(room) = room(scene, resource) {
            said = format!("{said}, and {room}");
        }
    }
    let wanted = pod.texts("/spec/nodeSelector");
    if !wanted.is_empty() && why.contains("node affinity/selector") {
        let wanted: Vec<String> = wanted
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        said = format!("{said}; its nodeSelector is {}", wanted.join(", "));
    }
    Some(said)
}

/// What follows is about preemption.
fn first_sentence(message: &str) -> &str {
    message.split(". ").next().unwrap_or(message)
}

/// The resources of `2 Insufficient cpu, 1 Insufficient memory`, each once.
fn lacking(message: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for after in message.split("Insufficient ").skip(1) {
        let end = after.find([',', ' ']).unwrap_or(after.len());
        let resource = after[..end].trim_end_matches('.');
        if !found.contains(&resource) {
            found.push(resource);
        }
    }
    found
}

/// What a pod asks for, in billionths: its containers together, or the one before them that asks most.
fn requests(pod: &Live, resource: &str) -> i128 {
    if resource == "pods" {
        return 1_000_000_000;
    }
    let of = |container: &serde_json::Value| {
        let amount = container["resources"]["requests"][resource].as_str();
        amount.and_then(nanos).unwrap_or_default()
    };
    let main: i128 = pod.list("/spec/containers").iter().map(of).sum();
    let (beside, before): (Vec<_>, Vec<_>) = pod
        .list("/spec/initContainers")
        .iter()
        .partition(|container| container["restartPolicy"] == "Always");
    let beside: i128 = beside.into_iter().map(of).sum();
    let before = before.into_iter().map(of).max().unwrap_or_default();
    let overhead = pod.text(&format!("/spec/overhead/{resource}"));
    (main + beside).max(before) + nanos(overhead).unwrap_or_default()
}

/// Keeps of a pod only what tells how much of its node it takes.
pub(super) fn pare(pod: &mut Value) {
    let containers = |list: &str| {
        let found = pod["spec"][list].as_array().into_iter().flatten();
        let kept = found.map(|it| {
            json!({ "restartPolicy": it["restartPolicy"],
                "resources": { "requests": it["resources"]["requests"] } })
        });
        kept.collect::<Value>()
    };
    *pod = json!({
        "spec": { "nodeName": pod["spec"]["nodeName"], "overhead": pod["spec"]["overhead"],
            "containers": containers("containers"),
            "initContainers": containers("initContainers") },
        "status": { "phase": pod["status"]["phase"] },
    });
}

/// The node that has most left of it, or most of it where the other pods could not be read.
fn room(scene: &Scene, resource: &str) -> Option<String> {
    let nodes = scene.nodes.as_ref()?.iter();
    let most = nodes.map(|node| {
        let all = allocatable(node, resource);
        let used = scene.neighbours.as_ref().map(|pods| {
            let here = pods.iter().filter(|pod| runs_on(pod, node.name()));
            here.map(|pod| requests(pod, resource)).sum::<i128>()
        });
        (all - used.unwrap_or_default(), all, used, node)
    });
    let (left, all, used, node) = most.max_by_key(|(left, ..)| *left)?;
    let all = written(resource, all);
    let name = node.name();
    Some(match used {
        Some(_) => {
            let left = written(resource, left.max(0));
            format!("node {name} has most left: {left} of {all}")
        }
        None => format!("node {name} has most: {all}"),
    })
}

fn allocatable(node: &Live, resource: &str) -> i128 {
    let amounts = node.texts("/status/allocatable");
    let amount = amounts.get(resource).and_then(|amount| nanos(amount));
    amount.unwrap_or_default()
}

fn runs_on(pod: &Live, node: &str) -> bool {
    let ended = matches!(pod.text("/status/phase"), "Succeeded" | "Failed");
    !ended && pod.text("/spec/nodeName") == node
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &str = "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory. \
         preemption: 0/1 nodes are available: 1 No preemption victims found.";

    fn pod(message: &str) -> Live {
        Live::new(json!({
            "spec": {
                "nodeSelector": { "disk": "ssd" },
                "initContainers": [{ "resources": { "requests": { "memory": "4Gi" } } }],
                "containers": [
                    { "resources": { "requests": { "cpu": "1500m", "memory": "1Gi" } } },
                    { "resources": { "requests": { "cpu": "1" } } },
                ],
            },
            "status": { "conditions": [{ "type": "PodScheduled", "status": "False",
                "reason": "Unschedulable", "message": message }] },
        }))
    }

    fn node(name: &str, cpu: &str, memory: &str) -> Live {
        Live::new(json!({ "metadata": { "name": name },
            "status": { "allocatable": { "cpu": cpu, "memory": memory } } }))
    }

    #[test]
    fn what_is_asked_and_what_there_is() {
        let pod = pod(MESSAGE);
        let mut scene = Scene::of(pod.clone());
        let why = "is not scheduled (Unschedulable: 0/1 nodes are available: 1 Insufficient cpu, \
                   1 Insufficient memory)";
        assert_eq!(
            sentence(&scene, &pod).expect("a sentence"),
            format!("{why}; it asks for 2500m cpu; it asks for 4Gi memory")
        );
        scene.nodes = Some(vec![node("one", "2", "2Gi"), node("two", "1", "3Gi")]);
        assert_eq!(
            sentence(&scene, &pod).expect("a sentence"),
            format!(
                "{why}; it asks for 2500m cpu, and node one has most: 2; \
                 it asks for 4Gi memory, and node two has most: 3Gi"
            )
        );
        let other = json!({ "spec": { "nodeName": "one",
            "containers": [{ "resources": { "requests": { "cpu": "1800m" } } }] } });
        scene.neighbours = Some(vec![Live::new(other)]);
        let said = sentence(&scene, &pod).expect("a sentence");
        assert!(
            said.contains("2500m cpu, and node two has most left: 1 of 1;"),
            "{said}"
        );
    }

    #[test]
    fn a_pod_that_is_pared_down_takes_as_much_of_its_node() {
        let whole = json!({
            "metadata": { "name": "web", "annotations": { "long": "x".repeat(4096) } },
            "spec": {
                "nodeName": "one", "overhead": { "cpu": "100m" }, "volumes": [{ "name": "data" }],
                "initContainers": [
                    { "name": "proxy", "restartPolicy": "Always",
                        "resources": { "requests": { "cpu": "200m" } } },
                    { "name": "first", "resources": { "requests": { "memory": "4Gi" } } }],
                "containers": [{ "name": "web", "env": [{ "name": "A", "value": "b" }],
                    "resources": { "requests": { "cpu": "1", "memory": "1Gi" },
                        "limits": { "cpu": "2" } } }, { "name": "bare" }],
            },
            "status": { "phase": "Running", "hostIP": "10.0.0.1" },
        });
        let mut pared = whole.clone();
        pare(&mut pared);
        assert!(pared.to_string().len() < 500, "{pared}");
        let (whole, pared) = (Live::new(whole), Live::new(pared));
        for resource in ["cpu", "memory", "pods", "nvidia.com/gpu"] {
            assert_eq!(requests(&pared, resource), requests(&whole, resource));
        }
        assert_eq!(requests(&pared, "cpu"), 1_300_000_000);
        assert!(runs_on(&pared, "one") && !runs_on(&pared, "two"));
        let mut nothing = json!({});
        pare(&mut nothing);
        assert_eq!(requests(&Live::new(nothing), "cpu"), 0);
    }

    #[test]
    fn a_selector_that_no_node_has_is_named() {
        let pod =
            pod("0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. ");
        assert_eq!(
            sentence(&Scene::of(pod.clone()), &pod).expect("a sentence"),
            "is not scheduled (Unschedulable: 0/1 nodes are available: 1 node(s) didn't match Pod's \
             node affinity/selector); its nodeSelector is disk=ssd"
        );
        let scheduled = Live::new(json!({}));
        assert_eq!(sentence(&Scene::of(scheduled.clone()), &scheduled), None);
    }
}
