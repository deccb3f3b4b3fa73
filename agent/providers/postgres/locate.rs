//! Where in a file of SQL an error of the server is, also when it comes from within a function.

use std::fmt::Write;

use super::error::Error;
use super::fault::{Excerpt, Fault, Position};
use super::statements::{self, Statement};

/// What was sent of a text, and how far the server came with it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent<'a> {
    /// The name of the text: a path, relative to the bundle.
    pub(super) file: &'a str,
    /// All of the text.
    pub(super) text: &'a str,
    /// Where in it the part that was sent begins, in characters from 0.
    pub(super) from: usize,
    /// How many statements of that part were carried out.
    pub(super) after: usize,
}

/// The error of a text, at its place.
pub(super) fn error(sent: Sent<'_>, mut fault: Box<Fault>) -> Error {
    let found = statements::split(sent.text);
    let mut part = found.iter().skip_while(|found| found.start() < sent.from);
    let failed = part.nth(sent.after);
    let end = sent.text.trim_end().chars().count();
    let statement = failed.map_or(end, Statement::start);
    let at = match &fault.position {
        Some(Position::Sent(at)) => sent.from + at.saturating_sub(1),
        _ => inside(&found, failed, &fault).unwrap_or(statement),
    };
    if failed.is_some_and(|failed| !(failed.start()..=failed.end()).contains(&at))
        && !matches!(fault.position, Some(Position::Sent(_)))
    {
        // The function is in the same file as the statement that called it: both are of interest.
        let caller = Excerpt::new(sent.file, sent.text, statement).place();
        let context = fault.context.get_or_insert_default();
        let _ = write!(context, "\nthe statement at {caller}");
    }
    Error::Text {
        excerpt: Box::new(Excerpt::new(sent.file, sent.text, at)),
        fault,
    }
}

/// The place in the text of a function, where that text is in the file.
fn inside(found: &[Statement<'_>], failed: Option<&Statement<'_>>, fault: &Fault) -> Option<usize> {
    let line = frames(fault.context.as_deref().unwrap_or_default())
        .find_map(|frame| frame.place(found, failed));
    let Some(Position::Inner { at, query }) = &fault.position else {
        return line;
    };
    let nearest = |statement: &Statement<'_>| query_at(statement, query, *at, line);
    failed
        .and_then(nearest)
        .or_else(|| found.iter().rev().find_map(nearest))
        .or(line)
}

/// Where in the statement a place of an inner query is. Of several equal ones it is the first at
/// or behind the line that the server names.
fn query_at(
    statement: &Statement<'_>,
    query: &str,
    at: usize,
    line: Option<usize>,
) -> Option<usize> {
    // PERFORM, and before version 14 each expression, is made a SELECT.
    let short = query.trim_start().strip_prefix("SELECT ");
    let all = [
        Some((query, at)),
        short.map(|rest| (rest, shorter(query, rest, at))),
    ];
    let (query, at) = all
        .into_iter()
        .flatten()
        .find(|(query, _)| !query.is_empty() && statement.sql().contains(query))?;
    let characters = |bytes: usize| statement.start() + statement.sql()[..bytes].chars().count();
    let mut places = statement.sql().match_indices(query).map(|(bytes, _)| bytes);
    let first = places.clone().next()?;
    let near = places.find(|bytes| line.is_none_or(|line| characters(*bytes) >= line));
    Some(characters(near.unwrap_or(first)) + at.saturating_sub(1))
}

/// The same place in the end of a query.
fn shorter(query: &str, rest: &str, at: usize) -> usize {
    let removed = query.chars().count() - rest.chars().count();
    at.saturating_sub(removed).max(1)
}

/// A function that was at work, from a line of the context.
struct Frame<'a> {
    /// As the server writes it: `check_node(integer)`, or `inline_code_block` for DO.
    function: &'a str,
    at: Step,
}

enum Step {
    /// The line of its body, from 1.
    Line(usize),
    /// The statement of its body, from 1.
    Statement(usize),
}

/// The frames of a context in English; of any other language there are none, and the error is
/// shown at its statement.
fn frames(context: &str) -> impl Iterator<Item = Frame<'_>> {
    context.lines().filter_map(|line| {
        if let Some(rest) = line.strip_prefix("PL/pgSQL function ") {
            let (function, rest) = rest.rsplit_once(" line ")?;
            let at = Step::Line(number(rest)?);
            return Some(Frame { function, at });
        }
        let (function, rest) = line.strip_prefix("SQL function \"")?.rsplit_once("\" ")?;
        let at = Step::Statement(rest.strip_prefix("statement ").map_or(Some(1), number)?);
        Some(Frame { function, at })
    })
}

fn number(text: &str) -> Option<usize> {
    text.split(' ').next()?.parse().ok()
}

impl Frame<'_> {
    /// Where this is in the text, if the function is made there.
    fn place(&self, found: &[Statement<'_>], failed: Option<&Statement<'_>>) -> Option<usize> {
        let statement = if self.function == "inline_code_block" {
            failed.filter(|failed| failed.head().verb == "DO")?
        } else {
            let before = |found: &&Statement<'_>| {
                failed.is_none_or(|failed| found.start() <= failed.start())
            };
            let mut made = found.iter().rev().filter(before);
            made.find(|found| self.is_made_by(found))?
        };
        let (body, start) = statement.body()?;
        match self.at {
            Step::Line(number) => line(body, number).map(|at| start + at),
            Step::Statement(number) => {
                let inner = statements::split(body);
                inner.get(number - 1).map(|found| start + found.start())
            }
        }
    }

    fn is_made_by(&self, statement: &Statement<'_>) -> bool {
        let head = statement.head();
        let routine = matches!(head.object.as_str(), "FUNCTION" | "PROCEDURE");
        let name = head.name.unwrap_or_default();
        let called = self.function.split('(').next().unwrap_or_default();
        routine && head.verb == "CREATE" && last(&name).eq_ignore_ascii_case(last(called))
    }
}

/// The name without its schema and its quotes.
fn last(name: &str) -> &str {
    name.rsplit('.')
        .next()
        .unwrap_or_default()
        .trim_matches('"')
}

/// The first character of a line that is no blank, counted from 1 for the line.
fn line(text: &str, number: usize) -> Option<usize> {
    let before: usize = text
        .split_inclusive('\n')
        .take(number.checked_sub(1)?)
        .map(|line| line.chars().count())
        .sum();
    let line = text.split('\n').nth(number - 1)?;
    let blanks = line.chars().take_while(|c| c.is_whitespace()).count();
    Some(before + blanks)
}
