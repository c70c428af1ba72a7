//! One line of a watch: `{"type":"ADDED","object":{…}}`.

use std::borrow::Cow;

use kube::core::Status;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    Event, ResourceVersion,
    event::{DecodeError, Decoder},
};

/// What a line says.
#[derive(Debug)]
pub(super) enum Frame {
    /// `ADDED` or `MODIFIED`: a state of an Event.
    Event(Event),
    /// `DELETED` or `BOOKMARK`: nothing to give, but a version that was passed. An Event is
    /// deleted when its time is over, which is not an Event.
    Passed(ResourceVersion),
    /// `ERROR`: the watch has failed.
    Failed(Box<Status>),
    /// A type that this version does not know.
    Unknown(String),
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, rename = "type")]
    type_: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct Versioned<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow, rename = "resourceVersion")]
    resource_version: Cow<'a, str>,
}

// === impl Frame ===

impl Frame {
    /// Decodes a line; the place in an error is that in the line.
    pub(super) fn decode(decoder: &Decoder, line: &[u8]) -> Result<Self, DecodeError> {
        let text = std::str::from_utf8(line).map_err(|error| DecodeError {
            line: 1,
            column: error.valid_up_to() + 1,
            reason: "this byte is not UTF-8".into(),
        })?;
        match split(text) {
            Some(("ADDED" | "MODIFIED", object)) => match decoder.decode_prefix(object) {
                Ok((event, end)) if object[end..].trim_ascii() == "}" => Ok(Self::Event(event)),
                Ok(_) => Self::decode_slowly(decoder, text),
                Err(error) => Err(shifted(error, text.len() - object.len())),
            },
            _ => Self::decode_slowly(decoder, text),
        }
    }

    /// Decodes what is not of the usual shape.
    fn decode_slowly(decoder: &Decoder, text: &str) -> Result<Self, DecodeError> {
        let envelope: Envelope<'_> = match serde_json::from_str(text) {
            Ok(envelope) => envelope,
            Err(error) => return bare_status(text).ok_or_else(|| error.into()),
        };
        let object = envelope.object.get();
        let offset = object.as_ptr() as usize - text.as_ptr() as usize;
        match &*envelope.type_ {
            "ADDED" | "MODIFIED" => decoder.decode(object.as_bytes()).map(Self::Event),
            "DELETED" | "BOOKMARK" => version(object).map(Self::Passed),
            "ERROR" => serde_json::from_str(object)
                .map(|status| Self::Failed(Box::new(status)))
                .map_err(DecodeError::from),
            other => return Ok(Self::Unknown(other.to_owned())),
        }
        .map_err(|error| shifted(error, offset))
    }
}

/// The type, and the text from the object on.
fn split(text: &str) -> Option<(&str, &str)> {
    let (type_, rest) = text.strip_prefix(r#"{"type":""#)?.split_once('"')?;
    Some((type_, rest.strip_prefix(r#","object":"#)?))
}

fn version(object: &str) -> Result<ResourceVersion, DecodeError> {
    let Versioned { metadata } = serde_json::from_str(object)?;
    Ok(ResourceVersion::from(&*metadata.resource_version))
}

/// A failure without an envelope, as proxies and early failures write it.
fn bare_status(text: &str) -> Option<Frame> {
    #[derive(Deserialize)]
    struct Kind<'a> {
        #[serde(borrow)]
        kind: Cow<'a, str>,
    }
    let Kind { kind } = serde_json::from_str(text).ok()?;
    if kind != "Status" {
        return None;
    }
    serde_json::from_str(text).ok().map(|status| Frame::Failed(Box::new(status)))
}

fn shifted(mut error: DecodeError, by: usize) -> DecodeError {
    if error.line == 1 {
        error.column += by;
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Api;

    fn decode(line: &str) -> Result<Frame, DecodeError> {
        Frame::decode(&Decoder::new(Api::CoreV1), line.as_bytes())
    }

    #[test]
    fn a_state_is_read_in_any_shape() {
        for line in [
            r#"{"type":"ADDED","object":{"reason":"R"}}"#,
            r#"{"type":"MODIFIED","object":{"reason":"R"}} "#,
            r#"{"object":{"reason":"R"},"type":"ADDED"}"#,
            r#"{ "type" : "ADD\u0045D", "object" : {"reason":"R"}, "more": 1 }"#,
            r#"{"type":"ADDED","object":{"reason":"R"},"more":1}"#,
        ] {
            let frame = decode(line).unwrap();
            assert!(matches!(&frame, Frame::Event(event) if event.reason() == "R"), "{line}");
        }
    }

    #[test]
    fn what_is_deleted_or_marked_is_only_passed() {
        for line in [
            r#"{"type":"DELETED","object":{"kind":"Event","metadata":{"name":"x","resourceVersion":"9"}}}"#,
            r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9","annotations":{}}}}"#,
        ] {
            let frame = decode(line).unwrap();
            assert!(matches!(&frame, Frame::Passed(version) if version.as_str() == "9"), "{line}");
        }
    }

    #[test]
    fn a_failure_is_read_with_and_without_its_envelope() {
        for line in [
            r#"{"type":"ERROR","object":{"kind":"Status","metadata":{},"status":"Failure","reason":"Expired","code":410}}"#,
            r#"{"kind":"Status","metadata":{},"status":"Failure","reason":"Expired","code":410}"#,
        ] {
            let frame = decode(line).unwrap();
            assert!(matches!(&frame, Frame::Failed(status) if status.code == 410), "{line}");
        }
    }

    #[test]
    fn an_unknown_type_is_not_an_error_of_decoding() {
        let frame = decode(r#"{"type":"RENAMED","object":{}}"#).unwrap();
        assert!(matches!(frame, Frame::Unknown(type_) if type_ == "RENAMED"));
    }

    #[test]
    fn an_error_has_its_place_in_the_line() {
        for (line, column) in [
            (r#"{"type":"ADDED","object":{"count":"x"}}"#, 37),
            (r#"{"object":{"count":"x"},"type":"ADDED"}"#, 22),
            (r#"{"type":"ADDED","object":{"#, 26),
        ] {
            assert_eq!(decode(line).unwrap_err().column, column, "{line}");
        }
        assert!(Frame::decode(&Decoder::default(), b"\xff").is_err());
        assert!(decode("<html>").is_err());
    }
}
