//! A stack that is broken on purpose, and what a run of it says.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use std::thread;

use regex::Regex;

use crate::place::Place;
use crate::webhook;

/// How long the step that is broken may take.
const TIMEOUT: &str = "20s";

/// Who serves the definition, for the steps that apply one of its objects. Whether it is ready is
/// not what is told of here.
const GATE: &str = "  - name: gate
    needs: [before]
    optional: true
    timeout: 2s
    steps:
      - operator: { name: widget-operator, selector: { app: widget-operator }, crds: [widgets.firstlight.test] }
";

/// A file of `stacks/`, what is done before it is applied and after it was told of.
struct Stack {
    /// The heading of its sentence in docs/diagnosis.md.
    title: &'static str,
    file: &'static str,
    before: fn(&Place),
    after: fn(&Place),
    /// Whether it is run by somebody who may not read logs.
    limited: bool,
}

impl Stack {
    const fn new(title: &'static str, file: &'static str) -> Self {
        Self {
            title,
            file,
            before: |_| {},
            after: |_| {},
            limited: false,
        }
    }

    const fn with(self, before: fn(&Place), after: fn(&Place)) -> Self {
        Self {
            before,
            after,
            ..self
        }
    }
}

const STACKS: [Stack; 19] = [
    Stack::new("An image that does not exist", "image"),
    Stack::new("A Secret without the key", "secret-key"),
    Stack::new("A container that takes too much memory", "memory"),
    Stack::new("A quota that is used up", "quota"),
    Stack::new("A pod that no node has room for", "unschedulable"),
    Stack::new("A claim whose class does not exist", "claim"),
    Stack::new("A probe that fails", "probe"),
    Stack::new("A namespace that forbids the pod", "pod-security").with(restrict, |_| {}),
    Stack::new("A webhook that denies", "webhook").with(webhook::deny, webhook::remove),
    Stack::new("A webhook whose server is down", "webhook")
        .with(webhook::lead_nowhere, webhook::remove),
    Stack::new("A finalizer that nobody takes away", "finalizer").with(delete_held, let_go),
    Stack::new("An operator that is scaled to zero", "operator"),
    Stack::new(
        "An operator that watches other namespaces",
        "operator-elsewhere",
    ),
    Stack::new("An operator without a right", "operator-rights"),
    Stack::new(
        "An operator that does not renew its Lease",
        "operator-lease",
    ),
    Stack::new("A program that ends again and again", "crash"),
    Stack {
        limited: true,
        ..Stack::new("A log that may not be read", "crash")
    },
    Stack::new("A Job that fails", "job"),
    Stack::new("A Service that selects no pod", "service"),
];

fn restrict(place: &Place) {
    let label = "pod-security.kubernetes.io/enforce=restricted";
    place.kubectl(&["label", "namespace", &place.namespace, label]);
}

/// Deletes an object whose finalizer is nobody's.
fn delete_held(place: &Place) {
    let object = "apiVersion: v1
kind: ConfigMap
metadata: { name: shop, finalizers: [example.com/keep] }
";
    place.kubectl_with(&["create", "-f", "-"], object);
    place.kubectl(&["delete", "configmap", "shop", "--wait=false"]);
}

fn let_go(place: &Place) {
    let none = r#"{"metadata":{"finalizers":[]}}"#;
    place.kubectl(&["patch", "configmap", "shop", "--type=merge", "-p", none]);
}

/// How a run ended, in words that are the same each time.
struct Ended {
    place: Place,
    code: Option<i32>,
    output: String,
    sentence: String,
}

/// All of them at once, when the first is asked for. One whose run could not be made has the reason.
static ENDED: LazyLock<BTreeMap<&str, Result<Ended, String>>> = LazyLock::new(|| {
    thread::scope(|scope| {
        let runs = STACKS.map(|stack| (stack.title, scope.spawn(move || run(&stack))));
        runs.into_iter()
            .map(|(title, run)| (title, run.join().map_err(|panic| said(panic.as_ref()))))
            .collect()
    })
});

/// The run of this stack ended with this code and with the sentence of docs/diagnosis.md.
pub(crate) fn told(title: &str, code: i32) {
    let stack = STACKS.iter().find(|stack| stack.title == title);
    let stack = stack.expect("a stack of this title");
    let ended = match ENDED.get(title).expect("it was run") {
        Ok(ended) => ended,
        Err(said) => panic!("{said}"),
    };
    let Ended {
        output, sentence, ..
    } = ended;
    assert_eq!(ended.code, Some(code), "{output}");
    assert_eq!(*sentence, documented(title), "{output}");
    (stack.after)(&ended.place);
    ended.place.remove();
}

/// The output of this stack's run shows all of this below the failure.
pub(crate) fn shown(title: &str, lines: &[&str]) {
    let Some(Ok(ended)) = ENDED.get(title) else {
        panic!("no run of {title}");
    };
    for line in lines {
        assert!(ended.output.contains(line), "{line}: {}", ended.output);
    }
}

fn said(panic: &(dyn Any + Send)) -> String {
    let said = panic.downcast_ref::<String>().cloned();
    said.unwrap_or_else(|| "its run panicked".to_owned())
}

fn run(stack: &Stack) -> Ended {
    let place = Place::new(stack.file);
    (stack.before)(&place);
    let bundle = tempfile::tempdir().expect("a folder");
    write_bundle(bundle.path(), stack.file);
    let mut kubeconfig = place.cluster.kubeconfig.clone();
    if stack.limited {
        kubeconfig = bundle.path().join("kubeconfig");
        std::fs::write(&kubeconfig, place.limited_user()).expect("a file");
    }
    let output = Command::new(env!("CARGO_BIN_EXE_firstlight"))
        .env_clear()
        .env("KUBECONFIG", kubeconfig)
        .env("FIRSTLIGHT_BUNDLE", bundle.path())
        .env("FIRSTLIGHT_NAMESPACE", &place.namespace)
        .output()
        .expect("the program runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = text(&output.stdout);
    Ended {
        sentence: redacted(said.lines().last().unwrap_or_default(), &place.namespace),
        code: output.status.code(),
        output: said + &text(&output.stderr),
        place,
    }
}

fn write_bundle(bundle: &Path, file: &str) {
    let stacks = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken/stacks");
    let manifests = bundle.join("manifests");
    std::fs::create_dir_all(&manifests).expect("a folder");
    let read = |name: &str| std::fs::read_to_string(stacks.join(format!("{name}.yaml")));
    let write = |name: &str, text: &str| {
        std::fs::write(manifests.join(name), text).expect("a file");
    };
    let is_operator = file.starts_with("operator");
    let mut phases = String::new();
    if let Ok(mut before) = read(&format!("{file}-before")) {
        if is_operator {
            let definition = read("definition").expect("a definition");
            before = format!("{definition}---\n{before}");
        }
        write("before.yaml", &before);
        phases.push_str(
            "  - name: before\n    steps: [{ apply: { path: manifests/before.yaml } }]\n",
        );
    }
    // Of a kind of our own nobody else can say when it is ready.
    let (broken, ready) = if is_operator {
        ("operator", ", ready: condition")
    } else {
        (file, "")
    };
    write("shop.yaml", &read(broken).expect("a stack"));
    let _ = write!(
        phases,
        "  - name: shop\n    timeout: {TIMEOUT}\n    steps: [{{ apply: {{ path: manifests/shop.yaml{ready} }} }}]\n"
    );
    if is_operator {
        phases.push_str(GATE);
    }
    let text = format!(
        "apiVersion: firstlight.dev/v1alpha1\nkind: Bundle\nmetadata: {{ name: shop }}\nphases:\n{phases}"
    );
    write("bundle.yaml", &text);
}

/// Names and numbers that are others each time.
fn redacted(sentence: &str, namespace: &str) -> String {
    let patterns = [
        (r"waited \d+\.\ds", "waited 20s"),
        (
            r"\bweb-[0-9a-f]{6,10}-[0-9a-z]{5}\b",
            "web-6fbb4466d9-6pxl6",
        ),
        (r"\bweb-[0-9a-f]{6,10}\b", "web-6fbb4466d9"),
        (r"\bimport-[0-9a-z]{5}\b", "import-dxf2p"),
        (r"restarted (once|\d+ times)", "restarted 2 times"),
        (r"\b10\.96\.\d+\.\d+\b", "10.96.0.7"),
        (r"most left: \S+ of \d+\)", "most left: 1980m of 2)"),
        (r"since [0-9TZ:-]{20}", "since 2026-01-01T00:00:00Z"),
    ];
    let mut text = sentence.replace(namespace, "lens");
    for (pattern, with) in patterns {
        let pattern = Regex::new(pattern).expect("a pattern");
        text = pattern.replace_all(&text, with).into_owned();
    }
    text
}

/// The sentence below a heading of docs/diagnosis.md.
fn documented(title: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/diagnosis.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let below = page.split_once(&format!("### {title}\n"));
    let sentence = below.and_then(|(_, below)| below.split("```text\n").nth(1));
    let sentence = sentence.and_then(|fenced| fenced.split("\n```").next());
    sentence
        .unwrap_or("docs/diagnosis.md does not tell")
        .to_owned()
}
