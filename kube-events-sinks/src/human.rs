//! Items as a person reads them.

use std::fmt::{self, Write as _};

use bytes::{BufMut, BytesMut};
use jiff::Timestamp;
use kube_events_core::{Alert, Event, Notification};

const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const RED: &str = "\x1b[31m";
const YELLOW: &str = "\x1b[33m";
const RESET: &str = "\x1b[0m";

/// A payload that can be told in a line.
pub trait Human {
    /// Appends one line with its end: time, place, what happened, to what.
    fn write_human(&self, colour: bool, out: &mut BytesMut);
}

/// One line in the making; texts of others lose what a terminal would obey.
struct Line<'a> {
    out: &'a mut BytesMut,
    colour: bool,
}

// === impl Line ===

impl Line<'_> {
    fn part(&mut self, style: &str, text: impl fmt::Display) -> &mut Self {
        let style = if self.colour { style } else { "" };
        self.out.put_slice(style.as_bytes());
        write!(Plain(self.out), "{text}").expect("memory takes all text");
        if !style.is_empty() {
            self.out.put_slice(RESET.as_bytes());
        }
        self.out.put_u8(b' ');
        self
    }

    fn time(&mut self, time: Option<Timestamp>) -> &mut Self {
        match time {
            Some(time) => self.part(DIM, format_args!("{time:.0}")),
            None => self.part(DIM, "--------------------"),
        }
    }

    fn end(&mut self) {
        let end = self.out.len() - 1;
        self.out[end] = b'\n';
    }
}

/// Writes text without control characters, so that a message cannot move the cursor or begin a
/// line of its own.
struct Plain<'a>(&'a mut BytesMut);

impl fmt::Write for Plain<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for (place, part) in text.split(char::is_control).enumerate() {
            if place > 0 {
                self.0.put_u8(b' ');
            }
            self.0.put_slice(part.as_bytes());
        }
        Ok(())
    }
}

// === impl Human ===

impl Human for Event {
    fn write_human(&self, colour: bool, out: &mut BytesMut) {
        let mut line = Line { out, colour };
        event(self, &mut line);
        line.end();
    }
}

impl Human for Notification {
    fn write_human(&self, colour: bool, out: &mut BytesMut) {
        let mut line = Line { out, colour };
        event(&self.event, &mut line);
        let rules: Vec<_> = self.rules.iter().map(|rule| &*rule.name).collect();
        line.part(DIM, format_args!("({})", rules.join(", ")));
        line.end();
    }
}

impl Human for Alert {
    fn write_human(&self, colour: bool, out: &mut BytesMut) {
        let label = |name: &str| self.labels.get(name).map_or("", String::as_str);
        let annotation = |name: &str| self.annotations.get(name).filter(|text| !text.is_empty());
        let text = annotation("message").or_else(|| annotation("summary"));
        let mut line = Line { out, colour };
        line.time(Some(self.starts_at))
            .part(BOLD, or_dash(label("namespace")))
            .part(RED, "ALERT")
            .part(BOLD, label("alertname"));
        if !label("severity").is_empty() {
            line.part("", format_args!("severity={}", label("severity")));
        }
        if let Some(text) = text {
            line.part("", text);
        }
        line.end();
    }
}

fn event(event: &Event, line: &mut Line<'_>) {
    let object = event.involved_object();
    let namespace = if object.namespace.is_empty() { event.namespace() } else { object.namespace };
    let style = if event.type_() == "Warning" { YELLOW } else { "" };
    line.time(event.when())
        .part(BOLD, or_dash(namespace))
        .part(style, or_dash(event.type_()))
        .part(style, or_dash(event.reason()))
        .part("", format_args!("{}/{}", object.kind.to_lowercase(), object.name))
        .part("", event.message().trim_end());
    if event.occurrences() > 1 {
        line.part(DIM, format_args!("x{}", event.occurrences()));
    }
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

#[cfg(test)]
mod tests {
    use kube_events_core::{MatchedRule, contract};

    use super::*;

    fn told(item: &impl Human, colour: bool) -> String {
        let mut out = BytesMut::new();
        item.write_human(colour, &mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn an_event_is_told_in_a_line() {
        let event = contract::event("web-1").namespace("shop").warning("BackOff");
        let event = event.message("restarting\nfailed \x1b[2Jcontainer").count(4).build();
        assert_eq!(
            told(&event, false),
            "2026-01-02T03:04:05Z shop Warning BackOff pod/web-1 restarting failed  [2Jcontainer x4\n"
        );
        assert!(
            told(&event, true).contains("\x1b[33mWarning\x1b[0m \x1b[33mBackOff\x1b[0m pod/web-1")
        );
    }

    #[test]
    fn an_event_without_anything_is_told_too() {
        let event = Event::decode(b"{}").unwrap();
        assert_eq!(told(&event, false), "-------------------- - - - / \n");
    }

    #[test]
    fn a_notification_names_the_rules() {
        let rule = |name: &str| MatchedRule { name: name.into(), ..MatchedRule::default() };
        let event = contract::event("web-1").reason("Started").message("up").build();
        let notification = Notification { event, rules: vec![rule("a"), rule("b")] };
        assert!(told(&notification, false).ends_with("Started pod/web-1 up (a, b)\n"));
    }

    #[test]
    fn an_alert_is_told_by_its_name_and_message() {
        let event = contract::event("web-1").build();
        let mut alert = Alert::new(event.key(), event.when().unwrap());
        for (name, value) in [("alertname", "PodBackOff"), ("severity", "high")] {
            alert.labels.insert(name.into(), value.into());
        }
        alert.annotations.insert("summary".into(), "again".into());
        assert_eq!(
            told(&alert, false),
            "2026-01-02T03:04:05Z - ALERT PodBackOff severity=high again\n"
        );
    }
}
