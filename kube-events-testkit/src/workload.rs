//! A stream of Events as a busy cluster makes them, the same for the same seed.

use jiff::{SignedDuration, Timestamp};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::apiserver::uuid;
use crate::draft::EventDraft;
use crate::scenario::{Beat, Scenario};

/// Stories that go on at the same time.
const STORIES: usize = 48;

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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::collections::{HashMap, HashSet};

    fn steps(count: usize) -> Vec<Step> {
        Workload::seeded(42).take(count).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_one_others() {
        let text = |seed| -> Vec<_> {
            Workload::seeded(seed)
                .take(500)
                .map(|step| step.event().to_stored(1, &mut Vec::new()))
                .collect()
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
        let total: usize =
            steps.iter().map(|step| step.event().to_stored(123_456, &mut Vec::new()).len()).sum();
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
}
