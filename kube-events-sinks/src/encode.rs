//! Payloads to bytes.
//!
//! | payload | a line | a body |
//! |---|---|---|
//! | [`Event`] | the JSON that arrived, or `{"Event": …, "cluster": …}` | lines |
//! | [`Notification`] | the same, and `rules`, which matched | lines |
//! | [`Alert`] | Alertmanager's `postableAlert` | an array |
//!
//! What the API server wrote is copied, never parsed and written anew.
//!
//! # Names of labels
//! Alertmanager takes names of labels and annotations of the form `[a-zA-Z_][a-zA-Z0-9_]*`. In
//! other names every character that is not allowed becomes `_`, and a digit in front gets a `_`
//! before it. Where that gives two members one name, the one that had it from the start stays, else
//! the first in order. Members with an empty value are left out, as Alertmanager does.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use bytes::{BufMut, BytesMut};
use jiff::{SignedDuration, Timestamp};
use kube_events_core::{
    Alert, Event, Item, Notification,
    crd::{defaults::ALERT_DURATION, sinks::EventFormat},
};
use serde::{Serialize, Serializer, ser::SerializeMap};

/// A payload with a JSON form.
pub trait Encode: Item {
    /// How a request's body holds several.
    const FRAME: Frame;

    /// Appends one JSON object, without a line's end.
    fn encode(&self, encoding: &Encoding, out: &mut BytesMut);
}

/// How a body holds several objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// One a line (NDJSON).
    Lines,
    /// A JSON array.
    Array,
}

/// The choices that there are about the JSON form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// The shape of an Event. Default: flat.
    pub format: EventFormat,
    /// How long an alert that does not say when it ends fires, from now on. Default: 5 minutes.
    pub alert_duration: Duration,
}

/// An alert as API v2 of Alertmanager takes it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PostableAlert<'a> {
    labels: LabelSet<'a>,
    annotations: LabelSet<'a>,
    starts_at: Timestamp,
    ends_at: Timestamp,
    #[serde(rename = "generatorURL", skip_serializing_if = "Option::is_none")]
    generator_url: Option<&'a str>,
}

/// Labels or annotations under names that Alertmanager takes.
struct LabelSet<'a>(&'a BTreeMap<String, String>);

// === impl Encoding ===

impl Default for Encoding {
    fn default() -> Self {
        Self { format: EventFormat::Flat, alert_duration: ALERT_DURATION }
    }
}

impl Encoding {
    /// Appends one object a line, each with the line's end.
    pub fn lines<T: Encode>(&self, items: &[T], out: &mut BytesMut) {
        out.reserve(items.iter().map(Item::size).sum::<usize>() + items.len());
        for item in items {
            item.encode(self, out);
            out.put_u8(b'\n');
        }
    }

    /// Appends the body of a request that holds these items.
    pub fn body<T: Encode>(&self, items: &[T], out: &mut BytesMut) {
        match T::FRAME {
            Frame::Lines => self.lines(items, out),
            Frame::Array => self.array(items, out),
        }
    }

    fn array<T: Encode>(&self, items: &[T], out: &mut BytesMut) {
        let mut separator = b'[';
        for item in items {
            out.put_u8(separator);
            item.encode(self, out);
            separator = b',';
        }
        out.put_u8(b']');
    }

    /// When an alert ends that is sent at `now`.
    pub(crate) fn end_of(&self, alert: &Alert, now: Timestamp) -> Timestamp {
        let duration = SignedDuration::try_from(self.alert_duration).unwrap_or(SignedDuration::MAX);
        // An alert that would begin after its end is refused, and clocks differ.
        let sent = now.max(alert.starts_at);
        alert.ends_at.unwrap_or_else(|| sent.checked_add(duration).unwrap_or(Timestamp::MAX))
    }

    /// Appends an Event and leaves its object open for more members.
    fn open(&self, event: &Event, out: &mut BytesMut) {
        if self.format == EventFormat::Flat {
            out.put_slice(&event.json().as_bytes()[..event.json().len() - 1]);
            return;
        }
        out.put_slice(br#"{"Event":"#);
        out.put_slice(event.open_json().as_bytes());
        out.put_u8(b'}');
        if let Some(cluster) = event.cluster() {
            out.put_slice(br#","cluster":"#);
            put_json(&cluster, out);
        }
    }
}

fn put_json(value: &impl Serialize, out: &mut BytesMut) {
    serde_json::to_writer(out.writer(), value).expect("texts and times have a JSON form");
}

// === impl Encode ===

impl Encode for Event {
    const FRAME: Frame = Frame::Lines;

    fn encode(&self, encoding: &Encoding, out: &mut BytesMut) {
        encoding.open(self, out);
        out.put_u8(b'}');
    }
}

impl Encode for Notification {
    const FRAME: Frame = Frame::Lines;

    fn encode(&self, encoding: &Encoding, out: &mut BytesMut) {
        encoding.open(&self.event, out);
        if out.last() != Some(&b'{') {
            out.put_u8(b',');
        }
        out.put_slice(br#""rules":"#);
        put_json(&self.rules, out);
        out.put_u8(b'}');
    }
}

impl Encode for Alert {
    const FRAME: Frame = Frame::Array;

    fn encode(&self, encoding: &Encoding, out: &mut BytesMut) {
        let alert = PostableAlert {
            labels: LabelSet(&self.labels),
            annotations: LabelSet(&self.annotations),
            starts_at: self.starts_at,
            ends_at: encoding.end_of(self, Timestamp::now()),
            generator_url: self.generator_url.as_deref(),
        };
        put_json(&alert, out);
    }
}

// === impl LabelSet ===

impl Serialize for LabelSet<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = BTreeMap::new();
        let (valid, others): (Vec<_>, Vec<_>) = self
            .0
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (label_name(name), value))
            .partition(|(name, _)| matches!(name, Cow::Borrowed(_)));
        for (name, value) in valid.into_iter().chain(others) {
            members.entry(name).or_insert(value);
        }
        let mut map = serializer.serialize_map(Some(members.len()))?;
        members.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
        map.end()
    }
}

/// A name that Alertmanager takes: the same, if it does.
fn label_name(name: &str) -> Cow<'_, str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let leading_digit = name.starts_with(|c: char| c.is_ascii_digit());
    if !name.is_empty() && !leading_digit && name.chars().all(allowed) {
        return Cow::Borrowed(name);
    }
    let prefix = if leading_digit || name.is_empty() { "_" } else { "" };
    Cow::Owned(
        prefix.chars().chain(name.chars().map(|c| if allowed(c) { c } else { '_' })).collect(),
    )
}

#[cfg(test)]
mod tests {
    use kube_events_core::{
        MatchedRule,
        contract::{self, Sample},
        event::Decoder,
    };
    use serde_json::{Value, json};

    use super::*;

    fn encoded(item: &impl Encode, format: EventFormat) -> String {
        let mut out = BytesMut::new();
        item.encode(&Encoding { format, ..Encoding::default() }, &mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    fn event(text: &str) -> Event {
        Decoder::default().cluster("north \"1\"").decode(text.as_bytes()).unwrap()
    }

    #[test]
    fn an_event_is_copied_as_it_arrived() {
        let event = event(r#"{"reason":"R",  "count": 1.50e1}"#.replace("1.50e1", "15").as_str());
        assert_eq!(
            encoded(&event, EventFormat::Flat),
            r#"{"reason":"R",  "count": 15,"cluster":"north \"1\""}"#
        );
        assert_eq!(
            encoded(&event, EventFormat::Wrapped),
            r#"{"Event":{"reason":"R",  "count": 15},"cluster":"north \"1\""}"#
        );
    }

    #[test]
    fn without_a_cluster_there_is_no_such_member() {
        let event = Event::decode(br#"{"reason":"R"}"#).unwrap();
        assert_eq!(encoded(&event, EventFormat::Flat), r#"{"reason":"R"}"#);
        assert_eq!(encoded(&event, EventFormat::Wrapped), r#"{"Event":{"reason":"R"}}"#);
    }

    #[test]
    fn what_is_wrapped_is_read_back() {
        let event = event(r#"{"reason":"R"}"#);
        let again = Event::decode(encoded(&event, EventFormat::Wrapped).as_bytes()).unwrap();
        assert_eq!(again, event);
    }

    #[test]
    fn a_notification_says_which_rules_matched() {
        let rule = MatchedRule {
            name: "BackOff".into(),
            namespace: "shop".into(),
            labels: [("severity".into(), "high".into())].into(),
            ..MatchedRule::default()
        };
        for (text, flat) in
            [(r#"{"reason":"R"}"#, r#"{"reason":"R","rules":["#), ("{}", r#"{"rules":["#)]
        {
            let event = Event::decode(text.as_bytes()).unwrap();
            let notification = Notification { event, rules: vec![rule.clone()] };
            let line = encoded(&notification, EventFormat::Flat);
            assert!(line.starts_with(flat), "{line}");
            for format in [EventFormat::Flat, EventFormat::Wrapped] {
                let value: Value = serde_json::from_str(&encoded(&notification, format)).unwrap();
                let expected = json!([
                    {"name": "BackOff", "namespace": "shop", "labels": {"severity": "high"}}
                ]);
                assert_eq!(value["rules"], expected);
            }
        }
    }

    #[test]
    fn an_alert_has_the_form_that_alertmanager_takes() {
        let mut alert = Alert::new(Event::sample(1).key(), "2026-01-02T03:04:05Z".parse().unwrap());
        alert.labels.insert("alertname".into(), "PodBackOff".into());
        alert.annotations.insert("summary".into(), "again".into());
        alert.ends_at = Some("2026-01-02T03:09:05Z".parse().unwrap());
        alert.generator_url = Some("http://console/web-1".into());
        let value: Value = serde_json::from_str(&encoded(&alert, EventFormat::Flat)).unwrap();
        assert_eq!(
            value,
            json!({
                "labels": {"alertname": "PodBackOff"},
                "annotations": {"summary": "again"},
                "startsAt": "2026-01-02T03:04:05Z",
                "endsAt": "2026-01-02T03:09:05Z",
                "generatorURL": "http://console/web-1",
            })
        );
    }

    #[test]
    fn an_alert_ends_a_while_after_it_is_sent() {
        let encoding = Encoding { alert_duration: Duration::from_secs(60), ..Encoding::default() };
        let [past, now, future, minute] = ["03:00:00", "03:04:05", "04:00:00", "03:05:05"]
            .map(|time| format!("2026-01-02T{time}Z").parse::<Timestamp>().unwrap());
        let mut alert = Alert::new(Event::sample(1).key(), past);
        assert_eq!(encoding.end_of(&alert, now), minute);
        alert.starts_at = future;
        assert_eq!(encoding.end_of(&alert, now), future + SignedDuration::from_secs(60));
        alert.ends_at = Some(past);
        assert_eq!(encoding.end_of(&alert, now), past);
    }

    #[test]
    fn names_of_labels_are_made_valid() {
        let set = |labels: &[(&str, &str)]| {
            let labels = labels.iter().map(|&(name, value)| (name.into(), value.into())).collect();
            serde_json::to_value(LabelSet(&labels)).unwrap()
        };
        for (name, expected) in [
            ("pod", "pod"),
            ("_x9", "_x9"),
            ("app.kubernetes.io/name", "app_kubernetes_io_name"),
            ("9lives", "_9lives"),
            ("é", "_"),
            ("", "_"),
        ] {
            assert_eq!(set(&[(name, "v")]), json!({expected: "v"}), "{name:?}");
        }
        assert_eq!(set(&[("a.b", "1"), ("a_b", "2"), ("a-b", "3")]), json!({"a_b": "2"}));
        assert_eq!(set(&[("a.b", "1"), ("a-b", "3")]), json!({"a_b": "3"}));
        assert_eq!(set(&[("empty", ""), ("a", "1")]), json!({"a": "1"}));
    }

    #[test]
    fn bodies_are_lines_of_events_and_arrays_of_alerts() {
        let mut out = BytesMut::new();
        let events = ["a", "b"].map(|name| contract::event(name).build());
        Encoding::default().body(&events, &mut out);
        assert_eq!(out.as_ref().split(|&byte| byte == b'\n').count(), 3);
        assert!(out.ends_with(b"}\n"));
        out.clear();
        Encoding::default().body(&[Alert::sample(1), Alert::sample(2)], &mut out);
        let alerts: Vec<Value> = serde_json::from_slice(&out).unwrap();
        assert_eq!(alerts[1]["labels"]["alertname"], "sample2");
    }
}
