//! `check: { name?, <kind>: … }`: a question that must be answered with yes.

use super::{Context, Made, running};
use crate::bundle::reader::Fields;
use crate::bundle::servers::url;
use crate::bundle::yaml::Node;
use crate::bundle::{Action, Check, Expect, suggest};

const KEYS: &[&str] = &[
    "name",
    "http",
    "sql",
    "promql",
    "search",
    "trace",
    "datasource",
    "rollout",
    "image",
    "env",
    "secret",
    "drift",
];

pub(super) fn read(node: &Node, context: Context<'_>) -> Option<Made> {
    let reader = context.reader;
    let fields = reader.fields(node, "a check", KEYS)?;
    let name = fields.text("name");
    let kinds = KEYS[1..].iter().copied();
    let mut asked = kinds
        .clone()
        .filter_map(|kind| Some((kind, fields.get(kind)?)));
    let Some((kind, question)) = asked.next() else {
        let mistake = reader.mistake(node.at, "the check asks nothing");
        let hint = format!("give it one of: {}", suggest::list(kinds));
        context.found().add(mistake.hint(hint));
        return None;
    };
    if let Some((second, _)) = asked.next() {
        let at = node.entry(second).map_or(node.at, |(key, _)| key.at);
        let mistake = reader.mistake(at, format!("the check is both `{kind}` and `{second}`"));
        context
            .found()
            .add(mistake.hint("a check asks one thing; write two"));
    }
    let check = match kind {
        "http" => http(question, context),
        "sql" => sql(question, context),
        "promql" => promql(question, context),
        "search" => search(question, context),
        "trace" => trace(question, context),
        "drift" => drift(question, context),
        "rollout" | "image" | "env" | "secret" => running::read(kind, question, context),
        _ => datasource(question, context),
    }?;
    let default = match &check {
        Check::Search { index, .. } => format!("search-{index}"),
        Check::Datasource { uid } => format!("datasource-{uid}"),
        Check::Running { workload, .. } => format!("{kind}-{}", workload.name),
        Check::Drift { of, .. } => format!("drift-{}", of.replace('/', "-")),
        _ => kind.to_owned(),
    };
    Some(Made::step(name.unwrap_or(default), Action::Check(check)))
}

fn http(node: &Node, context: Context<'_>) -> Option<Check> {
    let reader = context.reader;
    let fields = reader.fields(node, "http", &["url", "status", "contains"])?;
    let status = fields.number("status", 100, 599).unwrap_or(200);
    let url = fields.need("url").and_then(|n| url(n, "url", reader));
    Some(Check::Http {
        contains: fields.text("contains"),
        status: u16::try_from(status).ok()?,
        url: url?,
    })
}

fn sql(node: &Node, context: Context<'_>) -> Option<Check> {
    let reader = context.reader;
    let allowed = &["database", "query", "expect", "atLeast"];
    let fields = reader.fields(node, "sql", allowed)?;
    let (database, query) = (fields.need_text("database"), fields.need_text("query"));
    let expect = expect(&fields);
    Some(Check::Sql {
        database: database?,
        query: query?,
        expect: expect?,
    })
}

/// `expect: TEXT` or `atLeast: NUMBER`.
fn expect(fields: &Fields<'_>) -> Option<Expect> {
    match (fields.get("expect"), fields.get("atLeast")) {
        (Some(_), None) => fields.text("expect").map(Expect::Value),
        (None, Some(_)) => {
            let least = fields.number("atLeast", 0, i64::MAX.unsigned_abs())?;
            i64::try_from(least).ok().map(Expect::AtLeast)
        }
        _ => {
            let reader = fields.reader;
            let what = "sql must say once what it expects";
            let mistake = reader.mistake(fields.at(), what);
            let hint = "write `expect: TEXT` or `atLeast: NUMBER`";
            reader.found.add(mistake.hint(hint));
            None
        }
    }
}

fn promql(node: &Node, context: Context<'_>) -> Option<Check> {
    let reader = context.reader;
    let fields = reader.fields(node, "promql", &["url", "query"])?;
    let url = fields.need("url").and_then(|n| url(n, "url", reader));
    let query = fields.need_text("query");
    Some(Check::Promql {
        url: url?,
        query: query?,
    })
}

fn search(node: &Node, context: Context<'_>) -> Option<Check> {
    let reader = context.reader;
    let fields = reader.fields(node, "search", &["index", "query", "atLeast"])?;
    let query = fields.get("query");
    let query = query.and_then(|node| {
        reader.entries(node, "query")?;
        Some(node.to_value())
    });
    Some(Check::Search {
        query,
        at_least: fields.number("atLeast", 1, u64::MAX).unwrap_or(1),
        index: fields.need_text("index")?,
    })
}

fn trace(node: &Node, context: Context<'_>) -> Option<Check> {
    let reader = context.reader;
    let fields = reader.fields(node, "trace", &["url", "send"])?;
    let of = |node: Option<&Node>, name: &str| node.and_then(|n| url(n, name, reader));
    let (address, send) = (
        of(fields.need("url"), "url"),
        of(fields.get("send"), "send"),
    );
    Some(Check::Trace {
        send,
        url: address?,
    })
}

/// Whose objects these are is told when all steps are known.
fn drift(node: &Node, context: Context<'_>) -> Option<Check> {
    let fields = context.reader.fields(node, "drift", &["of"])?;
    let of = fields.need_text("of")?;
    let objects = Vec::new();
    Some(Check::Drift { of, objects })
}

fn datasource(node: &Node, context: Context<'_>) -> Option<Check> {
    let fields = context.reader.fields(node, "datasource", &["uid"])?;
    let uid = fields.need_text("uid")?;
    Some(Check::Datasource { uid })
}
