//! Sizes as people write them: `100Mi`, `1G`, `65536`.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A number of bytes, written as Kubernetes writes quantities of memory: `100Mi`, `1G`, `65536`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

/// A text that is not a size.
#[derive(Debug, thiserror::Error)]
#[error("not a number of bytes like 100Mi, 1G or 65536: {0:?}")]
pub struct ByteSizeError(String);

struct SizeVisitor;

const UNITS: [(&str, u64); 9] = [
    ("Ti", 1 << 40),
    ("Gi", 1 << 30),
    ("Mi", 1 << 20),
    ("Ki", 1 << 10),
    ("T", 1_000_000_000_000),
    ("G", 1_000_000_000),
    ("M", 1_000_000),
    ("k", 1_000),
    ("", 1),
];

/// Of a text: as many digits as there may be, and a unit.
#[cfg(feature = "crd")]
const MAX_LENGTH: usize = 20;

/// More than none, and of each unit as many digits as 63 bits have for certain.
#[cfg(feature = "crd")]
fn rule() -> String {
    let characters = super::schema::characters(MAX_LENGTH);
    let of = |(unit, factor): (&str, u64)| {
        let (length, most) = (unit.len(), (i64::MAX.unsigned_abs() / factor).ilog10());
        format!("digits <= {most} && size(self) == digits + {length} && self.endsWith('{unit}')")
    };
    let units = UNITS.map(of).join(" || ");
    format!(
        "type(self) in [int] ? self > 0 : {characters}.exists(c, c >= '1' && c <= '9') && \
         [size({characters}.filter(c, c >= '0' && c <= '9'))].exists(digits, {units})"
    )
}

// === impl ByteSize ===

impl std::str::FromStr for ByteSize {
    type Err = ByteSizeError;

    fn from_str(text: &str) -> Result<Self, ByteSizeError> {
        let (digits, factor) = UNITS
            .iter()
            .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)))
            .expect("every text ends with the empty unit");
        digits
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| digits.parse::<u64>().ok()?.checked_mul(factor))
            .flatten()
            .map(Self)
            .ok_or_else(|| ByteSizeError(text.to_owned()))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) = UNITS
            .iter()
            .find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor))
            .unwrap_or(&("", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SizeVisitor)
    }
}

#[cfg(feature = "crd")]
impl schemars::JsonSchema for ByteSize {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "x-kubernetes-int-or-string": true,
            "maxLength": MAX_LENGTH,
            "x-kubernetes-validations": [{
                "rule": rule(),
                "message": "it has to be a number of bytes like 100Mi, 1G or 65536, and more than none",
            }],
        })
    }
}

// === impl SizeVisitor ===

impl de::Visitor<'_> for SizeVisitor {
    type Value = ByteSize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of bytes like 100Mi, 1G or 65536")
    }

    fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<ByteSize, E> {
        Ok(ByteSize(bytes))
    }

    fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<ByteSize, E> {
        u64::try_from(bytes)
            .map(ByteSize)
            .map_err(|_| E::invalid_value(de::Unexpected::Signed(bytes), &self))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_written_like_a_quantity() {
        for (text, bytes) in
            [("100Mi", 104_857_600), ("1G", 1_000_000_000), ("65537", 65537), ("64Ki", 65536)]
        {
            let size: ByteSize = text.parse().unwrap();
            assert_eq!((size.0, size.to_string().as_str()), (bytes, text));
        }
        assert_eq!(ByteSize(0).to_string(), "0");
    }

    #[test]
    fn a_plain_number_counts_bytes() {
        assert_eq!(serde_json::from_str::<ByteSize>("4096").unwrap(), ByteSize(4096));
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "Mi", "1.5Gi", "-1", "+1", "1 Gi", "99999999999Ti", "1MB"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }
}
