//! Durations as people write them: `10s`, `1m30s`, `7d`.
//!
//! For fields of type `Option<Duration>`: `#[serde(default, with = "duration")]`. Every form that
//! Go's `time.ParseDuration` writes is read; days and weeks (of 24 hours) are understood as well.

use std::time::Duration;

use jiff::{
    Span, SpanRelativeTo,
    fmt::friendly::{Designator, Spacing, SpanPrinter},
};
use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

/// A text that is not a duration.
#[derive(Debug, thiserror::Error)]
#[error("not a duration like 10s, 1m30s or 7d: {text:?}")]
pub struct DurationError {
    text: String,
    source: Option<jiff::Error>,
}

/// Reads a duration.
///
/// # Errors
///
/// When the text is no duration, is negative, or uses months or years, whose length varies.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let error = |source| DurationError { text: text.to_owned(), source };
    let span: Span = text.parse().map_err(|source| error(Some(source)))?;
    let signed = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|source| error(Some(source)))?;
    Duration::try_from(signed).map_err(|_| error(None))
}

/// Writes a duration in the form that [`parse`] and Go read.
pub fn format(duration: Duration) -> String {
    SpanPrinter::new()
        .designator(Designator::Compact)
        .spacing(Spacing::None)
        .unsigned_duration_to_string(&duration)
}

/// Serializes as [`format()`] writes it.
///
/// # Errors
///
/// Those of the serializer.
pub fn serialize<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => serializer.serialize_str(&format(*duration)),
        None => serializer.serialize_none(),
    }
}

/// Deserializes as [`parse`] reads it; null is `None`.
///
/// # Errors
///
/// Those of [`parse`] and of the deserializer.
pub fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| parse(&text).map_err(D::Error::custom)).transpose()
}

/// What [`parse`] reads, but for the forms with spaces and words; only the smallest unit may have a fraction.
/// The numbers are bounded as a duration is.
#[cfg(feature = "crd")]
const PATTERN: &str = concat!(
    "^([0-9]{1,6}w)?([0-9]{1,6}d)?",
    "([0-9]{1,8}[.][0-9]{1,9}h|([0-9]{1,8}h)?",
    "([0-9]{1,8}[.][0-9]{1,9}m|([0-9]{1,10}m)?",
    "([0-9]{1,8}[.][0-9]{1,9}s|([0-9]{1,11}s)?",
    "([0-9]{1,8}[.][0-9]{1,9}ms|([0-9]{1,14}ms)?",
    "([0-9]{1,8}[.][0-9]{1,9}us|([0-9]{1,17}us)?([0-9]{1,18}ns)?)))))$",
);

/// The schema of a duration that is longer than nothing, or null.
#[cfg(feature = "crd")]
pub(super) fn positive(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let mut schema = needed(generator);
    schema.insert("nullable".to_owned(), true.into());
    schema
}

/// The schema of a duration that is longer than nothing.
#[cfg(feature = "crd")]
pub(super) fn needed(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "string",
        "maxLength": 64,
        "x-kubernetes-validations": [{
            "rule": format!("self.matches('{PATTERN}') && self.matches('[1-9]')"),
            "message": "it has to be a duration like 10s, 1m30s or 24h, and longer than nothing",
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_writes_is_read() {
        for (text, millis) in [
            ("10s", 10_000),
            ("1m30s", 90_000),
            ("1.5h", 5_400_000),
            ("250ms", 250),
            ("0s", 0),
            ("5m0s", 300_000),
            ("7d", 604_800_000),
        ] {
            assert_eq!(parse(text).unwrap(), Duration::from_millis(millis), "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for millis in [0, 1, 1500, 90_000, 5_400_000, 604_800_001] {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse(&format(duration)).unwrap(), duration);
        }
        assert_eq!(format(Duration::from_secs(90)), "1m30s");
    }

    #[test]
    fn what_is_no_length_of_time_is_refused() {
        for text in ["", "10", "soon", "-5s", "1mo", "1y"] {
            let error = parse(text).unwrap_err();
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
    }

    #[cfg(feature = "crd")]
    #[test]
    fn what_is_written_fits_the_schema() {
        let pattern = regex::Regex::new(PATTERN).unwrap();
        for text in [
            "10s",
            "1m30s",
            "1.5h",
            "250ms",
            "1h0.5s",
            "2w3d",
            "999999w",
            "18446744073s",
            "1h30.5m",
            "5us7ns",
        ] {
            assert!(pattern.is_match(text) && parse(text).is_ok(), "{text}");
        }
        for millis in [1, 1500, 90_000, 5_400_000, 604_800_001] {
            let text = format(Duration::from_millis(millis));
            assert!(pattern.is_match(&text), "{text}");
        }
        for text in ["10", "1 h", "1mo", "-5s", "9999999w", "1.5d", "5m1.5h", "5m3h", "1.5s1.5s"] {
            assert!(!pattern.is_match(text), "{text}");
        }
    }
}
