//! Items that can be told apart wherever they arrive.

use jiff::Timestamp;
use serde_json::Value;

use super::event;
use crate::{Alert, Event, Item, MatchedRule, Notification};

/// A payload that the suite can make, and find again in what arrived.
pub trait Sample: Item {
    /// The `n`th item of a test.
    fn sample(n: usize) -> Self;

    /// What [`Sample::found_in`] gives for this item.
    fn id(&self) -> String;

    /// The identity in the JSON form of an item.
    fn found_in(json: &Value) -> Option<String>;
}

impl Sample for Event {
    fn sample(n: usize) -> Self {
        event(&format!("pod-{n}")).resource_version(n as u64 + 1).build()
    }

    fn id(&self) -> String {
        self.uid().to_owned()
    }

    fn found_in(json: &Value) -> Option<String> {
        let flat = json.get("Event").unwrap_or(json);
        text_at(flat, "/metadata/uid")
    }
}

impl Sample for Notification {
    fn sample(n: usize) -> Self {
        let rule = MatchedRule { name: "BackOff".into(), ..MatchedRule::default() };
        Self { event: Event::sample(n), rules: vec![rule] }
    }

    fn id(&self) -> String {
        self.event.id()
    }

    fn found_in(json: &Value) -> Option<String> {
        json.get("rules")?;
        Event::found_in(json)
    }
}

/// Samples start now, so that nothing takes them for old news.
impl Sample for Alert {
    fn sample(n: usize) -> Self {
        let mut alert = Self::new(Event::sample(n).key(), Timestamp::now());
        alert.labels.insert("alertname".into(), format!("sample{n}"));
        alert
    }

    fn id(&self) -> String {
        self.labels["alertname"].clone()
    }

    fn found_in(json: &Value) -> Option<String> {
        text_at(json, "/labels/alertname")
    }
}

fn text_at(json: &Value, pointer: &str) -> Option<String> {
    json.pointer(pointer)?.as_str().map(ToOwned::to_owned)
}
