//! Events from files, in whatever form people have them.

use std::{
    borrow::Cow,
    fs,
    io::{self, Read as _},
    path::Path,
};

use anyhow::Context as _;
use flate2::read::MultiGzDecoder;
use kube_events_core::{Event, event::DecodeError};
use serde::Deserialize;
use serde_json::value::RawValue;

/// What a file holds.
#[derive(Debug, Default)]
pub(super) struct Recording {
    /// In the order of the file.
    pub(super) events: Vec<Event>,
    /// What is no Event, and where: a line, or the place of an item.
    pub(super) mistakes: Vec<String>,
}

/// Enough of an object to see whether it is a list.
#[derive(Deserialize)]
struct Peek<'a> {
    #[serde(borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
}

/// Reads Events of either API: one a line, flat or wrapped, as the sinks write them; an array; a `List`
/// or `EventList`; compressed by gzip or not. `-` is the standard input. What is no Event is told
/// among the mistakes.
///
/// # Errors
/// If the file cannot be read, or holds nothing that is an Event.
pub(super) fn read(path: &Path) -> anyhow::Result<Recording> {
    let is_stdin = path.as_os_str() == "-";
    let name = if is_stdin { "the standard input".into() } else { path.display().to_string() };
    let bytes = if is_stdin { stdin() } else { fs::read(path) };
    let bytes = bytes.and_then(unpacked).with_context(|| format!("cannot read {name}"))?;
    let mut recording = Recording::of(&bytes);
    for mistake in &mut recording.mistakes {
        *mistake = format!("{name}: {mistake}");
    }
    match (&recording.events[..], recording.mistakes.first()) {
        ([], None) => anyhow::bail!("{name}: there is no Event in it"),
        ([], Some(mistake)) => anyhow::bail!("there is no Event as JSON in {mistake}"),
        _ => Ok(recording),
    }
}

fn stdin() -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn unpacked(bytes: Vec<u8>) -> io::Result<Vec<u8>> {
    const GZIP: [u8; 2] = [0x1f, 0x8b];
    if !bytes.starts_with(&GZIP) {
        return Ok(bytes);
    }
    let mut unpacked = Vec::new();
    MultiGzDecoder::new(&*bytes).read_to_end(&mut unpacked)?;
    Ok(unpacked)
}

// === impl Recording ===

impl Recording {
    fn of(bytes: &[u8]) -> Self {
        let mut recording = Self::default();
        let values = serde_json::Deserializer::from_slice(bytes).into_iter::<&RawValue>();
        match values.collect::<Result<Vec<_>, _>>() {
            Ok(values) => {
                for (at, value) in values.iter().enumerate() {
                    recording.value(value, at + 1);
                }
            }
            // A line that broke off must not hide the others.
            Err(_) => recording.lines(bytes),
        }
        recording
    }

    fn lines(&mut self, bytes: &[u8]) {
        let lines = bytes.split(|byte| *byte == b'\n').enumerate();
        for (at, line) in lines.filter(|(_, line)| !line.trim_ascii().is_empty()) {
            self.event(line, |error| {
                format!("line {}, column {}: {}", at + 1, error.column, error.reason)
            });
        }
    }

    fn value(&mut self, value: &RawValue, place: usize) {
        let text = value.get();
        if text.starts_with('[') {
            return self.items(serde_json::from_str(text).unwrap_or_default());
        }
        match serde_json::from_str::<Peek<'_>>(text) {
            Ok(Peek { kind, items: Some(items) })
                if kind.as_ref().is_none_or(|kind| kind.ends_with("List")) =>
            {
                self.items(items);
            }
            _ => self.event(text.as_bytes(), |error| format!("Event {place}: {}", error.reason)),
        }
    }

    fn items(&mut self, items: Vec<&RawValue>) {
        for (at, item) in items.into_iter().enumerate() {
            self.event(item.get().as_bytes(), |error| format!("item {}: {}", at + 1, error.reason));
        }
    }

    fn event(&mut self, bytes: &[u8], mistake: impl FnOnce(&DecodeError) -> String) {
        match Event::decode(bytes) {
            Ok(event) => self.events.push(event),
            Err(error) => self.mistakes.push(mistake(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn reasons(bytes: &[u8]) -> Vec<String> {
        let recording = Recording::of(bytes);
        assert_eq!(recording.mistakes, [""; 0]);
        recording.events.iter().map(|event| event.reason().to_owned()).collect()
    }

    #[test]
    fn every_form_of_events_is_read() {
        let (a, b) =
            (r#"{"reason": "A"}"#, "{\n  \"Event\": {\"reason\": \"B\"},\n \"cluster\": \"c\"}");
        for text in [
            format!("{a}\n{}\n\n", b.replace('\n', "")),
            format!("{a}{b}"),
            format!("[{a}, {b}]"),
            format!(r#"{{"kind": "List", "apiVersion": "v1", "items": [{a}, {b}]}}"#),
            format!(r#"{{"items": [{a}, {b}], "kind": "EventList"}}"#),
        ] {
            assert_eq!(reasons(text.as_bytes()), ["A", "B"], "{text}");
        }
        assert_eq!(reasons(b"[]"), [""; 0]);
    }

    #[test]
    fn a_line_that_broke_off_hides_no_other() {
        let recording =
            Recording::of(b"{\"reason\":\"A\"}\n{\"reason\":\"B\n\n{\"reason\":\"C\"}\n");
        let reasons: Vec<_> = recording.events.iter().map(Event::reason).collect();
        assert_eq!(reasons, ["A", "C"]);
        assert_eq!(recording.mistakes.len(), 1);
        assert!(recording.mistakes[0].starts_with("line 2, column "), "{:?}", recording.mistakes);
    }

    #[test]
    fn an_item_that_is_no_event_is_told_with_its_place() {
        let recording = Recording::of(br#"[{"reason": "A"}, {"kind": "Pod"}, 5]"#);
        assert_eq!(recording.events.len(), 1);
        let places: Vec<_> = recording.mistakes.iter().map(|it| &it[..7]).collect();
        assert_eq!(places, ["item 2:", "item 3:"]);
    }

    #[test]
    fn compressed_files_are_read_to_their_last_part() {
        let part = |text: &str| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(text.as_bytes()).unwrap();
            encoder.finish().unwrap()
        };
        let bytes = [part("{\"reason\":\"A\"}\n"), part("{\"reason\":\"B\"}\n")].concat();
        assert_eq!(reasons(&unpacked(bytes).unwrap()), ["A", "B"]);
    }
}
