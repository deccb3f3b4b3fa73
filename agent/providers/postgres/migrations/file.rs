//! One file of a folder of migrations.

use std::cmp::Ordering;
use std::sync::{Arc, OnceLock};

use crate::engine::FieldChange;
use crate::natural;

use super::super::fault::Excerpt;
use super::super::{history, preview};
use super::error::MigrationError;
use super::placeholders::Placeholders;
use super::script::{Flaw, Piece, Script};

/// When a file is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    /// Once, after all of lower versions.
    Version(u64),
    /// Once, after all whose names come before.
    Name,
    /// After all versions, and again whenever it has changed.
    Repeatable,
}

impl From<u64> for Order {
    fn from(version: u64) -> Self {
        Self::Version(version)
    }
}

/// One file: `V…__name.sql`, `R__name.sql`, or one of any name where names are the order.
#[derive(Debug, Clone)]
pub struct File {
    pub(super) order: Order,
    pub(in super::super) description: String,
    pub(in super::super) path: String,
    pub(in super::super) checksum: String,
    text: Arc<str>,
    placeholders: Arc<Placeholders>,
    /// Read when it is first asked for: of what a database has had only the checksum counts.
    script: Arc<OnceLock<Result<Script, Vec<Flaw>>>>,
}

/// Something that is wrong with a file before any server has seen it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMistake {
    /// Where.
    pub excerpt: Excerpt,
    /// What is wrong, a lower-case fragment.
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

impl File {
    /// Takes the file's text as it is on the disk; `path` is relative to the bundle.
    #[must_use]
    pub fn new(
        order: impl Into<Order>,
        description: impl Into<String>,
        path: impl Into<String>,
        sql: &str,
        placeholders: &Placeholders,
    ) -> Self {
        let sql = history::normalise(sql);
        Self {
            order: order.into(),
            description: description.into(),
            path: path.into(),
            checksum: history::checksum(&sql),
            placeholders: Arc::new(placeholders.clone()),
            script: Arc::default(),
            text: sql.into(),
        }
    }

    fn read(&self) -> Result<&Script, &Vec<Flaw>> {
        let read = || Script::read(&self.text, &self.placeholders);
        self.script.get_or_init(read).as_ref()
    }

    /// All that is wrong with it.
    #[must_use]
    pub fn mistakes(&self) -> Vec<FileMistake> {
        let flaws = self.read().err();
        let flaws = flaws.into_iter().flatten();
        flaws
            .map(|flaw| FileMistake {
                excerpt: self.excerpt(flaw.offset),
                what: flaw.what.clone(),
                hint: flaw.hint.clone(),
            })
            .collect()
    }

    /// What is to be run.
    pub(super) fn script(&self) -> Result<&Script, MigrationError> {
        let flaws = match self.read() {
            Ok(script) => return Ok(script),
            Err(flaws) => flaws,
        };
        let (what, mut hints) = flaws.first().map_or_else(Default::default, |flaw| {
            (flaw.what.clone(), vec![flaw.hint.clone()])
        });
        if let more @ 1.. = flaws.len().saturating_sub(1) {
            hints.push(format!("`firstlight lint` shows {more} more in this file"));
        }
        Err(MigrationError::Flawed {
            excerpt: Box::new(self.excerpt(flaws.first().map_or(0, |flaw| flaw.offset))),
            what,
            hints,
        })
    }

    /// Its statements, for who looks before they are run.
    pub(super) fn preview(&self) -> Vec<FieldChange> {
        let script = self.read().ok();
        let pieces = script.into_iter().flat_map(|script| &script.pieces);
        let statements: Vec<&str> = pieces.map(|piece| piece.resolved.sql.as_str()).collect();
        // A piece may end in a comment.
        preview::fields(&statements.join("\n;\n"))
    }

    pub(in super::super) fn version(&self) -> Option<u64> {
        match self.order {
            Order::Version(version) => Some(version),
            Order::Name | Order::Repeatable => None,
        }
    }

    /// Whether it is run again when it has changed.
    pub(in super::super) fn is_repeatable(&self) -> bool {
        self.order == Order::Repeatable
    }

    /// Which of two is run first.
    pub(in super::super) fn compare(&self, other: &Self) -> Ordering {
        self.order.cmp(&other.order).then_with(|| match self.order {
            Order::Version(_) => Ordering::Equal,
            Order::Name => natural::compare(self.name(), other.name()),
            Order::Repeatable => self.name().cmp(other.name()),
        })
    }

    /// Its name without its folder, which is what the history knows it by.
    pub(in super::super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// A place in its text, `offset` characters from its start.
    pub(super) fn excerpt(&self, offset: usize) -> Excerpt {
        Excerpt::new(&self.path, &self.text, offset)
    }

    /// The start of one of its statements.
    pub(super) fn at(&self, piece: &Piece) -> Excerpt {
        self.excerpt(piece.start)
    }

    /// All of it.
    pub(in super::super) fn text(&self) -> &str {
        &self.text
    }

    /// Its end.
    pub(super) fn end(&self) -> usize {
        self.text.trim_end().chars().count()
    }
}
