//! Who may import whom, and what must be the same in two places.

use std::fs;
use std::path::{Path, PathBuf};

use firstlight::engine::Class;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Rust files below a folder of `agent/`, with their text.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("agent").join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("text");
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "no sources in {folder}");
    found
}

/// The lines of code that mention one of these words.
fn mentions(folder: &str, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in sources(folder) {
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if words.iter().any(|word| code.contains(word)) {
                found.push(format!(
                    "{}:{}: {}",
                    path.display(),
                    number + 1,
                    line.trim()
                ));
            }
        }
    }
    found
}

const DRIVERS: [&str; 4] = [
    "kube::",
    "tokio_postgres::",
    "opensearch::http",
    "reqwest::",
];

/// The crates of OpenTelemetry that are used. Its operator's kinds may be named anywhere.
const OPENTELEMETRY: [&str; 6] = [
    "opentelemetry::",
    "opentelemetry_http",
    "opentelemetry_otlp",
    "opentelemetry_proto",
    "opentelemetry_sdk",
    "tracing_opentelemetry",
];

#[test]
fn the_engine_knows_no_backend() {
    let mut forbidden = [DRIVERS.as_slice(), &OPENTELEMETRY].concat();
    forbidden.extend([
        "crate::providers",
        "crate::bundle",
        "crate::console",
        "crate::telemetry",
        "crate::cli",
        "crate::settings",
        "crate::secret",
    ]);
    assert_eq!(mentions("engine", &forbidden), Vec::<String>::new());
}

#[test]
fn a_provider_knows_no_other_and_nothing_above_it() {
    let providers = ["kubernetes", "postgres", "opensearch", "grafana", "probe"];
    let above = [
        "crate::bundle",
        "crate::console",
        "crate::telemetry",
        "crate::cli",
        "crate::settings",
        "crate::assemble",
    ];
    for provider in providers {
        let others = providers.iter().filter(|other| **other != provider);
        let mut forbidden: Vec<String> = others
            .map(|other| format!("crate::providers::{other}"))
            .collect();
        forbidden.extend(above.iter().map(|&word| word.to_owned()));
        let mut forbidden: Vec<&str> = forbidden.iter().map(String::as_str).collect();
        forbidden.extend(OPENTELEMETRY);
        let found = mentions(&format!("providers/{provider}"), &forbidden);
        assert_eq!(found, Vec::<String>::new());
    }
}

#[test]
fn bundle_and_console_know_neither_clients_nor_each_other() {
    let clients = [
        "crate::providers",
        "crate::telemetry",
        "crate::cli",
        "tokio::",
    ];
    for (folder, other) in [("bundle", "crate::console"), ("console", "crate::bundle")] {
        let mut forbidden = clients.to_vec();
        forbidden.push(other);
        forbidden.extend(DRIVERS);
        forbidden.extend(OPENTELEMETRY);
        assert_eq!(mentions(folder, &forbidden), Vec::<String>::new());
    }
}

#[test]
fn only_telemetry_knows_opentelemetry() {
    for folder in [
        "engine",
        "bundle",
        "console",
        "cli",
        "assemble",
        "providers",
    ] {
        assert_eq!(mentions(folder, &OPENTELEMETRY), Vec::<String>::new());
    }
}

#[test]
fn what_providers_send_along_of_the_trace_is_a_leaf() {
    let path = root().join("agent/trace_context.rs");
    let text = fs::read_to_string(path).expect("text");
    assert!(!text.contains("crate::") && !text.contains("opentelemetry"));
}

#[test]
fn the_exit_codes_are_the_same_in_the_code_and_in_the_readme() {
    let readme = fs::read_to_string(root().join("README.md")).expect("the README");
    let rows = readme.lines().filter_map(|line| {
        let cell = line.strip_prefix("| ")?.split(" |").next()?;
        cell.parse::<u8>().ok()
    });
    let told: Vec<u8> = rows.collect();
    let mut known: Vec<u8> = Class::ALL
        .into_iter()
        .map(Class::exit_code)
        .chain([0, 2])
        .collect();
    known.sort_unstable();
    assert_eq!(told, known);
}

#[test]
fn the_modules_are_small() {
    // Tables of tests may make a file longer; what is not a test stays readable.
    let long: Vec<String> = sources("")
        .into_iter()
        .filter_map(|(path, text)| {
            let code = text
                .split("#[cfg(test)]")
                .next()
                .unwrap_or_default()
                .lines()
                .count();
            let is_tests = path.file_name().is_some_and(|name| name == "tests.rs");
            (code > 400 && !is_tests).then(|| format!("{}: {code} lines", path.display()))
        })
        .collect();
    assert_eq!(long, Vec::<String>::new());
}
