//! The one printer of an error with its causes.

use std::error::Error;
use std::fmt;

/// Prints an error and its causes as one line, each said once.
///
/// Some libraries repeat their source in their own message; a cause that the text so far
/// already ends with is left out.
pub struct Chain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = one_line(&self.0.to_string());
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let said = one_line(&error.to_string());
            if !said.is_empty() && !text.contains(&said) {
                text = format!("{text}: {said}");
            }
            cause = error.source();
        }
        f.write_str(&text)
    }
}

fn one_line(text: &str) -> String {
    text.split('\n')
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("failed to open {name}: not there")]
    struct Outer {
        name: &'static str,
        source: Inner,
    }

    #[derive(Debug, thiserror::Error)]
    #[error("not there")]
    struct Inner(#[source] Root);

    #[derive(Debug, thiserror::Error)]
    #[error("disk gone\n  since yesterday")]
    struct Root;

    #[test]
    fn says_each_cause_once_and_on_one_line() {
        let error = Outer {
            name: "x",
            source: Inner(Root),
        };
        assert_eq!(
            Chain(&error).to_string(),
            "failed to open x: not there: disk gone; since yesterday"
        );
    }
}
