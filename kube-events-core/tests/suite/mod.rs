//! What the Kubernetes source has to do on any API server.
//!
//! Each test body takes a client and a [`Harness`]; it is run against the embedded API server here,
//! and, included by path, against a real one.
#![allow(clippy::unwrap_used, reason = "it is how a test fails")]

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    time::Duration,
};

use futures::{
    Stream, StreamExt,
    future::{Either, select},
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Namespace};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams},
};
use kube_events_core::{
    EventKey, ResourceVersion,
    event::Api as EventApi,
    source::{
        Observed, SourceError, Start,
        kubernetes::{WatchOptions, events},
    },
};
use serde_json::json;

/// How long anything may take; only a failure takes so long.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// What a test does to a server.
pub(crate) trait Harness {
    /// Restarts the API server and waits until it is ready.
    async fn restart(&self);
    /// Waits until the server's history no longer reaches back to before this call.
    async fn forget_history(&self);
}

/// A namespace of a test's own, so that tests can share a server.
struct Place {
    client: Client,
    namespace: String,
}

/// What came, in order.
#[derive(Debug, Default)]
struct Seen {
    keys: Vec<EventKey>,
    gaps: usize,
    errors: Vec<String>,
    progress: Option<ResourceVersion>,
}

// === impl Place ===

impl Place {
    async fn new(client: &Client, namespace: &str) -> Self {
        let api = Api::<Namespace>::all(client.clone());
        let object = serde_json::from_value(json!({"metadata": {"name": namespace}})).unwrap();
        api.create(&PostParams::default(), &object).await.unwrap();
        Self { client: client.clone(), namespace: namespace.to_owned() }
    }

    fn api(&self) -> Api<Event> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn options(&self, start: Start) -> WatchOptions {
        WatchOptions {
            namespaces: vec![self.namespace.clone()],
            page_size: NonZeroU32::new(7).unwrap(),
            start,
            ..Default::default()
        }
    }

    async fn create(&self, names: &[String]) -> Vec<EventKey> {
        let mut keys = Vec::new();
        for name in names {
            let event = serde_json::from_value(json!({
                "metadata": {
                    "name": name, "namespace": self.namespace, "labels": {"named": name},
                },
                "involvedObject": {"kind": "Pod", "namespace": self.namespace, "name": "web"},
                "reason": "BackOff", "type": "Warning", "message": "line\nof \"text\"", "count": 1,
                "lastTimestamp": "2026-01-02T03:04:05Z", "source": {"component": "kubelet"},
            }));
            let created = self.api().create(&PostParams::default(), &event.unwrap()).await;
            keys.push(key(&created.unwrap()));
        }
        keys
    }

    async fn repeat(&self, name: &str, count: i32) -> EventKey {
        let patch = Patch::Merge(json!({"count": count}));
        key(&self.api().patch(name, &PatchParams::default(), &patch).await.unwrap())
    }

    /// Waits until so many Events have been deleted since this state.
    async fn deleted(&self, count: usize, since: &EventKey) {
        let (api, params) = (self.api(), WatchParams::default());
        let watch = api.watch(&params, since.resource_version.as_str()).await.unwrap();
        let deletions = watch
            .map(Result::unwrap)
            .filter(|change| std::future::ready(matches!(change, WatchEvent::Deleted(_))));
        let deleted = tokio::time::timeout(LIMIT, deletions.take(count).count()).await;
        assert_eq!(deleted, Ok(count), "Events that were deleted");
    }
}

fn key(event: &Event) -> EventKey {
    EventKey {
        uid: event.metadata.uid.as_deref().unwrap().into(),
        resource_version: event.metadata.resource_version.as_deref().unwrap().into(),
    }
}

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}-{n:03}")).collect()
}

// === impl Seen ===

impl Seen {
    /// Reads on until the progress reaches the newest of these, and what was there before.
    async fn read(
        &mut self,
        source: &mut (impl Stream<Item = Result<Observed, SourceError>> + Unpin),
        until: &[EventKey],
    ) {
        let newest = until.iter().map(|key| &key.resource_version).max().unwrap();
        let reached = |seen: &Self| seen.progress.as_ref().is_some_and(|reached| reached >= newest);
        self.read_until(source, reached).await;
    }

    async fn read_until(
        &mut self,
        source: &mut (impl Stream<Item = Result<Observed, SourceError>> + Unpin),
        enough: impl Fn(&Self) -> bool,
    ) {
        let reading = async {
            while !enough(self) {
                self.note(source.next().await.unwrap());
            }
        };
        let read = tokio::time::timeout(LIMIT, reading).await;
        assert!(read.is_ok(), "nothing more came: {self:?}");
    }

    /// Reads on while something is done.
    async fn read_during<T>(
        &mut self,
        source: &mut (impl Stream<Item = Result<Observed, SourceError>> + Unpin),
        doing: impl Future<Output = T>,
    ) -> T {
        let mut doing = std::pin::pin!(doing);
        loop {
            match select(source.next(), doing.as_mut()).await {
                Either::Left((observed, _)) => self.note(observed.unwrap()),
                Either::Right((done, _)) => return done,
            }
        }
    }

    fn note(&mut self, observed: Result<Observed, SourceError>) {
        match observed {
            Ok(Observed::Event(event)) => {
                assert!(
                    ResourceVersion::compare(
                        event.resource_version(),
                        self.progress.as_ref().map_or("", ResourceVersion::as_str)
                    )
                    .is_gt(),
                    "{event:?} comes after {:?}",
                    self.progress
                );
                self.keys.push(event.key());
            }
            Ok(Observed::Progress(version)) => self.progress = Some(version),
            Ok(Observed::Gap(_)) => self.gaps += 1,
            Err(error) => self.errors.push(format!("{error:?}")),
            Ok(other) => panic!("{other:?}"),
        }
    }

    fn assert_exactly(&self, expected: &[EventKey]) {
        let set = |keys: &[EventKey]| keys.iter().cloned().collect::<BTreeSet<_>>();
        assert_eq!(set(&self.keys), set(expected));
        assert_eq!(self.keys.len(), expected.len(), "something came twice: {:?}", self.keys);
        self.assert_ordered();
    }

    /// For tests that make no trouble: a source that heals is no excuse for one that fails.
    fn assert_untroubled(&self) {
        assert_eq!((self.gaps, &*self.errors), (0, &[] as &[String]));
    }

    fn assert_ordered(&self) {
        let mut newest = BTreeMap::new();
        for key in &self.keys {
            let before = newest.insert(&key.uid, &key.resource_version);
            assert!(before.is_none_or(|before| before < &key.resource_version), "{:?}", self.keys);
        }
    }
}

/// Lists in pages, goes on with a watch, and says each state once.
pub(crate) async fn what_is_held_and_what_follows_is_given_once(client: Client) {
    let place = Place::new(&client, "held-then-live").await;
    let mut keys = place.create(&names("held", 23)).await;
    let mut source = events(client, place.options(Start::Held));
    let mut seen = Seen::default();
    seen.read(&mut source, &keys).await;
    seen.assert_exactly(&keys);

    keys.extend(place.create(&names("live", 10)).await);
    for count in 2..6 {
        keys.push(place.repeat("held-003", count).await);
        keys.push(place.repeat("live-004", count).await);
    }
    seen.read(&mut source, &keys).await;
    seen.assert_exactly(&keys);
    seen.assert_untroubled();
}

/// An Event that somebody deletes comes as `DELETED`, which is not given.
pub(crate) async fn what_is_deleted_is_not_given(client: Client) {
    let place = Place::new(&client, "deleted").await;
    let mut keys = place.create(&names("a", 3)).await;
    let mut source = events(client, place.options(Start::Held));
    let mut seen = Seen::default();
    seen.read(&mut source, &keys).await;
    place.api().delete("a-001", &DeleteParams::default()).await.unwrap();
    keys.extend(place.create(&names("b", 1)).await);
    seen.read(&mut source, &keys).await;
    seen.assert_exactly(&keys);
    seen.assert_untroubled();
}

/// Nor is one that the server deletes because its time is over; it must be soon on this server.
pub(crate) async fn what_expires_is_not_given(client: Client) {
    let place = Place::new(&client, "short-lived").await;
    let first = place.create(&names("first", 1)).await;
    // A watch gives what was there, however soon it is gone.
    let mut source = events(client, place.options(Start::Now));
    let mut seen = Seen::default();
    seen.read(&mut source, &first).await;
    let mut keys = place.create(&names("a", 3)).await;
    place.deleted(first.len() + keys.len(), &first[0]).await;
    keys.extend(place.create(&names("b", 1)).await);
    seen.read(&mut source, &keys).await;
    seen.assert_exactly(&keys);
    seen.assert_untroubled();
}

/// Nothing of what is held is given, and everything after.
pub(crate) async fn a_start_from_now_gives_what_follows(client: Client) {
    let place = Place::new(&client, "from-now").await;
    let held = place.create(&names("held", 3)).await;
    let mut source = events(client, place.options(Start::Now));
    let mut seen = Seen::default();
    seen.read(&mut source, &held).await;
    let live = place.create(&names("live", 3)).await;
    seen.read(&mut source, &live).await;
    seen.assert_exactly(&live);
    seen.assert_untroubled();
}

/// A restart inside history repeats nothing and misses nothing.
pub(crate) async fn a_stored_position_is_gone_on_from(client: Client) {
    let place = Place::new(&client, "resumed").await;
    let before = place.create(&names("before", 9)).await;
    let mut first = Seen::default();
    first.read(&mut events(client.clone(), place.options(Start::Held)), &before).await;

    let mut meanwhile = place.create(&names("meanwhile", 9)).await;
    meanwhile.push(place.repeat("before-001", 2).await);
    let start = Start::After { resource_version: first.progress.unwrap(), time: None };
    let mut second = Seen::default();
    second.read(&mut events(client, place.options(start)), &meanwhile).await;
    second.assert_exactly(&meanwhile);
    second.assert_untroubled();
}

/// Past history, what is newer is listed: nothing is repeated, and there is no gap within the TTL.
pub(crate) async fn an_expired_position_is_gone_on_from_by_a_list(
    client: Client,
    harness: &impl Harness,
) {
    let place = Place::new(&client, "expired").await;
    let before = place.create(&names("before", 9)).await;
    let mut first = Seen::default();
    first.read(&mut events(client.clone(), place.options(Start::Held)), &before).await;

    let mut meanwhile = place.create(&names("meanwhile", 9)).await;
    place.repeat("meanwhile-001", 2).await;
    meanwhile[1] = place.repeat("meanwhile-001", 3).await;
    harness.forget_history().await;
    let resource_version = first.progress.unwrap();
    for (time, gaps) in [
        (Some(Timestamp::now()), 0),
        (Some(Timestamp::now() - Duration::from_secs(7200)), 1),
        (None, 1),
    ] {
        let start = Start::After { resource_version: resource_version.clone(), time };
        let mut second = Seen::default();
        second.read(&mut events(client.clone(), place.options(start)), &meanwhile).await;
        second.assert_exactly(&meanwhile);
        assert_eq!((second.gaps, second.errors.len()), (gaps, 0), "{:?}", second.errors);
    }
}

/// A list whose snapshot expires between two pages goes on with what is held by then. What changed
/// meanwhile in the pages before it is not missed, and what the later ones showed not repeated.
pub(crate) async fn a_list_that_outlives_its_snapshot_is_finished(
    client: Client,
    harness: &impl Harness,
) {
    let place = Place::new(&client, "outlived").await;
    let mut keys = place.create(&names("held", 23)).await;
    let mut source = events(client, place.options(Start::Held));
    let mut seen = Seen::default();
    // The next page is asked for when this one has been given.
    seen.read_until(&mut source, |seen| !seen.keys.is_empty()).await;

    keys.push(place.repeat("held-000", 2).await);
    keys[22] = place.repeat("held-022", 2).await;
    keys.extend(place.create(&["early".to_owned(), "late".to_owned()]).await);
    harness.forget_history().await;
    seen.read(&mut source, &keys).await;
    seen.assert_exactly(&keys);
    seen.assert_untroubled();
}

/// A running watch survives a restart of the API server without loss and without repeats.
pub(crate) async fn a_restart_of_the_server_loses_and_repeats_nothing(
    client: Client,
    harness: &impl Harness,
) {
    let place = Place::new(&client, "restarted").await;
    let mut keys = place.create(&names("before", 9)).await;
    let mut source = events(client, place.options(Start::Held));
    let mut seen = Seen::default();
    seen.read(&mut source, &keys).await;
    for round in 0..2 {
        let change = async {
            harness.restart().await;
            place.create(&names(&format!("round-{round}"), 9)).await
        };
        keys.extend(seen.read_during(&mut source, change).await);
        seen.read(&mut source, &keys).await;
    }
    seen.assert_exactly(&keys);
    assert_eq!(seen.gaps, 0);
}

/// Both APIs show the same Events.
pub(crate) async fn both_apis_give_the_same(client: Client) {
    let place = Place::new(&client, "both-apis").await;
    let keys = place.create(&names("a", 9)).await;
    for api in [EventApi::CoreV1, EventApi::EventsV1] {
        let options = WatchOptions { api, ..place.options(Start::Held) };
        let mut source = events(client.clone(), options);
        let first = loop {
            if let Observed::Event(event) = source.next().await.unwrap().unwrap() {
                break event;
            }
        };
        assert_eq!(first.api(), api);
        assert_eq!((first.reason(), first.message()), ("BackOff", "line\nof \"text\""));
        assert_eq!(first.source_component(), "kubelet");
        assert_eq!(first.when().unwrap().to_string(), "2026-01-02T03:04:05Z");
        let mut seen = Seen { keys: vec![first.key()], ..Default::default() };
        seen.read(&mut source, &keys).await;
        seen.assert_exactly(&keys);
        seen.assert_untroubled();
    }
}

/// Several namespaces are one source; selectors narrow it.
pub(crate) async fn namespaces_and_selectors_are_kept_to(client: Client) {
    let (one, two) = (Place::new(&client, "one-of").await, Place::new(&client, "two-of").await);
    let other = Place::new(&client, "neither").await;
    other.create(&names("a", 3)).await;
    let mut keys = one.create(&names("a", 3)).await;
    keys.extend(two.create(&names("b", 3)).await);
    let namespaces = vec![one.namespace.clone(), two.namespace.clone()];
    let options = WatchOptions { namespaces, ..one.options(Start::Held) };
    let mut seen = Seen::default();
    seen.read(&mut events(client.clone(), options), &keys).await;
    seen.assert_exactly(&keys);
    seen.assert_untroubled();

    let selector = |text: &str| Some(text.to_owned());
    for (count, field_selector, label_selector) in [
        (2, selector("metadata.name=b-001"), None),
        (3, None, selector("named=b-001")),
        (4, None, selector("named in (a-001, b-001), named!=a-001")),
    ] {
        let options = WatchOptions { field_selector, label_selector, ..two.options(Start::Held) };
        let mut source = events(client.clone(), options);
        let mut seen = Seen::default();
        seen.read(&mut source, &keys[4..5]).await;
        two.repeat("b-000", count).await;
        let repeated = two.repeat("b-001", count).await;
        let listed = std::mem::replace(&mut keys[4], repeated.clone());
        seen.read(&mut source, &keys[4..5]).await;
        seen.assert_exactly(&[listed, repeated]);
        seen.assert_untroubled();
    }
}
