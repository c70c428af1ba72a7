//! All rules that count, compiled.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

use kube_events_core::{
    Alert, Event, Notification,
    crd::{EventRule, RuleSpec},
};

use crate::{
    Condition, Error, Limits, Lint, ScopeError, Subject, Template, Verdict,
    index::{self, Index},
    rule::{Kind, Rule, is_reserved},
    scope::{SCOPE_LABEL, Scope},
    suggest,
};

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
}

/// The rules of one scope.
#[derive(Debug, Default)]
struct Bucket {
    rules: Vec<Rule>,
    /// Their conditions.
    index: Index,
}

/// Collects rules; see [`RuleSet::builder`].
#[derive(Debug, Default)]
pub struct Builder {
    inner: Inner,
    limits: Limits,
}

/// What the rules say about one Event.
#[derive(Clone, Debug)]
pub struct Outcome<'a> {
    event: &'a Event,
    matched: Vec<&'a Rule>,
    undecided: usize,
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
    /// What it is.
    pub kind: ProblemKind,
}

/// What is wrong, or probably not meant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProblemKind {
    /// No rule of the object counts.
    Scope(ScopeError),
    /// The rule does not count.
    Condition(Error),
    /// The rule counts, but probably not as it was meant.
    Lint(Lint),
    /// The object has more rules than [`Limits::rules`]; those beyond do not count.
    TooMany {
        /// Rules in the object.
        rules: usize,
        /// Rules allowed.
        limit: usize,
    },
    /// The rule has no name; its alerts would have none either, so it does not count.
    NoName,
    /// The rule is enabled, but nothing follows from its type, so it does not count.
    NoType(String),
    /// The rule counts, but this label of its alerts is not its to set.
    ReservedLabel(String),
    /// The rule counts, but this name in an annotation is no field's and always empty.
    UnknownField(String),
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
        let subject = Subject::new(event);
        let mut outcome = Outcome { event, matched: Vec::new(), undecided: 0 };
        for bucket in self.in_scope(event.involved_object().namespace) {
            let first = outcome.matched.len();
            bucket.index.evaluate(&subject, |at, verdict| {
                let rule = &bucket.rules[at];
                rule.count(verdict);
                match verdict {
                    Verdict::True => outcome.matched.push(rule),
                    Verdict::Undecided(_) => outcome.undecided += 1,
                    Verdict::False => {}
                }
            });
            // In the order in which they were added.
            outcome.matched[first..].sort_unstable_by_key(|rule| std::ptr::from_ref(*rule));
        }
        outcome
    }

    fn in_scope(&self, namespace: &str) -> impl Iterator<Item = &Bucket> {
        let Inner { cluster, workspaces, namespaces, members, .. } = &*self.0;
        let own = (!namespace.is_empty()).then(|| namespaces.get(namespace)).flatten();
        let workspace = members.get(namespace).and_then(|workspace| workspaces.get(workspace));
        std::iter::once(cluster).chain(workspace).chain(own)
    }

    /// All rules that count.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        let inner = &*self.0;
        let scoped = inner.workspaces.values().chain(inner.namespaces.values());
        std::iter::once(&inner.cluster).chain(scoped).flat_map(|bucket| &bucket.rules)
    }

    /// What the authors of the rules should know.
    pub fn problems(&self) -> &[Problem] {
        &self.0.problems
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

    /// Adds the rules of one object. A rule that is wrong is left out and reported among the
    /// [`RuleSet::problems`]; the others count.
    pub fn add(&mut self, namespace: &str, object: &str, scope: &Scope, spec: &RuleSpec) {
        let mut room = self.limits.patterns_size;
        for rule in self.within_limit(namespace, object, spec) {
            if let Some(rule) = self.compile(namespace, object, rule, &mut room) {
                self.inner.scope(scope).rules.push(rule);
            }
        }
    }

    fn within_limit<'a>(
        &mut self,
        namespace: &str,
        object: &str,
        spec: &'a RuleSpec,
    ) -> &'a [EventRule] {
        let (rules, limit) = (spec.rules.len(), self.limits.rules);
        if rules > limit {
            self.inner.problems.push(Problem {
                namespace: namespace.to_owned(),
                object: object.to_owned(),
                rule: None,
                condition: None,
                kind: ProblemKind::TooMany { rules, limit },
            });
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
        let mut report = |kind| {
            self.inner.problems.push(Problem {
                namespace: namespace.to_owned(),
                object: object.to_owned(),
                rule: None,
                condition: None,
                kind,
            });
        };
        if let Some(label) = suggest::misspelt_scope(labels) {
            report(ProblemKind::MisspeltLabel(label.to_owned()));
        }
        match Scope::of(labels, namespace, rules_namespace) {
            Ok(scope) => self.add(namespace, object, &scope, spec),
            Err(error) => {
                report(ProblemKind::Scope(error));
                let mut room = self.limits.patterns_size;
                for rule in self.within_limit(namespace, object, spec) {
                    self.compile(namespace, object, rule, &mut room);
                }
            }
        }
    }

    /// Says that a namespace belongs to a workspace.
    pub fn member(&mut self, namespace: &str, workspace: &str) {
        self.inner.members.insert(namespace.to_owned(), workspace.to_owned());
    }

    /// The set of all that was added.
    pub fn build(mut self) -> RuleSet {
        let Inner { cluster, workspaces, namespaces, .. } = &mut self.inner;
        let scoped = workspaces.values_mut().chain(namespaces.values_mut());
        for bucket in std::iter::once(cluster).chain(scoped) {
            let mut index = index::Builder::default();
            bucket.rules.iter().for_each(|rule| index.push(rule.condition()));
            bucket.index = index.build();
        }
        RuleSet(Arc::new(self.inner))
    }

    /// The rule, if it counts; takes from `room` the bytes of its patterns.
    fn compile(
        &mut self,
        namespace: &str,
        object: &str,
        rule: &EventRule,
        room: &mut usize,
    ) -> Option<Rule> {
        let text: Arc<str> = rule.condition.as_str().into();
        let mut report = |kind| {
            self.inner.problems.push(Problem {
                namespace: namespace.to_owned(),
                object: object.to_owned(),
                rule: Some(rule.name.clone()),
                condition: Some(Arc::clone(&text)),
                kind,
            });
        };
        let condition = Condition::parse_in(&rule.condition, &self.limits, room)
            .map_err(|error| report(ProblemKind::Condition(error)))
            .ok()?;
        condition.lints().iter().cloned().map(ProblemKind::Lint).for_each(&mut report);
        for label in rule.labels.keys().filter(|label| is_reserved(label)) {
            report(ProblemKind::ReservedLabel(label.clone()));
        }
        for text in rule.annotations.values() {
            for name in Template::new(text).unknown() {
                report(ProblemKind::UnknownField(name.to_owned()));
            }
        }
        if !rule.enable {
            return None;
        }
        let Some(kind) = Kind::of(rule) else {
            let found = rule.r#type.as_ref().map(ToString::to_string).unwrap_or_default();
            report(ProblemKind::NoType(found));
            return None;
        };
        if rule.name.is_empty() {
            report(ProblemKind::NoName);
            return None;
        }
        Some(Rule::new(namespace, rule, kind, condition))
    }
}

impl Inner {
    fn scope(&mut self, scope: &Scope) -> &mut Bucket {
        match scope {
            Scope::Cluster => &mut self.cluster,
            Scope::Workspace(name) => self.workspaces.entry(name.clone()).or_default(),
            Scope::Namespace(name) => self.namespaces.entry(name.clone()).or_default(),
        }
    }
}

// === impl Outcome ===

impl<'a> Outcome<'a> {
    /// The rules that matched: cluster rules first, then the workspace's, then the namespace's.
    pub fn matched(&self) -> &[&'a Rule] {
        &self.matched
    }

    /// How many rules could not be decided, and so did not match.
    pub fn undecided(&self) -> usize {
        self.undecided
    }

    /// The notification that follows, with all rules that ask for one.
    pub fn notification(&self) -> Option<Notification> {
        let rules = self.of_kind(Kind::Notification).map(|rule| rule.as_matched(self.event));
        let rules: Vec<_> = rules.collect();
        (!rules.is_empty()).then(|| Notification { event: self.event.clone(), rules })
    }

    /// The alerts that follow, one for each rule that raises one. Two of them with the same labels
    /// would be one to Alertmanager, so only the first is given.
    pub fn alerts(&self) -> Vec<Alert> {
        let mut alerts = BTreeMap::new();
        for (place, rule) in self.of_kind(Kind::Alert).enumerate() {
            let alert = rule.alert(self.event);
            alerts.entry(alert.fingerprint()).or_insert((place, alert));
        }
        let mut alerts: Vec<_> = alerts.into_values().collect();
        alerts.sort_by_key(|(place, _)| *place);
        alerts.into_iter().map(|(_, alert)| alert).collect()
    }

    fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &&'a Rule> {
        self.matched.iter().filter(move |rule| rule.kind() == kind)
    }
}

// === impl Problem ===

impl Problem {
    /// True if a rule does not count because of it; false if it is only a hint.
    pub fn is_error(&self) -> bool {
        use ProblemKind::{
            Condition, Lint, MisspeltLabel, NoName, NoType, ReservedLabel, Scope, TooMany,
            UnknownField,
        };
        match self.kind {
            Scope(_) | Condition(_) | TooMany { .. } | NoName | NoType(_) => true,
            Lint(_) | ReservedLabel(_) | UnknownField(_) | MisspeltLabel(_) => false,
        }
    }

    /// The message with the place in the condition drawn under it, where there is one.
    pub fn render(&self) -> String {
        let condition = self.condition.as_deref().unwrap_or_default();
        match &self.kind {
            ProblemKind::Condition(error) => error.render(condition),
            ProblemKind::Lint(lint) => lint.render(condition),
            _ if self.is_error() => format!("error: {}", self.kind),
            _ => format!("warning: {}", self.kind),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rule {}/{}", self.namespace, self.object)?;
        if let Some(rule) = &self.rule {
            write!(f, ", rule {rule}")?;
        }
        write!(f, ": {}", self.kind)
    }
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scope(error) => error.fmt(f),
            Self::Condition(error) => error.fmt(f),
            Self::Lint(lint) => lint.kind().fmt(f),
            Self::TooMany { rules, limit } => {
                write!(f, "the object has {rules} rules; only the first {limit} count")
            }
            Self::NoName => f.write_str("the rule has no name"),
            Self::NoType(found) if found.is_empty() => {
                f.write_str("the rule has no type: set `notification` or `alert`")
            }
            Self::NoType(found) => {
                write!(f, "there is no type `{found}`: use `notification` or `alert`")
            }
            Self::ReservedLabel(name) => {
                write!(f, "the label `{name}` says where an alert comes from and is not replaced")
            }
            Self::UnknownField(name) => {
                write!(f, "`%{name}` is no field of an Event and always empty; `%%` stands for `%`")
            }
            Self::MisspeltLabel(name) => {
                write!(f, "the label `{name}` says nothing: did you mean `{SCOPE_LABEL}`?")
            }
        }
    }
}
