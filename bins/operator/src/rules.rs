//! Rules: whether they compile, and who evaluates them.

use std::{collections::BTreeMap, sync::Arc};

use futures::{
    FutureExt as _, Stream, StreamExt as _,
    future::{BoxFuture, Shared},
};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Resource as _, ResourceExt as _,
    api::PatchParams,
    core::{PartialObjectMeta, Selector, SelectorExt as _},
    runtime::{
        controller::{Action, Config as ControllerConfig, Controller},
        reflector::{ObjectRef, Store},
    },
};
use kube_events_core::crd::{Rule, RuleLimits, RuleStatus, Ruler, RulerSpec};
use kube_events_rules::{Object, Problem, ProblemKind, RuleSet, SCOPE_LABEL, Scope, ScopeError};
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::{
    Settings,
    controller::{Context, is_outdated, status_patch},
    object::Stored,
    status::{Finding, conditions, is_available, runs_otherwise},
};

/// How many Rules are looked at at a time.
const CONCURRENCY: u16 = 4;

/// When a Rule whose status could not be written is looked at again.
const RETRY: Duration = Duration::from_secs(5);

/// How many Rulers the status of a Rule names.
const MOST_NAMED: usize = 3;

/// A Rule as it is stored.
pub(crate) type StoredRule = Stored<Rule, RuleStatus>;

/// Which namespaces there are, where the operator may know.
pub(crate) type Namespaces = Option<Store<PartialObjectMeta<Namespace>>>;

struct RuleContext {
    shared: Arc<Context>,
    namespaces: Namespaces,
    /// When the namespaces are known. One future that all wait for, as in [`Context`].
    known: Shared<BoxFuture<'static, bool>>,
}

/// Says of each Rule how it is, until `shutdown`. `again` says that others changed on which all of
/// them depend.
pub(crate) async fn run(
    controller: Controller<StoredRule>,
    again: impl Stream<Item = ()> + Send + 'static,
    shared: Arc<Context>,
    namespaces: Namespaces,
    shutdown: CancellationToken,
) {
    let metrics = shared.metrics.clone();
    let known = known(namespaces.clone(), shutdown.clone()).boxed().shared();
    let context = Arc::new(RuleContext { shared, namespaces, known });
    let rules = controller.store();
    controller
        .with_config(ControllerConfig::default().concurrency(CONCURRENCY))
        .reconcile_all_on(again)
        .graceful_shutdown_on(shutdown.cancelled_owned())
        .run(reconcile, error_policy, context)
        .for_each(|result| {
            metrics.managed("Rule", rules.len());
            if let Err(error) = result {
                debug!(%error, "a Rule was not looked at");
            }
            std::future::ready(())
        })
        .await;
}

/// Waits until the namespaces are in their store. Whether they ever will be.
async fn known(namespaces: Namespaces, shutdown: CancellationToken) -> bool {
    let Some(namespaces) = namespaces else { return true };
    tokio::select! {
        ready = namespaces.wait_until_ready() => ready.is_ok(),
        () = shutdown.cancelled() => false,
    }
}

async fn reconcile(
    rule: Arc<StoredRule>,
    context: Arc<RuleContext>,
) -> Result<Action, kube::Error> {
    let begun = Instant::now();
    let result = context.publish(&rule).await;
    let metrics = &context.shared.metrics;
    metrics.reconciled("Rule", begun.elapsed(), result.is_err());
    result.map(|()| Action::await_change())
}

#[expect(clippy::needless_pass_by_value, reason = "the signature that the controller asks for")]
fn error_policy(rule: Arc<StoredRule>, error: &kube::Error, _: Arc<RuleContext>) -> Action {
    warn!(%error, rule = %ObjectRef::from_obj(&*rule), "its status is tried again");
    Action::requeue(RETRY)
}

// === impl RuleContext ===

impl RuleContext {
    async fn publish(&self, rule: &StoredRule) -> Result<(), kube::Error> {
        let namespace = rule.namespace().unwrap_or_default();
        if rule.meta().deletion_timestamp.is_some()
            || !self.is_ready().await
            || self.shared.has_its_own_operator(&namespace)
        {
            return Ok(());
        }
        let next = self.status(rule);
        if rule.status.as_ref() == Some(&next) {
            return Ok(());
        }
        let api = Api::<StoredRule>::namespaced(self.shared.client.clone(), &namespace);
        let patch = status_patch(rule, &next);
        match api.patch_status(&rule.name_any(), &PatchParams::default(), &patch).await {
            Ok(_) => self.shared.metrics.wrote("Rule", 1),
            Err(kube::Error::Api(status)) if is_outdated(&status) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Waits until all is known on which a Rule depends. Whether it ever will be.
    async fn is_ready(&self) -> bool {
        self.shared.is_ready().await && self.known.clone().await
    }

    fn status(&self, rule: &StoredRule) -> RuleStatus {
        let settings = &self.shared.settings;
        let findings = match &rule.read {
            Ok(rule) if let Some(why) = scope_in_one_namespace(rule, settings) => {
                refused("InvalidScope", why)
            }
            Ok(rule) => {
                let set = compiled(rule, settings, RuleLimits::default());
                let accepted = accepted(&set);
                let programmed = self.programmed(rule, &set, accepted.holds == Some(true));
                vec![accepted, programmed]
            }
            Err(error) => refused("InvalidRule", error.clone()),
        };
        let before = rule.status.as_ref();
        let before = before.map(|status| status.conditions.as_slice()).unwrap_or_default();
        let generation = rule.meta().generation;
        RuleStatus {
            observed_generation: generation,
            conditions: conditions(before, generation, findings),
        }
    }

    fn programmed(&self, rule: &Rule, set: &RuleSet, accepted: bool) -> Finding {
        let finding = |holds, reason: &str, message: String| Finding {
            kind: "Programmed",
            holds: Some(holds),
            reason: reason.to_owned(),
            message,
        };
        let namespace = rule.metadata.namespace.as_deref().unwrap_or_default();
        let labels = self.labels(namespace);
        let rulers = self.shared.rulers.state();
        let there = rulers.iter().filter(|ruler| ruler.meta().deletion_timestamp.is_none());
        let (otherwise, there): (Vec<_>, Vec<_>) =
            there.partition(|ruler| runs_otherwise(ruler.status.as_ref()));
        let looks = |ruler: &&Arc<Stored<Ruler>>| {
            let read = ruler.read.as_ref();
            read.is_ok_and(|read| looks_at(&read.spec, rule.labels(), &labels))
        };
        let looking: Vec<_> = there.into_iter().filter(looks).collect();
        let is_ready = looking.iter().any(|ruler| is_available(ruler.status.as_ref()));
        if !is_ready && !otherwise.is_empty() {
            let by = named(&otherwise);
            let message = format!(
                "the pods of {by} do not run by its spec, and what they look at is not known"
            );
            return Finding { holds: None, ..finding(false, "RulerDegraded", message) };
        }
        if looking.is_empty() {
            let why = if rulers.is_empty() {
                "there is no Ruler"
            } else {
                "no Ruler's ruleSelector and ruleNamespaceSelector match"
            };
            return finding(false, "NoRuler", why.to_owned());
        }
        let by = format!("looked at by {}", named(&looking));
        if !is_ready {
            return finding(false, "NoRulerReady", format!("{by}, without a pod that is ready"));
        }
        let enabled = rule.spec.rules.iter().filter(|rule| rule.enable).count();
        let available = looking.iter().filter(|ruler| is_available(ruler.status.as_ref()));
        let limits = available.filter_map(|ruler| Some(ruler.read.as_ref().ok()?.spec.limits));
        // Once for all Rulers that do not differ in them.
        let mut distinct = Vec::new();
        for limits in limits.map(|it| of_an_object(it.unwrap_or_default())) {
            if !distinct.contains(&limits) {
                distinct.push(limits);
            }
        }
        let counting = distinct.into_iter().map(|limits| {
            if limits == RuleLimits::default() {
                set.rules().count()
            } else {
                compiled(rule, &self.shared.settings, limits).rules().count()
            }
        });
        match counting.max().unwrap_or(0) {
            0 if !accepted => finding(false, "NotAccepted", by),
            0 if enabled > 0 => finding(false, "BeyondLimits", by),
            count if count < enabled => {
                let message = format!("{count} of {enabled} enabled rules count; {by}");
                finding(true, "PartlyProgrammed", message)
            }
            _ => finding(true, "Programmed", by),
        }
    }

    fn labels(&self, namespace: &str) -> BTreeMap<String, String> {
        let store = self.namespaces.as_ref();
        let found = store.and_then(|store| store.get(&ObjectRef::new(namespace)));
        found.and_then(|found| found.metadata.labels.clone()).unwrap_or_default()
    }
}

/// Rulers by their names. Not all of many, and not only those that are ready: each that comes or goes
/// would be a write to every Rule.
fn named(rulers: &[&Arc<Stored<Ruler>>]) -> String {
    let name = |ruler: &&Arc<Stored<Ruler>>| {
        let ruler = ObjectRef::from_obj(&***ruler);
        format!("{}/{}", ruler.namespace.unwrap_or_default(), ruler.name)
    };
    let mut names: Vec<_> = rulers.iter().map(name).collect();
    names.sort();
    let others = if names.len() > MOST_NAMED { " and others" } else { "" };
    names.truncate(MOST_NAMED);
    names.join(", ") + others
}

fn looks_at(
    ruler: &RulerSpec,
    rule: &BTreeMap<String, String>,
    namespace: &BTreeMap<String, String>,
) -> bool {
    let matches = |selector: &Option<_>, labels: &BTreeMap<String, String>| match selector.clone() {
        None => true,
        Some(selector) => {
            Selector::try_from(selector).is_ok_and(|selector: Selector| selector.matches(labels))
        }
    };
    matches(&ruler.rule_selector, rule) && matches(&ruler.rule_namespace_selector, namespace)
}

/// What there is to say of a Rule of which nothing counts. If it cannot be read, no ruler of this
/// release can, either.
fn refused(reason: &str, message: String) -> Vec<Finding> {
    let finding = |kind, reason: &str, message: String| Finding {
        kind,
        holds: Some(false),
        reason: reason.to_owned(),
        message,
    };
    vec![finding("Accepted", reason, message), finding("Programmed", "NotAccepted", String::new())]
}

/// What is wrong with a Rule's scope in a namespaced install, where nobody knows the workspace of a
/// namespace.
fn scope_in_one_namespace(rule: &Rule, settings: &Settings) -> Option<String> {
    let namespace = rule.namespace().unwrap_or_default();
    let scope = Scope::of(rule.labels(), &namespace, &settings.namespace);
    let scopes = format!("set the label {SCOPE_LABEL} to `cluster` or `namespace`");
    let why = match scope {
        Ok(Scope::Workspace(_)) | Err(ScopeError::NoWorkspace) => {
            format!("a namespaced install has no scope `workspace`: {scopes}")
        }
        Err(ScopeError::Unlabelled) => format!("a scope is needed here: {scopes}"),
        Err(ScopeError::Unknown(scope)) => format!("there is no scope `{scope}`: {scopes}"),
        _ => return None,
    };
    settings.namespaced.then(|| format!("error: {why}"))
}

/// Those of a Ruler's limits that are about one object, but no more than the usual ones: what is more is not
/// accepted, and the operator has to have the memory and the time for it.
fn of_an_object(limits: RuleLimits) -> RuleLimits {
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
    let texts: Vec<_> = errors.iter().chain(&hints).map(|problem| text(problem)).collect();
    let (reason, message) = (reason.to_owned(), texts.join("\n"));
    Finding { kind: "Accepted", holds: Some(holds), reason, message }
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
    use serde_json::json;

    use super::*;

    fn rule(namespace: &str, labels: &serde_json::Value, condition: &str) -> Rule {
        serde_json::from_value(json!({
            "apiVersion": "events.kubesphere.io/v1alpha1", "kind": "Rule",
            "metadata": {"name": "r", "namespace": namespace, "labels": labels},
            "spec": {"rules": [
                {"name": "A", "type": "alert", "enable": true, "condition": condition},
            ]},
        }))
        .unwrap()
    }

    fn of(namespace: &str, labels: &serde_json::Value, condition: &str) -> Finding {
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
    fn in_one_namespace_there_are_no_workspaces() {
        let scope = "kubesphere.io/rule-scope";
        let why = |labels: &serde_json::Value, namespaced| {
            let settings = Settings { namespaced, ..Settings::default() };
            let rule = rule(&settings.namespace, labels, "count > 3");
            scope_in_one_namespace(&rule, &settings)
        };
        let workspace = json!({scope: "workspace", "kubesphere.io/workspace": "w"});
        for (labels, expected) in [
            (&workspace, "has no scope `workspace`"),
            (&json!({scope: "workspace"}), "has no scope `workspace`"),
            (&json!({scope: "galaxy"}), "there is no scope `galaxy`"),
            (&json!({}), "a scope is needed here"),
        ] {
            let told = why(labels, true).unwrap();
            assert!(
                told.contains(expected) && told.ends_with("`cluster` or `namespace`"),
                "{told}"
            );
            assert_eq!(why(labels, false), None);
        }
        assert_eq!(why(&json!({scope: "cluster"}), true), None);
    }

    #[test]
    fn a_good_rule_is_accepted_without_a_word() {
        let finding = of("shop", &json!({}), "count > 3");
        assert_eq!((finding.holds, finding.message.as_str()), (Some(true), ""));
    }

    #[test]
    fn a_ruler_has_the_operator_compile_no_more_than_usual() {
        let limits = |text: &str| serde_json::from_str::<RuleLimits>(text).unwrap();
        let vast =
            limits(r#"{"patternSize": "1Ti", "objectPatternsSize": "1Ti", "groupsSize": "1Gi"}"#);
        assert_eq!(of_an_object(vast), RuleLimits::default());
        let small = of_an_object(limits(r#"{"objectRules": 1, "measuredObjects": 5}"#));
        assert_eq!(small, RuleLimits { object_rules: 1, ..RuleLimits::default() });
        let mut rules = rule("shop", &json!({}), "count > 3");
        rules.spec.rules.extend(rules.spec.rules.clone());
        assert_eq!(compiled(&rules, &Settings::default(), small).rules().count(), 1);
    }

    #[test]
    fn a_ruler_looks_at_what_its_selectors_match() {
        let ruler: RulerSpec =
            serde_json::from_value(json!({"ruleSelector": {"matchLabels": {"team": "sre"}}}))
                .unwrap();
        let labels = |value: &str| [("team".to_owned(), value.to_owned())].into();
        assert!(looks_at(&ruler, &labels("sre"), &BTreeMap::new()));
        assert!(!looks_at(&ruler, &labels("web"), &BTreeMap::new()));
    }
}
