//! What a statement does, and to what: its first words.

use super::lexer::{Kind, Token};

/// `CREATE TABLE nodes` in its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The first word, in capitals: `CREATE`.
    pub verb: String,
    /// The kind of thing, in capitals: `TABLE`, `MATERIALIZED VIEW`. Empty where the verb says it.
    pub object: String,
    /// Its name as written, with its schema.
    pub name: Option<String>,
}

/// What may stand between CREATE and the kind of thing.
const ADJECTIVES: &[&str] = &[
    "OR",
    "REPLACE",
    "GLOBAL",
    "LOCAL",
    "TEMP",
    "TEMPORARY",
    "UNLOGGED",
    "UNIQUE",
    "RECURSIVE",
    "TRUSTED",
    "PROCEDURAL",
    "CONSTRAINT",
];

/// What may stand between the kind of thing and its name.
const FILLERS: &[&str] = &[
    "CONCURRENTLY",
    "IF",
    "NOT",
    "EXISTS",
    "ONLY",
    "INTO",
    "FROM",
    "TABLE",
    "BINARY",
    "VERBOSE",
    "FULL",
    "FREEZE",
    "ANALYZE",
    "LOCAL",
    "SESSION",
];

/// Kinds of things with a name of several words.
const LONG_KINDS: &[&[&str]] = &[
    &["MATERIALIZED", "VIEW"],
    &["FOREIGN", "TABLE"],
    &["FOREIGN", "DATA", "WRAPPER"],
    &["EVENT", "TRIGGER"],
    &["ACCESS", "METHOD"],
    &["OPERATOR", "CLASS"],
    &["OPERATOR", "FAMILY"],
    &["TEXT", "SEARCH", "CONFIGURATION"],
    &["TEXT", "SEARCH", "DICTIONARY"],
    &["TEXT", "SEARCH", "PARSER"],
    &["TEXT", "SEARCH", "TEMPLATE"],
    &["DEFAULT", "PRIVILEGES"],
    &["USER", "MAPPING"],
    &["LARGE", "OBJECT"],
];

/// Kinds of things without a name, or without one at this place.
const NAMELESS: &[&str] = &[
    "SYSTEM",
    "DEFAULT PRIVILEGES",
    "USER MAPPING",
    "CAST",
    "TRANSFORM",
];

impl Head {
    /// Reads the head from the tokens outside of parentheses.
    pub(super) fn read<'a>(tokens: impl Iterator<Item = Token<'a>>) -> Self {
        let mut reader = Reader::new(tokens);
        reader.main();
        let verb = reader.word().unwrap_or_default();
        match verb.as_str() {
            "CREATE" | "ALTER" | "DROP" | "IMPORT" | "REINDEX" | "REFRESH" => reader.thing(verb),
            "COMMENT" | "SECURITY" => {
                reader.skip_to("ON");
                reader.thing(verb)
            }
            "INSERT" | "UPDATE" | "DELETE" | "MERGE" | "TRUNCATE" | "LOCK" | "COPY" | "ANALYZE"
            | "ANALYSE" | "VACUUM" | "CLUSTER" | "CALL" | "SET" | "RESET" | "PREPARE"
            | "EXECUTE" | "DEALLOCATE" | "SAVEPOINT" | "DECLARE" => reader.named(verb, ""),
            "SELECT" => {
                reader.skip_to("FROM");
                reader.named(verb, "")
            }
            _ => Self {
                verb,
                object: String::new(),
                name: None,
            },
        }
    }

    /// Few words that are the same for all statements that do the same to the same thing.
    pub(in super::super) fn summary(&self) -> String {
        let name = self.name.as_deref().unwrap_or_default();
        let words = [self.verb.as_str(), self.object.as_str(), name];
        let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
        words.join(" ").chars().take(LONGEST).collect()
    }
}

/// The name behind the first such word or sign; empty if there is none.
pub(super) fn name_after(tokens: &[Token<'_>], word: &str) -> String {
    let mut reader = Reader::new(tokens.iter().copied());
    reader.skip_to(word);
    reader.name()
}

/// As OpenTelemetry advises for `db.query.summary`.
const LONGEST: usize = 255;

/// Takes no more of the tokens than it needs: most heads are short, and some statements long.
struct Reader<'a, I> {
    coming: I,
    tokens: Vec<Token<'a>>,
    at: usize,
}

impl<'a, I: Iterator<Item = Token<'a>>> Reader<'a, I> {
    fn new(coming: I) -> Self {
        Self {
            coming,
            tokens: Vec::new(),
            at: 0,
        }
    }

    fn token(&mut self, index: usize) -> Option<Token<'a>> {
        while self.tokens.len() <= index {
            self.tokens.push(self.coming.next()?);
        }
        self.tokens.get(index).copied()
    }

    fn next(&mut self) -> Option<Token<'a>> {
        self.token(self.at)
    }

    /// Goes to the statement behind `WITH a AS (…), b AS (…)`.
    fn main(&mut self) {
        if !self.is("WITH") {
            return;
        }
        let verbs = ["SELECT", "INSERT", "UPDATE", "DELETE", "MERGE"];
        let mut behind_name = false;
        for index in 1.. {
            let Some(token) = self.token(index) else {
                return;
            };
            if behind_name && verbs.iter().any(|verb| token.is_word(verb)) {
                self.at = index;
                return;
            }
            behind_name = behind_name || token.is_word("AS");
        }
    }

    fn is(&mut self, word: &str) -> bool {
        let next = self.next();
        next.is_some_and(|token| token.is_word(word) || token.is_sign(word))
    }

    fn word(&mut self) -> Option<String> {
        let token = self.next()?;
        if token.kind != Kind::Word {
            return None;
        }
        self.at += 1;
        Some(token.text.to_ascii_uppercase())
    }

    fn skip(&mut self, words: &[&str]) {
        while words.iter().any(|word| self.is(word)) {
            self.at += 1;
        }
    }

    /// Behind that word, or at the end.
    fn skip_to(&mut self, word: &str) {
        while self.next().is_some() && !self.is(word) {
            self.at += 1;
        }
        self.at += 1;
    }

    fn thing(&mut self, verb: String) -> Head {
        self.skip(ADJECTIVES);
        let object = self.kind();
        if NAMELESS.contains(&object.as_str()) {
            return Head {
                verb,
                object,
                name: None,
            };
        }
        self.named(verb, &object)
    }

    fn kind(&mut self) -> String {
        for words in LONG_KINDS {
            let is = |(offset, word): (usize, &&str)| {
                let token = self.token(self.at + offset);
                token.is_some_and(|token| token.is_word(word))
            };
            if words.iter().enumerate().all(is) {
                self.at += words.len();
                return words.join(" ");
            }
        }
        self.word().unwrap_or_default()
    }

    fn named(&mut self, verb: String, object: &str) -> Head {
        let name = self.name();
        // `CREATE INDEX ON nodes (id)` leaves the name to the server.
        let unnamed = name.is_empty() || name.eq_ignore_ascii_case("ON");
        Head {
            verb,
            object: object.to_owned(),
            name: (!unnamed).then_some(name),
        }
    }

    fn name(&mut self) -> String {
        self.skip(FILLERS);
        let mut name = String::new();
        while let Some(token) = self.next() {
            let part = matches!(token.kind, Kind::Word | Kind::Name);
            if part != (name.is_empty() || name.ends_with('.')) || !(part || token.is_sign(".")) {
                break;
            }
            name.push_str(token.text);
            self.at += 1;
        }
        name
    }
}
