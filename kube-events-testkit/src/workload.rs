//! A stream of Events as a busy cluster makes them, the same for the same seed.

use jiff::{SignedDuration, Timestamp, Unit};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::fmt::Display;
use std::future::{Future, ready};
use std::sync::LazyLock;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};

use crate::apiserver::{ApiServer, uuid};
use crate::oracle::Identity;
use crate::scenario::{Beat, Reporter, Scenario};

/// Stories that go on at the same time.
const STORIES: usize = 48;

/// What an Event is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reference {
    /// Kind, for example `Pod`.
    pub kind: &'static str,
    /// Namespace; empty for what has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
    /// API version, for example `v1`.
    pub api_version: &'static str,
    /// resourceVersion of the object when the Event was made.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    /// Container, as `spec.containers{web}`; often empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field_path: String,
}

/// One state of an Event, before the server gives it a resourceVersion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventDraft {
    /// Namespace that it lives in.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Uid. A server that is written to over HTTP gives its own.
    pub uid: String,
    /// What it is about.
    pub involved_object: Reference,
    /// Reason, for example `BackOff`.
    pub reason: &'static str,
    /// Message.
    pub message: String,
    /// Whether it is of type `Warning`, else `Normal`.
    pub warning: bool,
    /// How often it happened.
    pub count: u32,
    /// When it happened first.
    pub first: Timestamp,
    /// When it happened last.
    pub last: Timestamp,
    reporter: Reporter,
    host: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    metadata: Metadata<'a>,
    involved_object: &'a Reference,
    reason: &'a str,
    message: &'a str,
    source: Source<'a>,
    first_timestamp: Option<Timestamp>,
    last_timestamp: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u32>,
    r#type: &'a str,
    event_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    series: Option<Series>,
    #[serde(skip_serializing_if = "str::is_empty")]
    action: &'a str,
    reporting_component: &'a str,
    reporting_instance: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    name: &'a str,
    namespace: &'a str,
    uid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_version: Option<String>,
    creation_timestamp: Timestamp,
    managed_fields: [Managed<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Managed<'a> {
    manager: &'a str,
    operation: &'a str,
    api_version: &'a str,
    time: Timestamp,
    fields_type: &'a str,
    fields_v1: &'a RawValue,
}

#[derive(Serialize)]
struct Source<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    component: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    host: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Series {
    count: u32,
    last_observed_time: Timestamp,
}

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).expect("the constant is JSON")
}

static OLD_FIELDS: LazyLock<Box<RawValue>> = LazyLock::new(|| {
    raw(concat!(
        r#"{"f:count":{},"f:firstTimestamp":{},"f:involvedObject":{},"f:lastTimestamp":{},"#,
        r#""f:message":{},"f:reason":{},"f:reportingComponent":{},"f:reportingInstance":{},"#,
        r#""f:source":{"f:component":{},"f:host":{}},"f:type":{}}"#,
    ))
});

static NEW_FIELDS: LazyLock<Box<RawValue>> = LazyLock::new(|| {
    raw(concat!(
        r#"{"f:action":{},"f:eventTime":{},"f:note":{},"f:reason":{},"f:regarding":{},"#,
        r#""f:reportingController":{},"f:reportingInstance":{},"#,
        r#""f:series":{".":{},"f:count":{},"f:lastObservedTime":{}},"f:type":{}}"#,
    ))
});

fn seconds(time: Timestamp) -> Timestamp {
    time.round(Unit::Second).unwrap_or(time)
}

impl EventDraft {
    fn wire(&self, revision: Option<u64>) -> Wire<'_> {
        let new = self.reporter.is_new_style();
        let old = !new;
        let component = self.reporter.component();
        let managed = Managed {
            manager: self.reporter.manager(),
            operation: "Update",
            api_version: if new { "events.k8s.io/v1" } else { "v1" },
            time: seconds(self.last),
            fields_type: "FieldsV1",
            fields_v1: if new { &NEW_FIELDS } else { &OLD_FIELDS },
        };
        Wire {
            metadata: Metadata {
                name: &self.name,
                namespace: &self.namespace,
                uid: &self.uid,
                resource_version: revision.map(|revision| revision.to_string()),
                creation_timestamp: seconds(self.first),
                managed_fields: [managed],
            },
            involved_object: &self.involved_object,
            reason: self.reason,
            message: &self.message,
            source: Source {
                component: if old { component } else { "" },
                host: if old && self.reporter.has_host() { &self.host } else { "" },
            },
            first_timestamp: old.then(|| seconds(self.first)),
            last_timestamp: old.then(|| seconds(self.last)),
            count: old.then_some(self.count),
            r#type: if self.warning { "Warning" } else { "Normal" },
            event_time: new.then_some(self.first),
            series: (new && self.count > 1)
                .then_some(Series { count: self.count, last_observed_time: self.last }),
            action: if new { self.reporter.action(self.reason) } else { "" },
            reporting_component: component,
            reporting_instance: &self.host,
        }
    }

    /// The text that a server stores, without `kind` and `apiVersion`.
    pub(crate) fn to_stored(&self, revision: u64) -> Box<[u8]> {
        let mut out = Vec::with_capacity(1536);
        serde_json::to_writer(&mut out, &self.wire(Some(revision)))
            .expect("a draft is written to memory");
        out.into_boxed_slice()
    }

    /// The whole Event as core/v1 JSON, for a POST.
    pub fn to_json(&self) -> Value {
        let mut event = serde_json::to_value(self.wire(None)).expect("a draft is JSON");
        event["kind"] = "Event".into();
        event["apiVersion"] = "v1".into();
        event
    }

    /// What a repeat changes, as a merge patch.
    pub fn to_patch(&self) -> Value {
        let mut patch = json!({"message": self.message});
        let wire = self.wire(None);
        match wire.series {
            Some(series) => patch["series"] = json!(series),
            None => {
                patch["count"] = json!(wire.count);
                patch["lastTimestamp"] = json!(wire.last_timestamp);
            }
        }
        patch
    }
}

/// One thing that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A new Event.
    Create(EventDraft),
    /// A new state of an Event that was created before: its count has grown.
    Update(EventDraft),
}

impl Step {
    /// The Event as it is after the step.
    pub fn event(&self) -> &EventDraft {
        match self {
            Self::Create(event) | Self::Update(event) => event,
        }
    }
}

/// One story, with the Events that it has made so far.
#[derive(Debug, Clone)]
struct Story {
    beats: std::vec::IntoIter<Beat>,
    events: Vec<Option<EventDraft>>,
}

/// An endless iterator over [`Step`]s.
///
/// Stories of the [`Scenario`]s go on side by side; the next step belongs to any of them. The
/// clock starts on 2026-01-01 (see [`starting_at`](Self::starting_at)) and moves on by up to
/// 100 ms a step.
///
/// ```
/// use kube_events_testkit::{Step, Workload};
///
/// let steps: Vec<Step> = Workload::seeded(7).take(100).collect();
/// assert_eq!(steps, Workload::seeded(7).take(100).collect::<Vec<_>>());
/// ```
#[derive(Debug, Clone)]
pub struct Workload {
    random: SmallRng,
    clock: Timestamp,
    scenarios: Vec<Scenario>,
    stories: Vec<Story>,
}

impl Workload {
    /// The workload of a seed.
    pub fn seeded(seed: u64) -> Self {
        Self {
            random: SmallRng::seed_from_u64(seed),
            clock: Timestamp::constant(1_767_225_600, 0),
            scenarios: Scenario::ALL.to_vec(),
            stories: Vec::new(),
        }
    }

    /// Sets the clock.
    #[must_use]
    pub fn starting_at(self, clock: Timestamp) -> Self {
        Self { clock, ..self }
    }

    /// Tells stories of these kinds only.
    ///
    /// # Panics
    /// `scenarios` is empty.
    #[must_use]
    pub fn of(self, scenarios: &[Scenario]) -> Self {
        assert!(!scenarios.is_empty(), "a workload needs a scenario");
        Self { scenarios: scenarios.to_vec(), ..self }
    }

    fn next_story(&mut self) -> Story {
        let scenario = self.scenarios[self.random.random_range(0..self.scenarios.len())];
        let beats = scenario.tell(&mut self.random);
        let slots = beats.iter().map(|beat| beat.slot + 1).max().unwrap_or(0);
        Story { beats: beats.into_iter(), events: vec![None; slots] }
    }

    fn draft(&mut self, beat: Beat) -> EventDraft {
        let involved = beat.object;
        let namespace = match involved.namespace.as_str() {
            "" => "default".to_owned(),
            namespace => namespace.to_owned(),
        };
        let suffix: u64 = self.random.random();
        EventDraft {
            name: format!("{}.{suffix:016x}", involved.name),
            namespace,
            uid: uuid(self.random.random()),
            involved_object: involved,
            reason: beat.reason,
            message: beat.message,
            warning: beat.warning,
            count: 1,
            first: self.clock,
            last: self.clock,
            reporter: beat.reporter,
            host: beat.host,
        }
    }
}

impl Iterator for Workload {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        // Microseconds, as eventTime has them.
        self.clock += SignedDuration::from_micros(self.random.random_range(1_000..100_000));
        while self.stories.len() < STORIES {
            let story = self.next_story();
            self.stories.push(story);
        }
        loop {
            let index = self.random.random_range(0..self.stories.len());
            let Some(beat) = self.stories[index].beats.next() else {
                self.stories[index] = self.next_story();
                continue;
            };
            let slot = beat.slot;
            if let Some(event) = &mut self.stories[index].events[slot] {
                event.count += 1;
                event.last = self.clock;
                event.message = beat.message;
                return Some(Step::Update(event.clone()));
            }
            let event = self.draft(beat);
            self.stories[index].events[slot] = Some(event.clone());
            return Some(Step::Create(event));
        }
    }
}

/// Where a workload's Events go.
///
/// [`ApiServer`] is one, without HTTP; for a real cluster, implement it over a client:
/// POST [`EventDraft::to_json`], PATCH [`EventDraft::to_patch`].
pub trait EventTarget {
    /// What can go wrong.
    type Error: Display;

    /// Carries out the steps in order, at least as far as one Event is concerned; answers with
    /// the identity of each state that was written.
    ///
    /// # Errors
    /// A step failed; those before it were carried out.
    fn apply(
        &self,
        steps: &[Step],
    ) -> impl Future<Output = Result<Vec<Identity>, Self::Error>> + Send;
}

impl EventTarget for ApiServer {
    type Error = Infallible;

    fn apply(
        &self,
        steps: &[Step],
    ) -> impl Future<Output = Result<Vec<Identity>, Infallible>> + Send {
        ready(Ok(self.write_events(steps.iter().map(Step::event))))
    }
}

/// How much of a workload is driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// So many steps.
    Steps(usize),
    /// For so long.
    For(Duration),
}

/// Time between two batches of steps.
const TICK: Duration = Duration::from_millis(10);

impl Workload {
    /// Carries steps out at a rate, and passes on the identities that were written, batch by
    /// batch. A target that is too slow lowers the rate; no step is left out.
    ///
    /// # Cancellation
    /// Steps of the batch in flight may have been carried out without being passed on.
    ///
    /// # Errors
    /// The target's.
    pub async fn drive<T: EventTarget>(
        &mut self,
        target: &T,
        per_second: u32,
        extent: Extent,
        mut written: impl FnMut(&[Identity]),
    ) -> Result<usize, T::Error> {
        let start = Instant::now();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut done = 0;
        loop {
            ticks.tick().await;
            let elapsed = start.elapsed();
            let due = due(per_second, elapsed, extent);
            let steps: Vec<Step> = self.by_ref().take(due.saturating_sub(done)).collect();
            if !steps.is_empty() {
                written(&target.apply(&steps).await?);
                done += steps.len();
            }
            let over = match extent {
                Extent::Steps(steps) => done >= steps,
                Extent::For(time) => elapsed >= time,
            };
            if over {
                return Ok(done);
            }
        }
    }
}

/// Steps that should have been carried out by now.
fn due(per_second: u32, elapsed: Duration, extent: Extent) -> usize {
    let time = match extent {
        Extent::Steps(_) => elapsed + TICK,
        Extent::For(time) => (elapsed + TICK).min(time),
    };
    let due = u128::from(per_second) * time.as_micros() / 1_000_000;
    let due = usize::try_from(due).unwrap_or(usize::MAX);
    match extent {
        Extent::Steps(steps) => due.min(steps),
        Extent::For(_) => due,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{HashMap, HashSet};

    fn steps(count: usize) -> Vec<Step> {
        Workload::seeded(42).take(count).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_one_others() {
        let text = |seed| -> Vec<_> {
            Workload::seeded(seed).take(500).map(|step| step.event().to_stored(1)).collect()
        };
        assert_eq!(text(1), text(1));
        assert_ne!(text(1), text(2));
    }

    #[test]
    fn an_update_is_of_an_event_that_was_created_and_counts_on() {
        let mut counts: HashMap<String, u32> = HashMap::new();
        for step in steps(5_000) {
            let event = step.event();
            let before = counts.insert(event.uid.clone(), event.count);
            match step {
                Step::Create(_) => assert_eq!((before, event.count), (None, 1)),
                Step::Update(_) => assert_eq!(before, Some(event.count - 1)),
            }
        }
    }

    #[test]
    fn names_and_uids_are_unique() {
        let created = steps(5_000).into_iter().filter_map(|step| match step {
            Step::Create(event) => Some((event.namespace, event.name)),
            Step::Update(_) => None,
        });
        let created: Vec<_> = created.collect();
        assert_eq!(created.iter().collect::<HashSet<_>>().len(), created.len());
    }

    #[test]
    fn an_average_event_is_as_large_as_a_real_one() {
        let steps = steps(5_000);
        let total: usize = steps.iter().map(|step| step.event().to_stored(123_456).len()).sum();
        let average = total / steps.len();
        assert!((1_050..1_350).contains(&average), "{average} bytes");
    }

    #[test]
    fn what_the_usual_rules_look_for_happens() {
        let steps = steps(20_000);
        let happens = |reason: &str, count: u32| {
            let fits = |event: &EventDraft| event.reason == reason && event.count > count;
            steps.iter().any(|step| fits(step.event()))
        };
        for (reason, count) in [
            ("BackOff", 3),
            ("Unhealthy", 3),
            ("FailedScheduling", 0),
            ("Evicted", 0),
            ("OOMKilling", 0),
            ("FailedMount", 0),
            ("NodeNotReady", 0),
            ("BackoffLimitExceeded", 0),
        ] {
            assert!(happens(reason, count), "{reason} more than {count} times");
        }
    }

    #[test]
    fn both_styles_of_events_occur() {
        let events: Vec<Value> = steps(2_000).iter().map(|step| step.event().to_json()).collect();
        assert!(events.iter().any(|event| event["series"]["count"].is_u64()));
        assert!(events.iter().any(|event| event["count"].is_u64() && event["series"].is_null()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_driven_workload_keeps_its_rate() {
        let server = ApiServer::start().await.unwrap();
        let start = Instant::now();
        let mut identities = Vec::new();
        let driven = Workload::seeded(1)
            .drive(&server, 1_000, Extent::Steps(500), |batch| identities.extend_from_slice(batch))
            .await
            .unwrap();
        assert_eq!((driven, identities.len()), (500, 500));
        let time = start.elapsed();
        assert!((480..=520).contains(&time.as_millis()), "{time:?}");
    }
}
