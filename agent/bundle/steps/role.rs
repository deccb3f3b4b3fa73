//! `role: { name, login?, password?, memberOf?, … }`: a role of Postgres.

use std::collections::BTreeMap;

use super::{Context, Made};
use crate::bundle::reader::Fields;
use crate::bundle::yaml::{Content, Node};
use crate::bundle::{Action, Membership, Role};

const KEYS: &[&str] = &[
    "name",
    "managedBy",
    "login",
    "superuser",
    "createDb",
    "createRole",
    "inherit",
    "replication",
    "bypassRls",
    "connectionLimit",
    "validUntil",
    "password",
    "memberOf",
    "settings",
];
/// The keys that say yes or no.
const FLAGS: [&str; 7] = [
    "login",
    "superuser",
    "createDb",
    "createRole",
    "inherit",
    "replication",
    "bypassRls",
];
/// The server's own bound.
pub(super) const MOST_CONNECTIONS: u64 = 262_143;

pub(super) fn read(node: &Node, context: Context<'_>) -> Option<Made> {
    let fields = context.reader.fields(node, "a role", KEYS)?;
    let (name, managed_by) = (fields.need_text("name"), fields.text("managedBy"));
    if managed_by.is_some() {
        others(&fields);
    }
    let password = fields.secret("password");
    let flags = FLAGS.into_iter();
    let flags = flags.filter_map(|flag| Some((flag, fields.boolean(flag)?)));
    let mut flags: BTreeMap<_, _> = flags.collect();
    if password.is_some() {
        // Who has a password is there to log in, unless it is said otherwise.
        flags.entry("login").or_insert(true);
    }
    let name = name?;
    let role = Role {
        name: name.clone(),
        managed_by,
        flags,
        connection_limit: connection_limit(&fields),
        valid_until: fields.text("validUntil"),
        password,
        member_of: members(&fields),
        settings: settings(&fields, "settings"),
    };
    Some(Made::step(name, Action::Role(Box::new(role))))
}

/// The role of somebody else is only looked for.
fn others(fields: &Fields<'_>) {
    let said = KEYS[2..].iter().find_map(|key| fields.entry(key));
    if let Some((key, _)) = said {
        let reader = fields.reader;
        let what = format!(
            "`{}` of a role that others manage is not ours to say",
            key.text
        );
        let mistake = reader.mistake(key.at, what);
        let hint = "take it out, or take out `managedBy`";
        reader.found.add(mistake.hint(hint));
    }
}

/// Each is a name, or `{ role, admin, inherit, set }`.
fn members(fields: &Fields<'_>) -> Vec<Membership> {
    let reader = fields.reader;
    let items = fields.get("memberOf");
    let items = items.and_then(|node| reader.items(node, "memberOf"));
    let member = |node: &Node| {
        if let Content::Scalar(_) = node.content {
            return Some(Membership {
                role: reader.text(node, "memberOf")?,
                ..Membership::default()
            });
        }
        let allowed = &["role", "admin", "inherit", "set"];
        let fields = reader.fields(node, "a membership", allowed)?;
        let (admin, inherit, set) = (
            fields.boolean("admin"),
            fields.boolean("inherit"),
            fields.boolean("set"),
        );
        Some(Membership {
            role: fields.need_text("role")?,
            admin,
            inherit,
            set,
        })
    };
    items
        .unwrap_or_default()
        .iter()
        .filter_map(member)
        .collect()
}

pub(super) fn connection_limit(fields: &Fields<'_>) -> Option<u32> {
    let limit = fields.number("connectionLimit", 0, MOST_CONNECTIONS)?;
    u32::try_from(limit).ok()
}

/// Parameters of the server, by name.
pub(super) fn settings(fields: &Fields<'_>, name: &str) -> BTreeMap<String, String> {
    let Some(node) = fields.get(name) else {
        return BTreeMap::new();
    };
    let reader = fields.reader;
    for (key, _) in reader.entries(node, name).unwrap_or_default() {
        let simple = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
        if !key.text.chars().all(simple) {
            let what = format!("`{}` is not the name of a parameter", key.text);
            let mistake = reader.mistake(key.at, what);
            let hint = "write it as in postgresql.conf, like statement_timeout";
            reader.found.add(mistake.hint(hint));
        }
    }
    reader.text_map(node, name).unwrap_or_default()
}
