//! What a scalar of YAML means.

use std::fmt;

use serde_json::{Number, Value};

/// A single value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
}

impl Scalar {
    pub(super) fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(value) => Value::Number(value.clone()),
            Self::Text(value) => Value::String(value.clone()),
        }
    }

    /// What it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "text",
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => value.fmt(f),
            Self::Number(value) => value.fmt(f),
            Self::Text(value) => f.write_str(value),
        }
    }
}

/// Resolves the text of a scalar, by its tag if it has one.
///
/// # Errors
/// When the tag is not one of the core schema, or its text is not of that type.
pub(super) fn resolve(text: &str, plain: bool, tag: Option<&str>) -> Result<Scalar, String> {
    let found = match tag {
        None if plain => return plain_scalar(text),
        None | Some("!!str" | "!") => return Ok(Scalar::Text(text.to_owned())),
        Some("!!null" | "!!bool" | "!!int" | "!!float") => plain_scalar(text)?,
        Some(tag) => return Err(format!("the tag `{tag}` has no meaning here")),
    };
    let fits = match (&found, tag) {
        (Scalar::Null, Some("!!null"))
        | (Scalar::Bool(_), Some("!!bool"))
        | (Scalar::Number(_), Some("!!float")) => true,
        (Scalar::Number(number), Some("!!int")) => number.is_i64() || number.is_u64(),
        _ => false,
    };
    if fits {
        Ok(found)
    } else {
        Err(format!("`{text}` is not of the type of its tag"))
    }
}

fn plain_scalar(text: &str) -> Result<Scalar, String> {
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Scalar::Null,
        "true" | "True" | "TRUE" => Scalar::Bool(true),
        "false" | "False" | "FALSE" => Scalar::Bool(false),
        _ => match number(text) {
            Some(number) => Scalar::Number(number),
            None if is_not_finite(text) => {
                return Err(format!("`{text}` is not a number that JSON can hold"));
            }
            None => Scalar::Text(text.to_owned()),
        },
    })
}

fn is_not_finite(text: &str) -> bool {
    let unsigned = text.trim_start_matches(['+', '-']);
    [".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN"].contains(&unsigned)
}

fn number(text: &str) -> Option<Number> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    if let Some(magnitude) = whole(digits) {
        if !negative {
            return Some(magnitude.into());
        }
        return 0_i64.checked_sub_unsigned(magnitude).map(Number::from);
    }
    let looks_right = digits
        .chars()
        .all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'));
    let float: f64 = looks_right.then(|| digits.parse().ok()).flatten()?;
    Number::from_f64(if negative { -float } else { float })
}

/// A whole number; with a leading zero it is octal, as Kubernetes tools read it.
fn whole(digits: &str) -> Option<u64> {
    if let Some(hex) = digits.strip_prefix("0x") {
        return u64::from_str_radix(hex, 16).ok();
    }
    let octal = digits.strip_prefix("0o").or_else(|| {
        let rest = digits.strip_prefix('0')?;
        (!rest.is_empty()).then_some(rest)
    });
    if let Some(octal) = octal {
        return u64::from_str_radix(octal, 8).ok();
    }
    let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_have_the_type_that_kubernetes_tools_give_them() {
        let table = [
            ("", "null"),
            ("~", "null"),
            ("True", "true"),
            ("yes", "\"yes\""),
            ("12", "12"),
            ("-12", "-12"),
            ("+3", "3"),
            ("0644", "420"),
            ("0o17", "15"),
            ("0x1F", "31"),
            ("0899", "899.0"),
            ("1.5", "1.5"),
            (".5", "0.5"),
            ("1e3", "1000.0"),
            ("1.2.3", "\"1.2.3\""),
            ("-", "\"-\""),
            (".", "\".\""),
            ("12e", "\"12e\""),
            ("2024-01-01", "\"2024-01-01\""),
            ("infinity", "\"infinity\""),
        ];
        for (text, json) in table {
            let value = resolve(text, true, None).expect(text).to_value();
            assert_eq!(value.to_string(), json, "{text}");
        }
    }

    #[test]
    fn quotes_and_tags_decide() {
        assert_eq!(resolve("12", false, None), Ok(Scalar::Text("12".into())));
        assert_eq!(
            resolve("12", true, Some("!!str")),
            Ok(Scalar::Text("12".into()))
        );
        assert_eq!(
            resolve("12", false, Some("!!int")),
            Ok(Scalar::Number(12.into()))
        );
        assert!(resolve("x", true, Some("!!int")).is_err());
        assert!(resolve("x", true, Some("!Ref")).is_err());
        assert!(resolve(".inf", true, None).is_err());
    }
}
