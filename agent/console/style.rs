//! Colours, where they are wanted.

use std::fmt::Display;

/// Whether text is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// No escape sequences at all.
    Plain,
    /// The sixteen colours of every terminal.
    Colour,
}

impl Style {
    /// Something that went well.
    #[must_use]
    pub fn good(self, text: impl Display) -> String {
        self.paint("32", text)
    }

    /// Something that changed or will.
    #[must_use]
    pub fn change(self, text: impl Display) -> String {
        self.paint("33", text)
    }

    /// Something that went wrong.
    #[must_use]
    pub fn bad(self, text: impl Display) -> String {
        self.paint("31", text)
    }

    /// Something that is at work.
    #[must_use]
    pub fn busy(self, text: impl Display) -> String {
        self.paint("36", text)
    }

    /// Something beside the point.
    #[must_use]
    pub fn dim(self, text: impl Display) -> String {
        self.paint("2", text)
    }

    /// A heading.
    #[must_use]
    pub fn strong(self, text: impl Display) -> String {
        self.paint("1", text)
    }

    fn paint(self, code: &str, text: impl Display) -> String {
        match self {
            Self::Plain => text.to_string(),
            Self::Colour => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }
}
