//! What the server says of a statement, and where in a text that is.

use std::fmt;

use unicode_width::UnicodeWidthChar;

use super::literals;
use crate::engine::Class;

/// An error message of the server. Its code decides, its text is for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code}){}", detail.as_deref().map(|detail| format!("; {detail}")).unwrap_or_default())]
pub struct Fault {
    /// The five characters of its `SQLSTATE`.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// More of it.
    pub detail: Option<String>,
    /// What the server advises.
    pub hint: Option<String>,
    /// Where it is wrong.
    pub position: Option<Position>,
    /// Which function was at work, innermost first.
    pub context: Option<String>,
    /// What it is about: the column or constraint of a table, as `public.nodes, column id`.
    pub object: Option<String>,
}

/// A place that the server points to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position {
    /// In the text that was sent: characters, from 1.
    Sent(usize),
    /// In a query that the server has made itself, most often from a piece of a function.
    Inner {
        /// Characters, from 1.
        at: usize,
        /// The query.
        query: String,
    },
}

impl Fault {
    /// What the code means for the run.
    #[must_use]
    pub fn class(&self) -> Class {
        match self.code.as_str() {
            // Lock timeout, serialization, deadlock, in use; and XX000, which is how the server
            // says that two sessions changed one row of the catalog.
            "55P03" | "40001" | "40P01" | "55006" | "XX000" => Class::Busy,
            // Shut down, crashed, starting, read-only (demoted), no such database (yet).
            "57P01" | "57P02" | "57P03" | "57P05" | "25006" | "3D000" => Class::Unavailable,
            "42501" => Class::Forbidden,
            // A file or a library that the statement names is not on the server, or is there twice.
            "58P01" | "58P02" => Class::Invalid,
            code => match code.get(..2) {
                // Connection, resources, the operating system below.
                Some("08" | "53" | "58" | "XX") => Class::Unavailable,
                _ => Class::Invalid,
            },
        }
    }

    /// A bounded word for machines.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.code.as_str() {
            "28P01" => "wrong_password",
            "28000" => "login_refused",
            "3D000" => "no_database",
            "42501" => "forbidden",
            "42601" => "syntax_error",
            "55P03" => "lock_timeout",
            "40P01" => "deadlock",
            "57014" => "cancelled",
            "25006" => "read_only",
            code => match code.get(..2) {
                Some("08" | "57") => "connection",
                Some("53" | "58") => "resources",
                Some("23") => "constraint",
                Some("40" | "55") => "busy",
                Some("42") => "bad_statement",
                Some("XX") => "internal",
                _ => "refused",
            },
        }
    }

    /// Whether another session made the same thing between our look and our statement.
    pub(super) fn is_duplicate(&self) -> bool {
        matches!(self.code.as_str(), "42710" | "42P04" | "42P06" | "23505")
    }
}

/// A place in a text, with the line that it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The text's name: a path, relative to the bundle.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The line without its strings.
    source: String,
    /// How much of that stands before the place, in characters.
    before: usize,
}

/// How much of a long line is shown.
const WIDTH: usize = 100;

impl Excerpt {
    /// Finds the place that is `offset` characters into the text.
    #[must_use]
    pub fn new(file: &str, text: &str, offset: usize) -> Self {
        let (mut line, mut start) = (1, 0);
        for (index, _) in text
            .chars()
            .enumerate()
            .take(offset)
            .filter(|(_, c)| *c == '\n')
        {
            line += 1;
            start = index + 1;
        }
        let mut bytes = text.char_indices().map(|(byte, _)| byte);
        let place = bytes.nth(offset).unwrap_or(text.len());
        let begin = text[..place].rfind('\n').map_or(0, |newline| newline + 1);
        let shown = text[begin..].lines().next().unwrap_or_default();
        let (source, before) = literals::part(text, begin..begin + shown.len(), place);
        Self {
            file: file.to_owned(),
            line,
            column: offset - start + 1,
            source,
            before,
        }
    }

    /// The whole line that the place is in, without its strings: they are data.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// `file:line:column`
    #[must_use]
    pub fn place(&self) -> String {
        format!("{}:{}:{}", self.file, self.line, self.column)
    }
}

/// The line and a caret below the place.
impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let skip = (self.before + 1).saturating_sub(WIDTH * 3 / 4);
        let shown: String = self.source.chars().skip(skip).take(WIDTH).collect();
        let before = shown.chars().chain(std::iter::repeat(' '));
        let pad: String = before.take(self.before - skip).map(blank).collect();
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        write!(f, "{number} | {shown}\n{margin} | {pad}^")
    }
}

/// What is as wide as a character on a terminal, so that the caret stands below its own. Tabs stay
/// tabs: how wide they are only the terminal knows.
fn blank(c: char) -> &'static str {
    match (c, c.width()) {
        ('\t', _) => "\t",
        (_, Some(0)) => "",
        (_, Some(2)) => "  ",
        _ => " ",
    }
}

#[cfg(test)]
mod tests {
    use super::{Excerpt, Fault};
    use crate::engine::Class;

    fn fault(code: &str) -> Fault {
        Fault {
            code: code.to_owned(),
            message: String::new(),
            detail: None,
            hint: None,
            position: None,
            context: None,
            object: None,
        }
    }

    #[test]
    fn codes_decide_what_a_fault_means() {
        for (code, class) in [
            ("28P01", Class::Invalid),
            ("28000", Class::Invalid),
            ("42501", Class::Forbidden),
            ("42P01", Class::Invalid),
            ("23505", Class::Invalid),
            ("0A000", Class::Invalid),
            ("57014", Class::Invalid),
            ("08006", Class::Unavailable),
            ("53300", Class::Unavailable),
            ("57P03", Class::Unavailable),
            ("25006", Class::Unavailable),
            ("3D000", Class::Unavailable),
            ("55P03", Class::Busy),
            ("40001", Class::Busy),
            ("40P01", Class::Busy),
            ("XX000", Class::Busy),
            ("XX001", Class::Unavailable),
            ("58030", Class::Unavailable),
            ("58P01", Class::Invalid),
        ] {
            assert_eq!(fault(code).class(), class, "{code}");
        }
    }

    #[test]
    fn a_place_is_counted_in_characters() {
        let excerpt = Excerpt::new("a.sql", "SELECT 'ä';\n\tSELECT 'öü' FROM nodes;\n", 30);
        assert_eq!(excerpt.place(), "a.sql:2:19");
        insta::assert_snapshot!(excerpt.to_string(), @r"
        2 | 	SELECT '…' FROM nodes;
          | 	                ^
        ");
    }

    #[test]
    fn the_caret_stands_below_wide_characters() {
        // Of the width of two columns, of none, and of one.
        let excerpt = Excerpt::new("a.sql", "SELECT \"節点\", \"e\u{301}\", x;", 19);
        assert_eq!(excerpt.column, 20);
        assert_eq!(
            excerpt.to_string(),
            "1 | SELECT \"節点\", \"e\u{301}\", x;\n  |                     ^"
        );
    }

    #[test]
    fn a_place_behind_the_end_has_a_caret_too() {
        let excerpt = Excerpt::new("a.sql", "SELECT", 6);
        assert_eq!(excerpt.place(), "a.sql:1:7");
        assert!(excerpt.to_string().ends_with("|       ^"), "{excerpt}");
        assert_eq!(Excerpt::new("a.sql", "", 0).place(), "a.sql:1:1");
    }

    #[test]
    fn of_a_long_line_only_the_neighbourhood_is_shown() {
        let text = format!("{}HERE{}", "a".repeat(500), "b".repeat(500));
        let shown = Excerpt::new("a.sql", &text, 500).to_string();
        let (line, caret) = shown.split_once('\n').expect("two lines");
        assert!(line.len() < 120, "{line}");
        assert_eq!(line.find('H'), caret.find('^'));
    }
}
