//! Bundles from files: one that is right, and many that are wrong, each in its own way.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use firstlight::assemble::read_sql;
use firstlight::bundle::{Action, Body, Bundle, Node, Options, render};
use firstlight::secret::Setting;

fn options(case: &str) -> Options {
    Options {
        root: PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("tests/bundles")
            .join(case),
        namespace: "lens".to_owned(),
        ..Options::default()
    }
}

fn good() -> Bundle {
    let options = Options {
        profile: Some("quickstart".to_owned()),
        ..options("good")
    };
    Bundle::load(&options).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

#[test]
fn what_a_bundle_is_made_from_has_a_digest() {
    let digest = |change: &dyn Fn(&mut Options)| {
        let mut options = Options {
            profile: Some("quickstart".to_owned()),
            ..options("good")
        };
        change(&mut options);
        let bundle = Bundle::load(&options);
        bundle
            .unwrap_or_else(|mistakes| panic!("{mistakes}"))
            .digest
    };
    let one = digest(&|_| {});
    assert_eq!(one.len(), 64);
    assert_eq!(digest(&|_| {}), one);
    let folder = tempfile::tempdir().expect("a folder");
    let values = folder.path().join("values.yaml");
    fs::write(&values, "# nothing\n").expect("a file");
    let others: [&dyn Fn(&mut Options); 3] = [
        &|options| options.namespace = "third".to_owned(),
        &|options| options.set = vec!["replicas=3".to_owned()],
        &|options| options.values_files = vec![values.clone()],
    ];
    for other in others {
        assert_ne!(digest(other), one);
    }
}

/// The mistakes of a bundle, as a person reads them.
fn mistakes(options: &Options) -> String {
    let read = |bundle: Bundle| read_sql(&bundle).map(|()| bundle.name);
    match Bundle::load(options).and_then(read) {
        Ok(name) => panic!("the bundle {name} has no mistake"),
        Err(mistakes) => mistakes.to_string(),
    }
}

fn kind(action: &Action) -> String {
    let debug = format!("{action:?}");
    debug
        .split(['(', ' '])
        .next()
        .unwrap_or_default()
        .to_lowercase()
}

fn graph(nodes: &[Node], into: &mut String) {
    for node in nodes {
        let what = match &node.body {
            Body::Group(_) => "group".to_owned(),
            Body::Step(step) => kind(&step.action),
        };
        write!(into, "{} [{what}] {}", node.id, node.location).expect("text");
        if let Body::Step(step) = &node.body {
            let optional = if step.optional { " optional" } else { "" };
            write!(into, " {:?} {:?}{optional}", step.timeout, step.no_progress).expect("text");
        }
        into.push('\n');
        for need in &node.needs {
            writeln!(into, "    needs {need}").expect("text");
        }
        if let Body::Group(nodes) = &node.body {
            graph(nodes, into);
        }
    }
}

/// Compares a text with the committed one of this name.
fn same_as_committed(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("bundles/snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn a_good_bundle_becomes_a_graph() {
    let mut text = String::new();
    graph(&good().phases, &mut text);
    same_as_committed("good-graph", &text);
}

#[test]
fn a_good_bundle_is_rendered_without_secrets() {
    let bundle = good();
    let yaml = render::yaml(&bundle).expect("it can be written");
    assert!(!yaml.contains("hidden in a rendering"), "{yaml}");
    assert!(
        !render::json(&bundle)
            .to_string()
            .contains("hidden in a rendering")
    );
    same_as_committed("good-rendered", &yaml);
}

#[test]
fn what_is_said_of_postgres_is_read_whole() {
    let bundle = Bundle::load(&options("postgres"));
    let bundle = bundle.unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let yaml = render::yaml(&bundle).expect("it can be written");
    same_as_committed("postgres", &yaml);
}

#[test]
fn each_bad_bundle_says_all_that_is_wrong_with_it() {
    let cases = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/bundles");
    let mut names: Vec<String> = fs::read_dir(cases)
        .expect("the cases")
        .map(|entry| {
            entry
                .expect("a case")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .filter(|name| !["good", "postgres", "server-inside", "snapshots"].contains(&name.as_str()))
        .collect();
    names.sort();
    assert!(names.len() >= 10, "{names:?}");
    for name in names {
        same_as_committed(&name, &mistakes(&options(&name)));
    }
}

#[test]
fn arguments_that_are_wrong_are_told_like_files() {
    let options = Options {
        profile: Some("quikstart".to_owned()),
        values_files: vec![PathBuf::from("no/such/values.yaml")],
        set: vec!["replicas".to_owned()],
        ..options("good")
    };
    same_as_committed("arguments", &mistakes(&options));
    let options = Options {
        set: vec![
            "postgres.host=pg,replicas=1.5".to_owned(),
            "postgres.port=high".to_owned(),
        ],
        ..self::options("good")
    };
    same_as_committed("arguments-values", &mistakes(&options));
}

#[test]
fn a_value_that_is_never_read_back_is_in_no_mistake() {
    let given = tempfile::NamedTempFile::new().expect("a file");
    fs::write(given.path(), "pin: opensesame\n").expect("written");
    let by_file = Options {
        values_files: vec![given.path().to_owned()],
        ..options("good")
    };
    let by_argument = Options {
        set: vec!["pin=opensesame,replicas=0".to_owned()],
        ..options("good")
    };
    for options in [by_file, by_argument] {
        let said = mistakes(&options);
        let wrong = "the value `pin` is (sensitive), but must match ^[0-9]+$";
        assert!(said.contains(wrong), "{said}");
        assert!(!said.contains("opensesame"), "{said}");
    }
    let cut_off = Options {
        set: vec!["pin=opensesame,replicas".to_owned()],
        ..options("good")
    };
    let said = mistakes(&cut_off);
    assert!(said.contains("--set 'pin=…"), "{said}");
    assert!(!said.contains("opensesame"), "{said}");
}

#[test]
fn a_root_that_is_not_there_is_said() {
    let options = Options {
        root: PathBuf::from("no/such/bundle"),
        ..Options::default()
    };
    assert_eq!(
        mistakes(&options),
        "no/such/bundle: the bundle's root cannot be opened: No such file or directory (os error 2)"
    );
}

#[test]
fn later_values_win() {
    let given = tempfile::NamedTempFile::new().expect("a file");
    fs::write(given.path(), "postgres: { host: given, port: 1 }\n").expect("written");
    let options = Options {
        profile: Some("quickstart".to_owned()),
        values_files: vec![given.path().to_owned()],
        set: vec!["postgres.port=6543".to_owned()],
        ..options("good")
    };
    let bundle = Bundle::load(&options).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let postgres = bundle.servers.postgres.expect("it is in the bundle");
    assert_eq!(
        (postgres.host, postgres.port),
        (Setting::Known("given.lens.svc".to_owned()), 6543.into())
    );
    assert_eq!(bundle.values["replicas"], 1);
    assert_eq!(bundle.values["shards"], 1);
}

#[test]
fn a_thousand_documents_load_fast() {
    let root = tempfile::tempdir().expect("a folder");
    let manifests = root.path().join("manifests");
    fs::create_dir_all(manifests.join("many")).expect("a folder");
    let bundle = "apiVersion: firstlight.dev/v1alpha1\nkind: Bundle\nmetadata: { name: many }\n\
                  phases: [{ name: one, steps: [{ apply: { path: manifests/many } }] }]\n";
    fs::write(manifests.join("bundle.yaml"), bundle).expect("written");
    for file in 0..100 {
        let mut text = String::new();
        for document in 0..10 {
            let kind = if document % 2 == 0 {
                "v1\nkind: ConfigMap"
            } else {
                "apps/v1\nkind: Deployment"
            };
            write!(
                text,
                "---\napiVersion: {kind}\nmetadata: {{ name: \"{{{{ namespace }}}}-{file}-{document}\" }}\n\
                 data:\n  key: [1, two, {{ three: 4 }}]\n  other: |\n    some text\n    of two lines\n"
            )
            .expect("text");
        }
        fs::write(manifests.join(format!("many/{file}.yaml")), text).expect("written");
    }
    let options = Options {
        root: root.path().to_owned(),
        ..Options::default()
    };
    let started = Instant::now();
    let bundle = Bundle::load(&options).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let took = started.elapsed();
    println!("1,000 documents took {took:?}");
    let Body::Group(steps) = &bundle.phases[0].body else {
        panic!("a phase is a group");
    };
    let Body::Group(documents) = &steps[0].body else {
        panic!("a folder is a group");
    };
    let steps: usize = documents.iter().map(Node::steps).sum();
    assert_eq!(steps, 1000);
    // Far above what it takes even without optimisation on a busy machine; far below what it
    // would take if the work grew with the square of the documents.
    assert!(took < Duration::from_mins(1), "{took:?}");
}

/// A bundle of these phases alone, in a folder of its own.
fn phases(yaml: &str) -> (tempfile::TempDir, Options) {
    let root = tempfile::tempdir().expect("a folder");
    fs::create_dir(root.path().join("manifests")).expect("a folder");
    let head =
        "apiVersion: firstlight.dev/v1alpha1\nkind: Bundle\nmetadata: { name: x }\nphases:\n";
    fs::write(
        root.path().join("manifests/bundle.yaml"),
        format!("{head}{yaml}"),
    )
    .expect("written");
    let options = Options {
        root: root.path().to_owned(),
        ..Options::default()
    };
    (root, options)
}

/// The ids of a bundle's nodes, each with its needs.
fn needs(yaml: &str) -> String {
    fn add(nodes: &[Node], into: &mut String) {
        for node in nodes {
            writeln!(into, "{} <- {}", node.id, node.needs.join(" ")).expect("text");
            if let Body::Group(nodes) = &node.body {
                add(nodes, into);
            }
        }
    }
    let (_root, options) = phases(yaml);
    let bundle = Bundle::load(&options).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let mut text = String::new();
    add(&bundle.phases, &mut text);
    text
}

#[test]
fn who_needs_what_a_condition_dropped_needs_what_that_needed() {
    let text = needs(
        "- { name: a, steps: [{ secret: { name: one, generate: { p: 32 } } }] }
- { name: b, when: false, steps: [{ secret: { name: two, generate: { p: 32 } } }] }
- { name: c, steps: [{ secret: { name: three, generate: { p: 32 } } }] }
- name: d
  needs: [b/two, c]
  steps:
    - { secret: { name: x, generate: { p: 32 } } }
    - { secret: { name: y, generate: { p: 32 } }, needs: [x], when: 1 > 2 }
    - { secret: { name: z, generate: { p: 32 } }, needs: [y] }
",
    );
    assert_eq!(
        text,
        "a <- \na/one <- \nc <- a\nc/three <- \nd <- a c\nd/x <- \nd/z <- d/x\n"
    );
}

#[test]
fn loading_is_deterministic() {
    let first = format!("{:?}", good());
    for _ in 0..3 {
        assert_eq!(format!("{:?}", good()), first);
    }
}

#[test]
fn the_bundle_of_this_repository_is_right() {
    let options = Options {
        root: PathBuf::from(env!("CARGO_MANIFEST_DIR")),
        profile: Some("quickstart".to_owned()),
        namespace: "lens".to_owned(),
        ..Options::default()
    };
    let bundle = Bundle::load(&options).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_eq!(bundle.name, "lens");
}

#[test]
fn an_object_that_no_api_server_takes_is_told_before_anything_is_written() {
    let (root, options) = phases(
        "  - name: one
    steps:
      - apply: { path: manifests/large.yaml }
",
    );
    let line = "x".repeat(1023);
    let text = format!("    {line}\n").repeat(5 * 1024);
    let document = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: large }}\ndata:\n  text: |\n{text}"
    );
    fs::write(root.path().join("manifests/large.yaml"), document).expect("a file");
    let said = mistakes(&options);
    assert!(
        said.contains("this ConfigMap has 5.0 MiB, more than the 1.0 MiB that an API server takes"),
        "{said}"
    );
    assert!(said.contains("manifests/large.yaml:1:1"), "{said}");
}
