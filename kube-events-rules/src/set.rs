//! All rules that count, compiled.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    sync::Arc,
};

use jiff::Timestamp;
use kube_events_core::{
    Alert, Event, Notification,
    crd::{EventRule, RuleSpec},
};

use crate::{
    Condition, Effects, Error, ErrorKind, Explanation, Limits, Lint, LintKind, Lists, Route,
    Routed, ScopeError, Subject, Template, Verdict,
    before::Before,
    index::{self, Index},
    memory::{Memory, Wrong},
    overlap::Overlaps,
    quota::{Quota, Usage},
    room::Rooms,
    rule::{Holder, Kind, Origin, Role, Rule, is_reserved},
    sample,
    scope::{SCOPE_LABEL, Scope},
    suggest,
    work::{Account, Debt, Fuel},
};

/// The annotation of a Rule object that names lints not to be told, separated by commas.
pub const ALLOW_LINTS: &str = "events.kubesphere.io/allow-lints";

/// The rules that count, compiled, each in its scope. Immutable and cheap to clone.
///
/// ```
/// use kube_events_core::{Event, crd::RuleSpec};
/// use kube_events_rules::{RuleSet, Scope};
///
/// let spec: RuleSpec = serde_json::from_str(r#"{"rules": [{
///     "name": "BackOff", "type": "alert", "enable": true,
///     "condition": "reason = \"BackOff\" and count > 3",
///     "annotations": {"message": "%message"}
/// }]}"#)?;
/// let mut rules = RuleSet::builder();
/// rules.add("shop", "web", &Scope::Namespace("shop".into()), &spec);
/// let rules = rules.build();
/// assert!(rules.problems().is_empty());
///
/// let event = Event::decode(br#"{"involvedObject": {"kind": "Pod", "name": "web", "namespace": "shop"},
///     "reason": "BackOff", "message": "Back-off restarting", "count": 4}"#)?;
/// let alerts = rules.evaluate(&event).alerts();
/// assert_eq!(alerts[0].labels["pod"], "web");
/// assert_eq!(alerts[0].annotations["message"], "Back-off restarting");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct RuleSet(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    cluster: Bucket,
    workspaces: HashMap<String, Bucket>,
    namespaces: HashMap<String, Bucket>,
    /// The workspace of each namespace that has one.
    members: HashMap<String, String>,
    problems: Vec<Problem>,
    /// What scopes have taken too much that have no rules any more.
    owed: HashMap<Scope, Debt>,
}

/// The rules of one scope.
#[derive(Debug, Default)]
struct Bucket {
    rules: Box<[Arc<Rule>]>,
    clauses: Box<[Clause]>,
    /// The conditions of the clauses.
    index: Index,
    /// What they may cost, if they are a tenant's.
    account: Option<Account>,
}

/// What Events are evaluated for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// They have just come.
    Live,
    /// They came at another time, and say the same each time.
    Replay,
    /// Somebody has evaluated them before, and counted.
    Again,
}

/// Whose condition it is, and what for.
#[derive(Clone, Copy, Debug)]
struct Clause {
    rule: u32,
    role: Role,
}

/// A [`Bucket`] to which rules are added.
#[derive(Debug, Default)]
struct Draft {
    rules: Vec<Arc<Rule>>,
    clauses: Vec<Clause>,
    index: index::Builder,
}

/// Collects rules; see [`RuleSet::builder`].
#[derive(Debug, Default)]
pub struct Builder {
    inner: Inner,
    drafts: HashMap<Scope, Draft>,
    limits: Limits,
    before: Before,
    /// What the rules of each namespace take so far.
    usage: HashMap<String, Usage>,
}

/// The rules of one object that count, before they are added.
#[derive(Debug, Default)]
struct Compiled {
    rules: Vec<Ready>,
    usage: Usage,
    /// How many rules each limit of the namespace left out.
    left_out: BTreeMap<Quota, usize>,
}

/// A rule that counts, and its conditions.
#[derive(Debug)]
struct Ready {
    rule: Rule,
    clauses: Vec<(Role, Condition)>,
}

/// Why a rule does not count.
#[derive(Debug)]
enum Left {
    /// It is disabled.
    Disabled,
    /// Something is wrong with it, which was told.
    Wrong,
    /// Its namespace has too much already.
    Out(Quota),
}

/// Why a condition does not count.
#[derive(Debug)]
enum Refused {
    Wrong(Error),
    Out(Quota),
}

/// What is left for patterns.
#[derive(Debug)]
struct Room {
    /// Of the object's.
    object: usize,
    /// Of the namespace's.
    namespace: usize,
}

/// A Rule object, but for its spec.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the members of its metadata")]
pub struct Object<'a> {
    pub namespace: &'a str,
    pub name: &'a str,
    pub labels: &'a BTreeMap<String, String>,
    pub annotations: &'a BTreeMap<String, String>,
}

/// What the rules say about one Event.
#[derive(Clone, Debug)]
pub struct Outcome<'a> {
    event: &'a Event,
    found: Vec<Found<'a>>,
    undecided: usize,
}

/// A condition that holds.
#[derive(Clone, Debug)]
pub(crate) struct Found<'a> {
    pub(crate) rule: &'a Arc<Rule>,
    pub(crate) role: Role,
    pub(crate) route: Route,
}

/// Something about a Rule object that its author should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The object's namespace.
    pub namespace: String,
    /// The object's name.
    pub object: String,
    /// The rule's name, if it is about one.
    pub rule: Option<String>,
    /// The rule's condition, into which [`Problem`] draws the place.
    pub condition: Option<Arc<str>>,
    /// Whether what counted before goes on in the place of what is wrong.
    pub kept: bool,
    /// What it is.
    pub kind: ProblemKind,
}

/// What is wrong, or probably not meant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProblemKind {
    /// The object cannot be read, so no rule of it counts.
    Unread(String),
    /// No rule of the object counts.
    Scope(ScopeError),
    /// The rule does not count.
    Condition(Error),
    /// The rule does not count: an annotation has an expression that is wrong.
    Template {
        /// The annotation.
        annotation: String,
        /// Its text.
        text: Arc<str>,
        /// What is wrong with it.
        error: Error,
    },
    /// The rule does not count: another of its conditions, which [`Problem::condition`] then holds.
    Clause {
        /// Which: `resolve` or `absence.expected`.
        field: &'static str,
        /// What is wrong with it.
        error: Error,
    },
    /// The rule counts, but another of its conditions is probably not as it was meant.
    ClauseLint {
        /// Which: `resolve` or `absence.expected`.
        field: &'static str,
        /// What about it.
        lint: Lint,
    },
    /// The rule does not count: a setting cannot be used.
    Setting {
        /// Its name, such as `threshold.within`.
        field: &'static str,
        /// Why.
        reason: String,
    },
    /// The rule counts, but probably not as it was meant.
    Lint(Lint),
    /// The object has more rules than [`Limits::rules`]; those beyond do not count.
    TooMany {
        /// Rules in the object.
        rules: usize,
        /// Rules allowed.
        limit: usize,
    },
    /// All rules of the namespace exceed a limit, and some of this object do not count.
    NamespaceFull {
        /// The limit.
        quota: Quota,
        /// How much is allowed.
        limit: usize,
        /// Rules of the object that do not count.
        left_out: usize,
    },
    /// The rule has no name; its alerts would have none either, so it does not count.
    NoName,
    /// The rule is enabled, but nothing follows from its type, so it does not count.
    NoType(String),
    /// The rule counts, but this label of its alerts is not its to set.
    ReservedLabel(String),
    /// The rule counts, but this name in an annotation is no field's and always empty.
    UnknownField(String),
    /// The rule counts, but another of the object, of this name, matches whatever it matches and does
    /// the same, or drops it.
    Unreachable(String),
    /// The annotation [`ALLOW_LINTS`] names a lint that does not exist.
    UnknownLint(String),
    /// The object's rules count, but this label was probably meant to be [`SCOPE_LABEL`].
    MisspeltLabel(String),
}

// === impl RuleSet ===

impl RuleSet {
    /// A set to add rules to.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Evaluates every rule whose scope the Event is in. Total; allocates nothing while no rule
    /// matches.
    pub fn evaluate<'a>(&'a self, event: &'a Event) -> Outcome<'a> {
        self.outcome(event, Subject::new(event), Purpose::Live)
    }

    /// Evaluates as at another time: ages are counted to it and not to the wall clock's, as a replay
    /// has to.
    pub fn evaluate_at<'a>(&'a self, event: &'a Event, now: Timestamp) -> Outcome<'a> {
        self.outcome(event, Subject::at(event, now), Purpose::Replay)
    }

    /// The same for an Event that somebody has evaluated before, and counted: what rules have done
    /// ([`Rule::statistics`]) stays as it is.
    pub fn evaluate_again<'a>(&'a self, event: &'a Event, now: Timestamp) -> Outcome<'a> {
        self.outcome(event, Subject::at(event, now), Purpose::Again)
    }

    fn outcome<'a>(
        &'a self,
        event: &'a Event,
        subject: Subject<'a>,
        purpose: Purpose,
    ) -> Outcome<'a> {
        let counts = purpose != Purpose::Again;
        let mut outcome = Outcome { event, found: Vec::new(), undecided: 0 };
        let timed = counts && sample::is_due();
        for bucket in self.in_scope(event.involved_object().namespace) {
            let before = outcome.found.len();
            outcome.undecided += bucket.look(event, subject, purpose, timed, &mut outcome.found);
            judge(&mut outcome.found, before, counts);
        }
        outcome
    }

    /// The rules that see what is about this namespace: of the cluster, of its workspace, its own.
    fn in_scope(&self, namespace: &str) -> impl Iterator<Item = &Bucket> {
        let Inner { cluster, workspaces, namespaces, members, .. } = &*self.0;
        let own = (!namespace.is_empty()).then(|| namespaces.get(namespace)).flatten();
        let workspace = members.get(namespace).and_then(|workspace| workspaces.get(workspace));
        [Some(cluster), workspace, own].into_iter().flatten()
    }

    /// What each rule says of an Event, and why: those of the scopes that the Event is in, in the order in
    /// which they are evaluated. Costs far more than [`RuleSet::evaluate`], and counts nothing.
    pub fn explain(&self, event: &Event) -> impl Iterator<Item = (&Rule, Explanation)> {
        let rules = self.seeing(event);
        rules.map(|rule| (rule, rule.explain(&Subject::new(event))))
    }

    /// The rules of the scopes that an Event is in, in the order in which they are evaluated.
    pub fn seeing(&self, event: &Event) -> impl Iterator<Item = &Rule> {
        let buckets = self.in_scope(event.involved_object().namespace);
        buckets.flat_map(|bucket| &bucket.rules).map(Arc::as_ref)
    }

    /// All rules that count.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.shared().map(Arc::as_ref)
    }

    pub(crate) fn shared(&self) -> impl Iterator<Item = &Arc<Rule>> {
        let inner = &*self.0;
        let scoped = inner.workspaces.values().chain(inner.namespaces.values());
        std::iter::once(&inner.cluster).chain(scoped).flat_map(|bucket| &bucket.rules)
    }

    /// What the rules of tenants have taken too much.
    pub(crate) fn debts(&self) -> impl Iterator<Item = (Scope, Debt)> {
        let Inner { workspaces, namespaces, .. } = &*self.0;
        let workspaces = workspaces.iter().map(|(name, it)| (Scope::Workspace(name.clone()), it));
        let namespaces = namespaces.iter().map(|(name, it)| (Scope::Namespace(name.clone()), it));
        let buckets = workspaces.chain(namespaces);
        let debts =
            buckets.filter_map(|(scope, bucket)| Some((scope, bucket.account.as_ref()?.debt()?)));
        debts.chain(self.0.owed.iter().map(|(scope, debt)| (scope.clone(), *debt)))
    }

    /// The names of all sinks that routes lead to.
    pub fn sinks(&self) -> BTreeSet<&str> {
        self.rules().flat_map(Rule::sinks).map(String::as_str).collect()
    }

    /// Whether both are one and the same set, and not only equal.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether no other clone of it is left.
    #[cfg(feature = "kube")]
    pub(crate) fn is_unshared(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    /// What the authors of the rules should know.
    pub fn problems(&self) -> &[Problem] {
        &self.0.problems
    }
}

// === impl Bucket ===

impl Bucket {
    /// Evaluates the conditions of all rules, adds those that hold, and says how many could not be
    /// decided. Rules remember what became of it if it counts, and how long it took if it is timed.
    fn look<'a>(
        &'a self,
        event: &Event,
        subject: Subject<'_>,
        purpose: Purpose,
        timed: bool,
        found: &mut Vec<Found<'a>>,
    ) -> usize {
        let counts = purpose != Purpose::Again;
        let mut fuel = match (&self.account, purpose) {
            (None, _) => Fuel::UNLIMITED,
            (Some(account), Purpose::Replay) => account.full(),
            (Some(account), _) => account.fuel(),
        };
        let mut undecided = 0;
        let begin = found.len();
        let mut add = |clause: usize, verdict| {
            let Clause { rule, role } = self.clauses[clause];
            let rule = &self.rules[rule as usize];
            if counts {
                rule.count(role, verdict);
            }
            match verdict {
                Verdict::True => found.push(Found { rule, role, route: Route::default() }),
                Verdict::Undecided(_) => undecided += 1,
                Verdict::False => {}
            }
        };
        if timed {
            self.index.evaluate_timed(&subject, &mut fuel, |clause, verdict, time| {
                self.rules[self.clauses[clause].rule as usize].count_time(time);
                add(clause, verdict);
            });
        } else {
            self.index.evaluate(&subject, &mut fuel, add);
        }
        if let Some(account) = self.account.as_ref().filter(|_| purpose != Purpose::Replay) {
            account.charge(fuel);
        }
        if counts && found.len() > begin {
            let when = event.when();
            found[begin..].iter().for_each(|found| found.rule.seen(found.role, when));
        }
        // In the order in which they were added.
        found[begin..].sort_unstable_by_key(|found| (std::ptr::from_ref(found.rule), found.role));
        undecided
    }
}

// === impl Draft ===

impl Draft {
    fn push(&mut self, rule: Rule, clauses: &[(Role, Condition)]) {
        let place = u32::try_from(self.rules.len()).expect("rules are limited in number");
        self.rules.push(Arc::new(rule));
        for (role, condition) in clauses {
            self.clauses.push(Clause { rule: place, role: *role });
            self.index.push(condition);
        }
    }

    /// The rules of a scope, with an account if there are limits to what they may cost.
    fn finish(self, account: Option<Account>) -> Bucket {
        let Self { rules, clauses, index } = self;
        Bucket { rules: rules.into(), clauses: clauses.into(), index: index.build(), account }
    }
}

/// Applies the drops and routes of one scope, of which `found` holds everything from `begin` on.
fn judge(found: &mut Vec<Found<'_>>, begin: usize, counts: bool) {
    let is = |found: &Found<'_>, kind| found.role == Role::Match && found.rule.kind() == kind;
    if found[begin..].iter().any(|found| is(found, Kind::Drop)) {
        let of_scope = found.split_off(begin);
        let (drops, others): (Vec<_>, Vec<_>) =
            of_scope.into_iter().partition(|found| is(found, Kind::Drop));
        let dropped = others.iter().filter(|found| counts && found.role == Role::Match);
        dropped.for_each(|found| found.rule.count_dropped());
        found.extend(drops);
    }
    let own = &mut found[begin..];
    let routes = own.iter().filter(|found| is(found, Kind::Route));
    let route = Rule::route(routes.map(|found| &**found.rule));
    for found in own {
        found.route = route.clone();
        let gives = is(found, Kind::Alert) || is(found, Kind::Notification);
        found.rule.count_fired(u64::from(counts && gives && !found.rule.has_state()));
    }
}

// === impl Builder ===

impl Builder {
    /// Refuses conditions that exceed these limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Goes on from the set that counted until now: rules that did not change go on counting where
    /// they were, and what is wrong takes nothing away. A rule that does not compile any more stays as
    /// it was; an object with which its namespace has too much stays as it was as a whole.
    #[must_use]
    pub fn follow(mut self, before: &RuleSet) -> Self {
        self.before = Before::new(before);
        self
    }

    /// Adds the rules of one object. A rule that is wrong is left out and reported among the
    /// [`RuleSet::problems`]; the others count.
    ///
    /// Where the limits of a namespace do not suffice for all of its objects, those that are added first
    /// count.
    pub fn add(&mut self, namespace: &str, object: &str, scope: &Scope, spec: &RuleSpec) {
        self.compile_all((namespace, object), Some(scope), spec);
    }

    fn compile_all(
        &mut self,
        (namespace, object): (&str, &str),
        scope: Option<&Scope>,
        spec: &RuleSpec,
    ) {
        let mut compiled = self.compile_object((namespace, object), scope, spec);
        let full = std::mem::take(&mut compiled.left_out);
        let kept = !full.is_empty() && !self.before.object(namespace, object).is_empty();
        if kept {
            compiled = self.compile_before(namespace, object);
        }
        for (quota, left_out) in full {
            self.report(
                (namespace, object),
                kept,
                ProblemKind::NamespaceFull { quota, limit: quota.of(&self.limits), left_out },
            );
        }
        self.push(namespace, compiled);
    }

    fn push(&mut self, namespace: &str, compiled: Compiled) {
        self.usage.insert(namespace.to_owned(), compiled.usage);
        for Ready { mut rule, clauses } in compiled.rules {
            if let Some(same) = self.before.same(rule.identity()) {
                rule.go_on_from(same);
            }
            self.drafts.entry(rule.scope().clone()).or_default().push(rule, &clauses);
        }
    }

    /// The rules of an object; those that are wrong are as they were before, if they were.
    fn compile_object(
        &mut self,
        (namespace, object): (&str, &str),
        scope: Option<&Scope>,
        spec: &RuleSpec,
    ) -> Compiled {
        let mut compiled = self.begin(namespace);
        let mut room = self.limits.patterns_size;
        let lists = Lists::from(&spec.lists);
        let mut overlaps = Overlaps::default();
        let mut numbers = HashMap::<&str, usize>::new();
        let own = || Scope::Namespace(namespace.to_owned());
        let holder = Arc::new(Holder {
            scope: scope.cloned().unwrap_or_else(own),
            namespace: namespace.to_owned(),
            name: object.to_owned(),
        });
        for written in self.within_limit(namespace, object, spec) {
            let number = numbers.entry(&written.name).or_default();
            let place = Origin { holder: Arc::clone(&holder), number: *number };
            *number += 1;
            let first = self.inner.problems.len();
            let mut usage = compiled.usage;
            let ready = self.compile(place.clone(), written, &lists, &mut room, &mut usage);
            match ready {
                Ok(_) if scope.is_none() => self.keep(&place, written, first, &mut compiled),
                Ok(ready) => {
                    overlaps.add(written, &ready.clauses[0].1);
                    compiled.rules.push(ready);
                    compiled.usage = usage;
                }
                Err(Left::Disabled) => {}
                Err(Left::Wrong) => self.keep(&place, written, first, &mut compiled),
                Err(Left::Out(quota)) => *compiled.left_out.entry(quota).or_default() += 1,
            }
        }
        for (rule, by) in overlaps.unreachable() {
            self.inner.problems.push(Problem {
                namespace: namespace.to_owned(),
                object: object.to_owned(),
                rule: Some(rule.name.clone()),
                condition: Some(rule.condition.as_str().into()),
                kept: false,
                kind: ProblemKind::Unreachable(by.name.clone()),
            });
        }
        compiled
    }

    /// Puts what counted before in the place of a rule that is wrong, and says so in its problems.
    fn keep(&mut self, place: &Origin, written: &EventRule, first: usize, compiled: &mut Compiled) {
        let before = self.before.rule(place, &written.name).cloned();
        let Some(before) = before.filter(|_| written.enable) else { return };
        let Some(ready) = self.compile_again(&before, &mut compiled.usage) else { return };
        compiled.rules.push(ready);
        for problem in &mut self.inner.problems[first..] {
            problem.kept = problem.is_error();
        }
    }

    /// The rules of an object as they were before.
    fn compile_before(&mut self, namespace: &str, object: &str) -> Compiled {
        let mut compiled = self.begin(namespace);
        for before in self.before.object(namespace, object).to_vec() {
            compiled.rules.extend(self.compile_again(&before, &mut compiled.usage));
        }
        compiled
    }

    /// The rule as it was before, if it still fits; there is nothing new to say of it.
    fn compile_again(&mut self, before: &Rule, usage: &mut Usage) -> Option<Ready> {
        let first = self.inner.problems.len();
        let mut room = self.limits.patterns_size;
        let (place, spec, lists) = (before.origin().clone(), before.spec(), before.lists());
        let ready = self.compile(place, &spec, lists, &mut room, usage);
        self.inner.problems.truncate(first);
        ready.ok()
    }

    fn begin(&self, namespace: &str) -> Compiled {
        let usage = self.usage.get(namespace).copied().unwrap_or_default();
        Compiled { usage, ..Compiled::default() }
    }

    /// Adds the rules of one object in the scope that its labels claim, as [`Builder::add_labelled`],
    /// and does not tell the lints that its annotation [`ALLOW_LINTS`] names.
    pub fn add_object(&mut self, object: &Object<'_>, rules_namespace: &str, spec: &RuleSpec) {
        let Object { namespace, name, labels, annotations } = *object;
        let first = self.inner.problems.len();
        self.add_labelled((namespace, name), labels, rules_namespace, spec);
        let allowed = annotations.get(ALLOW_LINTS).map(String::as_str).unwrap_or_default();
        let allowed: Vec<_> =
            allowed.split(',').map(str::trim).filter(|it| !it.is_empty()).collect();
        let mut at = 0;
        self.inner.problems.retain(|problem| {
            at += 1;
            at <= first || problem.is_error() || !allowed.contains(&problem.kind.name())
        });
        for lint in allowed.iter().filter(|name| !lint_names().any(|lint| lint == **name)) {
            self.report((namespace, name), false, ProblemKind::UnknownLint((*lint).to_owned()));
        }
    }

    /// Reports what is about an object as a whole.
    fn report(&mut self, (namespace, object): (&str, &str), kept: bool, kind: ProblemKind) {
        self.inner.problems.push(Problem {
            namespace: namespace.to_owned(),
            object: object.to_owned(),
            rule: None,
            condition: None,
            kept,
            kind,
        });
    }

    fn within_limit<'a>(
        &mut self,
        namespace: &str,
        object: &str,
        spec: &'a RuleSpec,
    ) -> &'a [EventRule] {
        let (rules, limit) = (spec.rules.len(), self.limits.rules);
        if rules > limit {
            self.report((namespace, object), false, ProblemKind::TooMany { rules, limit });
        }
        &spec.rules[..rules.min(limit)]
    }

    /// Adds the rules of one object in the scope that its labels claim; see [`Scope::of`]. Without
    /// one none of them counts, and what else is wrong with them is told nonetheless.
    pub fn add_labelled(
        &mut self,
        (namespace, object): (&str, &str),
        labels: &BTreeMap<String, String>,
        rules_namespace: &str,
        spec: &RuleSpec,
    ) {
        let counted = !self.before.object(namespace, object).is_empty();
        if let Some(label) = suggest::misspelt_scope(labels) {
            self.report((namespace, object), false, ProblemKind::MisspeltLabel(label.to_owned()));
        }
        match Scope::of(labels, namespace, rules_namespace) {
            Ok(scope) => self.add(namespace, object, &scope, spec),
            Err(error) => {
                self.report((namespace, object), counted, ProblemKind::Scope(error));
                self.compile_all((namespace, object), None, spec);
            }
        }
    }

    /// Reports an object that cannot be read, and why; its rules stay as they were.
    pub fn add_unread(&mut self, (namespace, object): (&str, &str), error: &str) {
        let kept = self.compile_before(namespace, object);
        self.report(
            (namespace, object),
            !kept.rules.is_empty(),
            ProblemKind::Unread(error.to_owned()),
        );
        self.push(namespace, kept);
    }

    /// Says that a namespace belongs to a workspace.
    pub fn member(&mut self, namespace: &str, workspace: &str) {
        self.inner.members.insert(namespace.to_owned(), workspace.to_owned());
    }

    /// The set of all that was added.
    pub fn build(mut self) -> RuleSet {
        for (scope, draft) in self.drafts {
            let debt = self.before.debt(&scope);
            let account =
                (scope != Scope::Cluster).then(|| Account::new(self.limits.event_work, debt));
            *self.inner.scope(scope) = draft.finish(account);
        }
        let inner = &mut self.inner;
        let gone = self.before.debts().filter(|(scope, _)| inner.bucket(scope).is_none());
        inner.owed = gone.collect();
        RuleSet(Arc::new(self.inner))
    }

    /// The rule, if it counts; takes from the object's `room` the bytes of its patterns, and adds to
    /// what its namespace takes.
    fn compile(
        &mut self,
        place: Origin,
        rule: &EventRule,
        lists: &Lists,
        room: &mut usize,
        usage: &mut Usage,
    ) -> Result<Ready, Left> {
        let limits = self.limits;
        if rule.enable
            && let Some(quota) = usage.exceeded_with(rule, &limits)
        {
            return Err(Left::Out(quota));
        }
        let namespace = if rule.enable { usage.room(&limits) } else { usize::MAX };
        let mut left = Room { object: *room, namespace };
        let ready = self.compile_within(place, rule, lists, &mut left);
        if ready.is_ok() {
            usage.add(rule, *room - left.object);
        }
        *room = left.object;
        ready
    }

    fn compile_within(
        &mut self,
        place: Origin,
        rule: &EventRule,
        lists: &Lists,
        room: &mut Room,
    ) -> Result<Ready, Left> {
        let limits = self.limits;
        let text: Arc<str> = rule.condition.as_str().into();
        let mut report_in = |text: &Arc<str>, kind| {
            self.inner.problems.push(Problem {
                namespace: place.holder.namespace.clone(),
                object: place.holder.name.clone(),
                rule: Some(rule.name.clone()),
                condition: Some(Arc::clone(text)),
                kept: false,
                kind,
            });
        };
        let condition = room.parse(&rule.condition, &limits, lists).map_err(|refused| {
            refused.told(|error| report_in(&text, ProblemKind::Condition(error)))
        })?;
        let lints = condition.lints().iter().cloned().map(ProblemKind::Lint);
        lints.for_each(|lint| report_in(&text, lint));
        let mut clauses = vec![(Role::Match, condition)];
        let expected = rule.absence.as_ref().map(|absence| &absence.expected);
        for (role, field, text) in [
            (Role::Expected, "absence.expected", expected),
            (Role::Resolve, "resolve", rule.resolve.as_ref()),
        ] {
            let Some(text) = text.map(|text| Arc::<str>::from(text.as_str())) else { continue };
            let condition = room.parse(&text, &limits, lists).map_err(|refused| {
                refused.told(|error| report_in(&text, ProblemKind::Clause { field, error }))
            })?;
            for lint in condition.lints().iter().cloned() {
                report_in(&text, ProblemKind::ClauseLint { field, lint });
            }
            clauses.push((role, condition));
        }
        let mut report = |kind| report_in(&text, kind);
        for label in rule.labels.keys().filter(|label| is_reserved(label)) {
            report(ProblemKind::ReservedLabel(label.clone()));
        }
        for (field, members) in [("labels", &rule.labels), ("annotations", &rule.annotations)] {
            if members.len() > EventRule::MAX_MEMBERS {
                let reason = format!("more than {} of them", EventRule::MAX_MEMBERS);
                report(ProblemKind::Setting { field, reason });
                return Err(Left::Wrong);
            }
        }
        let mut templates = Vec::new();
        for (annotation, text) in &rule.annotations {
            match Template::parse(text) {
                Ok(template) => {
                    for name in template.unknown() {
                        report(ProblemKind::UnknownField(name.to_owned()));
                    }
                    templates.push((annotation.as_str(), template));
                }
                Err(error) => {
                    let (annotation, text) = (annotation.clone(), text.as_str().into());
                    report(ProblemKind::Template { annotation, text, error });
                }
            }
        }
        let namespaced = matches!(place.holder.scope, Scope::Namespace(_));
        let memory = Memory::read(rule, Kind::of(rule), namespaced).map_err(|wrong| {
            for Wrong(field, reason) in wrong {
                report(ProblemKind::Setting { field, reason });
            }
            Left::Wrong
        })?;
        if templates.len() < rule.annotations.len() {
            return Err(Left::Wrong);
        }
        if !rule.enable {
            return Err(Left::Disabled);
        }
        let Some(kind) = Kind::of(rule) else {
            let found = rule.r#type.as_ref().map(ToString::to_string).unwrap_or_default();
            report(ProblemKind::NoType(found));
            return Err(Left::Wrong);
        };
        if rule.name.is_empty() {
            report(ProblemKind::NoName);
            return Err(Left::Wrong);
        }
        let rule = Rule::new(place, rule, kind, lists.clone(), templates, memory);
        Ok(Ready { rule, clauses })
    }
}

// === impl Refused ===

impl Refused {
    fn told(self, tell: impl FnOnce(Error)) -> Left {
        match self {
            Self::Wrong(error) => {
                tell(error);
                Left::Wrong
            }
            Self::Out(quota) => Left::Out(quota),
        }
    }
}

// === impl Room ===

impl Room {
    fn parse(&mut self, text: &str, limits: &Limits, lists: &Lists) -> Result<Condition, Refused> {
        let most = self.object.min(self.namespace);
        let mut room = most;
        let parsed = Condition::parse_in(text, limits, lists, &mut room);
        self.object -= most - room;
        self.namespace -= most - room;
        parsed.map_err(|error| match error.kind() {
            ErrorKind::PatternsTooLarge { .. } if self.namespace < self.object => {
                Refused::Out(Quota::Patterns)
            }
            _ => Refused::Wrong(error),
        })
    }
}

// === impl Inner ===

impl Inner {
    /// The rules of a scope, if it has some.
    fn bucket(&self, scope: &Scope) -> Option<&Bucket> {
        match scope {
            Scope::Cluster => Some(&self.cluster),
            Scope::Workspace(name) => self.workspaces.get(name),
            Scope::Namespace(name) => self.namespaces.get(name),
        }
    }

    fn scope(&mut self, scope: Scope) -> &mut Bucket {
        match scope {
            Scope::Cluster => &mut self.cluster,
            Scope::Workspace(name) => self.workspaces.entry(name).or_default(),
            Scope::Namespace(name) => self.namespaces.entry(name).or_default(),
        }
    }
}

// === impl Outcome ===

impl<'a> Outcome<'a> {
    /// The rules that matched: cluster rules first, then the workspace's, then the namespace's.
    /// Where a rule of the type `drop` did, no other of its scope is among them.
    pub fn matched(&self) -> Vec<&'a Rule> {
        let matched = self.found.iter().filter(|found| found.role == Role::Match);
        matched.map(|found| &**found.rule).collect()
    }

    /// How many conditions could not be decided, and so did not hold.
    pub fn undecided(&self) -> usize {
        self.undecided
    }

    /// The Event that it is about.
    pub fn event(&self) -> &'a Event {
        self.event
    }

    /// The notification that follows, with all rules that ask for one, wherever they send it. What
    /// follows from rules [with state](Rule::has_state) is not in it.
    pub fn notification(&self) -> Option<Notification> {
        self.notification_of(self.of_kind(Kind::Notification), &Rooms::for_an_event())
    }

    /// The alerts that follow, one for each rule that raises one. Two of them with the same labels
    /// would be one to Alertmanager, so only the first is given. What follows from rules
    /// [with state](Rule::has_state) is not among them.
    pub fn alerts(&self) -> Vec<Alert> {
        let mut known = BTreeSet::new();
        let rooms = Rooms::for_an_event();
        let alert =
            |found: &Found<'_>| rooms.of(found.rule, |room| found.rule.alert(self.event, room));
        let alerts = self.of_kind(Kind::Alert).map(alert);
        alerts.filter(|alert| known.insert(alert.fingerprint())).collect()
    }

    /// The notifications and alerts that follow from rules without state, and where they go: a
    /// notification for each destination, with the rules that lead there.
    pub fn effects(&self) -> Effects {
        let mut effects = Effects::default();
        let (mut known, rooms) = (BTreeSet::new(), Rooms::for_an_event());
        for Found { rule, route, .. } in self.of_kind(Kind::Alert) {
            let alert = rooms.of(rule, |room| rule.alert(self.event, room));
            if known.insert((alert.fingerprint(), route)) {
                effects.alerts.push(Routed::new(alert, route.clone()));
            }
        }
        let mut routes = Vec::new();
        for Found { route, .. } in self.of_kind(Kind::Notification) {
            if !routes.contains(&route) {
                routes.push(route);
            }
        }
        for route in routes {
            let there = self.of_kind(Kind::Notification).filter(|found| found.route == *route);
            let notification = self.notification_of(there, &rooms);
            effects.notifications.extend(notification.map(|it| Routed::new(it, route.clone())));
        }
        effects
    }

    /// Whether rules [with state](Rule::has_state) have to hear of it:
    /// [`State::observe`](crate::state::State::observe).
    pub fn has_state(&self) -> bool {
        self.remembered().next().is_some()
    }

    /// What rules with state have to hear of.
    pub(crate) fn remembered(&self) -> impl Iterator<Item = &Found<'a>> {
        self.found.iter().filter(|found| found.rule.has_state())
    }

    fn notification_of<'b>(
        &self,
        found: impl Iterator<Item = &'b Found<'a>>,
        rooms: &Rooms,
    ) -> Option<Notification>
    where
        'a: 'b,
    {
        let matched = |found: &Found<'a>| {
            rooms.of(found.rule, |room| found.rule.as_matched(self.event, None, room))
        };
        let rules: Vec<_> = found.map(matched).collect();
        (!rules.is_empty()).then(|| Notification { event: self.event.clone(), rules })
    }

    fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Found<'a>> {
        self.found.iter().filter(move |found| {
            found.role == Role::Match && found.rule.kind() == kind && !found.rule.has_state()
        })
    }
}

// === impl Problem ===

impl Problem {
    /// True if a rule does not count as it is written because of it; false if it is only a hint.
    pub fn is_error(&self) -> bool {
        use ProblemKind::{
            Clause, ClauseLint, Condition, Lint, MisspeltLabel, NamespaceFull, NoName, NoType,
            ReservedLabel, Scope, Setting, Template, TooMany, UnknownField, UnknownLint,
            Unreachable, Unread,
        };
        match self.kind {
            Unread(_)
            | Scope(_)
            | Condition(_)
            | Clause { .. }
            | Setting { .. }
            | Template { .. }
            | TooMany { .. }
            | NamespaceFull { .. }
            | NoName
            | NoType(_) => true,
            Lint(_)
            | ClauseLint { .. }
            | ReservedLabel(_)
            | UnknownField(_)
            | MisspeltLabel(_)
            | Unreachable(_)
            | UnknownLint(_) => false,
        }
    }

    /// The message with the place in the condition drawn under it, where there is one.
    pub fn render(&self) -> String {
        let condition = self.condition.as_deref().unwrap_or_default();
        match &self.kind {
            ProblemKind::Condition(error) => error.render(condition),
            ProblemKind::Template { annotation, text, error } => {
                format!("{}\n(in the annotation `{annotation}`)", error.render(text))
            }
            ProblemKind::Lint(lint) => lint.render(condition),
            ProblemKind::Clause { field, error } => within(field, &error.render(condition)),
            ProblemKind::ClauseLint { field, lint } => within(field, &lint.render(condition)),
            _ if self.is_error() => format!("error: {}", self.kind),
            kind => format!("warning[{}]: {kind}", kind.name()),
        }
    }
}

/// The drawing of a problem with the name of the setting that it is about.
fn within(field: &str, rendered: &str) -> String {
    match rendered.split_once(": ") {
        Some((level, rest)) => format!("{level}: in `{field}`: {rest}"),
        None => rendered.to_owned(),
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rule {}/{}", self.namespace, self.object)?;
        if let Some(rule) = &self.rule {
            write!(f, ", rule {rule}")?;
        }
        write!(f, ": {}", self.kind)?;
        if self.kept {
            f.write_str("; what counted before goes on")?;
        }
        Ok(())
    }
}

impl ProblemKind {
    /// A name for programs; of a hint, that by which it can be allowed.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unread(_) => "unread",
            Self::Scope(_) => "invalid-scope",
            Self::Condition(error) | Self::Clause { error, .. } => error.kind().name(),
            Self::Setting { .. } => "invalid-setting",
            Self::Template { .. } => "invalid-template",
            Self::Lint(lint) | Self::ClauseLint { lint, .. } => lint.kind().name(),
            Self::TooMany { .. } => "too-many-rules",
            Self::NamespaceFull { .. } => "namespace-full",
            Self::NoName => "no-name",
            Self::NoType(_) => "no-type",
            Self::ReservedLabel(_) => "reserved-label",
            Self::UnknownField(_) => "unknown-template-field",
            Self::MisspeltLabel(_) => "misspelt-label",
            Self::Unreachable(_) => "unreachable",
            Self::UnknownLint(_) => "unknown-lint",
        }
    }
}

/// The names of all lints, those of conditions and those of rules and objects.
pub fn lint_names() -> impl Iterator<Item = &'static str> {
    let of_rules = [
        "reserved-label",
        "unknown-template-field",
        "misspelt-label",
        "unreachable",
        "unknown-lint",
    ];
    LintKind::ALL.iter().map(|kind| kind.name()).chain(of_rules)
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unread(error) => write!(f, "the object cannot be read: {error}"),
            Self::Scope(error) => error.fmt(f),
            Self::Condition(error) => error.fmt(f),
            Self::Template { annotation, error, .. } => {
                write!(f, "annotation `{annotation}`: {error}")
            }
            Self::Lint(lint) => lint.kind().fmt(f),
            Self::Clause { field, error } => write!(f, "in `{field}`: {error}"),
            Self::ClauseLint { field, lint } => write!(f, "in `{field}`: {}", lint.kind()),
            Self::Setting { field, reason } => write!(f, "`{field}`: {reason}"),
            Self::TooMany { rules, limit } => {
                write!(f, "the object has {rules} rules; only the first {limit} count")
            }
            Self::NamespaceFull { quota, limit, left_out } => {
                let rules = if *left_out == 1 { "rule" } else { "rules" };
                write!(
                    f,
                    "the Rules of the namespace have more than {limit} {quota}: {left_out} {rules} of \
                     this one cannot count; take some away, or raise `{}` of the ruler",
                    quota.setting()
                )
            }
            Self::NoName => f.write_str("the rule has no name"),
            Self::NoType(found) if found.is_empty() => {
                f.write_str("the rule has no type: set `notification`, `alert`, `drop` or `route`")
            }
            Self::NoType(found) => {
                write!(
                    f,
                    "there is no type `{found}`: use `notification`, `alert`, `drop` or `route`"
                )
            }
            Self::ReservedLabel(name) => {
                write!(f, "the label `{name}` says where an alert comes from and is not replaced")
            }
            Self::UnknownField(name) => {
                write!(f, "`%{name}` is no field of an Event and always empty; `%%` stands for `%`")
            }
            Self::Unreachable(by) => write!(
                f,
                "this rule says nothing of its own: `{by}` matches every Event that it matches"
            ),
            Self::UnknownLint(name) => match suggest::nearest(name, lint_names()) {
                Some(near) => write!(f, "there is no lint `{name}`: did you mean `{near}`?"),
                None => write!(f, "there is no lint `{name}`"),
            },
            Self::MisspeltLabel(name) => {
                write!(f, "the label `{name}` says nothing: did you mean `{SCOPE_LABEL}`?")
            }
        }
    }
}
