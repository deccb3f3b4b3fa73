//! Lines of a file that an error is about.

/// The lines, set in below the sentence.
pub(super) fn indented(lines: &str) -> String {
    lines
        .lines()
        .map(|line| format!("    {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}
