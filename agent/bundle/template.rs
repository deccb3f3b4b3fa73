//! Templates: `MiniJinja` over `values`, `profile`, `namespace` and `cluster`. What is not
//! defined is a mistake, never an empty text.
//!
//! In `bundle.yaml` each text is a template of its own, after the YAML was parsed, so that every
//! position stays exact; a text that is one `{{ expression }}` keeps the expression's type. A
//! manifest is rendered as a whole before its YAML is parsed, so that blocks may hold anything.
//! SQL, dashboards and other JSON for a server are taken as they are: `{{ }}` is theirs.

use std::ops::Range;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior};
use serde_json::{Value, json};

use super::suggest;

/// What templates may use.
pub(super) struct Templates {
    environment: Environment<'static>,
    context: minijinja::Value,
    data: Value,
}

/// Why a template cannot be rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) what: String,
    pub(super) hint: Option<String>,
    /// The bytes of the template that it is about.
    pub(super) range: Option<Range<usize>>,
}

impl Templates {
    /// Prepares the words that templates may use.
    pub(super) fn new(values: &Value, profile: Option<&str>, namespace: &str) -> Self {
        let cluster = match values.pointer("/cluster/name") {
            Some(name) => json!({ "name": name }),
            None => json!({}),
        };
        let data = json!({
            "values": values, "profile": profile, "namespace": namespace, "cluster": cluster,
        });
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_debug(true);
        environment.set_syntax(
            SyntaxConfig::builder()
                .trim_blocks(true)
                .lstrip_blocks(true)
                .keep_trailing_newline(true)
                .build()
                .unwrap_or_default(),
        );
        Self {
            environment,
            context: Serde(&data).into(),
            data,
        }
    }

    /// Renders a whole text.
    ///
    /// # Errors
    /// When it is not a template, or uses what is not defined.
    pub(super) fn text(&self, source: &str) -> Result<String, Fault> {
        if !is_template(source) {
            return Ok(source.to_owned());
        }
        self.environment
            .render_str(source, &self.context)
            .map_err(|error| self.fault(source, &error))
    }

    /// Renders a scalar: one expression keeps its type, everything else becomes text.
    ///
    /// # Errors
    /// When it is not a template, or uses what is not defined.
    pub(super) fn scalar(&self, source: &str) -> Result<Value, Fault> {
        let Some(range) = single_expression(source) else {
            return self.text(source).map(Value::String);
        };
        let value = self.expression(&source[range.clone()]).and_then(|value| {
            serde_json::to_value(&value).map_err(|error| Fault {
                what: format!("the expression has no plain value: {error}"),
                hint: None,
                range: None,
            })
        });
        value.map_err(|fault| Fault {
            range: fault
                .range
                .map(|at| at.start + range.start..at.end + range.start),
            ..fault
        })
    }

    /// Answers a condition.
    ///
    /// # Errors
    /// When it is not an expression, or uses what is not defined.
    pub(super) fn condition(&self, source: &str) -> Result<bool, Fault> {
        if is_template(source) {
            return Err(Fault {
                what: "a condition is an expression, not a template".to_owned(),
                hint: Some("write it without {{ and }}".to_owned()),
                range: None,
            });
        }
        self.expression(source).map(|value| value.is_true())
    }

    fn expression(&self, source: &str) -> Result<minijinja::Value, Fault> {
        let value = self
            .environment
            .compile_expression(source)
            .and_then(|expression| expression.eval(&self.context))
            .map_err(|error| self.fault(source, &error))?;
        if value.is_undefined() {
            return Err(self.undefined(source.trim(), Some(0..source.len())));
        }
        Ok(value)
    }

    fn fault(&self, source: &str, error: &Error) -> Fault {
        let range = error
            .range()
            .filter(|range| source.get(range.clone()).is_some());
        // The engine names what is undefined in backticks, also behind another error.
        let detail = error.detail().unwrap_or_default();
        let named = detail
            .contains("` is undefined")
            .then(|| detail.split('`').nth(1));
        let named = named.flatten();
        if error.kind() != ErrorKind::UndefinedError && named.is_none() {
            let what = match error.detail() {
                Some(detail) => format!("bad template: {}: {detail}", error.kind()),
                None => format!("bad template: {}", error.kind()),
            };
            // What alerts and dashboards are written in looks the same, and is not meant for us.
            let foreign = error.kind() == ErrorKind::SyntaxError;
            let hint =
                "a {{ }} that is meant for somebody else goes between {% raw %} and {% endraw %}";
            return Fault {
                what,
                hint: foreign.then(|| hint.to_owned()),
                range,
            };
        }
        let shown = range.clone().and_then(|range| source.get(range));
        let path = named.or(shown).unwrap_or("something").trim().to_owned();
        let range = narrow(source, range, &path);
        self.undefined(&path, range)
    }

    fn undefined(&self, path: &str, range: Option<Range<usize>>) -> Fault {
        Fault {
            what: format!("`{path}` is not defined"),
            hint: self.hint(path),
            range,
        }
    }

    /// The nearest path that there is, or what there is beside the missing key.
    fn hint(&self, path: &str) -> Option<String> {
        let mut at = &self.data;
        let mut known = String::new();
        for part in path.split('.') {
            let map = at.as_object()?;
            if let Some(next) = map.get(part) {
                known = if known.is_empty() {
                    part.to_owned()
                } else {
                    format!("{known}.{part}")
                };
                at = next;
                continue;
            }
            let keys = || map.keys().map(String::as_str);
            if known == "cluster" {
                return Some("set `cluster.name` in the values".to_owned());
            }
            if let Some(near) = suggest::nearest(part, keys()) {
                let rest = if known.is_empty() {
                    near.to_owned()
                } else {
                    format!("{known}.{near}")
                };
                return Some(format!("did you mean `{rest}`?"));
            }
            return match suggest::hint(part, keys()) {
                Some(_) if !known.is_empty() => {
                    Some(format!("`{known}` has: {}", suggest::list(keys())))
                }
                other => other,
            };
        }
        None
    }
}

/// Whether a text has anything to render.
pub(super) fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// The bytes of the expression, if a text is nothing but one `{{ expression }}`.
fn single_expression(text: &str) -> Option<Range<usize>> {
    let leading = text.len() - text.trim_start().len();
    let inner = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    let plain = ["{{", "}}", "{%", "{#"]
        .iter()
        .all(|mark| !inner.contains(mark));
    if !plain {
        return None;
    }
    let start = leading + 2;
    let skip = usize::from(inner.starts_with('-'));
    let inner = inner[skip..].strip_suffix('-').unwrap_or(&inner[skip..]);
    Some(start + skip..start + skip + inner.len())
}

/// The bytes of `path` where they touch the range, else the range itself: the engine's range is
/// only a part of a path with dots.
fn narrow(source: &str, range: Option<Range<usize>>, path: &str) -> Option<Range<usize>> {
    let from = range.as_ref().map_or(0, |range| range.start);
    let mut places = source.match_indices(path);
    match places.find(|(at, _)| at + path.len() > from) {
        Some((at, _)) => Some(at..at + path.len()),
        None => range,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn templates() -> Templates {
        let values = json!({
            "postgres": { "host": "pg", "port": 5432 },
            "list": ["a", "b"], "on": true, "cluster": { "name": "c1" },
        });
        Templates::new(&values, Some("quick"), "lens")
    }

    #[test]
    fn texts_are_rendered_and_single_expressions_keep_their_type() {
        let table = [
            ("plain", json!("plain")),
            (
                "{{ values.postgres.host }}:{{ values.postgres.port }}",
                json!("pg:5432"),
            ),
            ("{{ values.postgres.port }}", json!(5432)),
            ("{{- values.list -}}", json!(["a", "b"])),
            (" {{ values.on }} ", json!(true)),
            (
                "{{ profile }}-{{ namespace }}-{{ cluster.name }}",
                json!("quick-lens-c1"),
            ),
            ("{{ 'a }}' }}", json!("a }}")),
            ("{{ values.list | tojson }}x", json!("[\"a\", \"b\"]x")),
        ];
        for (source, expected) in table {
            assert_eq!(templates().scalar(source), Ok(expected), "{source}");
        }
    }

    #[test]
    fn blocks_leave_no_empty_lines() {
        let source = "a: 1\n{% if values.on %}\nb: 2\n{% endif %}\nc: \"x\"\n";
        let rendered = templates().text(source);
        assert_eq!(rendered, Ok("a: 1\nb: 2\nc: \"x\"\n".to_owned()));
    }

    #[test]
    fn conditions_are_answered() {
        let table = [
            ("profile == 'quick'", true),
            ("values.on and values.postgres.port > 6000", false),
            ("'c' in values.list", false),
            ("values.list", true),
            ("values.nope is defined", false),
        ];
        for (source, expected) in table {
            assert_eq!(templates().condition(source), Ok(expected), "{source}");
        }
        assert!(templates().condition("{{ values.on }}").is_err());
    }

    #[test]
    fn what_is_missing_is_named_with_its_place_and_what_was_meant() {
        let table = [
            (
                "x {{ values.postgres.hots }}",
                "values.postgres.hots",
                Some("did you mean `values.postgres.host`?"),
            ),
            (
                "{{ values.postgras.host }}",
                "values.postgras",
                Some("did you mean `values.postgres`?"),
            ),
            ("{{ value.x }}", "value", Some("did you mean `values`?")),
            (
                "{{ values.postgres.secret }}",
                "values.postgres.secret",
                Some("`values.postgres` has: host, port"),
            ),
            (
                "{{ values.postgres.port.x + 1 }}",
                "values.postgres.port.x",
                None,
            ),
            (
                "{% if values.of %}{% endif %}",
                "values.of",
                Some("did you mean `values.on`?"),
            ),
        ];
        for (source, path, hint) in table {
            let fault = templates().scalar(source).expect_err(source);
            assert_eq!(fault.what, format!("`{path}` is not defined"), "{source}");
            assert_eq!(fault.hint.as_deref(), hint, "{source}");
            let range = fault.range.expect(source);
            assert_eq!(source[range].trim(), path, "{source}");
        }
    }

    #[test]
    fn a_missing_condition_is_not_false() {
        let fault = templates()
            .condition("values.postgres.enabled")
            .expect_err("not defined");
        assert_eq!(fault.what, "`values.postgres.enabled` is not defined");
    }

    #[test]
    fn what_is_no_template_is_said() {
        let fault = templates().text("a\n{% if %}").expect_err("no condition");
        assert!(
            fault.what.starts_with("bad template: syntax error"),
            "{}",
            fault.what
        );
        assert_eq!(fault.range.map(|range| range.start), Some(8));
    }
}
