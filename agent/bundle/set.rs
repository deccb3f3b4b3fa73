//! The arguments of `--set`, read as Helm reads them: `a.b=1,c\.d=x,list={1,2},list[0].name=y`.
//!
//! `true`, `false`, `null` and whole numbers without leading zeros have their type, everything
//! else is text; a backslash takes the meaning from the character behind it.

use serde_json::{Map, Value};

/// A longer list is a slip of the finger.
const LARGEST_INDEX: usize = 65_536;

/// One step of the way to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// One value that an argument sets.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Assignment {
    pub(super) path: Vec<Step>,
    pub(super) value: Value,
    /// Where the value stands in the argument: from 1, in characters.
    pub(super) column: usize,
    /// How long it is, in characters.
    pub(super) length: usize,
}

/// Why an argument cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) column: usize,
    pub(super) what: &'static str,
}

/// Reads one argument.
///
/// # Errors
/// When it does not have the form `path=value,path=value`.
pub(super) fn parse(argument: &str) -> Result<Vec<Assignment>, Fault> {
    let mut text = Text {
        characters: argument.chars().collect(),
        at: 0,
    };
    let mut assignments = Vec::new();
    loop {
        let path = text.path()?;
        let start = text.at;
        let value = text.value()?;
        assignments.push(Assignment {
            path,
            value,
            column: start + 1,
            length: text.at - start,
        });
        match text.next() {
            Some(',') if text.peek().is_some() => {}
            Some(',') | None => return Ok(assignments),
            Some(_) => return Err(text.fault("a `,` is expected here")),
        }
    }
}

struct Text {
    characters: Vec<char>,
    at: usize,
}

impl Text {
    fn peek(&self) -> Option<char> {
        self.characters.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek();
        self.at += usize::from(next.is_some());
        next
    }

    /// A fault at the character that was read last.
    fn fault(&self, what: &'static str) -> Fault {
        Fault {
            column: self.at.max(1),
            what,
        }
    }

    /// The text up to one of the marks, which stays, and whether any of it was escaped.
    fn until(&mut self, marks: &[char]) -> (String, bool) {
        let mut word = String::new();
        let mut escaped = false;
        while let Some(c) = self.peek().filter(|c| !marks.contains(c)) {
            self.at += 1;
            match c {
                '\\' => {
                    escaped = true;
                    word.extend(self.next());
                }
                c => word.push(c),
            }
        }
        (word, escaped)
    }

    /// The way to a value, up to and with the `=`.
    fn path(&mut self) -> Result<Vec<Step>, Fault> {
        let mut path = Vec::new();
        loop {
            let (word, _) = self.until(&['.', '=', ',', '[']);
            if word.is_empty() {
                self.at += 1;
                return Err(self.fault("a key is expected here"));
            }
            path.push(Step::Key(word));
            loop {
                match self.next() {
                    Some('[') => path.push(Step::Index(self.index()?)),
                    Some('=') => return Ok(path),
                    Some('.') => break,
                    _ => return Err(self.fault("the key has no value; write key=value")),
                }
            }
        }
    }

    fn index(&mut self) -> Result<usize, Fault> {
        let (word, _) = self.until(&[']']);
        self.next();
        let index = word.parse().ok().filter(|index| *index <= LARGEST_INDEX);
        index.ok_or(self.fault("an index is a number, as in list[0]"))
    }

    fn value(&mut self) -> Result<Value, Fault> {
        if self.peek() != Some('{') {
            let (word, escaped) = self.until(&[',']);
            return Ok(typed(word, escaped));
        }
        self.at += 1;
        let mut items = Vec::new();
        if self.peek() == Some('}') {
            self.at += 1;
            return Ok(Value::Array(items));
        }
        loop {
            let (word, escaped) = self.until(&[',', '}']);
            items.push(typed(word, escaped));
            match self.next() {
                Some(',') => {}
                Some(_) => return Ok(Value::Array(items)),
                None => return Err(self.fault("the list has no end; write {a,b}")),
            }
        }
    }
}

fn typed(word: String, escaped: bool) -> Value {
    match word.as_str() {
        _ if escaped => Value::String(word),
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        "null" => Value::Null,
        "0" => Value::from(0),
        digits if !digits.starts_with(['0', '+']) && !digits.starts_with("-0") => {
            match digits.parse::<i64>() {
                Ok(number) => Value::from(number),
                Err(_) => Value::String(word),
            }
        }
        _ => Value::String(word),
    }
}

/// Sets a value below another; a null removes a key. What is in the way is replaced.
pub(super) fn assign(into: &mut Value, path: &[Step], value: Value) {
    let Some((step, rest)) = path.split_first() else {
        *into = value;
        return;
    };
    match step {
        Step::Key(key) => {
            if !into.is_object() {
                *into = Value::Object(Map::new());
            }
            let Value::Object(map) = into else { return };
            if rest.is_empty() && value.is_null() {
                map.remove(key);
            } else {
                assign(map.entry(key.as_str()).or_insert(Value::Null), rest, value);
            }
        }
        Step::Index(index) => {
            if !into.is_array() {
                *into = Value::Array(Vec::new());
            }
            let Value::Array(items) = into else { return };
            if items.len() <= *index {
                items.resize(index + 1, Value::Null);
            }
            assign(&mut items[*index], rest, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn after(base: Value, argument: &str) -> Value {
        let mut value = base;
        for assignment in parse(argument).expect(argument) {
            assign(&mut value, &assignment.path, assignment.value);
        }
        value
    }

    #[test]
    fn arguments_are_read_as_helm_reads_them() {
        let table = [
            ("a.b=c", json!({ "a": { "b": "c" } })),
            (
                "a=1,b=true,c=-3,d=",
                json!({ "a": 1, "b": true, "c": -3, "d": "" }),
            ),
            (
                "a=007,b=1.5,c=+1",
                json!({ "a": "007", "b": "1.5", "c": "+1" }),
            ),
            (r"a\.b=x\,y", json!({ "a.b": "x,y" })),
            (r"a=\1", json!({ "a": "1" })),
            ("a={1,x},b={}", json!({ "a": [1, "x"], "b": [] })),
            ("a[1].b=x", json!({ "a": [null, { "b": "x" }] })),
            ("a=b=c", json!({ "a": "b=c" })),
        ];
        for (argument, expected) in table {
            assert_eq!(after(json!({}), argument), expected, "{argument}");
        }
    }

    #[test]
    fn null_removes_and_the_rest_stays() {
        let base = json!({ "a": { "b": 1, "c": 2 } });
        assert_eq!(after(base, "a.b=null"), json!({ "a": { "c": 2 } }));
    }

    #[test]
    fn the_place_of_a_value_is_known() {
        let read = parse("a.b=12,c=xyz").expect("two");
        assert_eq!((read[0].column, read[0].length), (5, 2));
        assert_eq!((read[1].column, read[1].length), (10, 3));
    }

    #[test]
    fn what_has_another_form_is_refused() {
        for argument in [
            "", "a", "a.b", ".a=1", "a..b=1", "a[x]=1", "a={1", "a={1}x", "a,b=1",
        ] {
            assert!(parse(argument).is_err(), "{argument}");
        }
        assert_eq!(parse("ab").map_err(|fault| fault.column), Err(2));
    }
}
