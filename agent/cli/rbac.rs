//! The least Roles that a run needs, offline.

use clap::Args;

use super::{CliError, print_json, say, session, wants_json};
use crate::rights::{self, Purpose, Role, Roles, Rule};
use crate::settings::Settings;
use serde_json::{Value, json};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Also the rights of `run --prune`
    #[arg(long)]
    prune: bool,
    /// The rights of `uninstall` instead
    #[arg(long, conflicts_with = "prune")]
    uninstall: bool,
    /// The service account that the Roles are bound to
    #[arg(long, value_name = "NAME", default_value = "firstlight")]
    service_account: String,
}

pub(super) fn rbac(settings: &Settings, arguments: &Arguments) -> Result<u8, CliError> {
    let bundle = session::load_offline(settings)?;
    let purpose = match (arguments.uninstall, arguments.prune || bundle.prune) {
        (true, _) => Purpose::Uninstall,
        (false, true) => Purpose::Prune,
        (false, false) => Purpose::Run,
    };
    let needs = rights::needs(&bundle, purpose);
    let roles = Roles::of(&needs, &bundle.namespace);
    if wants_json(settings) {
        let roles: Vec<Value> = roles.0.iter().map(role).collect();
        print_json(&roles)?;
    } else {
        let account = &arguments.service_account;
        say(&rights::yaml(&roles, &bundle.namespace, account));
    }
    Ok(0)
}

fn role(role: &Role) -> Value {
    let rules: Vec<Value> = role.rules.iter().map(rule).collect();
    json!({ "namespace": role.namespace, "rules": rules })
}

fn rule(rule: &Rule) -> Value {
    let verbs: Vec<&str> = rule.verbs.iter().map(|verb| verb.as_str()).collect();
    json!({
        "apiGroups": [rule.group],
        "resources": [rule.resource],
        "resourceNames": rule.names,
        "verbs": verbs,
        "reasons": rule.reasons,
    })
}
