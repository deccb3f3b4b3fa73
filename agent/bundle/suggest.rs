//! "Did you mean": the nearest of the allowed words, or all of them when they are few.

/// More words than these are not listed.
const SHORT_LIST: usize = 12;

/// The candidate that `word` was most likely meant to be.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (distance(&lower, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

fn distance(word: &str, candidate: &str) -> usize {
    strsim::damerau_levenshtein(word, &candidate.to_lowercase())
}

/// A hint for a word that is not one of the candidates; none when nothing useful can be said.
pub(super) fn hint<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    if let Some(nearest) = nearest(word, candidates.iter().copied()) {
        return Some(format!("did you mean `{nearest}`?"));
    }
    (!candidates.is_empty() && candidates.len() <= SHORT_LIST)
        .then(|| format!("allowed: {}", list(candidates)))
}

/// The words in a row, for a message.
pub(super) fn list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<&str> = words.into_iter().collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_a_stranger_is_not() {
        let keys = ["needs", "name", "when", "timeout"];
        assert_eq!(nearest("need", keys), Some("needs"));
        assert_eq!(nearest("tiemout", keys), Some("timeout"));
        assert_eq!(nearest("nmae", keys), Some("name"));
        assert_eq!(nearest("replicas", keys), None);
        assert_eq!(
            hint("x", keys),
            Some("allowed: needs, name, when, timeout".to_owned())
        );
    }
}
