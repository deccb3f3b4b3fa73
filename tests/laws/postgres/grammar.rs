//! Makes statements that the server parses, out of tokens that are hard to take apart.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

/// Makes up SQL.
pub(super) struct Grammar {
    random: StdRng,
}

/// What a splitter may take for something else.
const HOSTILE: [&str; 34] = [
    ";",
    "'",
    "\"",
    "--",
    "/*",
    "*/",
    "$$",
    "$a$",
    "$",
    "\\",
    "\\'",
    "\n",
    "\r",
    "\r\n",
    "\t",
    "BEGIN ATOMIC",
    "END",
    "BEGIN",
    "COMMIT;",
    "CASE",
    "(",
    ")",
    "[",
    "]",
    "E'",
    "U&'",
    "é",
    "節",
    "\u{a0}",
    " ",
    "a",
    "1",
    "x'",
    "''",
];

impl Grammar {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
        }
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from.choose(&mut self.random).expect("not empty")
    }

    fn below(&mut self, bound: u32) -> u32 {
        self.random.random_range(0..bound)
    }

    /// One statement, without blanks around it.
    pub(super) fn statement(&mut self) -> String {
        let words: Vec<String> = match self.below(14) {
            0..=3 => self.select(),
            4 => self.words(&[
                "INSERT", "INTO", "@name", "VALUES", "(", "@value", ",", "@value", ")",
            ]),
            5 => self.words(&[
                "UPDATE", "@name", "SET", "@name", "=", "@value", "WHERE", "@value", "IS", "NULL",
            ]),
            6 => self.words(&[
                "CREATE", "TABLE", "@name", "(", "@name", "int", "DEFAULT", "@value", ")",
            ]),
            7 => self.words(&["DO", "@text"]),
            8 => self.words(&["COMMENT", "ON", "TABLE", "@name", "IS", "@text"]),
            9 => self.words(&[
                "CREATE", "FUNCTION", "@name", "(", ")", "RETURNS", "int", "LANGUAGE", "sql", "AS",
                "@text",
            ]),
            10 => self.atomic(),
            11 => self.rule(),
            12 => self.words(&["PREPARE", "@name", "AS", "SELECT", "$1", ",", "@value"]),
            _ => self.words(&[
                "CREATE", "OR", "REPLACE", "VIEW", "@name", "AS", "SELECT", "@value", "AS", "@name",
            ]),
        };
        self.join(&words)
    }

    fn words(&mut self, form: &[&str]) -> Vec<String> {
        let mut words = Vec::new();
        for word in form {
            match *word {
                "@name" => words.push(self.name()),
                "@text" => words.push(self.text()),
                "@value" => self.value(&mut words, 2),
                word => words.push(word.to_owned()),
            }
        }
        words
    }

    fn select(&mut self) -> Vec<String> {
        let mut words = self.words(&["SELECT", "@value", "AS", "@name"]);
        for _ in 0..self.below(3) {
            words.extend(self.words(&[",", "@value"]));
        }
        if self.below(2) == 0 {
            words.extend(self.words(&["FROM", "@name", "WHERE", "@value", "=", "@value"]));
        }
        words
    }

    fn atomic(&mut self) -> Vec<String> {
        let kind = self.pick(&["FUNCTION", "PROCEDURE"]);
        let mut words = self.words(&["CREATE", kind, "@name", "(", ")"]);
        if kind == "FUNCTION" {
            words.extend(self.words(&["RETURNS", "int"]));
        }
        words.extend(self.words(&["BEGIN", "ATOMIC"]));
        for _ in 0..self.below(4) {
            let statement = match self.below(4) {
                0 => self.words(&["SELECT", "@value", "AS", "end"]),
                1 => self.words(&["INSERT", "INTO", "@name", "VALUES", "(", "@value", ")"]),
                _ => self.select(),
            };
            words.extend(statement);
            words.push(";".to_owned());
        }
        words.push("END".to_owned());
        words
    }

    fn rule(&mut self) -> Vec<String> {
        let mut words = self.words(&[
            "CREATE", "RULE", "@name", "AS", "ON", "INSERT", "TO", "@name", "DO", "ALSO", "(",
        ]);
        words.extend(self.select());
        for _ in 0..self.below(3) {
            words.push(";".to_owned());
            words.extend(self.select());
        }
        words.push(")".to_owned());
        words
    }

    fn value(&mut self, words: &mut Vec<String>, depth: u32) {
        match self.below(if depth == 0 { 6 } else { 11 }) {
            0..=3 => words.push(self.text()),
            4 => words.push(
                self.pick(&["1", "2.5", "1e3", ".5", "b'01'", "x'1f'", "n'a;'"])
                    .to_owned(),
            ),
            5 => words.push(self.name()),
            6 | 7 => {
                self.value(words, depth - 1);
                let operator =
                    self.pick(&["+", "*", "/", "||", "@", "#", "<@", "!~~", "^", "%", "|"]);
                words.push(operator.to_owned());
                self.value(words, depth - 1);
            }
            8 => {
                words.extend(self.words(&["CASE", "WHEN", "@text", "=", "@text", "THEN"]));
                self.value(words, depth - 1);
                words.extend(self.words(&["ELSE", "@text", "END"]));
            }
            9 => {
                words.extend(self.words(&["ARRAY", "["]));
                self.value(words, depth - 1);
                words.push("]".to_owned());
            }
            _ => {
                words.push("(".to_owned());
                self.value(words, depth - 1);
                words.push(")".to_owned());
            }
        }
    }

    fn hostile(&mut self) -> String {
        (0..self.below(6)).map(|_| self.pick(&HOSTILE)).collect()
    }

    fn name(&mut self) -> String {
        match self.below(5) {
            0 => {
                let inner = self.hostile().replace('"', "\"\"");
                format!("\"a{inner}\"")
            }
            1 => {
                let inner = self.hostile().replace('"', "\"\"").replace('\\', "\\\\");
                format!("U&\"a{inner}\"")
            }
            _ => self
                .pick(&[
                    "a", "a$b$", "größe", "節点", "b\u{a0}", "e1", "_x", "n", "atomic", "begin",
                ])
                .to_owned(),
        }
    }

    /// A string in one of the ways to write one.
    fn text(&mut self) -> String {
        let inner = self.hostile();
        match self.below(6) {
            0 => format!("'{}'", self.continued(&inner.replace('\'', "''"), "''")),
            1 => {
                let quote = self.pick(&["''", "\\'"]);
                let inner = inner.replace('\\', "\\\\").replace('\'', quote);
                let e = self.pick(&["E", "e"]);
                format!("{e}'{}'", self.continued(&inner, quote))
            }
            2 => {
                let inner = inner.replace('\\', "\\\\").replace('\'', "''");
                format!("U&'{inner}'")
            }
            _ => {
                let tag = self.pick(&["$$", "$a$", "$b$", "$größe$", "$_1$", "$E$"]);
                let closed = format!("{inner}{tag}");
                if closed.find(tag) == Some(inner.len()) {
                    format!("{tag}{closed}")
                } else {
                    format!("$other_tag${inner}$other_tag$")
                }
            }
        }
    }

    /// Adds a part in another line, which the server puts together with the first.
    fn continued(&mut self, inner: &str, quote: &str) -> String {
        if self.below(3) > 0 {
            return inner.to_owned();
        }
        let blank = self.pick(&[
            "\n",
            " \n\t",
            "\r",
            " -- it's; \"$$\n",
            "\n-- /*\n ",
            "\n -- a\r-- b\n",
        ]);
        format!("{inner}'{blank}'{inner};{quote};")
    }

    /// What may stand between two tokens.
    fn blank(&mut self) -> &'static str {
        self.pick(&[
            " ",
            " ",
            " ",
            "\n",
            "\t",
            "\r\n",
            "/**/",
            "/* ; */",
            "-- ;\n",
            "--'\r",
            "/* /* ' */ $$ */",
            " -- \"\n",
            "/*--*/",
            "\u{c}",
        ])
    }

    fn join(&mut self, words: &[String]) -> String {
        let mut sql = words[0].clone();
        for word in &words[1..] {
            sql.push_str(self.blank());
            sql.push_str(word);
        }
        sql
    }

    /// A text with these statements, and more semicolons and blanks than it needs.
    pub(super) fn file(&mut self, statements: &[String]) -> String {
        let mut sql = String::new();
        for statement in statements {
            for _ in 0..self.below(3) {
                sql.push_str(self.blank());
            }
            sql.push_str(statement);
            for _ in 0..self.below(2) {
                sql.push_str(self.blank());
            }
            for _ in 0..=self.below(2) {
                sql.push(';');
                sql.push_str(self.pick(&["", "\n"]));
            }
        }
        sql
    }

    /// The text with a few changes, each at any place.
    pub(super) fn mutated(&mut self, sql: &str) -> String {
        let mut text: Vec<char> = sql.chars().collect();
        for _ in 0..=self.below(3) {
            let at = self.random.random_range(0..=text.len());
            let end = (at + self.below(8) as usize).min(text.len());
            match self.below(4) {
                0 => {
                    text.drain(at..end);
                }
                1 => {
                    let again: Vec<char> = text[at..end].to_vec();
                    text.splice(at..at, again);
                }
                _ => {
                    let hostile = self.pick(&HOSTILE);
                    text.splice(at..at, hostile.chars());
                }
            }
        }
        text.into_iter().collect()
    }

    pub(super) fn statements(&mut self) -> Vec<String> {
        (0..=self.below(4)).map(|_| self.statement()).collect()
    }
}
