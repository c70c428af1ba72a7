//! Events in, notifications and alerts out.

use std::{
    collections::{BTreeMap, HashSet},
    convert::Infallible,
    error::Error as _,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
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
    Effects, Outcome, Routed, Rule, RuleSet,
    state::{State, StateOptions},
};
use kube_events_sinks::RulerLanes;
use tokio::{sync::watch, time::Instant};
use tracing::warn;

use crate::{
    lane::{Delay, Lane, Payload, identity},
    outbox::{Load, Outbox},
    peer::Peer,
    warm_up::{History, Known, Warmed},
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
    /// Whether [`Standing::Starting`] holds, for those who need no more of the memory.
    is_starting: AtomicBool,
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
    /// Until when nobody else remembers, if there are several rulers.
    until: Option<Instant>,
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
#[derive(Clone, Debug, Default)]
enum Standing {
    #[default]
    Active,
    /// Not yet; nor is anything else done.
    Starting,
    /// Not yet.
    WarmingUp,
    /// They do in another ruler, if one is known.
    Standby(Option<Arc<Peer>>),
}

/// What rules with state make of Events.
enum Observed {
    /// What follows.
    Here(Load),
    /// Another ruler has to hear of these.
    Elsewhere(Arc<Peer>, Vec<Event>),
    /// They have to be sent again.
    Nowhere(Refusal),
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
    /// The ruler in which rules with state remember is not known, or did not take them.
    #[error("the active ruler did not take these Events; send them again")]
    NotForwarded,
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
        metrics.active(true);
        let (lanes, memory, is_starting) = Default::default();
        Self(Arc::new(Inner { rules, lanes, memory, is_starting, metrics, clock: Box::new(clock) }))
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
        let (mut effects, observed) = self.evaluate(events)?;
        if let Observed::Here(load) = &observed {
            effects.extend(load.effects.clone());
        }
        let (delay, taken) = futures::join!(self.deliver(&effects), self.forward(&observed));
        if let Some(after) = delay {
            return Err(Refusal::Undelivered { after });
        }
        if let Observed::Here(load) = &observed {
            self.memory().outbox.delivered(load);
        }
        taken
    }

    /// Lets rules with state hear of Events that another ruler forwards, and delivers what follows.
    ///
    /// # Errors
    /// As for [`Engine::process`], and if this ruler is not the active one.
    pub(crate) async fn process_forwarded(&self, events: &[Event]) -> Result<(), Refusal> {
        let load = match self.hear(events)? {
            Observed::Here(load) => load,
            Observed::Elsewhere(..) => return Err(Refusal::NotForwarded),
            Observed::Nowhere(refusal) => return Err(refusal),
        };
        match self.deliver(&load.effects).await {
            None => {
                self.memory().outbox.delivered(&load);
                Ok(())
            }
            Some(after) => Err(Refusal::Undelivered { after }),
        }
    }

    /// Has the active ruler hear of what it has to.
    async fn forward(&self, observed: &Observed) -> Result<(), Refusal> {
        let metrics = &self.0.metrics;
        let (peer, events) = match observed {
            Observed::Here(_) => return Ok(()),
            Observed::Nowhere(refusal) => {
                if *refusal == Refusal::NotForwarded {
                    metrics.not_forwarded();
                }
                return Err(*refusal);
            }
            Observed::Elsewhere(peer, events) => (peer, events),
        };
        let Err(error) = peer.forward(events).await else {
            metrics.forwarded(events.len());
            return Ok(());
        };
        metrics.not_forwarded();
        let cause = error.source();
        if error.is_retry() {
            warn!(%error, cause, events = events.len(), "the active ruler did not take Events");
            return Err(Refusal::NotForwarded);
        }
        // To have them sent again would hold up what its sender has behind them for good.
        let refused = error.rejected(events.len());
        warn!(%error, cause, events = refused, "the active ruler refused Events for good");
        metrics.forwarded(events.len() - refused);
        Ok(())
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
            if matches!(memory.standing, Standing::Starting) || self.adopt(&mut memory).is_none() {
                return;
            }
            if memory.is_active() {
                self.advance(&mut memory);
            }
            self.0.metrics.objects(figures(&memory));
            let figures = memory.state.statistics();
            let evicted = memory.evicted + figures.evicted;
            self.0.metrics.state(figures.groups, figures.bytes, figures.firing, evicted);
            if memory.is_active() { memory.outbox.all() } else { Load::default() }
        };
        if !load.effects.is_empty() && self.deliver(&load.effects).await.is_none() {
            self.memory().outbox.delivered(&load);
        }
    }

    fn advance(&self, memory: &mut Memory) {
        let now = self.now();
        let effects = memory.state.advance(now);
        self.remember(memory, effects, None);
        if memory.known.take_if(|known| known.is_over(now)).is_some() {
            memory.outbox.forget_held();
        }
    }

    /// Takes no Events from now on, and lets no time pass, until [`Engine::warm_up`] ends.
    pub fn pause(&self) {
        self.set(&mut self.memory(), Standing::Starting);
    }

    /// Has rules with state get to know what happened before, once the rules are known, and goes on from
    /// there; without `history` they begin with nothing. What followed in the past is delivered only if
    /// somebody sends again what it followed from. `tell` is told how many Events have been read.
    ///
    /// # Cancellation
    /// It is still paused then.
    pub async fn warm_up(&self, history: Option<&History>, tell: impl Fn(u64)) {
        let mut known = self.0.rules.clone();
        let rules = known.wait_for(Option::is_some).await.map(|rules| rules.clone());
        // Without rules to come there is nothing to go on with.
        let Ok(rules) = rules else { return };
        let rules = rules.filter(|rules| rules.rules().any(Rule::has_state));
        let warmed = match (history, rules) {
            (Some(history), Some(rules)) => {
                tell(0);
                let past = history.read(&rules, |events| {
                    self.0.metrics.warmed_up(1);
                    tell(events);
                });
                let (past, options) = (past.await, self.memory().options);
                Some(past.relive(rules, options, self.now()).await)
            }
            _ => None,
        };
        self.resume(warmed);
    }

    /// Forgets what rules with state remember: they do so in this ruler from now on, if one is known.
    pub(crate) fn stand_by(&self, active: Option<Arc<Peer>>) {
        let mut memory = self.memory();
        if !matches!(memory.standing, Standing::Standby(_)) {
            let state = State::new(memory.options);
            memory.replace(state, Outbox::default());
            memory.rules = None;
        }
        self.set(&mut memory, Standing::Standby(active));
    }

    /// Is about to remember for rules with state, which takes until [`Engine::warm_up`] ends.
    pub(crate) fn prepare(&self) {
        let mut memory = self.memory();
        if !matches!(memory.standing, Standing::Starting) {
            self.set(&mut memory, Standing::WarmingUp);
        }
    }

    /// Whether it has taken no Events yet.
    pub(crate) fn is_starting(&self) -> bool {
        self.0.is_starting.load(Ordering::Relaxed)
    }

    /// Remembers for rules with state no longer than this.
    pub(crate) fn hold_until(&self, until: Instant) {
        self.memory().until = Some(until);
    }

    fn set(&self, memory: &mut Memory, standing: Standing) {
        self.0.metrics.active(matches!(standing, Standing::Active));
        self.0.is_starting.store(matches!(standing, Standing::Starting), Ordering::Relaxed);
        memory.standing = standing;
    }

    /// Remembers what was there before the ruler, if anything, and goes on with it.
    fn resume(&self, warmed: Option<Warmed>) {
        let mut memory = self.memory();
        if let Some(Warmed { rules, state, outbox, known }) = warmed {
            memory.replace(state, outbox);
            // They may have changed meanwhile.
            let options = memory.options;
            memory.state.set_options(options);
            (memory.rules, memory.known) = (Some(rules), Some(known));
        }
        self.set(&mut memory, Standing::Active);
    }

    /// The time, by the engine's clock.
    fn now(&self) -> Timestamp {
        (self.0.clock)()
    }

    /// What follows from rules without state, and from those with it.
    fn evaluate(&self, events: &[Event]) -> Result<(Effects, Observed), Refusal> {
        let rules = self.rules()?;
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
        let observed = self.observe(&remembering);
        metrics.evaluated(
            effects.alerts.len(),
            effects.notifications.len(),
            undecided,
            start.elapsed(),
        );
        Ok((effects, observed))
    }

    /// The rules that hold now. Whoever evaluates them does not wait for rules with state to take others' place.
    fn rules(&self) -> Result<RuleSet, Refusal> {
        if self.is_starting() {
            return Err(Refusal::WarmingUp);
        }
        self.0.rules.borrow().clone().ok_or(Refusal::NoRules)
    }

    /// What rules with state make of Events, as far as they have to hear of them.
    fn hear(&self, events: &[Event]) -> Result<Observed, Refusal> {
        let rules = self.rules()?;
        // Whoever forwards them has counted what matched.
        let now = self.now();
        let outcomes = events.iter().map(|event| rules.evaluate_again(event, now));
        Ok(self.observe(&outcomes.filter(Outcome::has_state).collect::<Vec<_>>()))
    }

    fn observe(&self, remembering: &[Outcome<'_>]) -> Observed {
        if remembering.is_empty() {
            return Observed::Here(Load::default());
        }
        let mut memory = self.memory();
        match &memory.standing {
            Standing::Active if memory.is_active() => {}
            Standing::Standby(Some(peer)) => {
                let events = remembering.iter().map(|outcome| outcome.event().clone());
                return Observed::Elsewhere(Arc::clone(peer), events.collect());
            }
            Standing::Active | Standing::Standby(None) => {
                return Observed::Nowhere(Refusal::NotForwarded);
            }
            Standing::Starting | Standing::WarmingUp => {
                return Observed::Nowhere(Refusal::WarmingUp);
            }
        }
        self.adopt(&mut memory);
        if memory.outbox.is_full() {
            return Observed::Nowhere(Refusal::Undelivered { after: TICK });
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
        Observed::Here(memory.outbox.of(&causes))
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

// === impl Memory ===

impl Memory {
    /// Whether rules with state remember here, and nowhere else.
    fn is_active(&self) -> bool {
        let holds = self.until.is_none_or(|until| Instant::now() < until);
        matches!(self.standing, Standing::Active) && holds
    }

    fn replace(&mut self, state: State, outbox: Outbox) {
        self.evicted += self.state.statistics().evicted;
        self.outbox = outbox.in_place_of(&self.outbox);
        (self.state, self.known) = (state, None);
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
        figures.unrendered += done.unrendered;
        figures.suppressed += done.suppressed;
        figures.dropped += done.dropped;
        figures.undecided += done.undecided;
        figures.evaluation += done.evaluation();
        figures.last_match = figures.last_match.max(done.last_match);
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
            Refusal::NoRules | Refusal::WarmingUp | Refusal::NotForwarded => {
                SendError::retry(refusal)
            }
            Refusal::Undelivered { after } => SendError::retry_after(after, refusal),
        })
    }

    async fn close(&self) -> Result<(), SendError> {
        Self::close(self).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use kube_events_core::crd::{RuleSpec, sinks::RulerSinks};
    use kube_events_rules::Scope;
    use kube_events_sinks::{Context, SinkConfig as _};
    use kube_events_testkit::Receiver;
    use serde_json::json;

    use super::*;

    fn rules() -> RuleSet {
        let spec: RuleSpec = serde_json::from_value(json!({"rules": [{
            "name": "Trouble", "type": "alert", "enable": true, "condition": "reason exists",
            "keepFiringFor": "1h",
        }]}))
        .unwrap();
        let mut rules = RuleSet::builder();
        rules.add("system", "rules", &Scope::Cluster, &spec);
        rules.build()
    }

    fn event(name: &str) -> Event {
        let event = json!({
            "metadata": {"uid": name, "resourceVersion": "1"}, "reason": "R",
            "involvedObject": {"kind": "Pod", "name": name, "namespace": "shop"},
        });
        Event::decode(event.to_string().as_bytes()).unwrap()
    }

    async fn engine(sent: &Receiver) -> Engine {
        let (_, rules) = watch::channel(Some(rules()));
        let engine = Engine::new(rules, RulerMetrics::default());
        let sinks = json!({"webhooks": [{"type": "alert", "url": sent.url()}]});
        let sinks: RulerSinks = serde_json::from_value(sinks).unwrap();
        engine.replace_lanes(sinks.build(&Context::default()).unwrap()).await;
        engine
    }

    /// A process that was halted finds out late that its Lease is somebody else's.
    #[tokio::test]
    async fn nothing_is_told_of_alerts_once_another_may_do_so() {
        let sent = Receiver::start().await.unwrap();
        let engine = engine(&sent).await;
        engine.hold_until(Instant::now() + Duration::from_secs(3600));
        engine.process(&[event("a")]).await.unwrap();
        assert_eq!(sent.requests().len(), 1);
        let effects = engine.memory().state.advance(Timestamp::MAX);
        assert!(!effects.is_empty());
        engine.memory().outbox.add(effects, None);
        engine.hold_until(Instant::now());
        engine.tick().await;
        assert_eq!(engine.process(&[event("b")]).await, Err(Refusal::NotForwarded));
        assert_eq!(engine.process_forwarded(&[event("c")]).await, Err(Refusal::NotForwarded));
        assert_eq!(sent.requests().len(), 1);
        engine.hold_until(Instant::now() + Duration::from_secs(3600));
        engine.tick().await;
        assert_eq!(sent.requests().len(), 2);
    }

    #[tokio::test]
    async fn who_stands_by_remembers_nothing() {
        let sent = Receiver::start().await.unwrap();
        let engine = engine(&sent).await;
        engine.process(&[event("a")]).await.unwrap();
        engine.stand_by(None);
        assert_eq!(engine.memory().state.statistics().groups, 0);
        engine.resume(None);
        engine.process(&[event("a")]).await.unwrap();
        assert_eq!(engine.memory().state.statistics().groups, 1);
        assert_eq!(sent.requests().len(), 2);
    }

    /// Two that take each other for the active one must not send Events round and round.
    #[tokio::test]
    async fn what_was_forwarded_is_not_forwarded() {
        let (sent, other) = (Receiver::start().await.unwrap(), Receiver::start().await.unwrap());
        let engine = engine(&sent).await;
        let address = format!("127.0.0.1:{}", other.port());
        engine.stand_by(Some(Arc::new(Peer::new(&address).unwrap())));
        engine.process(&[event("a")]).await.unwrap();
        assert_eq!(other.accepted().len(), 1);
        assert_eq!(engine.process_forwarded(&[event("b")]).await, Err(Refusal::NotForwarded));
        assert_eq!((other.requests().len(), sent.requests().len()), (1, 0));
    }

    /// Else its sender would send it for ever, with all that is behind it.
    #[tokio::test]
    async fn what_the_active_one_refuses_for_good_is_not_waited_for() {
        let (sent, other) = (Receiver::start().await.unwrap(), Receiver::start().await.unwrap());
        let engine = engine(&sent).await;
        let address = format!("127.0.0.1:{}", other.port());
        engine.stand_by(Some(Arc::new(Peer::new(&address).unwrap())));
        other.reject_bodies_with("\"uid\":\"bad\"");
        engine.process(&["a", "bad", "b"].map(event)).await.unwrap();
        let taken: Vec<_> =
            other.accepted().iter().map(|it| it["metadata"]["uid"].clone()).collect();
        assert_eq!(taken, ["a", "b"]);
        other.go_down().await;
        assert_eq!(engine.process(&[event("c")]).await, Err(Refusal::NotForwarded));
    }

    #[tokio::test]
    async fn who_is_forwarded_an_event_counts_what_follows_and_not_that_it_matched() {
        let sent = Receiver::start().await.unwrap();
        let engine = engine(&sent).await;
        engine.process_forwarded(&[event("a")]).await.unwrap();
        assert_eq!(sent.requests().len(), 1);
        let done = engine.rules().unwrap().rules().next().unwrap().statistics();
        assert_eq!((done.matched, done.fired), (0, 1));
    }
}
