//! Events in, notifications and alerts out.

use std::{
    collections::{BTreeMap, HashSet},
    convert::Infallible,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures::future::join_all;
use jiff::Timestamp;
use kube_events_core::{
    Alert, Batch, Event, Notification, SendError, Sink,
    crd::RuleLimits,
    metrics::{RuleFigures, RuleLabels, RulerMetrics},
};
use kube_events_rules::{
    Effects, Outcome, Routed, RuleSet,
    state::{State, StateOptions},
};
use kube_events_sinks::RulerLanes;
use tokio::sync::watch;
use tracing::warn;

use crate::{
    lane::{Delay, Lane, Payload, identity},
    outbox::{Load, Outbox},
    warm_up::{Known, Warmed},
};

/// Evaluates rules on Events and delivers what follows from them. Cheap to clone.
///
/// As a [`Sink`] of Events it can stand at the end of a pipeline, in place of an HTTP request to a
/// ruler. Rules with state need [`Engine::keep_time`] beside it.
#[derive(Clone, Debug)]
pub struct Engine(Arc<Inner>);

struct Inner {
    rules: watch::Receiver<Option<RuleSet>>,
    lanes: Mutex<Arc<Lanes>>,
    memory: Mutex<Memory>,
    metrics: RulerMetrics,
    clock: Box<dyn Fn() -> Timestamp + Send + Sync>,
}

#[derive(Debug, Default)]
struct Lanes {
    notifications: Vec<Lane<Notification>>,
    alerts: Vec<Lane<Alert>>,
}

/// What rules with state remember, and what is still to be delivered of it.
#[derive(Debug, Default)]
struct Memory {
    standing: Standing,
    state: State,
    options: StateOptions,
    /// Groups that states of before had to forget.
    evicted: u64,
    outbox: Outbox,
    /// What was there at the warm-up, for a while.
    known: Option<Known>,
    /// The rules that it remembers for.
    rules: Option<RuleSet>,
    /// Names in routes that no sink has.
    unknown: Vec<String>,
    /// Rule objects of which metrics tell.
    measured: usize,
}

/// Whether rules with state remember here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Standing {
    #[default]
    Active,
    /// Not yet; nor is anything else done.
    Starting,
}

/// What became of Events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The rules have not been read yet.
    #[error("the rules have not been read yet")]
    NoRules,
    /// What happened before is not known yet.
    #[error("the ruler is warming up")]
    WarmingUp,
    /// A required sink did not take what follows from them.
    #[error("a sink did not take what follows from these Events; send them again")]
    Undelivered {
        /// When to send them again.
        after: Duration,
    },
}

/// How often time is looked at.
const TICK: Duration = Duration::from_secs(1);

// === impl Engine ===

impl Engine {
    /// An engine of these rules, without sinks; see [`Engine::replace_lanes`].
    pub fn new(rules: watch::Receiver<Option<RuleSet>>, metrics: RulerMetrics) -> Self {
        Self::with_clock(rules, metrics, Timestamp::now)
    }

    /// The same with another clock.
    pub fn with_clock(
        rules: watch::Receiver<Option<RuleSet>>,
        metrics: RulerMetrics,
        clock: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Self {
        let (lanes, memory) = (Mutex::default(), Mutex::default());
        Self(Arc::new(Inner { rules, lanes, memory, metrics, clock: Box::new(clock) }))
    }

    /// Delivers to these sinks from now on. What the sinks of before have under the same names is
    /// not sent again; they deliver what is queued for them, and are closed.
    pub async fn replace_lanes(&self, lanes: RulerLanes) {
        let metrics = &self.0.metrics;
        let before = self.lanes();
        let started = Lanes {
            notifications: start(lanes.notifications, metrics, &before.notifications),
            alerts: start(lanes.alerts, metrics, &before.alerts),
        };
        drop(before);
        close(self.swap(started)).await;
        self.look_for_sinks(&mut self.memory());
    }

    /// Keeps what rules with state remember, and what is told of rules, within these limits from now
    /// on. Those of conditions count where rules are compiled.
    pub fn set_limits(&self, limits: &RuleLimits) {
        let mut memory = self.memory();
        memory.options = (*limits).into();
        let options = memory.options;
        memory.state.set_options(options);
        memory.measured = usize::try_from(limits.measured_objects).unwrap_or(usize::MAX);
    }

    /// Delivers what is queued, and closes the sinks.
    pub async fn close(&self) {
        close(self.swap(Lanes::default())).await;
    }

    /// Evaluates the rules, and delivers what follows.
    ///
    /// # Errors
    /// If the rules are not known yet, or if a required sink has not taken everything that follows:
    /// then the same Events can be sent again, and only what is lacking is delivered. They do not
    /// count twice.
    pub async fn process(&self, events: &[Event]) -> Result<(), Refusal> {
        let (mut effects, load) = self.evaluate(events)?;
        effects.extend(load.effects.clone());
        match self.deliver(&effects).await {
            None => {
                self.memory().outbox.delivered(&load);
                Ok(())
            }
            Some(after) => Err(Refusal::Undelivered { after }),
        }
    }

    /// Lets time pass for rules with state: what did not come is told, what is over ends, what fires
    /// on is told again, and what a sink did not take is tried again. Never ends.
    pub async fn keep_time(&self) -> Infallible {
        loop {
            tokio::time::sleep(TICK).await;
            self.tick().await;
        }
    }

    /// Does once what [`Engine::keep_time`] does each second.
    pub async fn tick(&self) {
        let load = {
            let mut memory = self.memory();
            if memory.standing == Standing::Starting || self.adopt(&mut memory).is_none() {
                return;
            }
            let now = (self.0.clock)();
            let effects = memory.state.advance(now);
            self.remember(&mut memory, effects, None);
            if memory.known.take_if(|known| known.is_over(now)).is_some() {
                memory.outbox.forget_held();
            }
            self.0.metrics.objects(figures(&memory));
            let figures = memory.state.statistics();
            let evicted = memory.evicted + figures.evicted;
            self.0.metrics.state(figures.groups, figures.bytes, figures.firing, evicted);
            memory.outbox.all()
        };
        if !load.effects.is_empty() && self.deliver(&load.effects).await.is_none() {
            self.memory().outbox.delivered(&load);
        }
    }

    /// Takes no Events from now on, and lets no time pass, until [`Engine::resume`].
    pub(crate) fn pause(&self) {
        self.memory().standing = Standing::Starting;
    }

    /// Remembers what was there before the ruler, if anything, and goes on with it.
    pub(crate) fn resume(&self, warmed: Option<Warmed>) {
        let mut memory = self.memory();
        memory.standing = Standing::Active;
        let Some(Warmed { rules, state, outbox, known }) = warmed else { return };
        memory.evicted += memory.state.statistics().evicted;
        memory.state = state;
        // They may have changed meanwhile.
        let options = memory.options;
        memory.state.set_options(options);
        (memory.rules, memory.outbox, memory.known) = (Some(rules), outbox, Some(known));
    }

    /// How much rules with state may remember.
    pub(crate) fn state_options(&self) -> StateOptions {
        self.memory().options
    }

    /// The time, by the engine's clock.
    pub(crate) fn now(&self) -> Timestamp {
        (self.0.clock)()
    }

    /// What follows from rules without state, and from those with it.
    fn evaluate(&self, events: &[Event]) -> Result<(Effects, Load), Refusal> {
        let rules = {
            let mut memory = self.memory();
            if memory.standing == Standing::Starting {
                return Err(Refusal::WarmingUp);
            }
            self.adopt(&mut memory).ok_or(Refusal::NoRules)?
        };
        let start = Instant::now();
        let (mut effects, mut undecided, mut remembering) = (Effects::default(), 0, Vec::new());
        for event in events {
            let outcome = rules.evaluate(event);
            effects.extend(outcome.effects());
            undecided += outcome.undecided();
            if outcome.has_state() {
                remembering.push(outcome);
            }
        }
        let metrics = &self.0.metrics;
        let mut load = Load::default();
        if !remembering.is_empty() {
            load = self.observe(&remembering)?;
        }
        metrics.evaluated(
            effects.alerts.len(),
            effects.notifications.len(),
            undecided,
            start.elapsed(),
        );
        Ok((effects, load))
    }

    /// What follows from rules with state.
    fn observe(&self, remembering: &[Outcome<'_>]) -> Result<Load, Refusal> {
        let mut memory = self.memory();
        if memory.outbox.is_full() {
            return Err(Refusal::Undelivered { after: TICK });
        }
        let mut causes = HashSet::new();
        for outcome in remembering {
            let cause = identity(outcome.event());
            causes.insert(cause);
            if memory.known.as_ref().is_some_and(|known| known.covers(outcome.event())) {
                continue;
            }
            let effects = memory.state.observe(outcome, (self.0.clock)());
            self.remember(&mut memory, effects, Some(cause));
        }
        Ok(memory.outbox.of(&causes))
    }

    /// Takes over the rules that hold now.
    fn adopt(&self, memory: &mut Memory) -> Option<RuleSet> {
        let rules = self.0.rules.borrow().clone()?;
        if !memory.rules.as_ref().is_some_and(|before| before.is_same(&rules)) {
            let effects = memory.state.adopt(&rules, (self.0.clock)());
            memory.rules = Some(rules.clone());
            self.remember(memory, effects, None);
            self.look_for_sinks(memory);
        }
        Some(rules)
    }

    fn remember(&self, memory: &mut Memory, effects: Effects, cause: Option<u64>) {
        let alerts = effects.alerts.iter().filter(|alert| !alert.again).count();
        self.0.metrics.raised(alerts, effects.notifications.len());
        memory.outbox.add(effects, cause);
    }

    /// Tells of names in routes that no sink has.
    fn look_for_sinks(&self, memory: &mut Memory) {
        let Some(rules) = &memory.rules else { return };
        let lanes = self.lanes();
        let notified = lanes.notifications.iter().map(Lane::name);
        let known: HashSet<_> = notified.chain(lanes.alerts.iter().map(Lane::name)).collect();
        let unknown = rules.sinks().into_iter().filter(|name| !known.contains(name));
        let unknown: Vec<_> = unknown.map(str::to_owned).collect();
        if !unknown.is_empty() && unknown != memory.unknown {
            warn!(sinks = unknown.join(", "), "rules lead to sinks that do not exist");
        }
        self.0.metrics.unknown_sinks(unknown.len());
        memory.unknown = unknown;
    }

    /// Gives the longest wait that a sink asks for; none if all have everything.
    async fn deliver(&self, effects: &Effects) -> Option<Duration> {
        let lanes = self.lanes();
        let (notified, alerted) = futures::join!(
            submit(&lanes.notifications, &effects.notifications),
            submit(&lanes.alerts, &effects.alerts),
        );
        notified.into_iter().chain(alerted).max()
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lanes(&self) -> Arc<Lanes> {
        Arc::clone(&self.0.lanes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn swap(&self, lanes: Lanes) -> Arc<Lanes> {
        let mut current = self.0.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut current, Arc::new(lanes))
    }
}

fn start<T: Payload>(
    lanes: Vec<kube_events_sinks::Lane<T>>,
    metrics: &RulerMetrics,
    before: &[Lane<T>],
) -> Vec<Lane<T>> {
    let start = |lane: kube_events_sinks::Lane<T>| {
        let same = before.iter().find(|old| old.name() == lane.name);
        Lane::start(lane, metrics, same)
    };
    lanes.into_iter().map(start).collect()
}

/// What the rules of each object have done, for as many objects as metrics may tell of.
fn figures(memory: &Memory) -> BTreeMap<RuleLabels, RuleFigures> {
    let mut objects = BTreeMap::new();
    let rules = memory.rules.iter().filter(|_| memory.measured > 0).flat_map(RuleSet::rules);
    for rule in rules {
        let object = (rule.namespace(), rule.object());
        let figures: &mut RuleFigures = objects.entry(object).or_default();
        let done = rule.statistics();
        figures.matched += done.matched;
        figures.fired += done.fired;
        figures.suppressed += done.suppressed;
        figures.dropped += done.dropped;
        figures.undecided += done.undecided;
    }
    let labelled = |((namespace, name), figures)| (RuleLabels::new(namespace, name), figures);
    objects.into_iter().take(memory.measured).map(labelled).collect()
}

/// Gives the waits that sinks ask for; none if all have everything.
async fn submit<T: Payload>(lanes: &[Lane<T>], items: &[Routed<T>]) -> Vec<Duration> {
    if items.is_empty() {
        return Vec::new();
    }
    let delivered = join_all(lanes.iter().map(async |lane| {
        let own = items.iter().filter(|routed| leads_to(routed, lane, lanes));
        let own: Vec<_> = own.map(|routed| routed.item.clone()).collect();
        lane.submit(&own).await
    }))
    .await;
    delivered.into_iter().filter_map(Result::err).map(|Delay(after)| after).collect()
}

/// Whether it goes to this lane: to all, if a route leads to none of them.
fn leads_to<T: Payload>(routed: &Routed<T>, lane: &Lane<T>, lanes: &[Lane<T>]) -> bool {
    let named = |lane: &Lane<T>| {
        routed.route.names().is_none_or(|names| names.iter().any(|name| name == lane.name()))
    };
    (lane.refreshes() || !routed.again) && (named(lane) || !lanes.iter().any(named))
}

/// Requests that are under way keep the sinks they began with; the last one out closes them.
async fn close(lanes: Arc<Lanes>) {
    let mut lanes = lanes;
    let lanes = loop {
        match Arc::try_unwrap(lanes) {
            Ok(lanes) => break lanes,
            Err(shared) => {
                lanes = shared;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    };
    join_all(lanes.notifications.into_iter().map(Lane::close)).await;
    join_all(lanes.alerts.into_iter().map(Lane::close)).await;
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("lanes", &self.lanes).finish_non_exhaustive()
    }
}

#[async_trait]
impl Sink<Event> for Engine {
    async fn send(&self, batch: &Batch<Event>) -> Result<(), SendError> {
        self.process(batch).await.map_err(|refusal| match refusal {
            Refusal::NoRules | Refusal::WarmingUp => SendError::retry(refusal),
            Refusal::Undelivered { after } => SendError::retry_after(after, refusal),
        })
    }

    async fn close(&self) -> Result<(), SendError> {
        Self::close(self).await;
        Ok(())
    }
}
