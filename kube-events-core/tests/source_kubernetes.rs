//! The Kubernetes source on the embedded API server.
#![allow(clippy::unwrap_used, reason = "it is how a test fails")]

mod suite;

use std::time::Duration;

use futures::StreamExt;
use kube::{Client, Config};
use kube_events_core::{
    gap::GapReason,
    source::{
        Observed, SourceError, Start,
        kubernetes::{WatchOptions, events},
    },
};
use kube_events_testkit::{
    ApiServer, Expectation, Extent, Fault, Identity, Status, Verb, WatchFault, Workload,
};
use suite::{Harness, LIMIT};

struct Embedded(ApiServer);

impl Embedded {
    async fn start() -> Self {
        Self(ApiServer::start().await.unwrap())
    }

    fn client(&self) -> Client {
        let mut config = Config::new(self.0.url().parse().unwrap());
        config.default_retry = false;
        Client::try_from(config).unwrap()
    }
}

impl Harness for Embedded {
    async fn restart(&self) {
        self.0.restart().await.unwrap();
    }

    async fn forget_history(&self) {
        self.0.compact();
    }
}

macro_rules! on_the_embedded_server {
    ($($test:ident($($harness:ident)?);)*) => {$(
        #[tokio::test]
        async fn $test() {
            let server = Embedded::start().await;
            suite::$test(server.client() $(, { let $harness = &server; $harness })?).await;
        }
    )*};
}

on_the_embedded_server! {
    what_is_held_and_what_follows_is_given_once();
    what_is_deleted_is_not_given();
    a_start_from_now_gives_what_follows();
    a_stored_position_is_gone_on_from();
    an_expired_position_is_gone_on_from_by_a_list(harness);
    a_list_that_outlives_its_snapshot_is_finished(harness);
    a_restart_of_the_server_loses_and_repeats_nothing(harness);
    both_apis_give_the_same();
    namespaces_and_selectors_are_kept_to();
}

#[tokio::test]
async fn what_expires_is_not_given() {
    let ttl = Some(Duration::from_millis(100));
    let server = Embedded(ApiServer::builder().event_ttl(ttl).start().await.unwrap());
    suite::what_expires_is_not_given(server.client()).await;
}

/// Reads until the progress reaches the server's version.
async fn read(
    source: &mut (impl futures::Stream<Item = Result<Observed, SourceError>> + Unpin),
    server: &ApiServer,
) -> Vec<Observed> {
    let mut observed = Vec::new();
    let reading = async {
        loop {
            let reached = |told: &Observed| match told {
                Observed::Progress(version) => {
                    version.as_str().parse::<u64>().unwrap() >= server.resource_version()
                }
                _ => false,
            };
            if observed.last().is_some_and(reached) {
                break;
            }
            observed.extend(source.next().await.unwrap().ok());
        }
    };
    tokio::time::timeout(LIMIT, reading).await.expect("it ends");
    observed
}

fn identities(observed: &[Observed]) -> Vec<Identity> {
    let identity = |observed: &Observed| match observed {
        Observed::Event(event) => {
            Some(Identity::new(event.uid(), event.resource_version().parse().unwrap()))
        }
        _ => None,
    };
    observed.iter().filter_map(identity).collect()
}

async fn write(server: &ApiServer, seed: u64, events: usize) -> Vec<Identity> {
    let mut written = Vec::new();
    let Ok(_) = Workload::seeded(seed)
        .drive(server, 100_000, Extent::Steps(events), |batch| written.extend_from_slice(batch))
        .await;
    written
}

#[tokio::test]
async fn every_state_of_a_workload_arrives_once_through_all_kinds_of_trouble() {
    let server = Embedded::start().await;
    let held = write(&server.0, 1, 100).await;
    let mut source =
        events(server.client(), WatchOptions { start: Start::Held, ..Default::default() });
    let listed = identities(&read(&mut source, &server.0).await);
    assert!(Expectation::LatestState.check(&held, &listed).is_perfect());

    let mut expected = Vec::new();
    let mut arrived = Vec::new();
    for (seed, fault) in [
        WatchFault::Close,
        WatchFault::Abort,
        WatchFault::Truncate,
        WatchFault::Error(Status::of(500)),
    ]
    .into_iter()
    .enumerate()
    {
        server.0.inject(Fault::answer(Status::of(503)).on(Verb::Watch));
        server.0.break_watches(fault);
        expected.extend(write(&server.0, 10 + seed as u64, 200).await);
        arrived.extend(identities(&read(&mut source, &server.0).await));
    }
    let report = Expectation::EveryState.check(&expected, &arrived);
    assert!(report.is_perfect(), "{report:?}");
}

#[tokio::test]
async fn garbage_in_a_watch_is_told_and_its_neighbours_arrive() {
    let server = Embedded::start().await;
    server.0.inject(Fault::watch(5, WatchFault::Garbage("{\"type\":".into())));
    let mut source =
        events(server.client(), WatchOptions { start: Start::Now, ..Default::default() });
    let mut observed = vec![source.next().await.unwrap().unwrap()];
    let written = write(&server.0, 3, 50).await;
    observed.extend(read(&mut source, &server.0).await);
    assert!(Expectation::EveryState.check(&written, &identities(&observed)).is_perfect());
    let bad: Vec<_> = observed
        .iter()
        .filter_map(|observed| match observed {
            Observed::Undecodable(bad) => Some(&*bad.bytes),
            _ => None,
        })
        .collect();
    assert_eq!(bad, [b"{\"type\":"]);
}

#[tokio::test]
async fn a_list_whose_snapshot_expires_is_finished_and_nothing_is_repeated() {
    let server = Embedded::start().await;
    let written = write(&server.0, 4, 1500).await;
    server.0.inject(Fault::expire_continue().skip(1));
    let mut source =
        events(server.client(), WatchOptions { start: Start::Held, ..Default::default() });
    let arrived = identities(&read(&mut source, &server.0).await);
    let report = Expectation::LatestState.check(&written, &arrived);
    assert!(report.is_perfect(), "{report:?}");
}

#[tokio::test]
async fn a_restore_of_an_older_state_is_a_gap_and_everything_is_listed() {
    let server = Embedded::start().await;
    write(&server.0, 5, 50).await;
    let backup = server.0.snapshot();
    let lasting = server.0.event_identities();
    write(&server.0, 6, 50).await;
    let mut source =
        events(server.client(), WatchOptions { start: Start::Held, ..Default::default() });
    read(&mut source, &server.0).await;
    // Once something has come of it, the watch is under way.
    write(&server.0, 7, 1).await;
    read(&mut source, &server.0).await;

    server.0.restore(&backup);
    let mut observed = Vec::new();
    let to_the_gap = async {
        while !matches!(observed.last(), Some(Observed::Gap(_))) {
            observed.extend(source.next().await.unwrap().ok());
        }
    };
    tokio::time::timeout(LIMIT, to_the_gap).await.expect("a gap is told");
    observed.extend(read(&mut source, &server.0).await);
    let gaps: Vec<_> = observed
        .iter()
        .filter_map(|observed| match observed {
            Observed::Gap(gap) => Some(gap.reason),
            _ => None,
        })
        .collect();
    assert_eq!(gaps, [GapReason::WentBack]);
    assert!(Expectation::LatestState.check(&lasting, &identities(&observed)).is_perfect());
}
