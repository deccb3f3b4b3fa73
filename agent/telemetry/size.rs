//! Sizes as people read them.

use std::fmt;

/// So many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size(pub(super) u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shift, unit) in [(30, "GiB"), (20, "MiB"), (10, "KiB")] {
            let tenths = self.0.saturating_mul(10) >> shift;
            if tenths >= 10 {
                let (whole, part) = (tenths / 10, tenths % 10);
                return match part {
                    0 => write!(f, "{whole} {unit}"),
                    _ => write!(f, "{whole}.{part} {unit}"),
                };
            }
        }
        write!(f, "{} bytes", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_well() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1_023, "1023 bytes"),
            (1_024, "1 KiB"),
            (1_600_000, "1.5 MiB"),
            (256 << 20, "256 MiB"),
            (3 << 30, "3 GiB"),
        ] {
            assert_eq!(Size(bytes).to_string(), text);
        }
    }
}
