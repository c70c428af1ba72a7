//! Bodies of `POST /events`, to Events.

use kube_events_core::{
    Event,
    event::{DecodeError, Decoder},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// What was good in a body, and what was not.
#[derive(Debug, Default)]
pub struct Intake {
    /// The Events, in order.
    pub events: Vec<Event>,
    /// What is not an Event, in order.
    pub rejected: Vec<Rejected>,
    /// Whether a part was rejected because it is longer than [`MAX_LINE`].
    pub too_long: bool,
}

/// One part of a body that is not an Event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// The number of the line, from 1, or of the item where the body is an array or a list.
    pub line: usize,
    /// Why, and where in the line.
    pub error: String,
}

/// A list of Events, of either API.
#[derive(Deserialize)]
struct List<'a> {
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
}

/// The longest line that is read, in bytes: an API server takes objects of up to 3 MiB.
pub const MAX_LINE: usize = 4 << 20;

// === impl Intake ===

impl Intake {
    /// Reads newline-delimited Events, a JSON array of them, an `EventList`, or a single one over
    /// many lines; each flat, or wrapped as `{"Event": …, "cluster": …}`, of either API.
    pub fn read(body: &[u8], decoder: &Decoder) -> Self {
        match items(body) {
            Some(items) => Self::of(items.iter().map(|item| item.get().as_bytes()), decoder),
            None => Self::of(body.split(|byte| *byte == b'\n'), decoder),
        }
    }

    fn of<'a>(parts: impl Iterator<Item = &'a [u8]>, decoder: &Decoder) -> Self {
        let mut this = Self::default();
        for (place, part) in parts.enumerate().filter(|(_, part)| !part.trim_ascii().is_empty()) {
            this.too_long |= part.len() > MAX_LINE;
            match decode(part, decoder) {
                Ok(event) => this.events.push(event),
                Err(error) => this.rejected.push(Rejected { line: place + 1, error }),
            }
        }
        this
    }
}

fn decode(part: &[u8], decoder: &Decoder) -> Result<Event, String> {
    if part.len() > MAX_LINE {
        return Err(format!(
            "{} bytes are more than the {MAX_LINE} that a line may have",
            part.len()
        ));
    }
    decoder.decode(part).map_err(|error| {
        let DecodeError { line, column, reason } = error;
        let line = if line > 1 { format!("line {line}, ") } else { String::new() };
        format!("{line}column {column}: {reason}")
    })
}

/// The items, where the body is one JSON text that holds several, or one over many lines.
fn items(body: &[u8]) -> Option<Vec<&RawValue>> {
    let body = body.trim_ascii();
    if body.starts_with(b"[") {
        return serde_json::from_slice(body).ok();
    }
    let first = body.split(|byte| *byte == b'\n').next()?;
    let one_line = first.len() == body.len();
    let cut_short = || matches!(serde_json::from_slice::<&RawValue>(first), Err(e) if e.is_eof());
    if !one_line && !cut_short() {
        return None;
    }
    match serde_json::from_slice::<List<'_>>(body) {
        Ok(list) => Some(list.items),
        Err(_) if one_line => None,
        Err(_) => serde_json::from_slice::<&RawValue>(body).ok().map(|event| vec![event]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> (Vec<String>, Vec<usize>) {
        let intake = Intake::read(body.as_bytes(), &Decoder::default());
        let names = intake.events.iter().map(|event| event.name().to_owned()).collect();
        (names, intake.rejected.iter().map(|rejected| rejected.line).collect())
    }

    fn event(name: &str) -> String {
        format!(r#"{{"metadata":{{"name":"{name}"}},"reason":"R"}}"#)
    }

    #[test]
    fn every_form_of_a_body_is_read() {
        let (a, b) = (event("a"), event("b"));
        let pretty = |text: &str| {
            let value: serde_json::Value = serde_json::from_str(text).unwrap();
            format!("{value:#}")
        };
        let list = format!(r#"{{"kind":"EventList","apiVersion":"v1","items":[{a},{b}]}}"#);
        for body in [
            format!("{a}\n{b}\n"),
            format!("\n\r\n{a}\r\n\n{b}"),
            format!("[{a},{b}]"),
            pretty(&format!("[{a},{b}]")),
            list.clone(),
            pretty(&list),
            format!(r#"{{"Event":{a},"cluster":"north"}}{}{b}"#, "\n"),
        ] {
            assert_eq!(read(&body), (vec!["a".into(), "b".into()], vec![]), "{body}");
        }
        assert_eq!(read(&pretty(&a)), (vec!["a".into()], vec![]));
    }

    #[test]
    fn a_bad_part_is_told_with_its_number_and_its_neighbours_are_read() {
        let (a, b) = (event("a"), event("b"));
        assert_eq!(read(&format!("{a}\nnonsense\n{b}")), (vec!["a".into(), "b".into()], vec![2]));
        assert_eq!(read(&format!("[{a},5,{b}]")), (vec!["a".into(), "b".into()], vec![2]));
        assert_eq!(read("[1, 2"), (vec![], vec![1]));
        assert_eq!(read(""), (vec![], vec![]));
        assert_eq!(read("{\"reason\":\n"), (vec![], vec![1]));
        let long = "x".repeat(MAX_LINE + 1);
        assert_eq!(read(&format!("{a}\n\"{long}\"")), (vec!["a".into()], vec![2]));
    }
}
