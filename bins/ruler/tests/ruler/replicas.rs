//! Several rulers, in one of which rules with state remember.

use kube_events_testkit::{Fault, Verb};
use serde_json::{Value, json};

use crate::cluster::{Cluster, Ruler};

const ACTIVE: &str = "kube_events_ruler_active";

/// Short, but not so short that a busy machine loses a Lease.
const REPLICA: [&str; 3] =
    ["--lease.name=ruler", "--lease.address=127.0.0.1", "--lease.duration=5s"];

fn five() -> Value {
    json!({"threshold": {"count": 5, "within": "10m"}})
}

/// The active one, and one that is not.
async fn two(cluster: &Cluster) -> (Ruler, Ruler) {
    let active = cluster.ready(&REPLICA).await;
    let other = cluster.ready(&REPLICA).await;
    assert_eq!(active.metric(ACTIVE).await, Some(1.0));
    assert_eq!(other.metric(ACTIVE).await, Some(0.0));
    (active, other)
}

fn events(cluster: &Cluster, names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| cluster.event(name, "BackOff", 5)).collect()
}

/// Delivers one Event after the other.
async fn each(ruler: &Ruler, events: &[Value]) {
    for event in events {
        ruler.deliver(&[event]).await;
    }
}

async fn is_active(ruler: &Ruler) {
    ruler.until("/metrics", |_, text| text.contains("kube_events_ruler_active 1")).await;
}

#[tokio::test]
async fn events_that_come_to_different_rulers_are_counted_together() {
    let cluster = Cluster::new("alert", &five()).await;
    cluster.configure("alert", false);
    let (active, other) = two(&cluster).await;
    let events = events(&cluster, &["a", "b", "c", "d", "e"]);
    each(&active, &events[..2]).await;
    each(&other, &events[2..4]).await;
    assert!(cluster.sent.requests().is_empty());
    each(&other, &events[4..]).await;
    assert_eq!(cluster.sent.accepted().len(), 1, "200 says that the sink has it");
    each(&active, &events).await;
    each(&other, &events).await;
    assert_eq!(cluster.sent.accepted().len(), 1);
    assert_eq!(other.metric("kube_events_ruler_forwarded_total").await, Some(8.0));
    assert_eq!(other.metric("kube_events_ruler_state_groups").await, Some(0.0));
}

#[tokio::test]
async fn when_the_active_one_stops_the_other_goes_on_with_what_happened_before() {
    let cluster = Cluster::new("alert", &five()).await;
    let (active, other) = two(&cluster).await;
    let before = events(&cluster, &["a", "b", "c"]);
    each(&active, &before).await;
    active.stop().await;
    is_active(&other).await;
    each(&other, &events(&cluster, &["d"])).await;
    assert!(cluster.sent.requests().is_empty());
    each(&other, &events(&cluster, &["e"])).await;
    assert_eq!(cluster.sent.accepted().len(), 1);
    each(&other, &before).await;
    assert_eq!(cluster.sent.accepted().len(), 1);
}

#[tokio::test]
async fn when_the_active_one_dies_the_other_takes_what_was_refused_meanwhile() {
    let cluster = Cluster::new("alert", &five()).await;
    let (active, other) = two(&cluster).await;
    let events = events(&cluster, &["a", "b", "c", "d", "e"]);
    each(&active, &events[..2]).await;
    drop(active);
    let (status, answer) = other.post(&[&events[2]]).await;
    assert_eq!((status, answer.contains("the active ruler did not take")), (503, true), "{answer}");
    assert!(other.metric("kube_events_ruler_forward_failures_total").await >= Some(1.0));
    each(&other, &events[2..]).await;
    assert_eq!(cluster.sent.accepted().len(), 1);
    assert_eq!(other.metric(ACTIVE).await, Some(1.0));
    each(&other, &events).await;
    assert_eq!(cluster.sent.accepted().len(), 1);
}

#[tokio::test]
async fn the_lease_goes_with_the_ruler_that_owns_it() {
    let cluster = Cluster::new("alert", &five()).await;
    let owner = json!({
        "apiVersion": "events.kubesphere.io/v1alpha1", "kind": "Ruler",
        "metadata": {"name": "events", "namespace": "default"}, "spec": {},
    });
    cluster.server.create_namespace("default");
    let owner = cluster.server.create(owner).unwrap();
    let flag = format!("--lease.owner=events/{}", owner["metadata"]["uid"].as_str().unwrap());
    let flags = [&REPLICA[..], &[&flag]].concat();
    cluster.ready(&flags).await.stop().await;
    let [lease] = cluster.server.list("Lease").unwrap().try_into().unwrap();
    assert_eq!(lease["spec"]["holderIdentity"], Value::Null, "it was given away");
    cluster.server.delete("Ruler", "default", "events").unwrap();
    assert!(cluster.server.list("Lease").unwrap().is_empty());
}

#[tokio::test]
async fn rules_without_state_need_no_active_one() {
    let cluster = Cluster::new("alert", &five()).await;
    cluster.rules(
        "plain",
        &[json!({
            "name": "Plain", "type": "alert", "enable": true, "condition": "reason=\"Killing\"",
        })],
    );
    let (active, other) = two(&cluster).await;
    other.until("/metrics", |_, text| text.contains("kube_events_ruler_rules 2")).await;
    drop(active);
    let (killing, counted) = (cluster.event("a", "Killing", 1), cluster.event("b", "BackOff", 1));
    assert_eq!(other.post(&[&killing]).await.0, 200);
    assert_eq!(other.post(&[&killing, &counted]).await.0, 503);
    assert_eq!(cluster.sent.accepted().len(), 1);
}

/// It must not go on telling of alerts beside the one that takes its place.
#[tokio::test]
async fn who_cannot_renew_its_lease_stands_by_before_the_other_begins() {
    let cluster = Cluster::new("alert", &five()).await;
    let active = cluster.start_as("first", &REPLICA).await;
    is_active(&active).await;
    let other = cluster.start_as("second", &REPLICA).await;
    other.until("/readyz", |status, _| status == 200).await;
    let fault = Fault::silence().user("first").path("/leases/").on(Verb::Update);
    cluster.server.inject(fault.always());
    active.until("/metrics", |_, text| text.contains("kube_events_ruler_active 0")).await;
    let [lease] = cluster.server.list("Lease").unwrap().try_into().unwrap();
    assert_eq!(lease["spec"]["leaseTransitions"], 0, "another one was active beside it");
    is_active(&other).await;
    let events = events(&cluster, &["a", "b", "c", "d", "e"]);
    each(&active, &events[..3]).await;
    each(&other, &events[3..]).await;
    assert_eq!(cluster.sent.accepted().len(), 1);
}
