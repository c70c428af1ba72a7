//! What happened before: the Events that the API server still holds, for rules with state.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use kube_events_core::{
    Event, Item as _, ResourceVersion,
    source::{
        Observed, SourceError,
        kubernetes::{self, WatchOptions},
    },
};
use kube_events_rules::{
    RuleSet,
    state::{State, StateOptions},
};
use tokio::{
    task::yield_now,
    time::{Instant, timeout_at},
};
use tracing::{debug, info, warn};

use crate::{lane::identity, outbox::Outbox};

/// Where the Events of before are: what the API server still holds.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "a Client has none")]
pub struct History {
    client: Client,
    namespace: Option<String>,
    cluster: Option<String>,
}

/// Events in the order of their times: the latest, if there is no room for all.
#[derive(Debug)]
pub(crate) struct Past {
    room: usize,
    events: BTreeMap<(Timestamp, u64), Event>,
    next: u64,
    size: usize,
    left_out: u64,
}

/// What rules with state remember of the past.
#[derive(Debug)]
pub(crate) struct Warmed {
    pub(crate) rules: RuleSet,
    pub(crate) state: State,
    /// What followed, held back.
    pub(crate) outbox: Outbox,
    pub(crate) known: Known,
}

/// The newest state of each Event object that was there at the warm-up.
///
/// An exporter that could not deliver for a while sends older ones after it. They happened before what is
/// remembered already, and would be taken for news.
#[derive(Debug)]
pub(crate) struct Known {
    versions: HashMap<u64, ResourceVersion>,
    until: Timestamp,
}

/// How long the API server may say nothing, and how long the list may take in all, before a ruler does
/// without it.
const PATIENCE: Duration = Duration::from_secs(30);
const LIMIT: Duration = Duration::from_secs(300);

/// Bytes of Events that are put in order.
const ROOM: usize = 64 << 20;

/// How long senders may still have what they could not deliver before: as long as an API server has
/// history, from which an exporter sends it.
const BACKLOG: SignedDuration = SignedDuration::from_mins(10);

/// Events that are taken in at one go.
const PIECE: usize = 64;

/// How often it is told how far it is, in Events.
const TELL: u64 = 10_000;

/// What helps where Events cannot be listed.
const HELP: &str =
    "a ruler needs the rights get and list on events; with `warmUp: false` it asks for none";

// === impl History ===

impl History {
    /// The Events of all namespaces.
    pub fn new(client: Client) -> Self {
        Self { client, namespace: None, cluster: None }
    }

    /// Those of this namespace only.
    #[must_use]
    pub fn namespace(self, namespace: Option<String>) -> Self {
        Self { namespace, ..self }
    }

    /// Gives them the name of the cluster, which has to be the one that their senders give them.
    #[must_use]
    pub fn cluster(self, cluster: Option<String>) -> Self {
        Self { cluster, ..self }
    }

    /// Reads what rules with state have to hear of; `tell` is told how many Events have been read. What
    /// could be read counts, if not all can be.
    pub(crate) async fn read(&self, rules: &RuleSet, tell: impl Fn(u64)) -> Past {
        let options = WatchOptions {
            namespaces: self.namespace.iter().cloned().collect(),
            cluster: self.cluster.clone(),
            ..WatchOptions::default()
        };
        let mut events = kubernetes::events(self.client.clone(), options);
        let started = Instant::now();
        let (mut past, mut read, mut last) = (Past::new(ROOM), 0, started);
        let mut trouble = None;
        let complete = loop {
            let until = (last + PATIENCE).min(started + LIMIT);
            match timeout_at(until, events.next()).await {
                Ok(Some(Ok(Observed::Event(event)))) => {
                    read += 1;
                    last = Instant::now();
                    let at = happened(&event, Timestamp::now());
                    if rules.evaluate_again(&event, at).has_state() {
                        past.add(event, at);
                    }
                    tell(read);
                    if read % TELL == 0 {
                        info!(events = read, "warming up");
                    }
                }
                Ok(Some(Ok(Observed::Progress(_)))) => break true,
                Ok(Some(Ok(other))) => debug!(?other, "left out of the warm-up"),
                Ok(Some(Err(error))) => {
                    let refused = error.is_refusal();
                    trouble = Some(error);
                    if refused {
                        break false;
                    }
                }
                Ok(None) | Err(_) => break false,
            }
        };
        if !complete {
            give_up(trouble.as_ref(), read);
        }
        if past.left_out > 0 {
            warn!(events = past.left_out, "the oldest Events are left out of the warm-up: no room");
        }
        info!(events = read, of_use = past.events.len(), took = ?started.elapsed(), "warmed up");
        past
    }
}

/// An Event's own time, but none that is to come.
fn happened(event: &Event, now: Timestamp) -> Timestamp {
    event.when().map_or(now, |when| when.min(now))
}

fn give_up(error: Option<&SourceError>, events: u64) {
    let error: &dyn std::error::Error = match error {
        Some(error) => error,
        None => &SourceError::Silent { action: "list", after: PATIENCE },
    };
    warn!(
        error,
        events,
        help = HELP,
        "not all Events could be listed; what rules with state would remember of the others is missing"
    );
}

// === impl Past ===

impl Past {
    /// With room for so many bytes.
    fn new(room: usize) -> Self {
        Self { room, events: BTreeMap::new(), next: 0, size: 0, left_out: 0 }
    }

    fn add(&mut self, event: Event, at: Timestamp) {
        self.next += 1;
        self.size += event.size();
        self.events.insert((at, self.next), event);
        while self.size > self.room
            && let Some((_, oldest)) = self.events.pop_first()
        {
            self.size -= oldest.size();
            self.left_out += 1;
        }
    }

    /// Lets rules with state live through it.
    pub(crate) async fn relive(
        self,
        rules: RuleSet,
        options: StateOptions,
        now: Timestamp,
    ) -> Warmed {
        let (mut state, mut outbox) = (State::new(options), Outbox::default());
        let mut known = Known { versions: HashMap::new(), until: now + BACKLOG };
        // A ruler has counted it when it happened.
        state.set_counting(false);
        state.adopt(&rules, Timestamp::MIN);
        for (place, ((at, _), event)) in self.events.into_iter().enumerate() {
            // So that others have their turn, the renewal of a Lease among them.
            if place % PIECE == 0 {
                yield_now().await;
            }
            outbox.hold(state.advance(at), None);
            let effects = state.observe(&rules.evaluate_again(&event, at), at);
            outbox.hold(effects, Some(identity(&event)));
            known.add(&event);
        }
        outbox.hold(state.advance(now), None);
        state.set_counting(true);
        Warmed { rules, state, outbox, known }
    }
}

// === impl Known ===

impl Known {
    fn add(&mut self, event: &Event) {
        let newest = self.versions.entry(object(event)).or_default();
        if ResourceVersion::compare(event.resource_version(), newest.as_str()).is_gt() {
            *newest = event.resource_version().into();
        }
    }

    /// Whether something newer of the same Event object, or the same, was there.
    pub(crate) fn covers(&self, event: &Event) -> bool {
        !event.uid().is_empty()
            && self.versions.get(&object(event)).is_some_and(|newest| {
                ResourceVersion::compare(event.resource_version(), newest.as_str()).is_le()
            })
    }

    /// Whether nobody can have anything from before any more.
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        now >= self.until
    }
}

fn object(event: &Event) -> u64 {
    let mut hasher = DefaultHasher::new();
    event.uid().hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use kube::Config;
    use kube_events_core::crd::RuleSpec;
    use kube_events_rules::{Scope, Statistics};
    use kube_events_testkit::{ApiServer, Fault};
    use serde_json::json;

    use super::*;

    fn second(second: i64) -> Timestamp {
        "2026-01-02T01:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(second)
    }

    fn event(reason: &str, version: u32, at: i64) -> Event {
        let event = json!({
            "metadata": {"uid": format!("{reason}-{at}"), "resourceVersion": version.to_string()},
            "involvedObject": {"kind": "Pod", "name": "web-0", "namespace": "shop"},
            "reason": reason, "firstTimestamp": second(at), "lastTimestamp": second(at),
        });
        Event::decode(event.to_string().as_bytes()).unwrap()
    }

    fn rules() -> RuleSet {
        let spec: RuleSpec = serde_json::from_value(json!({"rules": [{
            "name": "Trouble", "type": "alert", "enable": true, "condition": "reason=\"BackOff\"",
            "resolve": "reason=\"Started\"",
        }]}))
        .unwrap();
        let mut rules = RuleSet::builder();
        rules.add("system", "rules", &Scope::Cluster, &spec);
        rules.build()
    }

    /// Lists are in the order of names.
    #[tokio::test]
    async fn it_does_not_matter_in_which_order_events_are_listed() {
        for (order, firing) in [
            ([("BackOff", 0), ("Started", 600)], 0),
            ([("Started", 600), ("BackOff", 0)], 0),
            ([("BackOff", 600), ("Started", 0)], 1),
            ([("Started", 0), ("BackOff", 600)], 1),
        ] {
            let mut past = Past::new(ROOM);
            for (reason, at) in order {
                past.add(event(reason, 1, at), second(at));
            }
            let rules = rules();
            let warmed = past.relive(rules.clone(), StateOptions::default(), second(1200)).await;
            assert_eq!(warmed.state.statistics().firing, firing, "{order:?}");
            let [rule] = rules.rules().collect::<Vec<_>>().try_into().unwrap();
            assert_eq!(rule.statistics(), Statistics::default(), "it was counted when it happened");
        }
    }

    #[test]
    fn the_oldest_is_left_out_where_there_is_no_room() {
        let mut past = Past::new(2 * event("BackOff", 1, 1).size());
        for at in [2, 1, 3] {
            past.add(event("BackOff", 1, at), second(at));
        }
        let places: Vec<_> = past.events.keys().map(|(at, _)| *at).collect();
        assert_eq!((places, past.left_out), (vec![second(2), second(3)], 1));
    }

    #[test]
    fn known_is_what_is_not_newer() {
        let mut known = Known { versions: HashMap::new(), until: second(600) };
        known.add(&event("BackOff", 9, 0));
        known.add(&event("BackOff", 10, 0));
        let versions = [9, 10, 11].map(|version| known.covers(&event("BackOff", version, 0)));
        assert_eq!(versions, [true, true, false]);
        assert!(!known.covers(&event("BackOff", 9, 1)), "of another object");
        assert_eq!([599, 600].map(|at| known.is_over(second(at))), [false, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_does_not_come_is_not_waited_for() {
        drop(rustls::crypto::ring::default_provider().install_default());
        let server = ApiServer::builder().start().await.unwrap();
        let client = Client::try_from(Config::new(server.url().parse().unwrap())).unwrap();
        let history = History::new(client);
        server.inject(Fault::silence().always());
        let rules = rules();
        let read = history.read(&rules, |_| ());
        let past = tokio::time::timeout(LIMIT, read).await.expect("it ends");
        assert!(past.events.is_empty());
    }
}
