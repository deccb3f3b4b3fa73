//! An expression of a bundle over an object, in the Common Expression Language (CEL).
//!
//! A leaf: the bundle compiles expressions when it is read, so that a mistake has its place, and
//! the provider asks them of the objects that it sees.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use cel::{Context, ExecutionError, Program, Value as Cel};
use serde_json::Value;

/// The one name that an expression knows.
const OBJECT: &str = "object";

/// When an object is ready, in a bundle's own words.
#[derive(Debug, Clone, Default)]
pub struct ReadyRule {
    /// True once it is; without it the rule of its kind decides, or a condition `Ready`.
    pub ready: Option<Expression>,
    /// True when it will not become ready any more; asked first.
    pub failed: Option<Expression>,
}

/// A compiled expression, cheap to clone.
#[derive(Clone)]
pub struct Expression {
    source: String,
    program: Arc<Program>,
}

/// Why a text is not an expression over an object.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotAnExpression {
    /// It is not CEL.
    #[error("line {line}, column {column} of the expression: {message}")]
    Syntax {
        /// Counted from one.
        line: isize,
        /// Counted from one.
        column: isize,
        /// The parser's words.
        message: String,
    },
    /// It asks for something that nobody knows.
    #[error("the expression speaks of `{0}`, and only `object` is known")]
    Unknown(String),
}

/// Why an expression has no answer for an object.
///
/// Says nothing of the values: an object may be a Secret.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NoAnswer {
    /// A field is not there, as it often is before a controller has looked.
    #[error("there is no field `{0}`")]
    NoField(String),
    /// There is no such function.
    #[error("there is no function `{0}`")]
    NoFunction(String),
    /// Its parts do not fit together.
    #[error("its parts do not fit together")]
    Unfit,
    /// It is about something else.
    #[error("its value is neither true nor false")]
    NotBoolean,
}

impl Expression {
    /// Compiles an expression over the variable `object`.
    ///
    /// # Errors
    /// When it is not CEL, or speaks of another variable.
    pub fn compile(source: &str) -> Result<Self, NotAnExpression> {
        let program = Program::compile(source).map_err(|errors| {
            let first = errors.errors.into_iter().next();
            let (line, column) = first.as_ref().map_or((1, 0), |error| error.pos);
            NotAnExpression::Syntax {
                line,
                column: column + 1,
                message: first.map_or_else(String::new, |error| error.msg),
            }
        })?;
        let expression = Self {
            source: source.to_owned(),
            program: Arc::new(program),
        };
        match expression.execute(&Value::Object(serde_json::Map::new())) {
            Err(ExecutionError::UndeclaredReference(name)) => {
                Err(NotAnExpression::Unknown(name.to_string()))
            }
            _ => Ok(expression),
        }
    }

    /// Whether it is true of an object.
    ///
    /// # Errors
    /// When it has no answer for this object.
    pub fn holds(&self, object: &Value) -> Result<bool, NoAnswer> {
        match self.execute(object) {
            Ok(Cel::Bool(holds)) => Ok(holds),
            Ok(_) => Err(NoAnswer::NotBoolean),
            Err(ExecutionError::NoSuchKey(key)) => Err(NoAnswer::NoField(key.to_string())),
            Err(ExecutionError::UndeclaredReference(name)) => {
                Err(NoAnswer::NoFunction(name.to_string()))
            }
            Err(_) => Err(NoAnswer::Unfit),
        }
    }

    fn execute(&self, object: &Value) -> Result<Cel, ExecutionError> {
        let mut context = Context::default();
        context.add_variable_from_value(OBJECT, to_cel(object));
        self.program.execute(&context)
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression({:?})", self.source)
    }
}

/// Whole numbers become signed ones, which is what a number in an expression is.
fn to_cel(value: &Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(value) => Cel::Bool(*value),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Cel::Int(whole),
            None => Cel::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => Cel::String(Arc::new(text.clone())),
        Value::Array(items) => Cel::List(Arc::new(items.iter().map(to_cel).collect())),
        Value::Object(fields) => {
            let fields = fields.iter();
            let fields = fields.map(|(key, value)| (key.clone(), to_cel(value)));
            Cel::Map(fields.collect::<HashMap<_, _>>().into())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn holds(source: &str, object: &Value) -> Result<bool, NoAnswer> {
        Expression::compile(source)
            .unwrap_or_else(|error| panic!("{source}: {error}"))
            .holds(object)
    }

    #[test]
    fn questions_about_an_object() {
        let object = json!({
            "metadata": { "generation": 3, "annotations": { "a/b": "c" } },
            "spec": { "replicas": 2, "share": 0.5 },
            "status": { "phase": "Running", "readyReplicas": 2, "observedGeneration": 3,
                "conditions": [{ "type": "Synced", "status": "True" }] } });
        for (source, expected) in [
            (r#"object.status.phase == "Running""#, true),
            ("object.status.readyReplicas == object.spec.replicas", true),
            ("object.status.readyReplicas + 1 == 3", true),
            ("object.spec.share < 0.6", true),
            (
                "object.status.observedGeneration < object.metadata.generation",
                false,
            ),
            (
                r#"object.status.conditions.exists(c, c.type == "Synced" && c.status == "True")"#,
                true,
            ),
            (r#"object.metadata.annotations["a/b"] == "c""#, true),
            ("has(object.status.failure)", false),
            (r#"object.status.phase in ["Failed", "Error"]"#, false),
            (r#"object.status.phase.startsWith("Run")"#, true),
        ] {
            assert_eq!(holds(source, &object), Ok(expected), "{source}");
        }
    }

    #[test]
    fn what_cannot_be_told_says_no_values() {
        let secret = json!({ "data": { "key": "hunter2" } });
        assert_eq!(
            holds("object.status.phase == 'x'", &secret),
            Err(NoAnswer::NoField("status".to_owned()))
        );
        assert_eq!(holds("object.data.key", &secret), Err(NoAnswer::NotBoolean));
        assert_eq!(
            holds("object.data.key + 1 == 2", &secret),
            Err(NoAnswer::Unfit)
        );
    }

    #[test]
    fn mistakes_are_found_without_an_object() {
        let mistake = |source: &str| Expression::compile(source).expect_err("a mistake");
        assert!(matches!(
            mistake("object.status.phase =="),
            NotAnExpression::Syntax { line: 1, .. }
        ));
        assert!(matches!(mistake(""), NotAnExpression::Syntax { .. }));
        assert!(matches!(mistake("a b ("), NotAnExpression::Syntax { .. }));
        assert_eq!(
            mistake("self.x == 1"),
            NotAnExpression::Unknown("self".to_owned())
        );
        assert_eq!(
            mistake("ready(object)"),
            NotAnExpression::Unknown("ready".to_owned())
        );
    }
}
