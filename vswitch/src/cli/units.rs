//! Figures for people.
//!
//! Rates are decimal, as links are sold; memory and bytes are binary. Three digits say enough where a figure changes
//! each second; counters are written out whole, by whoever shows them.

/// Decimal steps.
const STEPS: [&str; 6] = ["", "k", "M", "G", "T", "P"];

/// Bits in a second: `941 Mbit/s`.
pub(super) fn bit_rate(bits: f64) -> String {
    let (figure, step) = scaled(bits);
    format!("{figure} {step}bit/s")
}

/// Anything else in a second or at all: `1.49 M`, `12`.
pub(super) fn count(number: f64) -> String {
    let (figure, step) = scaled(number);
    if step.is_empty() { figure } else { format!("{figure} {step}") }
}

/// Three digits, and the step that they are multiplied by.
fn scaled(number: f64) -> (String, &'static str) {
    let mut number = number.max(0.0);
    let mut step = 0;
    // 999.5 is shown as 1.00 of the next step, not as 1000.
    while number >= 999.5 && step + 1 < STEPS.len() {
        number /= 1000.0;
        step += 1;
    }
    let figure = match number {
        _ if step == 0 && number.fract() == 0.0 => format!("{number:.0}"),
        number if number < 9.995 => format!("{number:.2}"),
        number if number < 99.95 => format!("{number:.1}"),
        number => format!("{number:.0}"),
    };
    (figure, STEPS.get(step).copied().unwrap_or_default())
}

/// A span of time by its two largest units: `3 d 4 h`.
pub(super) fn duration(seconds: u64) -> String {
    let units = [("d", 86400), ("h", 3600), ("min", 60), ("s", 1)];
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (unit, size) in units {
        let number = rest / size;
        rest %= size;
        if number > 0 || (!parts.is_empty() && parts.len() < 2) {
            parts.push(format!("{number} {unit}"));
        }
        if parts.len() == 2 {
            break;
        }
    }
    parts.retain(|part| !part.starts_with("0 "));
    if parts.is_empty() { "0 s".to_owned() } else { parts.join(" ") }
}

/// A number of things, in the singular where there is one.
pub(super) fn things(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_three_digits_and_a_unit() {
        for (bits, shown) in [
            (0.0, "0 bit/s"),
            (7.0, "7 bit/s"),
            (0.25, "0.25 bit/s"),
            (999.0, "999 bit/s"),
            (999.6, "1.00 kbit/s"),
            (1000.0, "1.00 kbit/s"),
            (12_340.0, "12.3 kbit/s"),
            (99_960.0, "100 kbit/s"),
            (941_480_000.0, "941 Mbit/s"),
            (999_600_000.0, "1.00 Gbit/s"),
            (40e9, "40.0 Gbit/s"),
            (2e18, "2000 Pbit/s"),
            (-1.0, "0 bit/s"),
        ] {
            assert_eq!(bit_rate(bits), shown);
        }
        assert_eq!(count(1_488_095.0), "1.49 M");
        assert_eq!(count(12.0), "12");
    }

    #[test]
    fn times_are_shown_by_their_largest_units() {
        for (seconds, shown) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (61, "1 min 1 s"),
            (3600, "1 h"),
            (3601, "1 h"),
            (7260, "2 h 1 min"),
            (86_400 * 3 + 4 * 3600 + 59, "3 d 4 h"),
            (86_400 + 59, "1 d"),
        ] {
            assert_eq!(duration(seconds), shown);
        }
        assert_eq!(
            (things(1, "port", "ports"), things(0, "port", "ports")),
            ("1 port".into(), "0 ports".into())
        );
    }
}
