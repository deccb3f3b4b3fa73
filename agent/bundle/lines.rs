//! Which line of a template a line of the rendered text came from.
//!
//! The template is rendered a second time with a mark before the first character of each line
//! that is plain text. Such a mark changes no white space that a block would trim, so the marked
//! rendering has the same lines as the real one.

use super::template::Templates;
use super::yaml::{Content, Node, Problem, Spot};

const MARK: char = '\u{E000}';
const MARK_END: char = '\u{E001}';

/// For each line of a rendered text (from 0) the line of its template (from 1) and whether it
/// reads the same there.
pub(super) struct Lines<'a> {
    template: &'a str,
    origins: Vec<(usize, bool)>,
}

impl<'a> Lines<'a> {
    /// Finds out where the lines of a rendered text come from.
    pub(super) fn trace(templates: &Templates, template: &'a str, rendered: &str) -> Self {
        let marked = templates.text(&mark(template)).unwrap_or_default();
        let (plain, numbers) = unmark(&marked);
        let numbers = if plain == rendered {
            numbers
        } else {
            Vec::new()
        };
        let source: Vec<&str> = template.lines().collect();
        let mut last = 1;
        let lines = rendered.lines().enumerate();
        let origins = lines.map(|(at, line)| {
            last = numbers.get(at).copied().flatten().unwrap_or(last);
            (last, source.get(last - 1) == Some(&line))
        });
        let origins = origins.collect();
        Self { template, origins }
    }

    /// The spot in the template; of a line that reads differently there, its first character.
    fn spot(&self, at: Spot) -> Spot {
        // What is missing at the end of a text is said of the line behind its last one.
        let origin = at
            .line
            .checked_sub(1)
            .and_then(|line| self.origins.get(line).or(self.origins.last()));
        let Some((line, same)) = origin.copied() else {
            return at;
        };
        if same {
            return Spot { line, ..at };
        }
        let text = self.template.lines().nth(line - 1).unwrap_or_default();
        let indent = text.chars().take_while(|c| c.is_whitespace()).count();
        Spot {
            line,
            column: indent + 1,
            length: text.trim().chars().count(),
            ..at
        }
    }

    /// Moves everything in a tree to where it stands in the template.
    pub(super) fn move_tree(&self, node: &mut Node) {
        node.at = self.spot(node.at);
        match &mut node.content {
            Content::Sequence(items) => items.iter_mut().for_each(|item| self.move_tree(item)),
            Content::Mapping(entries) => {
                for (key, node) in entries {
                    key.at = self.spot(key.at);
                    self.move_tree(node);
                }
            }
            Content::Scalar(_) | Content::Broken => {}
        }
    }

    /// Moves a problem to where it stands in the template.
    pub(super) fn move_problem(&self, problem: &mut Problem) {
        problem.at = self.spot(problem.at);
    }
}

/// Puts a mark with its number before each line that starts with plain text.
fn mark(template: &str) -> String {
    let mut marked = String::with_capacity(template.len() * 2);
    let mut inside: Option<&str> = None;
    for (index, line) in template.split_inclusive('\n').enumerate() {
        let text = line.trim_start();
        let plain =
            !text.is_empty() && !["{{", "{%", "{#"].iter().any(|open| text.starts_with(open));
        if plain && inside.is_none() {
            marked.push_str(&line[..line.len() - text.len()]);
            marked.push(MARK);
            marked.push_str(&(index + 1).to_string());
            marked.push(MARK_END);
            marked.push_str(text);
        } else {
            marked.push_str(line);
        }
        inside = open_at_end(line, inside);
    }
    marked
}

/// The mark that closes the tag which is open at the end of a line, if one is.
fn open_at_end<'a>(line: &str, mut inside: Option<&'a str>) -> Option<&'a str> {
    let mut rest = line;
    loop {
        if let Some(close) = inside {
            let Some(at) = rest.find(close) else {
                return inside;
            };
            rest = &rest[at + 2..];
            inside = None;
        } else {
            let tags = [("{{", "}}"), ("{%", "%}"), ("{#", "#}")];
            let opens = tags
                .iter()
                .filter_map(|(open, close)| Some((rest.find(open)?, *close)));
            let (at, close) = opens.min()?;
            rest = &rest[at + 2..];
            inside = Some(close);
        }
    }
}

/// The text without its marks, and for each line the number in its first mark.
fn unmark(marked: &str) -> (String, Vec<Option<usize>>) {
    let mut plain = String::with_capacity(marked.len());
    let mut numbers = Vec::new();
    for line in marked.split_inclusive('\n') {
        let mut number = None;
        let mut parts = line.split(MARK);
        plain.push_str(parts.next().unwrap_or_default());
        for part in parts {
            let (digits, text) = part.split_once(MARK_END).unwrap_or(("", part));
            number = number.or(digits.parse().ok());
            plain.push_str(text);
        }
        numbers.push(number);
    }
    (plain, numbers)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn origins(template: &str) -> Vec<(usize, bool)> {
        let values = json!({ "on": false, "list": ["x", "y"], "map": { "a": 1 } });
        let templates = Templates::new(&values, None, "lens");
        let rendered = templates.text(template).expect("it renders");
        Lines::trace(&templates, template, &rendered).origins
    }

    #[test]
    fn lines_behind_conditions_and_loops_are_found() {
        let template = "a: 1\n{% if values.on %}\nb: 2\n{% endif %}\nc: 3\n\
                        {% for x in values.list %}\n- n: {{ x }}\n  fixed: 1\n{% endfor %}\nd: 4\n";
        let expected = [
            (1, true),
            (5, true),
            (7, false),
            (8, true),
            (7, false),
            (8, true),
            (10, true),
        ];
        assert_eq!(origins(template), expected);
    }

    #[test]
    fn trimming_and_tags_over_several_lines_change_nothing() {
        let template = "a:\n  {%- if not values.on %} 1{% endif %}\n{{ values.map\n   | tojson }}\nb: {{-\n values.list[0] }}\n  c: 5\n";
        let expected = [(1, false), (5, false), (7, true)];
        assert_eq!(origins(template), expected);
    }
}
