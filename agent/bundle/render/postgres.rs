//! Roles, databases and rights of a resolved bundle. What is not said is not shown.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::credential;
use crate::bundle::{Database, Drift, Extension, Grants, Membership, OnDrift, Role, Schema};

pub(super) fn role(role: &Role) -> Value {
    let mut shown = Map::new();
    shown.insert("name".to_owned(), json!(role.name));
    let flags = role.flags.iter();
    shown.extend(flags.map(|(flag, is_set)| ((*flag).to_owned(), json!(is_set))));
    let members = role.member_of.iter().map(membership);
    let rest = [
        ("managedBy", json!(role.managed_by)),
        ("connectionLimit", json!(role.connection_limit)),
        ("validUntil", json!(role.valid_until)),
        ("password", json!(role.password.as_ref().map(credential))),
        ("memberOf", members.collect()),
        ("settings", json!(role.settings)),
    ];
    said(&mut shown, rest);
    Value::Object(shown)
}

fn membership(membership: &Membership) -> Value {
    let Membership {
        role,
        admin,
        inherit,
        set,
    } = membership;
    if admin.or(*inherit).or(*set).is_none() {
        return json!(role);
    }
    let mut shown = Map::new();
    let options = [
        ("role", json!(role)),
        ("admin", json!(admin)),
        ("inherit", json!(inherit)),
        ("set", json!(set)),
    ];
    said(&mut shown, options);
    Value::Object(shown)
}

pub(super) fn database(database: &Database) -> Value {
    let mut shown = Map::new();
    let all = [
        ("name", json!(database.name)),
        ("owner", json!(database.owner)),
        ("template", json!(database.template)),
        ("encoding", json!(database.encoding)),
        ("collate", json!(database.collate)),
        ("ctype", json!(database.ctype)),
        ("connectionLimit", json!(database.connection_limit)),
        ("settings", json!(database.settings)),
        ("roleSettings", json!(database.role_settings)),
    ];
    said(&mut shown, all);
    Value::Object(shown)
}

pub(super) fn schema(schema: &Schema) -> Value {
    let mut shown = Map::new();
    let all = [
        ("name", json!(schema.name)),
        ("database", json!(schema.database)),
        ("owner", json!(schema.owner)),
    ];
    said(&mut shown, all);
    Value::Object(shown)
}

pub(super) fn extension(extension: &Extension) -> Value {
    let mut shown = Map::new();
    let all = [
        ("name", json!(extension.name)),
        ("database", json!(extension.database)),
        ("version", json!(extension.version)),
        ("schema", json!(extension.schema)),
    ];
    said(&mut shown, all);
    Value::Object(shown)
}

/// A list of rights on one kind of thing each.
pub(super) fn grants(grants: &Grants) -> Value {
    let right = |kind: &str, schema: &Option<String>, privileges: &BTreeSet<String>| {
        let mut shown = Map::new();
        let all = [("kind", json!(kind)), ("schema", json!(schema))];
        said(&mut shown, all);
        shown.insert("privileges".to_owned(), json!(privileges));
        shown
    };
    let on = grants.on.iter().map(|on| {
        let mut shown = right(on.kind, &on.schema, &on.privileges);
        said(&mut shown, [("object", json!(on.object))]);
        Value::Object(shown)
    });
    let default = grants.default.iter().map(|default| {
        let mut shown = right(default.kind, &default.schema, &default.privileges);
        said(&mut shown, [("owner", json!(default.owner))]);
        Value::Object(shown)
    });
    json!({
        "database": grants.database,
        "role": grants.role.as_deref().unwrap_or("public"),
        "exact": grants.exact,
        "on": on.collect::<Value>(),
        "default": default.collect::<Value>(),
    })
}

pub(super) fn drift(drift: Option<&Drift>) -> Value {
    let Some(Drift { on, ignore }) = drift else {
        return json!("off");
    };
    let on = match on {
        OnDrift::Warn => "warn",
        OnDrift::Fail => "fail",
        OnDrift::Accept => "accept",
    };
    json!({ "on": on, "ignore": ignore })
}

fn said<const N: usize>(shown: &mut Map<String, Value>, all: [(&str, Value); N]) {
    let is_said = |value: &Value| match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(entries) => !entries.is_empty(),
        _ => true,
    };
    let said = all.into_iter().filter(|(_, value)| is_said(value));
    shown.extend(said.map(|(key, value)| (key.to_owned(), value)));
}
