//! A port of a Service.

use std::{fmt, num::NonZeroU16};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A port of a Service, by number or by name; a number in quotes is a number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ServicePort {
    /// The port's number.
    Number(NonZeroU16),
    /// The port's name.
    Name(String),
}

struct PortVisitor;

/// Of a text: the names of ports have no more.
#[cfg(feature = "crd")]
const MAX_LENGTH: usize = 15;

/// A number in its bounds, or letters, digits and dashes that are no number.
#[cfg(feature = "crd")]
fn rule() -> String {
    let characters = super::schema::characters(MAX_LENGTH);
    format!(
        "type(self) in [int] ? self >= 1 && self <= 65535 : size(self) > 0 && \
         {characters}.all(c, c == '-' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || \
         c >= 'a' && c <= 'z') && ({characters}.exists(c, c < '0' || c > '9') || \
         int(self) >= 1 && int(self) <= 65535)"
    )
}

// === impl ServicePort ===

impl fmt::Display for ServicePort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl Serialize for ServicePort {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => number.serialize(serializer),
            Self::Name(name) => name.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ServicePort {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PortVisitor)
    }
}

#[cfg(feature = "crd")]
impl schemars::JsonSchema for ServicePort {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ServicePort".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "x-kubernetes-int-or-string": true,
            "maxLength": MAX_LENGTH,
            "x-kubernetes-validations": [{
                "rule": rule(),
                "message": "a port is a number from 1 to 65535 or the name of a port",
            }],
        })
    }
}

// === impl PortVisitor ===

impl de::Visitor<'_> for PortVisitor {
    type Value = ServicePort;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a port number from 1 to 65535 or the name of a port")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<ServicePort, E> {
        u16::try_from(number)
            .ok()
            .and_then(NonZeroU16::new)
            .map(ServicePort::Number)
            .ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(number), &self))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<ServicePort, E> {
        let unsigned = u64::try_from(number)
            .map_err(|_| E::invalid_value(de::Unexpected::Signed(number), &self))?;
        self.visit_u64(unsigned)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<ServicePort, E> {
        match text.parse::<u64>() {
            Ok(number) => self.visit_u64(number),
            Err(_) if text.is_empty() => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
            Err(_) => Ok(ServicePort::Name(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_str, to_string};

    use super::*;

    #[test]
    fn a_port_is_a_number_or_a_name() {
        for (json, printed) in [("8443", "8443"), (r#""8443""#, "8443"), (r#""web""#, r#""web""#)] {
            let port: ServicePort = from_str(json).unwrap();
            assert_eq!(to_string(&port).unwrap(), printed);
        }
    }

    #[test]
    fn a_number_that_is_no_port_is_refused() {
        for json in ["0", "65536", "-1", r#""0""#, r#""70000""#, r#""""#, "1.5", "true"] {
            assert!(from_str::<ServicePort>(json).is_err(), "{json}");
        }
    }
}
