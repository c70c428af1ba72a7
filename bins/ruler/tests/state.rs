//! Rules that count, wait and recover, from Events to what sinks got.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use kube_events_core::{
    Event,
    crd::{RuleSpec, sinks::RulerSinks},
    metrics::RulerMetrics,
};
use kube_events_ruler::{Engine, Refusal};
use kube_events_rules::{RuleSet, Scope};
use kube_events_sinks::{Context, SinkConfig as _};
use kube_events_testkit::{Receiver, Reply};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::sync::watch;

/// An engine whose clock stands still until it is moved.
struct Ruler {
    engine: Engine,
    rules: watch::Sender<Option<RuleSet>>,
    now: Arc<Mutex<Timestamp>>,
    registry: Registry,
}

fn rules(rules: &Value) -> RuleSet {
    let spec: RuleSpec = serde_json::from_value(json!({ "rules": rules })).unwrap();
    let mut set = RuleSet::builder();
    set.add("system", "rules", &Scope::Cluster, &spec);
    let set = set.build();
    assert!(set.problems().is_empty(), "{:?}", set.problems());
    set
}

fn rule(kind: &str, settings: &Value) -> Value {
    let mut rule =
        json!({"name": "Trouble", "type": kind, "enable": true, "condition": "reason=\"BackOff\""});
    rule.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    rule
}

fn second(second: i64) -> Timestamp {
    let start: Timestamp = "2026-01-02T01:15:00Z".parse().unwrap();
    start + SignedDuration::from_secs(second)
}

fn event(reason: &str, count: u32, at: i64) -> Event {
    let event = json!({
        "metadata": {"uid": reason, "resourceVersion": (100 + at).to_string()},
        "involvedObject": {"kind": "Pod", "name": "web-0", "namespace": "shop"},
        "reason": reason, "count": count, "firstTimestamp": second(0), "lastTimestamp": second(at),
    });
    Event::decode(event.to_string().as_bytes()).unwrap()
}

impl Ruler {
    async fn new(set: RuleSet, sinks: Value) -> Self {
        let mut registry = Registry::default();
        let metrics = RulerMetrics::register(&mut registry);
        let (rules, receiver) = watch::channel(Some(set));
        let now = Arc::new(Mutex::new(second(0)));
        let clock = Arc::clone(&now);
        let engine = Engine::with_clock(receiver, metrics, move || *clock.lock().unwrap());
        let sinks: RulerSinks = serde_json::from_value(sinks).unwrap();
        engine.replace_lanes(sinks.build(&Context::default()).unwrap()).await;
        Self { engine, rules, now, registry }
    }

    fn at(&self, now: i64) -> &Self {
        *self.now.lock().unwrap() = second(now);
        self
    }

    async fn process(&self, event: Event) -> Result<(), Refusal> {
        self.engine.process(&[event]).await
    }

    async fn tick(&self) {
        self.engine.tick().await;
    }

    fn metric(&self, name: &str) -> Option<f64> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map(|value| value.parse().unwrap())
    }
}

fn ends(alerts: &[Value]) -> Vec<String> {
    alerts.iter().map(|alert| alert["endsAt"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_retry_delivers_what_was_lacking_and_counts_nothing_twice() {
    let alerts = Receiver::start().await.unwrap();
    let threshold = json!({"threshold": {"count": 3, "within": "10m"}});
    let sinks = json!({"webhooks": [{"type": "alert", "url": alerts.url()}]});
    let ruler = Ruler::new(rules(&json!([rule("alert", &threshold)])), sinks).await;
    ruler.at(20).process(event("BackOff", 2, 20)).await.unwrap();
    ruler.process(event("BackOff", 2, 20)).await.unwrap();
    assert!(alerts.requests().is_empty());
    alerts.reply(Reply::status(503));
    ruler.at(30).process(event("BackOff", 3, 30)).await.unwrap_err();
    assert!(alerts.accepted().is_empty());
    ruler.process(event("BackOff", 3, 30)).await.unwrap();
    ruler.process(event("BackOff", 3, 30)).await.unwrap();
    let accepted = alerts.accepted();
    assert_eq!(accepted.len(), 1);
    assert_eq!(accepted[0]["annotations"]["because"], "3 occurrences in 10m");
    assert_eq!(accepted[0]["annotations"]["rule"], "system/rules/Trouble");
}

#[tokio::test]
async fn what_nobody_sends_again_is_tried_again_by_the_clock() {
    let alerts = Receiver::start().await.unwrap();
    let sinks = json!({"webhooks": [{"type": "notification", "url": alerts.url()}]});
    let set = rules(&json!([rule("notification", &json!({"repeatInterval": "1h"}))]));
    let ruler = Ruler::new(set, sinks).await;
    alerts.reply(Reply::status(503));
    ruler.process(event("BackOff", 1, 0)).await.unwrap_err();
    ruler.tick().await;
    assert_eq!(alerts.accepted().len(), 1);
    ruler.tick().await;
    assert_eq!(alerts.requests().len(), 2);
    assert_eq!(alerts.accepted()[0]["rules"][0]["object"], "rules");
}

#[tokio::test]
async fn an_alert_is_told_again_while_it_fires_and_ends_when_its_object_recovers() {
    let (alerts, file) = (Receiver::start().await.unwrap(), tempfile());
    let set = rules(&json!([rule("alert", &json!({"resolve": "reason=\"Started\""}))]));
    let sinks = json!({"webhooks": [{"type": "alert", "url": alerts.url()}],
        "files": [{"type": "alert", "path": file}]});
    let ruler = Ruler::new(set, sinks).await;
    ruler.process(event("BackOff", 1, 0)).await.unwrap();
    ruler.at(59).tick().await;
    ruler.at(60).tick().await;
    assert_eq!(ruler.metric("kube_events_ruler_state_firing"), Some(1.0));
    ruler.at(70).process(event("Started", 1, 65)).await.unwrap();
    ruler.at(130).tick().await;
    let expected = ["2026-01-02T01:19:00Z", "2026-01-02T01:20:00Z", "2026-01-02T01:16:05Z"];
    assert_eq!(ends(&alerts.accepted()), expected);
    assert_eq!(ruler.metric("kube_events_ruler_state_firing"), Some(0.0));
    assert_eq!(ruler.metric("kube_events_ruler_alerts_total"), Some(2.0));
    ruler.engine.close().await;
    let lines = std::fs::read_to_string(&file).unwrap();
    assert_eq!(lines.lines().count(), 2, "a line when it begins, and one when it ends: {lines}");
    std::fs::remove_file(file).unwrap();
}

/// A path that nobody else uses.
fn tempfile() -> std::path::PathBuf {
    std::env::temp_dir().join(format!("kube-events-ruler-state-{}", std::process::id()))
}

#[tokio::test]
async fn absence_is_noticed_without_any_event() {
    let alerts = Receiver::start().await.unwrap();
    let absence = json!({"absence": {"expected": "reason=\"Started\"", "within": "2m"}});
    let sinks = json!({"webhooks": [{"type": "alert", "url": alerts.url()}]});
    let ruler = Ruler::new(rules(&json!([rule("alert", &absence)])), sinks).await;
    ruler.process(event("BackOff", 1, 0)).await.unwrap();
    ruler.at(179).tick().await;
    assert!(alerts.requests().is_empty());
    ruler.at(180).tick().await;
    assert_eq!(alerts.accepted()[0]["startsAt"], "2026-01-02T01:17:00Z");
}

#[tokio::test]
async fn the_alert_of_a_rule_that_is_gone_ends() {
    let alerts = Receiver::start().await.unwrap();
    let sinks = json!({"webhooks": [{"type": "alert", "url": alerts.url()}]});
    let set = rules(&json!([rule("alert", &json!({"keepFiringFor": "1h"}))]));
    let ruler = Ruler::new(set, sinks).await;
    ruler.process(event("BackOff", 1, 0)).await.unwrap();
    ruler.rules.send_replace(Some(RuleSet::default()));
    ruler.at(30).tick().await;
    assert_eq!(ends(&alerts.accepted())[1], "2026-01-02T01:15:30Z");
}

#[tokio::test]
async fn routes_lead_to_their_sinks_and_those_that_lead_nowhere_to_all() {
    let (pager, archive) = (Receiver::start().await.unwrap(), Receiver::start().await.unwrap());
    let sinks = json!({"webhooks": [
        {"type": "alert", "url": pager.url(), "name": "pager"},
        {"type": "alert", "url": archive.url(), "name": "archive"}]});
    let route = |sink: &str| rule("route", &json!({"sinks": [sink]}));
    let set = |sink| rules(&json!([route(sink), rule("alert", &json!({}))]));
    let ruler = Ruler::new(set("pager"), sinks).await;
    ruler.process(event("BackOff", 1, 0)).await.unwrap();
    assert_eq!((pager.accepted().len(), archive.accepted().len()), (1, 0));
    assert_eq!(ruler.metric("kube_events_ruler_unknown_sinks"), Some(0.0));
    ruler.rules.send_replace(Some(set("paper")));
    ruler.process(event("BackOff", 2, 1)).await.unwrap();
    assert_eq!((pager.accepted().len(), archive.accepted().len()), (2, 1));
    ruler.at(2).tick().await;
    assert_eq!(ruler.metric("kube_events_ruler_unknown_sinks"), Some(1.0));
}
