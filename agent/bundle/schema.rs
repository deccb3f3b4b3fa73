//! Checks the merged values against `manifests/values.schema.json`, in words for people.

use std::path::Path;

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use serde_json::Value;

use super::files::Files;
use super::mistakes::{Found, Mistake, Place};
use super::set::Step;
use super::suggest;
use super::values::Values;

const SCHEMA: &str = "manifests/values.schema.json";
/// A longer value is not repeated in a message.
const LONGEST_SHOWN: usize = 60;

/// Reports every value that the schema does not allow. Without a schema everything is allowed.
pub(super) fn check(values: &Values, files: &Files, found: &Found) {
    let path = Path::new(SCHEMA);
    if !files.exists(path) {
        return;
    }
    let Some(schema) = super::json::read(path, files, found) else {
        return;
    };
    let validator = match jsonschema::validator_for(&schema) {
        Ok(validator) => validator,
        Err(error) => {
            let what = format!("not a JSON Schema: at `{}`: {error}", error.instance_path());
            return found.add(Mistake::new(Place::whole(path), what));
        }
    };
    for error in validator.iter_errors(&values.merged) {
        let is_secret = is_secret(&error, &schema);
        for mistake in explain(&error, values, &schema, is_secret) {
            if is_secret {
                found.hide(mistake.place.clone());
            }
            found.add(mistake);
        }
    }
}

fn explain(
    error: &ValidationError<'_>,
    values: &Values,
    schema: &Value,
    is_secret: bool,
) -> Vec<Mistake> {
    let path = steps(error.instance_path().as_str(), &values.merged);
    if let Kind::AdditionalProperties { unexpected } = error.kind() {
        let keys = unexpected.iter();
        return keys
            .map(|key| unknown(key, &path, error, values, schema))
            .collect();
    }
    let name = show(&path);
    let (what, hint) = if let Kind::Required { property } = error.kind() {
        let property = property.as_str().unwrap_or_default();
        let what = format!("the value `{}` is missing", join(&name, property));
        (what, description(schema, error, Some(property)))
    } else {
        let what = format!("the value `{name}` {}", wrong(error, is_secret));
        (what, description(schema, error, None))
    };
    let hint = number_hint(error, &path, values).or(hint);
    let place = if is_secret {
        values.hidden_place(&path)
    } else {
        values.place(&path)
    };
    vec![Mistake::new(place, what).hint_if(hint)]
}

fn unknown(
    key: &str,
    path: &[Step],
    error: &ValidationError<'_>,
    values: &Values,
    schema: &Value,
) -> Mistake {
    let parent = parent(error.schema_path().as_str());
    let properties = schema.pointer(&format!("{parent}/properties"));
    let properties = properties.and_then(Value::as_object);
    let known = properties
        .into_iter()
        .flat_map(|map| map.keys())
        .map(String::as_str);
    let mut full = path.to_vec();
    full.push(Step::Key(key.to_owned()));
    let what = format!("there is no value `{}`", show(&full));
    Mistake::new(values.key_place(&full), what).hint_if(suggest::hint(key, known))
}

/// What is wrong with a value, as the end of a sentence.
fn wrong(error: &ValidationError<'_>, is_secret: bool) -> String {
    let shown = if is_secret {
        "(sensitive)".to_owned()
    } else {
        shown(error.instance())
    };
    match error.kind() {
        Kind::Type { kind } => format!("is {shown}, but must be {}", types(kind)),
        Kind::Enum { options } => {
            let options = options.as_array().map(Vec::as_slice).unwrap_or_default();
            let options: Vec<String> = options.iter().map(Value::to_string).collect();
            format!("is {shown}, but must be one of {}", options.join(", "))
        }
        Kind::Constant { expected_value } => format!("is {shown}, but must be {expected_value}"),
        Kind::Minimum { limit } => format!("is {shown}, but must be at least {limit}"),
        Kind::Maximum { limit } => format!("is {shown}, but must be at most {limit}"),
        Kind::ExclusiveMinimum { limit } => format!("is {shown}, but must be more than {limit}"),
        Kind::ExclusiveMaximum { limit } => format!("is {shown}, but must be less than {limit}"),
        Kind::MinLength { limit: 1 } => "must not be empty".to_owned(),
        Kind::MinLength { limit } => {
            format!("is {shown}, but must have at least {limit} characters")
        }
        Kind::MaxLength { limit } => {
            format!("is {shown}, but must have at most {limit} characters")
        }
        Kind::MinItems { limit } => format!("must have at least {limit} entries"),
        Kind::MaxItems { limit } => format!("must have at most {limit} entries"),
        Kind::Pattern { pattern } => format!("is {shown}, but must match {pattern}"),
        Kind::Format { format } => format!("is {shown}, but must be a valid {format}"),
        _ => format!(
            "is {shown}, which the schema does not allow: {}",
            error.masked()
        ),
    }
}

fn types(kind: &TypeKind) -> String {
    let word = |name: &str| match name {
        "integer" => "a whole number",
        "number" => "a number",
        "string" => "text",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "a map",
        _ => "null",
    };
    match kind {
        TypeKind::Single(one) => word(one.as_str()).to_owned(),
        TypeKind::Multiple(several) => {
            let words: Vec<_> = several.iter().map(|one| word(one.as_str())).collect();
            words.join(" or ")
        }
    }
}

fn shown(value: &Value) -> String {
    let text = match value {
        Value::Object(_) => "a map".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        other => other.to_string(),
    };
    if text.chars().count() <= LONGEST_SHOWN {
        return text;
    }
    text.chars().take(LONGEST_SHOWN).chain(['…']).collect()
}

/// Helm's `--set` knows only whole numbers, which surprises whoever gives another.
fn number_hint(error: &ValidationError<'_>, path: &[Step], values: &Values) -> Option<String> {
    let text = error.instance().as_str()?;
    let is_type = matches!(error.kind(), Kind::Type { .. });
    (is_type && text.parse::<f64>().is_ok() && values.is_set(path))
        .then(|| "--set reads only whole numbers as numbers; give this one in a file".to_owned())
}

/// What the schema says about a value.
fn description(
    schema: &Value,
    error: &ValidationError<'_>,
    property: Option<&str>,
) -> Option<String> {
    let mut pointer = parent(error.schema_path().as_str()).to_owned();
    if let Some(property) = property {
        pointer = format!("{pointer}/properties/{property}");
    }
    let text = schema.pointer(&pointer)?.get("description")?.as_str()?;
    Some(format!("it is: {text}"))
}

/// Whether the schema says of the value, or of what it is in, that it is never read back, which is
/// how JSON Schema marks a password. One way to the keyword leads by `$ref`, the other is where it
/// stands.
fn is_secret(error: &ValidationError<'_>, schema: &Value) -> bool {
    let ways = [
        error.schema_path().as_str(),
        error.evaluation_path().as_str(),
    ];
    let is_marked = |it: &Value| it["writeOnly"] == true;
    ways.into_iter().any(|way| {
        let mut above = way.rmatch_indices('/').map(|(end, _)| &way[..end]);
        above.any(|pointer| schema.pointer(pointer).is_some_and(is_marked))
    })
}

fn parent(pointer: &str) -> &str {
    pointer.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// A JSON pointer as steps; whether a number is an index is seen in the value.
fn steps(pointer: &str, value: &Value) -> Vec<Step> {
    let mut at = Some(value);
    let parts = pointer.split('/').skip(1);
    let mut step = |part: &str| {
        let part = part.replace("~1", "/").replace("~0", "~");
        let here = at?;
        if let (Value::Array(items), Ok(index)) = (here, part.parse::<usize>()) {
            at = items.get(index);
            return Some(Step::Index(index));
        }
        at = here.get(&part);
        Some(Step::Key(part))
    };
    parts.map_while(&mut step).collect()
}

/// A path as `--set` takes it.
fn show(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Index(index) => text = format!("{text}[{index}]"),
            Step::Key(key) => text = join(&text, &key.replace('.', r"\.")),
        }
    }
    text
}

fn join(parent: &str, key: &str) -> String {
    if parent.is_empty() {
        key.to_owned()
    } else {
        format!("{parent}.{key}")
    }
}
