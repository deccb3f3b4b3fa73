//! How much of a run is on its page, so that the page stays one that can be sent and read.

/// The longest page, in bytes.
pub(super) const LIMIT: usize = 300_000;

/// How many of each thing are shown one by one; the rest is summed up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Phases.
    pub(super) phases: usize,
    /// Steps in the waterfall.
    pub(super) rows: usize,
    /// Attempts, waits and calls in the waterfall.
    pub(super) moments: usize,
    /// Into how many parts the time is cut at most.
    pub(super) grain: u16,
    /// Failed steps, changed steps, checks, groups of skipped steps.
    pub(super) steps: usize,
    /// Fields of all changes.
    pub(super) fields: usize,
    /// Items of a list inside of these.
    pub(super) items: usize,
    /// Characters of a text.
    pub(super) text: usize,
}

/// The first rung that makes a page short enough is taken; the last one always does.
pub(super) const LADDER: [Bounds; 5] = [
    rung(1, 4_000, 500),
    rung(2, 2_000, 250),
    rung(4, 1_000, 120),
    rung(10, 400, 50),
    rung(40, 120, 20),
];

const fn rung(part: usize, text: usize, grain: u16) -> Bounds {
    Bounds {
        phases: 200 / part + 10,
        rows: 400 / part,
        moments: 600 / part,
        grain,
        steps: 200 / part,
        fields: 1_000 / part,
        items: 40 / part + 2,
        text,
    }
}

impl Bounds {
    /// The text, cut if it is too long, which is said.
    pub(super) fn cut(&self, text: &str) -> String {
        let count = text.chars().count();
        if count <= self.text {
            return text.to_owned();
        }
        let kept: String = text.chars().take(self.text).collect();
        let more = count - self.text;
        format!("{kept}… ({more} more characters)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_off_is_said() {
        let bounds = &LADDER[4];
        assert_eq!(bounds.cut("short"), "short");
        let cut = bounds.cut(&"é".repeat(130));
        assert!(cut.ends_with("é… (10 more characters)"), "{cut}");
    }
}
