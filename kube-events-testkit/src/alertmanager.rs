//! The part of Alertmanager's API v2 that a sender of alerts sees.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::receiver::{Receiver, Recorded, Reply};

/// How long an alert without `endsAt` fires.
const RESOLVE_TIMEOUT: SignedDuration = SignedDuration::from_mins(5);

type Alerts = BTreeMap<String, Value>;

/// A receiver that takes alerts as Alertmanager does: `POST` and `GET /api/v2/alerts`,
/// `/-/ready`, `/-/healthy`. Alerts with the same labels are one; a batch with a bad alert gets a
/// 400, and its good ones are kept.
#[derive(Debug)]
pub struct AlertmanagerReceiver {
    receiver: Receiver,
    alerts: Arc<Mutex<Alerts>>,
}

impl AlertmanagerReceiver {
    /// Starts one on a free port of the loopback interface.
    ///
    /// # Errors
    /// The socket could not be bound.
    pub async fn start() -> io::Result<Self> {
        let receiver = Receiver::start().await?;
        let alerts = Arc::<Mutex<Alerts>>::default();
        let held = Arc::clone(&alerts);
        receiver.usually(move |request| {
            answer(request, &mut held.lock().unwrap_or_else(PoisonError::into_inner))
        });
        Ok(Self { receiver, alerts })
    }

    /// Its address, without a path.
    pub fn url(&self) -> String {
        self.receiver.url()
    }

    /// The receiver below: its records, and replies that go before the usual ones.
    pub fn receiver(&self) -> &Receiver {
        &self.receiver
    }

    /// The alerts that it holds, as `GET /api/v2/alerts` shows them.
    pub fn alerts(&self) -> Vec<Value> {
        let alerts = self.alerts.lock().unwrap_or_else(PoisonError::into_inner);
        alerts.values().cloned().collect()
    }
}

fn answer(request: &Recorded, alerts: &mut Alerts) -> Reply {
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/-/ready" | "/-/healthy") => Reply::status(200).body("OK"),
        ("GET", "/api/v2/alerts") => {
            let now = Timestamp::now().to_string();
            let firing = |alert: &&Value| alert["endsAt"].as_str().is_some_and(|end| end > &*now);
            let firing: Vec<&Value> = alerts.values().filter(firing).collect();
            Reply::status(200).body(json!(firing).to_string())
        }
        ("POST", "/api/v2/alerts") => post(request, alerts),
        _ => Reply::status(404).body("{\"code\":404,\"message\":\"path was not found\"}"),
    }
}

fn post(request: &Recorded, alerts: &mut Alerts) -> Reply {
    let Ok(Value::Array(posted)) = serde_json::from_slice::<Value>(&request.body) else {
        return Reply::status(400)
            .body("{\"code\":400,\"message\":\"parsing alerts body failed\"}");
    };
    let bad: Vec<String> =
        posted.iter().filter_map(|alert| keep(alert, alerts).err()).map(str::to_owned).collect();
    match bad.as_slice() {
        [] => Reply::status(200),
        bad => Reply::status(400).body(json!(bad.join("; ")).to_string()),
    }
}

fn keep(posted: &Value, alerts: &mut Alerts) -> Result<(), &'static str> {
    let labels = labels(posted)?;
    let now = Timestamp::now();
    let start = time(&posted["startsAt"])?.unwrap_or(now);
    let end = time(&posted["endsAt"])?.unwrap_or(now + RESOLVE_TIMEOUT);
    if start > end {
        return Err("start time must be before end time");
    }
    let key = json!(labels).to_string();
    let start = alerts
        .get(&key)
        .and_then(|held| time(&held["startsAt"]).ok().flatten())
        .map_or(start, |held| held.min(start));
    let alert = json!({
        "labels": labels,
        "annotations": posted["annotations"].as_object().cloned().unwrap_or_default(),
        "generatorURL": posted["generatorURL"].as_str().unwrap_or(""),
        "startsAt": start.to_string(),
        "endsAt": end.to_string(),
        "updatedAt": now.to_string(),
        "fingerprint": fingerprint(&key),
        "receivers": [{"name": "default"}],
        "status": {"state": "active", "inhibitedBy": [], "silencedBy": []},
    });
    alerts.insert(key, alert);
    Ok(())
}

fn labels(posted: &Value) -> Result<Map<String, Value>, &'static str> {
    let Some(labels) = posted["labels"].as_object() else {
        return Err("labels in body is required");
    };
    if !labels.keys().all(|name| is_label_name(name)) {
        return Err("invalid label set: invalid name");
    }
    if !labels.values().all(Value::is_string) {
        return Err("invalid label set: invalid value");
    }
    let mut labels = labels.clone();
    labels.retain(|_, value| value != "");
    if labels.is_empty() {
        return Err("at least one label pair required");
    }
    Ok(labels)
}

fn is_label_name(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit())
}

fn time(value: &Value) -> Result<Option<Timestamp>, &'static str> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => text.parse().map(Some).map_err(|_| "a time is not RFC 3339"),
        _ => Err("a time is not a string"),
    }
}

/// FNV-1a of the labels; as Alertmanager's in size and use, not in value.
fn fingerprint(labels: &str) -> String {
    let hash = labels.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_alert_is_refused_and_its_neighbours_kept() {
        let mut alerts = Alerts::new();
        assert!(keep(&json!({"labels": {"alertname": "a"}}), &mut alerts).is_ok());
        assert!(keep(&json!({"labels": {"bad-name": "a"}}), &mut alerts).is_err());
        assert!(keep(&json!({"labels": {"alertname": ""}}), &mut alerts).is_err());
        assert_eq!(alerts.len(), 1);
    }

    #[test]
    fn alerts_with_the_same_labels_are_one_that_started_first() {
        let mut alerts = Alerts::new();
        for start in ["2026-01-01T00:00:05Z", "2026-01-01T00:00:01Z", "2026-01-01T00:00:09Z"] {
            keep(&json!({"labels": {"a": "b"}, "startsAt": start}), &mut alerts).unwrap();
        }
        assert_eq!(alerts.values().next().unwrap()["startsAt"], "2026-01-01T00:00:01Z");
    }
}
