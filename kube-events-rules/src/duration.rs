//! Durations as Prometheus writes them: `30s`, `1h30m`, `7d`.

/// The units, from the longest on, with their length in seconds.
const UNITS: [(&str, f64); 7] = [
    ("y", 365.0 * 86_400.0),
    ("w", 7.0 * 86_400.0),
    ("d", 86_400.0),
    ("h", 3_600.0),
    ("m", 60.0),
    ("s", 1.0),
    ("ms", 0.001),
];

/// The length of the duration that `text` begins with, 0 if it begins with none.
///
/// Each unit stands once, longer ones first, and what follows is no letter, digit or point.
pub(crate) fn length(text: &str) -> usize {
    let length = parts(text).map(|part| part.length).sum();
    let goes_on = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    if text[length..].starts_with(goes_on) { 0 } else { length }
}

/// The seconds of a duration that [`length`] found.
pub(crate) fn seconds(text: &str) -> f64 {
    parts(text).map(|part| part.seconds).sum()
}

/// A number and its unit.
struct Part {
    length: usize,
    seconds: f64,
}

fn parts(text: &str) -> impl Iterator<Item = Part> {
    let (mut rest, mut units) = (text, &UNITS[..]);
    std::iter::from_fn(move || {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: f64 = rest[..digits].parse().ok()?;
        let letters = rest[digits..].bytes().take_while(u8::is_ascii_alphabetic).count();
        let length = digits + letters;
        let place = units.iter().position(|(name, _)| *name == &rest[digits..length])?;
        let seconds = number * units[place].1;
        (rest, units) = (&rest[length..], &units[place + 1..]);
        Some(Part { length, seconds })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_its_units_from_the_longest_on() {
        let table: &[(&str, usize, f64)] = &[
            ("10m", 3, 600.0),
            ("1h30m)", 5, 5400.0),
            ("1d", 2, 86_400.0),
            ("1y2w3d4h5m6s7ms", 15, 33_019_506.007),
            ("30m1h", 0, 0.0),
            ("1m1m", 0, 0.0),
            ("5", 0, 0.0),
            ("5x", 0, 0.0),
            ("5min", 0, 0.0),
            ("5m.5", 0, 0.0),
            ("m", 0, 0.0),
        ];
        for (text, expected, sum) in table {
            assert_eq!(length(text), *expected, "{text}");
            if *expected > 0 {
                assert!((seconds(text) - sum).abs() < 1e-6, "{text}");
            }
        }
    }
}
