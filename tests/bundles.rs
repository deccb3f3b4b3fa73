//! Bundles from files: one that is right, and many that are wrong, each in its own way.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use firstlight::bundle::{Action, Body, Bundle, Node, Options};

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

/// The mistakes of a bundle, as a person reads them.
fn mistakes(options: &Options) -> String {
    match Bundle::load(options) {
        Ok(bundle) => panic!("the bundle {} has no mistake", bundle.name),
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

#[test]
fn a_good_bundle_becomes_a_graph() {
    let mut text = String::new();
    graph(&good().phases, &mut text);
    insta::assert_snapshot!(text);
}
