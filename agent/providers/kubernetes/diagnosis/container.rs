//! What is wrong with the containers of a pod, by their status.

use serde_json::Value;

use super::super::live::Live;
use super::event;
use super::scene::{Scene, cut};

/// What keeps a container from being ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Its image does not come.
    Image,
    /// Something that its environment is made from is not there.
    Configuration,
    /// It cannot be made, for another reason that the kubelet says.
    Stuck,
    /// Its program has ended, perhaps more than once.
    Ended,
    /// It runs, and does not say that it is ready.
    Unready,
}

/// A container in trouble.
#[derive(Debug, Clone, Copy)]
pub(super) struct Container<'a> {
    pub(super) status: &'a Value,
    /// The part of the pod's specification that it is made from; null if that cannot be found.
    pub(super) spec: &'a Value,
    pub(super) trouble: Trouble,
}

const IMAGE: [&str; 6] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
];

const NOTHING: Value = Value::Null;

/// The container that keeps the pod from being ready: the first of those that run before the
/// others, then one that cannot run, then one that runs.
pub(super) fn worst(pod: &Live) -> Option<Container<'_>> {
    let init = in_trouble(pod, "/status/initContainerStatuses", "/spec/initContainers");
    let main: Vec<Container<'_>> =
        in_trouble(pod, "/status/containerStatuses", "/spec/containers").collect();
    let stuck = |container: &&Container<'_>| container.trouble != Trouble::Unready;
    let worst = main.iter().find(stuck).or(main.first()).copied();
    let mut init = init;
    init.next().or(worst)
}

fn in_trouble<'a>(
    pod: &'a Live,
    statuses: &str,
    specs: &str,
) -> impl Iterator<Item = Container<'a>> {
    let specs = pod.list(specs);
    pod.list(statuses).iter().filter_map(move |status| {
        let spec = specs.iter().find(|spec| spec["name"] == status["name"]);
        Some(Container {
            status,
            spec: spec.unwrap_or(&NOTHING),
            trouble: trouble(status)?,
        })
    })
}

fn trouble(status: &Value) -> Option<Trouble> {
    match text(status, "/state/waiting/reason") {
        // Every container starts so.
        "" | "ContainerCreating" | "PodInitializing" => {}
        "CrashLoopBackOff" => return Some(Trouble::Ended),
        "CreateContainerConfigError" => return Some(Trouble::Configuration),
        reason if IMAGE.contains(&reason) => return Some(Trouble::Image),
        _ => return Some(Trouble::Stuck),
    }
    if let Some(code) = status.pointer("/state/terminated/exitCode") {
        return (code != 0).then_some(Trouble::Ended);
    }
    let runs = status.pointer("/state/running").is_some();
    if !runs || status["ready"] == true {
        return None;
    }
    let ended = status.pointer("/lastState/terminated").is_some();
    Some(if ended {
        Trouble::Ended
    } else {
        Trouble::Unready
    })
}

pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_default()
}

impl Container<'_> {
    pub(super) fn name(&self) -> &str {
        text(self.status, "/name")
    }

    pub(super) fn restarts(&self) -> i64 {
        self.status["restartCount"].as_i64().unwrap_or_default()
    }

    /// Whether it runs again after it ended.
    pub(super) fn runs(&self) -> bool {
        self.status.pointer("/state/running").is_some()
    }

    /// How its program ended last.
    fn end(&self) -> Option<&Value> {
        let states = ["/state/terminated", "/lastState/terminated"];
        states
            .into_iter()
            .find_map(|state| self.status.pointer(state))
    }

    /// Why it cannot be made, in the kubelet's words.
    pub(super) fn waiting(&self) -> String {
        let reason = text(self.status, "/state/waiting/reason");
        match text(self.status, "/state/waiting/message") {
            "" => reason.to_owned(),
            message => format!("{reason}: {message}"),
        }
    }

    /// How it ended, how often, and its last words.
    pub(super) fn ended(&self, scene: &Scene, pod: &Live) -> String {
        let name = self.name();
        let how = match self.end() {
            Some(end) => self.how(end),
            None => "ends again and again (CrashLoopBackOff)".to_owned(),
        };
        let again = match self.restarts() {
            0 => String::new(),
            1 => " and was restarted once".to_owned(),
            count => format!(" and was restarted {count} times"),
        };
        let probe = event::of_container(&scene.events, pod, name, "Liveness probe");
        let probe = probe.map_or_else(String::new, |event| format!("; {}", event::said(event)));
        let log = last_words(&scene.log);
        let log = log.map_or_else(String::new, |line| format!("; its log ends: {line}"));
        format!("container {name} {how}{again}{probe}{log}")
    }

    fn how(&self, end: &Value) -> String {
        let code = end["exitCode"].as_i64().unwrap_or_default();
        let reason = text(end, "/reason");
        if reason == "OOMKilled" {
            let limit = match text(self.spec, "/resources/limits/memory") {
                "" => "it has no limit of its own, so the node's memory was used up".to_owned(),
                limit => format!("its limit is {limit}"),
            };
            return format!(
                "was killed for using too much memory (OOMKilled, exit code {code}; {limit})"
            );
        }
        let why = match reason {
            "" | "Error" | "Completed" => String::new(),
            reason => format!(" ({reason})"),
        };
        let message = match text(end, "/message").trim() {
            "" => String::new(),
            message => format!(": {}", cut(message, 300)),
        };
        match code {
            0 => format!("ended with exit code 0, and is to run on{why}{message}"),
            code => format!("ended with exit code {code}{why}{message}"),
        }
    }

    /// Which probe it does not pass, and what it answers.
    pub(super) fn unready(&self, scene: &Scene, pod: &Live) -> String {
        let name = self.name();
        let starts = self.status["started"] == false && self.spec.get("startupProbe").is_some();
        let (field, word) = if starts {
            ("startupProbe", "Startup probe")
        } else {
            ("readinessProbe", "Readiness probe")
        };
        let Some(probe) = self.spec.get(field) else {
            return format!("container {name} runs and is not ready");
        };
        let fails = event::of_container(&scene.events, pod, name, word);
        let fails = fails.map_or_else(String::new, |event| format!(": {}", event::said(event)));
        format!(
            "container {name} runs and does not pass its {field} ({}){fails}",
            asked(probe)
        )
    }
}

/// What a probe asks: `GET :8080/healthz`.
fn asked(probe: &Value) -> String {
    let port = |place: &str| {
        let port = &probe[place]["port"];
        port.as_str()
            .map_or_else(|| port.to_string(), str::to_owned)
    };
    if let Some(get) = probe.get("httpGet") {
        let host = text(get, "/host");
        return format!("GET {host}:{}{}", port("httpGet"), text(get, "/path"));
    }
    if probe.get("tcpSocket").is_some() {
        return format!("connect to :{}", port("tcpSocket"));
    }
    if probe.get("grpc").is_some() {
        return format!("gRPC :{}", port("grpc"));
    }
    let words = probe.pointer("/exec/command").and_then(Value::as_array);
    let words: Vec<&str> = words
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    cut(&words.join(" "), 100)
}

/// The last line of a log that speaks of trouble; else its last.
fn last_words(log: &[String]) -> Option<String> {
    const TROUBLE: [&str; 7] = [
        "error",
        "fatal",
        "panic",
        "exception",
        "fail",
        "cannot",
        "denied",
    ];
    let speaks = |line: &&String| {
        let line = line.to_lowercase();
        TROUBLE.iter().any(|word| line.contains(word))
    };
    let line = log.iter().rev().find(speaks).or(log.last())?;
    Some(cut(line, 200))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(status: &Value, spec: &Value) -> Live {
        Live::new(json!({ "metadata": { "uid": "p" }, "status": status, "spec": spec }))
    }

    fn ended(status: &Value, log: &[&str]) -> String {
        let limits = json!({ "limits": { "memory": "16Mi" } });
        let spec = json!({ "containers": [{ "name": "web", "resources": limits }],
                           "initContainers": [{ "name": "setup" }] });
        let pod = pod(status, &spec);
        let mut scene = Scene::of(pod.clone());
        scene.log = log.iter().map(|&line| line.to_owned()).collect();
        let worst = worst(&pod).expect("trouble");
        assert_eq!(worst.trouble, Trouble::Ended);
        worst.ended(&scene, &pod)
    }

    #[test]
    fn ends() {
        let waiting =
            json!({ "waiting": { "reason": "CrashLoopBackOff", "message": "back-off 10s" } });
        for (status, log, expected) in [
            (
                json!({ "containerStatuses": [{ "name": "web", "state": waiting, "restartCount": 2,
                    "lastState": { "terminated": { "exitCode": 3, "reason": "Error" } } }] }),
                vec!["start", "ERROR: no database", "  at main.c:3"],
                "container web ended with exit code 3 and was restarted 2 times; \
                 its log ends: ERROR: no database",
            ),
            (
                json!({ "containerStatuses": [{ "name": "web", "state": waiting, "restartCount": 1,
                    "lastState": { "terminated": { "exitCode": 137, "reason": "OOMKilled" } } }] }),
                vec![],
                "container web was killed for using too much memory (OOMKilled, exit code 137; its limit is 16Mi) \
                 and was restarted once",
            ),
            (
                json!({ "containerStatuses": [{ "name": "web", "ready": false, "restartCount": 1,
                    "state": { "running": {} },
                    "lastState": { "terminated": { "exitCode": 0, "reason": "Completed" } } }] }),
                vec!["bye"],
                "container web ended with exit code 0, and is to run on and was restarted once; \
                 its log ends: bye",
            ),
            (
                json!({ "initContainerStatuses": [{ "name": "setup", "state": { "terminated": {
                    "exitCode": 128, "reason": "StartError", "message": "no such file\n" } } }],
                    "containerStatuses": [{ "name": "web", "state": {
                        "waiting": { "reason": "PodInitializing" } } }] }),
                vec![],
                "container setup ended with exit code 128 (StartError): no such file",
            ),
        ] {
            assert_eq!(ended(&status, &log), expected);
        }
    }

    #[test]
    fn the_worst_container_is_chosen() {
        let status = json!({ "containerStatuses": [
            { "name": "web", "ready": false, "state": { "running": {} } },
            { "name": "side", "state": { "waiting": { "reason": "ErrImagePull" } } } ] });
        let pod = pod(&status, &json!({}));
        let worst = worst(&pod).expect("trouble");
        assert_eq!((worst.name(), worst.trouble), ("side", Trouble::Image));
    }

    #[test]
    fn a_pod_that_starts_or_is_done_has_no_trouble() {
        for status in [
            json!({}),
            json!({ "containerStatuses": [{ "name": "web", "ready": false,
                "state": { "waiting": { "reason": "ContainerCreating" } } }] }),
            json!({ "containerStatuses": [{ "name": "web", "ready": false,
                "state": { "terminated": { "exitCode": 0 } } }] }),
        ] {
            assert!(worst(&pod(&status, &json!({}))).is_none(), "{status}");
        }
    }

    #[test]
    fn a_probe_is_named_with_its_answer() {
        let probe = json!({ "httpGet": { "port": 8080, "path": "/healthz" } });
        let spec = json!({ "containers": [{ "name": "web", "readinessProbe": probe }] });
        let status = json!({ "containerStatuses": [{ "name": "web", "ready": false,
            "state": { "running": {} } }] });
        let pod = pod(&status, &spec);
        let mut scene = Scene::of(pod.clone());
        let container = worst(&pod).expect("trouble");
        assert_eq!(
            container.unready(&scene, &pod),
            "container web runs and does not pass its readinessProbe (GET :8080/healthz)"
        );
        scene.events = vec![Live::new(json!({ "type": "Warning", "reason": "Unhealthy",
            "message": "Readiness probe failed: HTTP probe failed with statuscode: 404",
            "involvedObject": { "uid": "p", "fieldPath": "spec.containers{web}" } }))];
        assert_eq!(
            container.unready(&scene, &pod),
            "container web runs and does not pass its readinessProbe (GET :8080/healthz): \
             Unhealthy: Readiness probe failed: HTTP probe failed with statuscode: 404"
        );
    }

    #[test]
    fn probes() {
        for (probe, expected) in [
            (json!({ "tcpSocket": { "port": "sql" } }), "connect to :sql"),
            (json!({ "grpc": { "port": 9 } }), "gRPC :9"),
            (
                json!({ "exec": { "command": ["pg_isready", "-q"] } }),
                "pg_isready -q",
            ),
        ] {
            assert_eq!(asked(&probe), expected);
        }
    }
}
