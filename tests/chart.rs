//! The chart, rendered by Helm: what `kubectl apply -f manifests/bootstrap.yaml` brings.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use firstlight::bundle::{Bundle, Options};
use firstlight::engine::Class;
use firstlight::rights::{Purpose, Role, Roles, Rule, needs};
use firstlight::settings::Otel;
use serde_json::{Value, json};

#[test]
fn bootstrap_is_the_chart_rendered() {
    let output = run(Command::new(root().join("manifests/bootstrap.sh")).arg("--check"));
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn the_chart_has_no_mistakes() {
    let output = run(helm().arg("lint").arg("--strict").arg(chart()));
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn the_chart_is_of_the_version_of_the_agent() {
    let text = std::fs::read_to_string(chart().join("Chart.yaml")).expect("a readable Chart.yaml");
    let chart: Value = serde_saphyr::from_str(&text).expect("Chart.yaml is YAML");
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_job_takes_each_exit_code_for_what_it_means() {
    // A bug may be one of the moment; another pod is tried.
    let is_permanent = |class: &Class| !class.is_transient() && *class != Class::Bug;
    let mut permanent: Vec<u8> = Class::ALL
        .into_iter()
        .filter(is_permanent)
        .map(Class::exit_code)
        .collect();
    permanent.sort_unstable();
    let job = one(&render(&[]), "Job");
    let rules = &job["spec"]["podFailurePolicy"]["rules"];
    assert_eq!(
        *rules,
        json!([
            {
                "action": "FailJob",
                "onExitCodes": { "containerName": "firstlight", "operator": "In", "values": permanent },
            },
            {
                "action": "Ignore",
                "onExitCodes": {
                    "containerName": "firstlight",
                    "operator": "In",
                    "values": [Class::Busy.exit_code()],
                },
            },
            {
                "action": "Ignore",
                "onPodConditions": [{ "type": "DisruptionTarget", "status": "True" }],
            },
        ])
    );
    let containers = &job["spec"]["template"]["spec"]["containers"];
    assert_eq!(
        containers[0]["name"],
        rules[0]["onExitCodes"]["containerName"]
    );
}

#[test]
fn the_cron_job_has_the_specification_of_the_job() {
    for settings in [
        &[][..],
        &[
            "--set",
            "values.cluster.name=c1,resources.limits.memory=1Gi",
        ],
    ] {
        let objects = render(settings);
        let (job, cron_job) = (one(&objects, "Job"), one(&objects, "CronJob"));
        assert_eq!(job["spec"], cron_job["spec"]["jobTemplate"]["spec"]);
        assert_eq!(cron_job["spec"]["suspend"], true);
    }
}

#[test]
fn another_configuration_is_another_job() {
    let name = |settings: &[&str]| {
        let job = one(&render(settings), "Job");
        job["metadata"]["name"]
            .as_str()
            .map(str::to_owned)
            .expect("a name")
    };
    let same: &[&[&str]] = &[
        &[],
        &["--set", "createNamespace=true"],
        &["--set", "cronJob.suspend=false"],
        &["--set", "profile=quickstart"],
        &["--is-upgrade"],
    ];
    let other: &[&[&str]] = &[
        &["--set", "image=registry.example/firstlight:1"],
        &["--set", "profile=other"],
        &["--set", "values.cluster.name=c1"],
        &["--set", "values.cluster.name=c2"],
        &["--set", "values.persistence.enabled=true"],
        &["--set", "telemetry.endpoint="],
        &["--set", "telemetry.headers.secret=token"],
        &["--set", "telemetry.spool.limit="],
        &["--set", "resources.limits.memory=1Gi"],
        &["--set", "backoffLimit=1"],
    ];
    let first = name(&[]);
    let hash = first.strip_prefix("firstlight-").expect("the agent's name");
    assert_eq!(hash.len(), 10, "{first}");
    assert!(hash.chars().all(|c| c.is_ascii_hexdigit()), "{first}");
    for settings in same {
        assert_eq!(name(settings), first, "{settings:?}");
    }
    let mut names: Vec<String> = other.iter().map(|settings| name(settings)).collect();
    names.push(first);
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(
        names.len(),
        count,
        "two configurations have one name: {names:?}"
    );
}

#[test]
fn the_roles_are_exactly_those_that_the_quickstart_takes() {
    let options = Options {
        root: root().to_path_buf(),
        profile: Some("quickstart".to_owned()),
        namespace: "lens".to_owned(),
        ..Options::default()
    };
    let bundle = Bundle::load(&options).expect("the repository is a bundle");
    let roles = Roles::of(&needs(&bundle, Purpose::Run), "lens");
    let objects = render(&[]);
    let shipped = [one(&objects, "Role"), one(&objects, "ClusterRole")];
    let shipped: Vec<&Value> = shipped.iter().map(|role| &role["rules"]).collect();
    let computed: Vec<Value> = roles.0.iter().map(rules).collect();
    let hint = "write into the chart what `firstlight rbac --profile quickstart` prints";
    assert_eq!(shipped, computed.iter().collect::<Vec<_>>(), "{hint}");
}

#[test]
fn with_the_opentelemetry_operator_the_roles_are_exactly_those_that_it_takes() {
    let options = Options {
        root: root().to_path_buf(),
        profile: Some("quickstart".to_owned()),
        namespace: "lens".to_owned(),
        set: vec!["collector.operator.enabled=true".to_owned()],
        ..Options::default()
    };
    let bundle = Bundle::load(&options).expect("the repository is a bundle");
    let roles = Roles::of(&needs(&bundle, Purpose::Run), "lens");
    let computed = roles
        .0
        .iter()
        .map(|role| (json!(role.namespace), rules(role)));
    let objects = render(&["--set", "values.collector.operator.enabled=true"]);
    let shipped = objects.iter().filter(|it| it["rules"].is_array());
    let shipped =
        shipped.map(|role| (role["metadata"]["namespace"].clone(), role["rules"].clone()));
    assert_eq!(each_rule(shipped), each_rule(computed));
}

/// Rules of several Roles with their namespaces, in an order that does not depend on the Role.
fn each_rule(all: impl Iterator<Item = (Value, Value)>) -> Vec<String> {
    let mut told: Vec<String> = all
        .flat_map(|(namespace, rules)| {
            let rules = rules.as_array().cloned().unwrap_or_default();
            rules
                .into_iter()
                .map(move |rule| format!("{namespace}: {rule}"))
        })
        .collect();
    told.sort();
    told
}

/// The rules as Kubernetes has them.
fn rules(role: &Role) -> Value {
    let shown = |one: &Rule| {
        let verbs: Vec<&str> = one.verbs.iter().map(|verb| verb.as_str()).collect();
        let mut entry = json!({
            "apiGroups": [one.group],
            "resources": [one.resource],
            "verbs": verbs,
        });
        if !one.names.is_empty() {
            entry["resourceNames"] = json!(one.names);
        }
        entry
    };
    role.rules.iter().map(shown).collect()
}

#[test]
fn values_of_the_bundle_are_checked_by_the_bundle_s_schema() {
    for (setting, complaint) in [
        (
            "values.clustr.name=c1",
            "additional properties 'clustr' not allowed",
        ),
        (
            "values.persistence.enabled=perhaps",
            "got string, want boolean",
        ),
        ("values.images.postgres=a b", "does not match pattern"),
        (
            "values.collector.alsoTo.headers.authorization=Bearer",
            "'not' failed",
        ),
        ("telemetry.protocol=http/json", "value must be one of"),
        ("telemetry.spool.limit=lots", "does not match pattern"),
        (
            "profil=quickstart",
            "additional properties 'profil' not allowed",
        ),
    ] {
        let output = run(helm()
            .args(["template", "lens"])
            .arg(chart())
            .args(["--set", setting]));
        assert!(!output.status.success(), "{setting} was taken");
        assert!(
            said(&output).contains(complaint),
            "{setting}: {}",
            said(&output)
        );
    }
}

#[test]
fn values_reach_the_agent_as_they_were_given() {
    assert_eq!(
        values(&["--set", "values.cluster.name=c1"]),
        json!({ "cluster": { "name": "c1" } })
    );
}

#[test]
fn telemetry_is_off_without_an_endpoint() {
    let nowhere = &["--set", "telemetry.endpoint="];
    let shipped: Vec<String> = telemetry(&pod(&[])).into_keys().collect();
    assert_eq!(
        shipped,
        [
            "FIRSTLIGHT_SPOOL_DIR",
            "FIRSTLIGHT_SPOOL_LIMIT",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "OTEL_SERVICE_NAME",
        ]
    );
    let off: Vec<String> = telemetry(&pod(nowhere)).into_keys().collect();
    assert_eq!(off, ["OTEL_SERVICE_NAME"]);
    assert_eq!(pod(nowhere)["volumes"].as_array().map(Vec::len), Some(1));
    assert_eq!(values(&[]), json!({}));
    assert_eq!(
        values(nowhere),
        json!({ "telemetry": { "enabled": false } }),
        "checks do not look for a trace that nobody sends"
    );
}

#[test]
fn checks_look_for_the_run_only_behind_the_stack_s_own_collector() {
    let at = |endpoint: &str| values(&["--set", &format!("telemetry.endpoint={endpoint}")]);
    for own in [
        "http://otel-collector.{{ .Release.Namespace }}.svc:4318",
        "http://otel-collector.lens.svc:4318/",
        "http://otel-collector.lens.svc.cluster.local:4317",
        "otel-collector.lens.svc:4317",
    ] {
        assert_eq!(at(own), json!({}), "{own}");
    }
    for other in [
        "https://otlp.example.com:4317",
        "http://otel-collector.monitoring.svc:4318",
        "http://my-otel-collector.lens.svc:4318",
        "http://otel-collector.lens.svc:4318/tenant",
    ] {
        let off = json!({ "telemetry": { "enabled": false } });
        assert_eq!(at(other), off, "{other}");
    }
    let passed_on = values(&[
        "--set",
        "telemetry.endpoint=http://gateway.monitoring.svc:4318,values.telemetry.enabled=true",
    ]);
    assert_eq!(passed_on, json!({ "telemetry": { "enabled": true } }));
}

#[test]
fn what_does_not_arrive_at_once_waits_on_a_bounded_volume() {
    let pod = pod(&[]);
    let spool = named(&pod["volumes"], "spool");
    assert_eq!(spool["emptyDir"], json!({ "sizeLimit": "1Gi" }));
    let mount = named(&pod["containers"][0]["volumeMounts"], "spool");
    assert_eq!(telemetry(&pod)["FIRSTLIGHT_SPOOL_DIR"], mount["mountPath"]);
    assert!(mount["readOnly"].is_null(), "{mount}");
}

#[test]
fn telemetry_goes_where_and_how_the_values_say() {
    const SETTINGS: [&str; 9] = [
        "telemetry.endpoint=https://{{ .Release.Namespace }}.example.com:4317",
        "telemetry.protocol=grpc",
        "telemetry.headers.secret=token",
        "telemetry.ca.configMap=authorities",
        "telemetry.client.secret=identity",
        "telemetry.resourceAttributes.team=a b+c=d",
        "telemetry.resourceAttributes.deployment\\.environment\\.name=prod",
        "telemetry.sampler.name=parentbased_traceidratio",
        "telemetry.spool.limit=",
    ];
    let set: Vec<&str> = SETTINGS.iter().flat_map(|one| ["--set", one]).collect();
    let argument = ["--set-string", "telemetry.sampler.argument=0.5"];
    let pod = pod(&[&set[..], &argument].concat());
    let wanted = json!({
        "OTEL_SERVICE_NAME": "firstlight",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://lens.example.com:4317",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_EXPORTER_OTLP_HEADERS": { "secretKeyRef": { "name": "token", "key": "headers" } },
        "OTEL_EXPORTER_OTLP_CERTIFICATE": "/telemetry/ca/ca.crt",
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": "/telemetry/client/tls.crt",
        "OTEL_EXPORTER_OTLP_CLIENT_KEY": "/telemetry/client/tls.key",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=prod,team=a%20b%2Bc%3Dd",
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0.5",
    });
    assert_eq!(json!(telemetry(&pod)), wanted);
    for (volume, source) in [
        (
            "telemetry-ca",
            json!({ "configMap": { "name": "authorities" } }),
        ),
        (
            "telemetry-client",
            json!({ "secret": { "secretName": "identity" } }),
        ),
    ] {
        let mut found = named(&pod["volumes"], volume);
        found.as_object_mut().and_then(|it| it.remove("name"));
        assert_eq!(found, source);
        let mount = named(&pod["containers"][0]["volumeMounts"], volume);
        assert_eq!(mount["readOnly"], true);
    }
}

#[test]
fn the_agent_reads_what_the_chart_writes() {
    let pod = pod(&["--set", "telemetry.resourceAttributes.team=a b+c=d"]);
    let variables = telemetry(&pod).into_iter();
    let variables = variables.map(|(name, value)| (name, value.as_str().unwrap_or("").to_owned()));
    let otel = Otel::from_vars(variables);
    assert_eq!(otel.mistakes, []);
    assert_eq!(
        otel.resource_attributes,
        [("team".to_owned(), "a b+c=d".to_owned())]
    );
    let traces = otel.traces.expect("an endpoint");
    assert_eq!(traces.url, "http://otel-collector.lens.svc:4318/v1/traces");
}

/// The specification of the Job's pod.
fn pod(settings: &[&str]) -> Value {
    one(&render(settings), "Job")["spec"]["template"]["spec"].clone()
}

/// The variables of telemetry, each with its value or where it comes from.
fn telemetry(pod: &Value) -> BTreeMap<String, Value> {
    let variables = pod["containers"][0]["env"].as_array().cloned();
    let variables = variables.expect("variables").into_iter();
    let pairs = variables.map(|variable| {
        let name = variable["name"].as_str().unwrap_or_default().to_owned();
        let value = variable.get("value").unwrap_or(&variable["valueFrom"]);
        (name, value.clone())
    });
    pairs
        .filter(|(name, _)| name.starts_with("OTEL_") || name.starts_with("FIRSTLIGHT_SPOOL"))
        .collect()
}

fn named(list: &Value, name: &str) -> Value {
    let mut list = list.as_array().expect("a list").iter();
    let found = list.find(|one| one["name"] == name);
    found.unwrap_or_else(|| panic!("no {name}")).clone()
}

/// The values that the agent gets.
#[test]
fn the_job_belongs_to_the_trace_of_whoever_installs() {
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let key = "firstlight.dev/traceparent";
    let objects = render(&["--set", &format!("traceparent={traceparent}")]);
    let template = &one(&objects, "Job")["spec"]["template"];
    assert_eq!(template["metadata"]["annotations"][key], traceparent);
    let environment = template["spec"]["containers"][0]["env"].as_array();
    let variable = environment
        .into_iter()
        .flatten()
        .find(|variable| variable["name"] == "TRACEPARENT");
    let path = &variable.expect("the variable")["valueFrom"]["fieldRef"]["fieldPath"];
    assert_eq!(*path, format!("metadata.annotations['{key}']"));
    // What the CronJob runs later is not a part of it.
    let later = &one(&objects, "CronJob")["spec"]["jobTemplate"]["spec"]["template"];
    assert!(later["metadata"]["annotations"][key].is_null(), "{later}");
}

fn values(settings: &[&str]) -> Value {
    let data = one(&render(settings), "ConfigMap")["data"]["values.yaml"].clone();
    serde_saphyr::from_str(data.as_str().expect("text")).expect("YAML")
}

/// The objects of the chart, rendered for the namespace `lens`.
fn render(settings: &[&str]) -> Vec<Value> {
    let output = run(helm()
        .args(["template", "lens", "--namespace", "lens"])
        .arg(chart())
        .args(settings));
    assert!(output.status.success(), "{settings:?}: {}", said(&output));
    let text = String::from_utf8(output.stdout).expect("Helm prints text");
    serde_saphyr::from_multiple(&text).expect("Helm prints YAML")
}

fn one(objects: &[Value], kind: &str) -> Value {
    let mut found = objects.iter().filter(|object| object["kind"] == kind);
    let object = found
        .next()
        .unwrap_or_else(|| panic!("no {kind} in the chart"))
        .clone();
    assert!(found.next().is_none(), "more than one {kind} in the chart");
    object
}

/// Helm from the test bed's cache. Its script knows where that is, and builds it when it is not there.
fn helm() -> Command {
    const WHERE: &str = "tests/testbed/build/helm/build.sh >&2 && \
        . tests/testbed/build/cache.sh && echo \"$CACHE/helm/$HELM_VERSION/helm\"";
    let output = run(Command::new("bash")
        .args(["-euc", WHERE])
        .current_dir(root()));
    assert!(output.status.success(), "{}", said(&output));
    Command::new(String::from_utf8_lossy(&output.stdout).trim())
}

fn run(command: &mut Command) -> Output {
    command
        .output()
        .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"))
}

fn said(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&both).into_owned()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn chart() -> PathBuf {
    root().join("manifests/chart")
}
