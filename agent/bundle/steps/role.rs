//! `role: { name, login?, password?, memberOf? }`: a role of Postgres.

use super::{Context, Made};
use crate::bundle::yaml::Node;
use crate::bundle::{Action, Role};

pub(super) fn read(node: &Node, context: Context<'_>) -> Option<Made> {
    let reader = context.reader;
    let allowed = &["name", "login", "password", "memberOf"];
    let fields = reader.fields(node, "a role", allowed)?;
    let name = fields.need_text("name");
    let password = fields.secret("password");
    // Who has a password is there to log in, unless it is said otherwise.
    let login = fields.boolean("login").unwrap_or(password.is_some());
    let member_of = fields.texts("memberOf");
    let name = name?;
    let role = Role {
        name: name.clone(),
        login,
        password,
        member_of,
    };
    Some(Made::step(name, Action::Role(role)))
}
