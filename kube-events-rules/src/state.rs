//! What rules remember: how often, how long ago, and whether it is over.
//!
//! [`State`] is a function of the Events that it was given and of the times at which that happened. It
//! has no clock of its own and does nothing by itself: who has Events calls [`State::observe`], who
//! has a clock calls [`State::advance`], and both deliver what comes back.
//!
//! ```
//! use kube_events_core::{Event, crd::RuleSpec};
//! use kube_events_rules::{RuleSet, Scope, state::State};
//!
//! let spec: RuleSpec = serde_json::from_str(r#"{"rules": [{
//!     "name": "CrashLoop", "type": "alert", "enable": true, "condition": "reason = \"BackOff\"",
//!     "threshold": {"count": 3, "within": "10m"}, "resolve": "reason = \"Started\""
//! }]}"#)?;
//! let mut rules = RuleSet::builder();
//! rules.add("shop", "web", &Scope::Namespace("shop".into()), &spec);
//! let rules = rules.build();
//! let mut state = State::default();
//! let now = "2026-01-02T03:04:05Z".parse()?;
//! state.adopt(&rules, now);
//!
//! let event = Event::decode(br#"{"metadata": {"uid": "u", "resourceVersion": "7"}, "reason": "BackOff",
//!     "involvedObject": {"kind": "Pod", "name": "web", "namespace": "shop"}, "count": 3,
//!     "firstTimestamp": "2026-01-02T03:00:00Z", "lastTimestamp": "2026-01-02T03:04:00Z"}"#)?;
//! let effects = state.observe(&rules.evaluate(&event), now);
//! assert_eq!(effects.alerts[0].item.annotations["because"], "3 occurrences in 10m");
//! // The same Event again is the same occurrences.
//! assert!(state.observe(&rules.evaluate(&event), now).is_empty());
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # Time and order
//! An Event's time is its own ([`Event::when`](kube_events_core::Event::when)), but not later than its
//! receipt: a clock that is ahead closes no window. Events that are received within
//! [`StateOptions::allowed_lateness`] of each other are put into the order of their times, so that it
//! does not matter in which order they come; what was concluded from some of them is corrected when
//! another turns out to come before. A notification that was given stays given. An absence is concluded
//! when nothing that was due can still be on its way.
//!
//! To replay a recording, sort it by time, give each Event its own time as that of its receipt, calling
//! [`State::advance`] with it before, and end with one `advance` beyond the longest duration. The
//! results are the same each time.
//!
//! # Bounds
//! See [`StateOptions`]. What has to go is of the namespace that takes the most: there first what does not
//! fire, and of that what was seen last the longest time ago. An alert that is forgotten is ended before.
//!
//! # Alerts with the same labels
//! Receivers take them for one. Of rules whose alerts have the same labels it is told of the one that fires
//! already, and of the one that sees more before any other: nobody ends an alert of a rule of the cluster
//! by a rule of the same name.

mod fold;
mod group;
mod window;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use kube_events_core::{
    Item as _,
    crd::{ByteSize, RuleLimits},
};

use self::{
    fold::Fact,
    group::{Group, Remembering},
};
use crate::{
    Outcome, RuleSet,
    room::Rooms,
    route::Effects,
    rule::{Identity, Rule, label_value},
    set::Found,
};

/// What the rules of a set remember.
#[derive(Debug)]
pub struct State {
    options: StateOptions,
    times: Times,
    rules: HashMap<Identity, Groups>,
    groups: HashMap<u64, Group>,
    /// When each group has to be looked at next.
    due: BTreeSet<(Timestamp, u64)>,
    /// By how far their rules reach, and the namespaces of what groups are about.
    tenants: BTreeMap<Arc<str>, Tenant>,
    /// By their labels, alerts that receivers take for firing.
    owners: HashMap<u64, Owner>,
    /// Events that were seen.
    seen: HashSet<u64>,
    seen_order: VecDeque<u64>,
    next: u64,
    /// Sets of rules so far.
    adopted: u64,
    size: usize,
    evicted: u64,
}

/// How much is remembered, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateOptions {
    /// Groups of one rule. Default: 10,000.
    pub groups: usize,
    /// Bytes of all groups, about. Default: 64 MiB.
    pub bytes: usize,
    /// How many Events are known again when they come twice. Default: 131,072.
    pub events: usize,
    /// How much later than others an Event may come and still be put in order. Default: 1 minute.
    pub allowed_lateness: Duration,
    /// How often an alert that fires on is told again; it ends after four times that, if it is not.
    /// Default: 1 minute.
    pub refresh: Duration,
}

/// How much there is of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateStatistics {
    /// Groups that are remembered.
    pub groups: usize,
    /// Alerts that fire.
    pub firing: usize,
    /// Bytes that the groups take, about.
    pub bytes: usize,
    /// Groups that were forgotten for want of room.
    pub evicted: u64,
}

/// The groups of one rule.
#[derive(Debug)]
struct Groups {
    rule: Arc<Rule>,
    /// With which set the rule came.
    adopted: u64,
    by_key: HashMap<Box<str>, u64>,
    /// By the namespaces of what they are about.
    turns: BTreeMap<Arc<str>, BTreeSet<Turn>>,
}

/// What the groups about one namespace take.
#[derive(Debug, Default)]
struct Tenant {
    size: usize,
    turns: BTreeSet<Turn>,
}

/// A group's place among those that have to go: whether it fires, when it was seen last, and its number.
type Turn = (bool, u64, u64);

/// Whose alert it is that fires.
#[derive(Clone, Copy, Debug)]
struct Owner {
    group: u64,
    breadth: u8,
}

/// The time, and what is measured by it.
#[derive(Clone, Copy, Debug)]
struct Times {
    now: Timestamp,
    lateness: SignedDuration,
    refresh: SignedDuration,
    /// Whether rules count what follows.
    counts: bool,
}

// === impl StateOptions ===

impl Default for StateOptions {
    fn default() -> Self {
        RuleLimits::default().into()
    }
}

impl From<RuleLimits> for StateOptions {
    fn from(limits: RuleLimits) -> Self {
        let ByteSize(bytes) = limits.groups_size;
        Self {
            groups: usize::try_from(limits.rule_groups).unwrap_or(usize::MAX),
            bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
            events: 1 << 17,
            allowed_lateness: Duration::from_secs(60),
            refresh: Duration::from_secs(60),
        }
    }
}

// === impl State ===

impl Default for State {
    fn default() -> Self {
        Self::new(StateOptions::default())
    }
}

impl State {
    /// A state of no rules; see [`State::adopt`].
    pub fn new(options: StateOptions) -> Self {
        let mut times = Times {
            now: Timestamp::MIN,
            lateness: SignedDuration::ZERO,
            refresh: SignedDuration::ZERO,
            counts: true,
        };
        times.set(&options);
        Self {
            options,
            times,
            rules: HashMap::new(),
            groups: HashMap::new(),
            due: BTreeSet::new(),
            tenants: BTreeMap::new(),
            owners: HashMap::new(),
            seen: HashSet::new(),
            seen_order: VecDeque::new(),
            next: 0,
            adopted: 0,
            size: 0,
            evicted: 0,
        }
    }

    /// Keeps within other bounds from now on; what is too much for them is forgotten with the next Event.
    pub fn set_options(&mut self, options: StateOptions) {
        let State { options: own, times, .. } = self;
        *own = options;
        times.set(&options);
    }

    /// Whether rules count what follows from now on ([`Rule::statistics`](crate::Rule::statistics)).
    /// Default: they do. What is of the past was counted when it happened.
    pub fn set_counting(&mut self, counts: bool) {
        self.times.counts = counts;
    }

    /// Remembers for these rules from now on. Those that are as they were before keep what they
    /// remember; the alerts of all others end.
    pub fn adopt(&mut self, rules: &RuleSet, now: Timestamp) -> Effects {
        self.times.now = self.times.now.max(now);
        self.adopted += 1;
        let adopted = self.adopted;
        for rule in rules.shared().filter(|rule| rule.has_state()) {
            let groups = self.rules.entry(rule.identity().clone());
            let groups = groups.or_insert_with(|| Groups::new(rule));
            (groups.rule, groups.adopted) = (Arc::clone(rule), adopted);
        }
        let gone = self.rules.extract_if(|_, groups| groups.adopted < adopted);
        let gone: BTreeSet<_> = gone.flat_map(|(_, groups)| groups.by_key.into_values()).collect();
        let mut effects = Effects::default();
        for id in gone {
            self.forget(id, &mut effects);
        }
        effects
    }

    /// Takes in what the rules say of an Event that was received at this time. An Event that was
    /// taken in before changes nothing.
    pub fn observe(&mut self, outcome: &Outcome<'_>, received: Timestamp) -> Effects {
        let (mut effects, rooms) = (Effects::default(), Rooms::for_an_event());
        let mut found = outcome.remembered().peekable();
        if found.peek().is_none() {
            return effects;
        }
        self.times.now = self.times.now.max(received);
        let event = outcome.event();
        let identity = identity(event);
        if !self.is_new(identity) {
            return effects;
        }
        let at = event.when().map_or(self.times.now, |when| when.min(self.times.now));
        for Found { rule, role, route } in found {
            let fact = Fact {
                at,
                received: self.times.now,
                role: *role,
                identity,
                event: event.clone(),
                route: route.clone(),
            };
            self.take_in(rule, fact, &rooms, &mut effects);
            self.make_room(&mut effects);
        }
        effects
    }

    /// Lets time pass: what did not come is told, what is over ends, what fires on is told again.
    pub fn advance(&mut self, now: Timestamp) -> Effects {
        self.times.now = self.times.now.max(now);
        let (mut effects, rooms) = (Effects::default(), Rooms::for_a_step());
        while let Some((due, id)) =
            self.due.first().copied().filter(|(due, _)| *due <= self.times.now)
        {
            self.due.remove(&(due, id));
            self.look(id, None, &rooms, &mut effects);
        }
        effects
    }

    /// When [`State::advance`] has something to do next.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(due, _)| *due)
    }

    /// How much there is of it.
    pub fn statistics(&self) -> StateStatistics {
        StateStatistics {
            groups: self.groups.len(),
            firing: self.groups.values().filter(|group| group.is_firing()).count(),
            bytes: self.size,
            evicted: self.evicted,
        }
    }

    fn is_new(&mut self, identity: u64) -> bool {
        if !self.seen.insert(identity) {
            return false;
        }
        self.seen_order.push_back(identity);
        if self.seen_order.len() > self.options.events {
            let oldest = self.seen_order.pop_front();
            oldest.map(|oldest| self.seen.remove(&oldest));
        }
        true
    }

    fn take_in(&mut self, rule: &Rule, fact: Fact, rooms: &Rooms, effects: &mut Effects) {
        let Some(memory) = rule.memory() else { return };
        // A set that is no longer in force has no groups any more.
        let Some(groups) = self.rules.get_mut(rule.identity()) else { return };
        let key = memory.group(&fact.event);
        let known = groups.by_key.get(&key).copied();
        let id = known.unwrap_or_else(|| {
            self.next += 1;
            groups.by_key.insert(key.clone(), self.next);
            // What a tenant's own rules take is no reason to forget what the cluster's know of it.
            let namespace = label_value(fact.event.involved_object().namespace);
            let tenant = format!("{}/{namespace}", rule.scope().breadth());
            let known = self.tenants.get_key_value(&*tenant).map(|(tenant, _)| Arc::clone(tenant));
            let tenant = known.unwrap_or_else(|| tenant.into());
            let group = Group::new(rule.identity().clone(), key, tenant, self.times.now);
            self.groups.insert(self.next, group);
            self.next
        });
        self.look(id, Some(fact), rooms, effects);
        while let Some(groups) = self.rules.get(rule.identity())
            && groups.by_key.len() > self.options.groups
            && let Some(oldest) = groups.oldest()
        {
            self.evict(oldest, effects);
        }
    }

    /// Looks at a group, and files it anew.
    fn look(&mut self, id: u64, fact: Option<Fact>, rooms: &Rooms, effects: &mut Effects) {
        let Some(group) = self.groups.get_mut(&id) else { return };
        let Some(groups) = self.rules.get_mut(&group.rule) else { return };
        let Some(memory) = groups.rule.memory() else { return };
        let rule = Remembering { rule: &groups.rule, memory, rooms };
        let (due, size, turn) = (group.due, group.size, group.turn(id));
        if let Some(fact) = fact {
            group.observe(rule, fact, &self.times);
            self.next += 1;
            group.seen = self.next;
        }
        let told = effects.alerts.len();
        group.advance(rule, &self.times, effects);
        let over = group.is_over(memory, &self.times);
        self.due.remove(&(due, id));
        self.due.insert((group.due, id));
        let tenant = self.tenants.entry(Arc::clone(&group.tenant)).or_default();
        let turns = groups.turns.entry(Arc::clone(&group.tenant)).or_default();
        for turns in [turns, &mut tenant.turns] {
            turns.remove(&turn);
            turns.insert(group.turn(id));
        }
        let breadth = groups.rule.scope().breadth();
        own(&mut self.owners, Owner { group: id, breadth }, self.times.now, told, effects);
        tenant.size = tenant.size + group.size - size;
        self.size = self.size + group.size - size;
        if over {
            self.forget(id, effects);
        }
    }

    /// Forgets groups until the others fit.
    fn make_room(&mut self, effects: &mut Effects) {
        while self.size > self.options.bytes
            && let Some(greediest) = self.tenants.values().max_by_key(|tenant| tenant.size)
            && let Some((.., id)) = greediest.turns.first().copied()
        {
            self.evict(id, effects);
        }
    }

    fn evict(&mut self, id: u64, effects: &mut Effects) {
        self.evicted += 1;
        self.forget(id, effects);
    }

    fn forget(&mut self, id: u64, effects: &mut Effects) {
        let Some(mut group) = self.groups.remove(&id) else { return };
        let (turn, told) = (group.turn(id), effects.alerts.len());
        group.end(self.times.now, effects);
        // As an end it goes by whose it is, and not by how much its rule sees.
        own(&mut self.owners, Owner { group: id, breadth: 0 }, self.times.now, told, effects);
        self.due.remove(&(group.due, id));
        self.size -= group.size;
        if let Some(groups) = self.rules.get_mut(&group.rule) {
            groups.by_key.remove(&group.key);
            remove(&mut groups.turns, &group.tenant, turn);
        }
        if let Some(tenant) = self.tenants.get_mut(&group.tenant) {
            tenant.size -= group.size;
            tenant.turns.remove(&turn);
            if tenant.turns.is_empty() {
                self.tenants.remove(&group.tenant);
            }
        }
    }
}

/// Keeps what a group gives to what it may tell: nothing of an alert that is another's, who sees as much
/// or more. Those of `effects` from `told` on are the group's.
fn own(
    owners: &mut HashMap<u64, Owner>,
    group: Owner,
    now: Timestamp,
    told: usize,
    effects: &mut Effects,
) {
    let mut alerts = effects.alerts.split_off(told);
    alerts.retain(|alert| {
        // What does not last is told once, and ends nothing.
        let Some(ends_at) = alert.item.ends_at else { return true };
        let labels = alert.item.fingerprint();
        let owner = owners.get(&labels).filter(|owner| owner.group != group.group);
        let is_end = ends_at <= now;
        if owner.is_some_and(|owner| is_end || owner.breadth >= group.breadth) {
            return false;
        }
        if is_end {
            owners.remove(&labels);
        } else {
            owners.insert(labels, group);
        }
        true
    });
    effects.alerts.append(&mut alerts);
}

fn remove(turns: &mut BTreeMap<Arc<str>, BTreeSet<Turn>>, tenant: &Arc<str>, turn: Turn) {
    if let Some(of_tenant) = turns.get_mut(tenant) {
        of_tenant.remove(&turn);
        if of_tenant.is_empty() {
            turns.remove(tenant);
        }
    }
}

/// Alerts must not end before they are told again.
const MAX_REFRESH: Duration = Duration::from_secs(24 * 3600);

// === impl Times ===

impl Times {
    fn set(&mut self, options: &StateOptions) {
        let signed = |length| SignedDuration::try_from(length).unwrap_or(SignedDuration::MAX);
        self.lateness = signed(options.allowed_lateness);
        self.refresh = signed(options.refresh.min(MAX_REFRESH));
    }
}

// === impl Groups ===

impl Groups {
    fn new(rule: &Arc<Rule>) -> Self {
        let rule = Arc::clone(rule);
        Self { rule, adopted: 0, by_key: HashMap::new(), turns: BTreeMap::new() }
    }

    /// What goes first.
    fn oldest(&self) -> Option<u64> {
        let greediest = self.turns.values().max_by_key(|turns| turns.len())?;
        greediest.first().map(|(.., id)| *id)
    }
}

fn identity(event: &kube_events_core::Event) -> u64 {
    let mut hasher = DefaultHasher::new();
    event.identify(&mut hasher);
    hasher.finish()
}

fn hash(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
