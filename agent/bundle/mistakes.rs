//! What is wrong with a bundle: all of it at once, each mistake with its place and what to do.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::Location;
use super::yaml::Spot;

/// What a mistake was made in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// A file, relative to the bundle's root, or as it was given.
    File(PathBuf),
    /// The argument of one `--set`.
    Set(String),
}

/// Where a mistake is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// In what.
    pub origin: Origin,
    /// From 1; 0 when the whole file is meant.
    pub line: usize,
    /// From 1, in characters; 0 when the whole file is meant.
    pub column: usize,
    /// How many characters are meant; at least 1 is underlined.
    pub length: usize,
}

impl Place {
    /// A spot in a file.
    pub(super) fn at(file: &Path, spot: Spot) -> Self {
        Self {
            origin: Origin::File(file.to_owned()),
            line: spot.line,
            column: spot.column,
            length: spot.length,
        }
    }

    /// A whole file or folder.
    pub(super) fn whole(file: &Path) -> Self {
        Self::at(file, Spot::default())
    }
}

impl From<&Location> for Place {
    fn from(location: &Location) -> Self {
        Self {
            origin: Origin::File(location.file.clone()),
            line: location.line,
            column: location.column,
            length: 1,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::File(file) if self.line == 0 => write!(f, "{}", file.display()),
            Origin::File(file) => write!(f, "{}:{}:{}", file.display(), self.line, self.column),
            Origin::Set(argument) => write!(f, "--set '{argument}'"),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// Where.
    pub place: Place,
    /// What is wrong, a lower-case fragment.
    pub what: String,
    /// What to do about it.
    pub hints: Vec<String>,
    /// The line that the place is in.
    pub excerpt: Option<String>,
}

impl Mistake {
    pub(super) fn new(place: Place, what: impl Into<String>) -> Self {
        Self {
            place,
            what: what.into(),
            hints: Vec::new(),
            excerpt: None,
        }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    pub(super) fn hint_if(self, hint: Option<String>) -> Self {
        match hint {
            Some(hint) => self.hint(hint),
            None => self,
        }
    }

    /// Writes the mistake, each of its lines after the first indented.
    fn write(&self, f: &mut fmt::Formatter<'_>, indent: &str) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)?;
        if let Some(line) = &self.excerpt {
            let number = match self.place.origin {
                Origin::File(_) => self.place.line.to_string(),
                Origin::Set(_) => String::new(),
            };
            let (line, before, under) = window(line, self.place.column, self.place.length);
            let gutter = " ".repeat(number.len());
            write!(f, "\n{indent}{number} | {line}")?;
            write!(f, "\n{indent}{gutter} | {before}{under}")?;
        }
        for hint in &self.hints {
            write!(f, "\n{indent}hint: {hint}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, "  ")
    }
}

/// The widest part of a line that is shown.
const WIDTH: usize = 120;

/// The part of a line around a column, what is before the caret, and the caret.
fn window(line: &str, column: usize, length: usize) -> (String, String, String) {
    let characters: Vec<char> = line.chars().collect();
    let column = column.saturating_sub(1).min(characters.len());
    let start = if characters.len() <= WIDTH {
        0
    } else {
        column.saturating_sub(WIDTH / 2)
    };
    let end = characters.len().min(start + WIDTH);
    // A tab stays a tab, so that the caret is below its character however wide a tab is shown.
    let before = characters[start..column].iter();
    let before = before
        .map(|c| if *c == '\t' { '\t' } else { ' ' })
        .collect();
    let length = length.min(end.saturating_sub(column)).max(1);
    let shown = characters[start..end].iter().collect();
    (shown, before, "^".repeat(length))
}

/// Everything that is wrong with a bundle: at least one mistake, in the order of their places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    pub(super) fn one(mistake: Mistake) -> Self {
        Self(vec![mistake])
    }

    /// These mistakes, in the order of their places; none if there are none.
    #[must_use]
    pub fn of(mut list: Vec<Mistake>) -> Option<Self> {
        list.sort();
        list.dedup();
        (!list.is_empty()).then_some(Self(list))
    }

    /// The mistakes, in the order of their places.
    pub fn iter(&self) -> std::slice::Iter<'_, Mistake> {
        self.0.iter()
    }

    /// The first mistake, and how many more there are, as one line.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Some(first) = self.0.first() else {
            return String::new();
        };
        let hint = first
            .hints
            .first()
            .map_or_else(String::new, |hint| format!("; {hint}"));
        let more = match self.0.len() - 1 {
            0 => String::new(),
            1 => " (and 1 more mistake)".to_owned(),
            more => format!(" (and {more} more mistakes)"),
        };
        format!("{}: {}{hint}{more}", first.place, first.what)
    }

    /// How many there are; never none.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

impl<'a> IntoIterator for &'a Mistakes {
    type Item = &'a Mistake;
    type IntoIter = std::slice::Iter<'a, Mistake>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [one] = &self.0[..] {
            return one.write(f, "  ");
        }
        write!(f, "{} mistakes in the bundle", self.0.len())?;
        for (index, mistake) in self.0.iter().enumerate() {
            let number = format!("{}. ", index + 1);
            write!(f, "\n\n{number}")?;
            mistake.write(f, &" ".repeat(number.len()))?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

/// Gathers mistakes while a bundle is read, so that the first does not hide the others.
#[derive(Debug, Default)]
pub(super) struct Found {
    list: RefCell<Vec<Mistake>>,
    /// What no excerpt may show.
    hidden: RefCell<Vec<Place>>,
}

impl Found {
    pub(super) fn add(&self, mistake: Mistake) {
        self.list.borrow_mut().push(mistake);
    }

    /// Keeps a text that should have been a secret out of all excerpts, which end up in logs.
    pub(super) fn hide(&self, place: Place) {
        self.hidden.borrow_mut().push(place);
    }

    /// How many were found until now.
    pub(super) fn count(&self) -> usize {
        self.list.borrow().len()
    }

    /// Sorts what was found and puts the line of each mistake beside it.
    ///
    /// # Errors
    /// When anything was found.
    pub(super) fn into_result(self, texts: &HashMap<PathBuf, String>) -> Result<(), Mistakes> {
        let mut list = self.list.into_inner();
        let hidden = self.hidden.into_inner();
        for mistake in &mut list {
            let line = excerpt(&mistake.place, texts);
            mistake.excerpt = line.map(|line| masked(line, &mistake.place, &hidden));
        }
        list.sort();
        list.dedup();
        if list.is_empty() {
            Ok(())
        } else {
            Err(Mistakes(list))
        }
    }
}

fn excerpt(place: &Place, texts: &HashMap<PathBuf, String>) -> Option<String> {
    let line = match &place.origin {
        Origin::Set(argument) => argument.as_str(),
        Origin::File(file) => texts.get(file)?.lines().nth(place.line.checked_sub(1)?)?,
    };
    Some(line.trim_end().to_owned())
}

/// A line without what is hidden in it.
fn masked(line: String, place: &Place, hidden: &[Place]) -> String {
    let in_line = |hidden: &&Place| (&hidden.origin, hidden.line) == (&place.origin, place.line);
    hidden.iter().filter(in_line).fold(line, |line, hidden| {
        let meant = hidden.column..hidden.column + hidden.length;
        let characters = line.chars().enumerate();
        let character = |(at, c)| if meant.contains(&(at + 1)) { '*' } else { c };
        characters.map(character).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistake(line: usize, column: usize, what: &str) -> Mistake {
        let spot = Spot {
            line,
            column,
            length: 4,
            ..Spot::default()
        };
        Mistake::new(Place::at(Path::new("a.yaml"), spot), what)
    }

    fn texts() -> HashMap<PathBuf, String> {
        HashMap::from([(PathBuf::from("a.yaml"), "one: 1\n  need: x\n".to_owned())])
    }

    #[test]
    fn one_prints_as_itself() {
        let found = Found::default();
        found.add(mistake(2, 3, "unknown key").hint("did you mean `needs`?"));
        let mistakes = found.into_result(&texts()).expect_err("there is one");
        assert_eq!(
            mistakes.to_string(),
            "a.yaml:2:3: unknown key\n  2 |   need: x\n    |   ^^^^\n  hint: did you mean `needs`?"
        );
    }

    #[test]
    fn several_are_sorted_numbered_and_said_once() {
        let found = Found::default();
        found.add(mistake(2, 3, "second"));
        found.add(mistake(1, 1, "first"));
        found.add(mistake(2, 3, "second"));
        let text = found.into_result(&texts()).expect_err("two").to_string();
        let expected = "2 mistakes in the bundle\n\n1. a.yaml:1:1: first\n   1 | one: 1\n     | ^^^^\n\n2. a.yaml:2:3: second\n   2 |   need: x\n     |   ^^^^";
        assert_eq!(text, expected);
    }

    #[test]
    fn what_is_hidden_is_in_no_excerpt() {
        let found = Found::default();
        let secret = mistake(2, 9, "a plain password");
        found.hide(Place {
            length: 1,
            ..secret.place.clone()
        });
        found.add(secret);
        found.add(mistake(2, 3, "unknown key"));
        let text = found.into_result(&texts()).expect_err("two").to_string();
        assert_eq!(text.matches("  need: *\n").count(), 2, "{text}");
    }

    #[test]
    fn a_long_line_is_shown_around_its_column() {
        let line = format!("{}needle{}", "x".repeat(500), "y".repeat(500));
        let (shown, before, under) = window(&line, 501, 6);
        assert_eq!(shown.chars().count(), WIDTH);
        assert_eq!(&shown[before.len()..before.len() + under.len()], "needle");
    }
}
