//! What needs no cluster.

use std::path::Path;
use std::process::Command;

use crate::agent::{Ended, ended};

fn firstlight(arguments: &[&str]) -> Ended {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    ended(
        Command::new(env!("CARGO_BIN_EXE_firstlight"))
            .env_clear()
            .current_dir(root)
            .args(arguments),
    )
}

#[test]
fn the_repository_is_a_bundle_without_mistakes() {
    let ended = firstlight(&["lint", "--profile", "quickstart"]);
    assert_eq!(ended.code, 0, "{ended}");
    assert!(ended.stdout.contains("no mistakes"), "{ended}");
}

#[test]
fn what_is_rendered_is_yaml_and_holds_no_secret() {
    let ended = firstlight(&["render", "--profile", "quickstart", "--namespace", "demo"]);
    assert_eq!(ended.code, 0, "{ended}");
    assert!(ended.stdout.contains("namespace: demo"), "{ended}");
    // Dashboards have braces of their own, which are none of ours.
    for ours in ["{{ namespace", "{{ values", "{{ profile", "{{ cluster"] {
        assert!(!ended.stdout.contains(ours), "{ours}: {ended}");
    }
}

#[test]
fn wrong_arguments_are_wrong_settings() {
    let ended = firstlight(&["run", "--no-such-flag"]);
    assert_eq!(ended.code, 78, "{ended}");
    assert!(ended.stderr.contains("--no-such-flag"), "{ended}");
}

#[test]
fn a_wrong_variable_is_named() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_firstlight"));
    let ended = ended(
        command
            .env_clear()
            .env("FIRSTLIGHT_OUTPUT", "xml")
            .arg("lint"),
    );
    assert_eq!(ended.code, 78, "{ended}");
    assert!(ended.stderr.contains("FIRSTLIGHT_OUTPUT"), "{ended}");
}

#[test]
fn a_bundle_that_is_not_there_is_said_to_be_so() {
    let ended = firstlight(&["lint", "--bundle", "/nonexistent"]);
    assert_eq!(ended.code, 78, "{ended}");
    assert!(ended.stderr.contains("/nonexistent"), "{ended}");
}

#[test]
fn help_shows_examples_and_every_shell_has_completion() {
    let help = firstlight(&["--help"]);
    assert_eq!(help.code, 0, "{help}");
    assert!(help.stdout.contains("Examples:"), "{help}");
    for shell in ["bash", "zsh", "fish"] {
        let script = firstlight(&["completion", shell]);
        assert_eq!(script.code, 0, "{script}");
        assert!(
            script.stdout.contains("quickstart") || script.stdout.contains("profile"),
            "{shell}"
        );
    }
}
