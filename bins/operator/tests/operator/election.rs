//! Two operators, of which one acts.

use std::time::Duration;

use kube_events_testkit::{Fault, Verb};
use serde_json::{Value, json};

use crate::cluster::{Cluster, HOME, NAMESPACE, Operator, assert_same};

const SECOND: Duration = Duration::from_secs(1);

const LEASE: &str = "kube-events-operator";

/// How long a Lease counts after it was seen anew.
const DURATION: u32 = 15;

/// By how much later it may be found out that it no longer does: a look is every two seconds.
const LATE: u32 = 4;

/// How long before the end of a leader it may have renewed its Lease.
const RENEWED: u32 = 3;

/// A leader and one that waits, with what they have to do done.
async fn two(cluster: &Cluster) -> (Operator, Operator) {
    let first = cluster.start_as("first");
    cluster.elapse(2 * SECOND).await;
    let second = cluster.start_as("second");
    cluster.elapse(20 * SECOND).await;
    (first, second)
}

/// What a user changed, beside the Lease.
fn written(cluster: &Cluster, user: &str) -> Vec<String> {
    let changes = changes(cluster, user).into_iter();
    changes.filter(|change| !change.contains("/leases")).collect()
}

/// What a user changed.
fn changes(cluster: &Cluster, user: &str) -> Vec<String> {
    let requests = cluster.server.requests().into_iter();
    requests
        .filter(|it| it.user == user && it.is_write() && !it.path.ends_with("reviews"))
        .filter(|it| it.status().is_some_and(|status| status < 300))
        .map(|it| format!("{:?} {}", it.verb, it.path))
        .collect()
}

async fn scale(cluster: &Cluster, replicas: u32) {
    let spec = json!({"spec": {"replicas": replicas}});
    cluster.edit("events.kubesphere.io/v1alpha1", "Ruler", "ruler", &spec).await;
}

fn replicas(cluster: &Cluster) -> u64 {
    cluster.get("Deployment", "ruler")["spec"]["replicas"].as_u64().unwrap()
}

fn lease(cluster: &Cluster) -> Value {
    cluster.server.get("Lease", HOME, LEASE).unwrap()
}

/// A cluster with the namespace in which operators are, and the Lease.
async fn new_cluster() -> Cluster {
    let cluster = Cluster::with_objects().await;
    cluster.server.create_namespace(HOME);
    cluster
}

/// How many times a Lease went from one to another.
fn transitions(cluster: &Cluster) -> u64 {
    lease(cluster)["spec"]["leaseTransitions"].as_u64().unwrap()
}

/// Lets seconds pass until the second one leads, or so many have passed; how many it took.
async fn taken_over(cluster: &Cluster, most: u32) -> u32 {
    let before = transitions(cluster);
    for second in 1..=most {
        cluster.elapse(SECOND).await;
        if transitions(cluster) > before {
            return second;
        }
    }
    panic!("nobody took over within {most} s: {:#}", lease(cluster));
}

/// The second one acts: a change is carried out, once, and nothing is made anew.
async fn the_second_acts(cluster: &Cluster) {
    cluster.elapse(10 * SECOND).await;
    let nothing: [&str; 0] = [];
    assert_eq!(written(cluster, "second"), nothing, "all was as it should be");
    scale(cluster, 5).await;
    cluster.elapse(2 * SECOND).await;
    assert_eq!(replicas(cluster), 5);
    let deployment = format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments/ruler");
    let second = written(cluster, "second");
    let wrote = second.iter().filter(|change| change.ends_with(&deployment));
    assert_eq!(wrote.count(), 1, "{second:#?}");
    cluster.elapse(20 * SECOND).await;
    assert_eq!(written(cluster, "first"), nothing, "the first one is done");
}

#[tokio::test(start_paused = true)]
async fn of_two_that_begin_together_one_acts() {
    let alone = Cluster::with_objects().await;
    let _operator = alone.started().await;

    let cluster = new_cluster().await;
    let _both = ["first", "second"].map(|user| cluster.start_as(user));
    cluster.elapse(20 * SECOND).await;
    assert_same(&cluster.state(), &alone.state(), "with two operators");
    let mut each = ["first", "second"].map(|user| changes(&cluster, user));
    each.sort_by_key(Vec::len);
    let [idle, acting] = each;
    assert_eq!(idle, [""; 0], "only one writes");
    assert!(acting.iter().filter(|change| change.contains("/leases/")).count() > 4);
    assert_eq!(transitions(&cluster), 0);
}

#[tokio::test(start_paused = true)]
async fn when_the_leader_stops_the_other_takes_over_at_once() {
    let cluster = new_cluster().await;
    let (first, _second) = two(&cluster).await;
    let held = lease(&cluster);
    first.stop().await;
    let released = lease(&cluster);
    assert!(released["spec"]["holderIdentity"].as_str().is_none_or(str::is_empty), "{released:#}");
    cluster.server.clear_requests();
    let waited = taken_over(&cluster, LATE).await;
    assert!(waited <= 3, "it took {waited} s");
    assert_ne!(lease(&cluster)["spec"]["acquireTime"], held["spec"]["acquireTime"]);
    the_second_acts(&cluster).await;
}

#[tokio::test(start_paused = true)]
async fn when_the_leader_dies_the_other_takes_over_after_its_lease() {
    let cluster = new_cluster().await;
    let (first, _second) = two(&cluster).await;
    first.kill().await;
    cluster.server.clear_requests();
    scale(&cluster, 3).await;
    let waited = taken_over(&cluster, DURATION + LATE).await;
    assert!(waited >= DURATION - RENEWED, "after {waited} s the lease may still be held");
    cluster.elapse(SECOND).await;
    assert_eq!(replicas(&cluster), 3, "what was asked for meanwhile is done");
    cluster.elapse(10 * SECOND).await;
    cluster.server.clear_requests();
    the_second_acts(&cluster).await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_cannot_say_so_ends_before_the_other_begins() {
    let cluster = new_cluster().await;
    let (first, _second) = two(&cluster).await;
    // All else it could still do.
    cluster.server.inject(Fault::silence().user("first").path("/leases/").on_writes().always());
    let mut acted = 0;
    while !first.has_ended() {
        cluster.elapse(SECOND).await;
        acted += 1;
        assert!(acted < DURATION, "it acts on");
        assert_eq!(transitions(&cluster), 0, "another one acts beside it");
    }
    assert!(first.error().await.contains("could not be renewed"));
    cluster.server.clear_requests();
    taken_over(&cluster, DURATION + LATE - acted).await;
    the_second_acts(&cluster).await;
    let requests = cluster.server.requests();
    assert_eq!(requests.iter().filter(|it| it.user == "first").count(), 0, "it says no more");
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_is_lost_is_tried_again() {
    let cluster = new_cluster().await;
    let (first, _second) = two(&cluster).await;
    cluster.server.inject(Fault::silence().user("first").path("/leases/").on(Verb::Update));
    cluster.elapse(20 * SECOND).await;
    assert!(!first.has_ended());
    assert_eq!(transitions(&cluster), 0);
}

fn take(cluster: &Cluster) {
    let mut taken = lease(cluster);
    taken["spec"]["holderIdentity"] = json!("somebody");
    cluster.server.update(taken).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_stops_gives_nobody_elses_lease_away() {
    let cluster = new_cluster().await;
    let (first, _second) = two(&cluster).await;
    take(&cluster);
    first.stop().await;
    assert_eq!(lease(&cluster)["spec"]["holderIdentity"], "somebody");
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_lease_is_taken_ends() {
    let cluster = new_cluster().await;
    let (first, _second) = two(&cluster).await;
    take(&cluster);
    cluster.elapse(Duration::from_secs(RENEWED.into()) + 2 * SECOND).await;
    assert!(first.has_ended());
    assert_eq!(first.error().await, format!("the lease {LEASE} was lost to somebody"));
    cluster.server.clear_requests();
    let waited = taken_over(&cluster, DURATION + LATE).await;
    assert!(waited >= DURATION - RENEWED - LATE, "{waited}");
    the_second_acts(&cluster).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_waits_stops_without_a_word() {
    let cluster = new_cluster().await;
    let (_first, second) = two(&cluster).await;
    second.stop().await;
    cluster.elapse(20 * SECOND).await;
    assert_eq!(changes(&cluster, "second"), [""; 0]);
    assert_eq!(transitions(&cluster), 0);
}
