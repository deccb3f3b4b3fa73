//! Roles as YAML, each rule under the reason why it is there.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::{Role, Roles, Rule};

/// So many steps are named; the others are counted.
const NAMED: usize = 2;

/// Roles, and their bindings to a service account of the installation's namespace, by whose name
/// they are called.
#[must_use]
pub fn yaml(roles: &Roles, installation: &str, account: &str) -> String {
    let mut text = String::new();
    for role in &roles.0 {
        if !text.is_empty() {
            text.push_str("---\n");
        }
        let name = match &role.namespace {
            Some(namespace) if namespace == installation => account.to_owned(),
            _ => format!("{account}-{installation}"),
        };
        let kind = match role.namespace {
            Some(_) => "Role",
            None => "ClusterRole",
        };
        head(&mut text, kind, &name, role);
        text.push_str("rules:\n");
        for rule in &role.rules {
            print(&mut text, rule);
        }
        text.push_str("---\n");
        head(&mut text, &format!("{kind}Binding"), &name, role);
        let _ = writeln!(
            text,
            "roleRef: {{ apiGroup: rbac.authorization.k8s.io, kind: {kind}, name: {name} }}\n\
             subjects: [{{ kind: ServiceAccount, name: {account}, namespace: {installation} }}]"
        );
    }
    text
}

fn head(text: &mut String, kind: &str, name: &str, role: &Role) {
    let _ = writeln!(
        text,
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}\nmetadata:\n  name: {name}"
    );
    if let Some(namespace) = &role.namespace {
        let _ = writeln!(text, "  namespace: {namespace}");
    }
}

fn print(text: &mut String, rule: &Rule) {
    for (why, steps) in &rule.reasons {
        let _ = writeln!(text, "  # {}: {why}", named(steps));
    }
    if let Some(guess) = &rule.guess {
        let _ = writeln!(
            text,
            "  # The plural of {} ({}) and that it is namespaced are guessed; the definition is not in the bundle.",
            guess.kind, guess.api_version
        );
    }
    let group = match rule.group.as_str() {
        "" => "\"\"",
        group => group,
    };
    let verbs: Vec<&str> = rule.verbs.iter().map(|verb| verb.as_str()).collect();
    let _ = writeln!(text, "  - apiGroups: [{group}]");
    let _ = writeln!(text, "    resources: [{}]", rule.resource);
    if !rule.names.is_empty() {
        // Quoted, because a name may look like a number.
        let names: Vec<String> = rule
            .names
            .iter()
            .map(|name| format!("\"{name}\""))
            .collect();
        let _ = writeln!(text, "    resourceNames: [{}]", names.join(", "));
    }
    let _ = writeln!(text, "    verbs: [{}]", verbs.join(", "));
}

/// `a/b, a/c and 3 more`
#[must_use]
pub fn named(steps: &BTreeSet<String>) -> String {
    let first: Vec<&str> = steps.iter().take(NAMED).map(String::as_str).collect();
    let first = first.join(", ");
    match steps.len().saturating_sub(NAMED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}
