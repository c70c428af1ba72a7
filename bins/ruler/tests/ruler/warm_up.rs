//! What a ruler knows of what happened before it started.

use kube_events_testkit::{Fault, Status};
use serde_json::{Value, json};

use crate::cluster::Cluster;

/// Where all Events are listed.
const EVENTS: &str = "/api/v1/events";

fn five() -> Value {
    json!({"threshold": {"count": 5, "within": "10m"}})
}

#[tokio::test]
async fn what_happened_before_a_restart_counts() {
    let cluster = Cluster::new("alert", &five()).await;
    let before = ["a", "b", "c"].map(|name| cluster.event(name, "BackOff", 20));
    let ruler = cluster.ready(&[]).await;
    ruler.deliver(&before.each_ref()).await;
    ruler.stop().await;
    let ruler = cluster.ready(&[]).await;
    let after = ["d", "e"].map(|name| cluster.event(name, "BackOff", 0));
    ruler.deliver(&[&after[0]]).await;
    assert!(cluster.sent.requests().is_empty());
    ruler.deliver(&[&after[1]]).await;
    assert_eq!(cluster.sent.accepted().len(), 1);
    ruler.deliver(&before.iter().chain(&after).collect::<Vec<_>>()).await;
    let alerts = cluster.sent.accepted();
    assert_eq!(alerts.len(), 1, "{alerts:#?}");
    assert_eq!(alerts[0]["annotations"]["because"], "5 occurrences in 10m");
}

#[tokio::test]
async fn who_does_not_want_to_know_begins_anew() {
    let cluster = Cluster::new("alert", &five()).await;
    cluster.configure("alert", false);
    let before = ["a", "b", "c"].map(|name| cluster.event(name, "BackOff", 20));
    let ruler = cluster.ready(&[]).await;
    let after = ["d", "e"].map(|name| cluster.event(name, "BackOff", 0));
    ruler.deliver(&after.each_ref()).await;
    assert!(cluster.sent.requests().is_empty());
    ruler.deliver(&before.each_ref()).await;
    assert_eq!(cluster.sent.accepted().len(), 1);
    assert!(!cluster.server.requests().iter().any(|request| request.path == EVENTS));
}

#[tokio::test]
async fn nothing_is_taken_and_nothing_is_sent_while_it_warms_up() {
    let cluster = Cluster::new("alert", &five()).await;
    let events = ["a", "b", "c", "d", "e"].map(|name| cluster.event(name, "BackOff", 5));
    cluster.server.inject(Fault::answer(Status::of(500)).path(EVENTS).always());
    let ruler = cluster.start(&[]).await;
    ruler
        .until("/readyz", |status, body| {
            status == 503 && body.contains("[-] state: warming up, 0 Events read")
        })
        .await;
    let (status, answer) = ruler.post(&events.each_ref()).await;
    assert_eq!((status, answer.contains("warming up")), (503, true), "{answer}");
    cluster.server.clear_faults();
    ruler.until("/readyz", |status, _| status == 200).await;
    assert!(cluster.sent.requests().is_empty(), "it knows that it fires, and says nothing");
    assert_eq!(ruler.metric("kube_events_ruler_warm_up_events_total").await, Some(5.0));
    // Whoever sends one of them again did not hear that somebody had taken it.
    ruler.deliver(&[&events[4]]).await;
    ruler.deliver(&events.each_ref()).await;
    assert_eq!(cluster.sent.accepted().len(), 1);
}

#[tokio::test]
async fn a_notification_that_nobody_delivered_is_delivered_with_its_event() {
    let twice = json!({"threshold": {"count": 2, "within": "10m"}});
    let cluster = Cluster::new("notification", &twice).await;
    let [first, second] = ["a", "b"].map(|name| cluster.event(name, "BackOff", 90));
    let ruler = cluster.ready(&[]).await;
    ruler.deliver(&[&first]).await;
    assert!(cluster.sent.requests().is_empty(), "nothing followed from it");
    ruler.deliver(&[&second]).await;
    ruler.deliver(&[&first, &second]).await;
    assert_eq!(cluster.sent.accepted().len(), 1);
}

/// An exporter that could not deliver for a while sends what the list does not show any more.
#[tokio::test]
async fn an_older_state_of_what_is_known_is_no_news() {
    let resolve = json!({"resolve": "reason=\"Started\""});
    let cluster = Cluster::new("alert", &resolve).await;
    let older = cluster.event("a", "BackOff", 300);
    let mut newer = older.clone();
    newer["count"] = json!(2);
    cluster.server.update(newer).unwrap();
    let started = cluster.event("b", "Started", 200);
    let ruler = cluster.ready(&[]).await;
    ruler.deliver(&[&older]).await;
    assert!(cluster.sent.requests().is_empty(), "the pod has started since");
    // That it has, nobody may have heard yet.
    ruler.deliver(&[&started]).await;
    let alerts = cluster.sent.accepted();
    let [ended] = alerts.as_slice() else { panic!("{alerts:#?}") };
    assert_eq!(ended["endsAt"], started["lastTimestamp"]);
}

#[tokio::test]
async fn a_ruler_that_may_not_list_events_does_without() {
    let cluster = Cluster::new("alert", &five()).await;
    let events = ["a", "b", "c", "d", "e"].map(|name| cluster.event(name, "BackOff", 5));
    cluster.server.deny("list", "", "events");
    let ruler = cluster.ready(&[]).await;
    ruler.deliver(&events.each_ref()).await;
    assert_eq!(cluster.sent.accepted().len(), 1);
}

#[tokio::test]
async fn who_has_no_rule_with_state_asks_for_no_events() {
    let cluster = Cluster::new("alert", &json!({})).await;
    let event = cluster.event("a", "BackOff", 5);
    let ruler = cluster.ready(&[]).await;
    ruler.deliver(&[&event]).await;
    assert_eq!(cluster.sent.accepted().len(), 1);
    assert!(!cluster.server.requests().iter().any(|request| request.path == EVENTS));
}
