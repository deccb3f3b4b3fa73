//! Amounts as Kubernetes writes them: `0.5`, `500m`, `1Gi`.

/// Whether two texts are the same amount. What is not an amount is the same as nothing.
pub(super) fn same(one: &str, other: &str) -> bool {
    one == other || nanos(one).is_some_and(|amount| nanos(other) == Some(amount))
}

/// In billionths; none for what is not an amount, or is finer or greater than can be compared.
pub(super) fn nanos(text: &str) -> Option<i128> {
    let end = text
        .find(|letter: char| !matches!(letter, '0'..='9' | '.' | '-' | '+'))
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let scaled = digits.checked_mul(scale(suffix)?)?;
    let divisor = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    (scaled % divisor == 0).then(|| scaled / divisor)
}

/// An amount of billionths as people write it: `1500m` of cpu, `3.5Gi` of memory.
pub(super) fn written(resource: &str, nanos: i128) -> String {
    const UNIT: i128 = 1_000_000_000;
    if resource == "cpu" && nanos % UNIT != 0 {
        return format!("{}m", nanos / 1_000_000);
    }
    let whole = nanos / UNIT;
    let is_bytes = resource.contains("storage") || resource.contains("memory");
    let suffixes = [("Ti", 40), ("Gi", 30), ("Mi", 20), ("Ki", 10)];
    let suffix = suffixes
        .into_iter()
        .find(|(_, power)| is_bytes && whole >= 1 << power);
    let Some((suffix, power)) = suffix else {
        return whole.to_string();
    };
    let tenths = whole * 10 / (1 << power);
    match tenths % 10 {
        0 => format!("{}{suffix}", tenths / 10),
        rest => format!("{}.{rest}{suffix}", tenths / 10),
    }
}

/// How many billionths a suffix stands for.
fn scale(suffix: &str) -> Option<i128> {
    let ten = |power| 10_i128.pow(power);
    let two = |power| (1_i128 << power) * ten(9);
    Some(match suffix {
        "n" => 1,
        "u" => ten(3),
        "m" => ten(6),
        "" => ten(9),
        "k" => ten(12),
        "M" => ten(15),
        "G" => ten(18),
        "T" => ten(21),
        "P" => ten(24),
        "Ki" => two(10),
        "Mi" => two(20),
        "Gi" => two(30),
        "Ti" => two(40),
        "Pi" => two(50),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{nanos, same, written};

    #[test]
    fn equal_amounts() {
        for (one, other) in [
            ("0.5", "500m"),
            ("1000m", "1"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("1000", "1k"),
            ("0.1", "100m"),
        ] {
            assert!(same(one, other), "{one} {other}");
        }
    }

    #[test]
    fn amounts_are_written_as_people_do() {
        for (resource, amount, text) in [
            ("cpu", "1500m", "1500m"),
            ("cpu", "1k", "1000"),
            ("memory", "3584Mi", "3.5Gi"),
            ("memory", "24564804Ki", "23.4Gi"),
            ("ephemeral-storage", "0", "0"),
            ("nvidia.com/gpu", "2", "2"),
        ] {
            let amount = nanos(amount).expect("an amount");
            assert_eq!(written(resource, amount), text);
        }
    }

    #[test]
    fn different_amounts() {
        for (one, other) in [
            ("1", "1m"),
            ("1M", "1Mi"),
            ("", "0"),
            ("x", "y"),
            ("1x", "1"),
        ] {
            assert!(!same(one, other), "{one} {other}");
        }
    }
}
