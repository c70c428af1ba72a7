//! What the compiler says of Rules.
//!
//! To compile a Rule may take seconds, and whoever may write Rules can write hundreds. So it is
//! done on threads of its own, while the operator goes on; one Rule of a namespace at a time, so that nobody waits
//! behind all of somebody else's; and what came out is kept, as Rules are looked at whenever a Ruler changes. Of
//! a Rule itself nothing is kept: they can be larger than all that the operator has.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use kube::{Api, Client, Resource as _, ResourceExt as _, core::ObjectMeta};
use kube_events_core::crd::{Rule, RuleLimits, RuleStatus};
use kube_events_rules::{ErrorKind, Object, Problem, ProblemKind, RuleSet, ScopeError};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};
use tracing::error;

use crate::{
    Settings,
    object::{Outline, Stored, allowed},
    status::{Finding, MAX_MESSAGE, shortened},
};

/// How many Rules are compiled at a time.
const THREADS: usize = 2;

/// How many Rules are in memory as a whole at a time.
const FETCHED: usize = 4;

/// How long a Rule is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// A Rule as it is kept.
pub(crate) type RuleOutline = Outline<Rule, RuleStatus>;

/// Finds out what the compiler says, and remembers it.
pub(crate) struct Judge {
    client: Client,
    settings: Arc<Settings>,
    known: Mutex<HashMap<Name, Arc<Judgement>>>,
    turns: Mutex<HashMap<String, Arc<Semaphore>>>,
    fetched: Semaphore,
    threads: Semaphore,
}

/// A namespace and a name.
type Name = (String, String);

/// What there is to say of a Rule, whoever evaluates it.
#[derive(Debug)]
pub(crate) struct Judgement {
    version: u64,
    pub(crate) accepted: Finding,
    /// How many of its rules are to count.
    pub(crate) enabled: usize,
    /// Whether some do not only because their patterns are too large.
    pub(crate) is_too_large: bool,
    /// How many do, by the limits.
    counts: Vec<(RuleLimits, usize)>,
}

// === impl Judge ===

impl Judge {
    pub(crate) fn new(client: Client, settings: &Settings) -> Self {
        Self {
            client,
            settings: Arc::new(settings.clone()),
            known: Mutex::default(),
            turns: Mutex::default(),
            fetched: Semaphore::new(FETCHED),
            threads: Semaphore::new(THREADS),
        }
    }

    /// What there is to say of a Rule, and how many of its rules count within each of the limits, which are asked for
    /// when its turn has come. `None` if it is another one by now, of which the watch will tell.
    ///
    /// # Errors
    /// If the API server does not give it.
    pub(crate) async fn of(
        &self,
        rule: &RuleOutline,
        limits: impl Fn() -> Vec<RuleLimits>,
    ) -> Result<Option<Arc<Judgement>>, kube::Error> {
        let name = (rule.namespace().unwrap_or_default(), rule.name_any());
        let version = version(rule.meta(), rule.allowed);
        if let Some(known) = self.known(&name, version, &limits()) {
            return Ok(Some(known));
        }
        let turn = self.turn(&name.0);
        let judged = async {
            let _turn = permit(&turn).await;
            let _fetched = permit(&self.fetched).await;
            self.judged(&name, version, &limits()).await
        };
        let judged = judged.await;
        drop(turn);
        lock(&self.turns).retain(|_, turn| Arc::strong_count(turn) > 1);
        judged
    }

    async fn judged(
        &self,
        name: &Name,
        version: u64,
        limits: &[RuleLimits],
    ) -> Result<Option<Arc<Judgement>>, kube::Error> {
        let api = Api::<Stored<Rule, RuleStatus>>::namespaced(self.client.clone(), &name.0);
        let rule = timeout(PATIENCE, api.get_opt(&name.1)).await;
        let rule =
            rule.map_err(|_| kube::Error::Service("no answer to the question for it".into()))?;
        let Some(rule) = rule? else { return Ok(None) };
        if self::version(rule.meta(), allowed(rule.meta())) != version {
            return Ok(None);
        }
        let (settings, asked) = (Arc::clone(&self.settings), limits.to_vec());
        let _thread = permit(&self.threads).await;
        let judging = tokio::task::spawn_blocking(move || {
            Judgement::new(version, &rule.read, &settings, &asked)
        });
        let judgement = match judging.await {
            Ok(judgement) => judgement,
            // No Rule is to end the operator for all others.
            Err(error) if error.is_panic() => {
                let (namespace, name) = name;
                error!(namespace, name, "the compiler failed on a Rule; please report it");
                Judgement::unknown(version, limits)
            }
            // The runtime is about to end.
            Err(_) => return Ok(None),
        };
        let judgement = Arc::new(judgement);
        lock(&self.known).insert(name.clone(), Arc::clone(&judgement));
        Ok(Some(judgement))
    }

    fn known(&self, name: &Name, version: u64, limits: &[RuleLimits]) -> Option<Arc<Judgement>> {
        let known = Arc::clone(lock(&self.known).get(name)?);
        let is_all = limits.iter().all(|limits| known.count(limits).is_some());
        (known.version == version && is_all).then_some(known)
    }

    /// Forgets all but the Rules that are there.
    pub(crate) fn retain(&self, is_there: impl Fn(&str, &str) -> bool) {
        lock(&self.known).retain(|(namespace, name), _| is_there(namespace, name));
    }

    /// How many Rules something is remembered of.
    pub(crate) fn len(&self) -> usize {
        lock(&self.known).len()
    }

    fn turn(&self, namespace: &str) -> Arc<Semaphore> {
        let mut turns = lock(&self.turns);
        let turn = turns.entry(namespace.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(1)));
        Arc::clone(turn)
    }
}

async fn permit(semaphore: &Semaphore) -> SemaphorePermit<'_> {
    semaphore.acquire().await.expect("it is never closed")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All on which the compiler's word depends. Labels are not of a generation.
fn version(meta: &ObjectMeta, allowed: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&meta.uid, meta.generation, &meta.labels, allowed).hash(&mut hasher);
    hasher.finish()
}

// === impl Judgement ===

impl Judgement {
    fn new(
        version: u64,
        read: &Result<Rule, String>,
        settings: &Settings,
        limits: &[RuleLimits],
    ) -> Self {
        match read {
            Ok(rule) => {
                let usual = RuleLimits::default();
                let set = compiled(rule, settings, usual);
                let others = limits.iter().filter(|limits| **limits != usual);
                let count = |limits| (limits, compiled(rule, settings, limits).rules().count());
                let mut counts = vec![(usual, set.rules().count())];
                counts.extend(others.copied().map(count));
                let enabled = rule.spec.rules.iter().filter(|rule| rule.enable).count();
                let is_too_large = set.problems().iter().any(is_too_large);
                Self { version, accepted: accepted(&set), enabled, is_too_large, counts }
            }
            Err(error) => Self {
                version,
                accepted: Finding {
                    kind: "Accepted",
                    holds: Some(false),
                    reason: "InvalidRule".to_owned(),
                    message: kept(error.clone()),
                },
                enabled: 0,
                is_too_large: false,
                counts: limits.iter().map(|limits| (*limits, 0)).collect(),
            },
        }
    }

    /// What there is to say when the compiler fails.
    fn unknown(version: u64, limits: &[RuleLimits]) -> Self {
        let message = "the compiler failed on this Rule, which is a fault of kube-events: please report \
            it with the Rule";
        let accepted = Finding {
            kind: "Accepted",
            holds: None,
            reason: "CompilerFailed".to_owned(),
            message: message.to_owned(),
        };
        let counts = limits.iter().map(|limits| (*limits, 0)).collect();
        Self { version, accepted, enabled: 0, is_too_large: false, counts }
    }

    pub(crate) fn is_accepted(&self) -> bool {
        self.accepted.holds == Some(true)
    }

    /// How many rules count within these limits, if that was asked.
    pub(crate) fn count(&self, limits: &RuleLimits) -> Option<usize> {
        let mut counts = self.counts.iter();
        counts.find(|(of, _)| of == limits).map(|(_, count)| *count)
    }
}

/// Those of a Ruler's limits that are about one object, but no more than the usual ones: the operator has to
/// have the memory and the time for it.
pub(crate) fn of_an_object(limits: RuleLimits) -> RuleLimits {
    let usual = RuleLimits::default();
    RuleLimits {
        condition_size: limits.condition_size.min(usual.condition_size),
        condition_depth: limits.condition_depth.min(usual.condition_depth),
        pattern_size: limits.pattern_size.min(usual.pattern_size),
        object_patterns_size: limits.object_patterns_size.min(usual.object_patterns_size),
        object_rules: limits.object_rules.min(usual.object_rules),
        ..usual
    }
}

/// Whether more may count within these limits than the operator finds out.
pub(crate) fn are_raised(limits: RuleLimits) -> bool {
    let usual = RuleLimits::default();
    limits.pattern_size > usual.pattern_size
        || limits.object_patterns_size > usual.object_patterns_size
}

/// The object's rules that count, as a ruler with these limits would have them.
fn compiled(rule: &Rule, settings: &Settings, limits: RuleLimits) -> RuleSet {
    let mut set = RuleSet::builder().limits(limits.into());
    let (namespace, name) = (rule.namespace().unwrap_or_default(), rule.name_any());
    let (labels, annotations) = (rule.labels(), rule.annotations());
    let object = Object { namespace: &namespace, name: &name, labels, annotations };
    set.add_object(&object, &settings.namespace, &rule.spec);
    set.build()
}

/// Whether all of the object's rules are right.
fn accepted(set: &RuleSet) -> Finding {
    let (errors, hints): (Vec<_>, Vec<_>) =
        set.problems().iter().partition(|problem| problem.is_error());
    let (holds, reason) = match (errors.first().map(|error| &error.kind), hints.is_empty()) {
        (Some(ProblemKind::Scope(ScopeError::WrongPlace { .. })), _) => {
            (false, "ScopeInWrongPlace")
        }
        (Some(ProblemKind::Scope(_)), _) => (false, "InvalidScope"),
        (Some(_), _) => (false, "InvalidRule"),
        (None, true) => (true, "Accepted"),
        (None, false) => (true, "AcceptedWithHints"),
    };
    let mut message = String::new();
    for problem in errors.iter().chain(&hints) {
        // What is drawn into texts of many lines is far larger than they are.
        if message.len() > MAX_MESSAGE {
            break;
        }
        message += if message.is_empty() { "" } else { "\n" };
        message += &text(problem);
    }
    Finding {
        kind: "Accepted",
        holds: Some(holds),
        reason: reason.to_owned(),
        message: kept(message),
    }
}

/// A message as it is remembered: no more of it than is ever told.
fn kept(message: String) -> String {
    let mut message = shortened(message, MAX_MESSAGE);
    message.shrink_to_fit();
    message
}

fn is_too_large(problem: &Problem) -> bool {
    let (ProblemKind::Condition(error) | ProblemKind::Clause { error, .. }) = &problem.kind else {
        return false;
    };
    matches!(error.kind(), ErrorKind::PatternTooLarge { .. } | ErrorKind::PatternsTooLarge { .. })
}

/// In its first line, of which `kubectl get` shows no more, the rule and what is wrong with it.
fn text(problem: &Problem) -> String {
    match &problem.rule {
        Some(rule) => format!("rule {rule}: {}", problem.render()),
        None => problem.render(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn rule(namespace: &str, labels: &Value, condition: &str) -> Rule {
        serde_json::from_value(json!({
            "apiVersion": "events.kubesphere.io/v1alpha1", "kind": "Rule",
            "metadata": {"name": "r", "namespace": namespace, "labels": labels},
            "spec": {"rules": [
                {"name": "A", "type": "alert", "enable": true, "condition": condition},
            ]},
        }))
        .unwrap()
    }

    fn of(namespace: &str, labels: &Value, condition: &str) -> Finding {
        let rule = rule(namespace, labels, condition);
        accepted(&compiled(&rule, &Settings::default(), RuleLimits::default()))
    }

    #[test]
    fn a_wrong_condition_is_drawn() {
        let finding = of("shop", &json!({}), "reason = \"BackOff\" And count > 3");
        assert_eq!((finding.holds, finding.reason.as_str()), (Some(false), "InvalidRule"));
        let (first, drawn) = finding.message.split_once('\n').unwrap();
        assert!(first.starts_with("rule A: error: expected "), "{first}");
        assert!(drawn.contains('^'), "{drawn}");
    }

    #[test]
    fn a_scope_in_the_wrong_place_says_where_it_belongs() {
        let finding = of("shop", &json!({"kubesphere.io/rule-scope": "cluster"}), "count > 3");
        assert_eq!(finding.reason, "ScopeInWrongPlace");
        assert!(finding.message.contains(&Settings::default().namespace), "{}", finding.message);
    }

    #[test]
    fn a_good_rule_is_accepted_without_a_word() {
        let finding = of("shop", &json!({}), "count > 3");
        assert_eq!((finding.holds, finding.message.as_str()), (Some(true), ""));
    }

    #[test]
    fn no_more_is_remembered_than_is_told() {
        let lines = format!("message like \"x{}", "\n".repeat(2000));
        let mut rules = rule("shop", &json!({}), &lines);
        rules.spec.rules = vec![rules.spec.rules[0].clone(); 20];
        for read in [Ok(rules), Err("a".repeat(100_000))] {
            let judgement = Judgement::new(1, &read, &Settings::default(), &[]);
            let message = &judgement.accepted.message;
            assert!(message.ends_with('…'), "{message}");
            assert!(message.capacity() <= MAX_MESSAGE, "{}", message.capacity());
        }
    }

    #[test]
    fn what_only_larger_limits_would_take_is_known() {
        let too_large = |condition: &str| {
            let rule = rule("shop", &json!({}), condition);
            let judgement = Judgement::new(1, &Ok(rule), &Settings::default(), &[]);
            (judgement.is_accepted(), judgement.is_too_large)
        };
        assert_eq!(too_large(r#"message regex "\pL{150}""#), (false, true));
        assert_eq!(too_large("count >"), (false, false));
        assert_eq!(too_large("count > 3"), (true, false));
    }

    #[test]
    fn a_ruler_has_the_operator_compile_no_more_than_usual() {
        let limits = |text: &str| serde_json::from_str::<RuleLimits>(text).unwrap();
        let vast =
            limits(r#"{"patternSize": "1Ti", "objectPatternsSize": "1Ti", "groupsSize": "1Gi"}"#);
        assert_eq!(of_an_object(vast), RuleLimits::default());
        assert!(are_raised(vast) && !are_raised(RuleLimits::default()));
        let small = of_an_object(limits(r#"{"objectRules": 1, "measuredObjects": 5}"#));
        assert_eq!(small, RuleLimits { object_rules: 1, ..RuleLimits::default() });
        let mut rules = rule("shop", &json!({}), "count > 3");
        rules.spec.rules.extend(rules.spec.rules.clone());
        let judgement = Judgement::new(1, &Ok(rules), &Settings::default(), &[small]);
        let counts = [RuleLimits::default(), small].map(|limits| judgement.count(&limits));
        assert_eq!((judgement.enabled, counts), (2, [Some(2), Some(1)]));
    }
}
