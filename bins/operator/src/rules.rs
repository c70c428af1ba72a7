//! Rules: whether they compile, and who evaluates them.

use std::{collections::BTreeMap, sync::Arc};

use futures::{
    FutureExt as _, Stream, StreamExt as _,
    future::{BoxFuture, Shared},
};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Resource, ResourceExt as _,
    api::PatchParams,
    core::{PartialObjectMeta, Selector, SelectorExt as _},
    runtime::{
        controller::{Action, Controller},
        reflector::{ObjectRef, Store},
    },
};
use kube_events_core::crd::{RuleLimits, RuleStatus, Ruler, RulerSpec};
use kube_events_rules::{SCOPE_LABEL, Scope, ScopeError};
use tokio::{
    sync::Semaphore,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::{
    Settings,
    controller::{Context, is_outdated, status_patch},
    judge::{self, Judge, Judgement, RuleOutline},
    object::Stored,
    status::{Finding, conditions, is_available, runs_otherwise},
};

/// How many statuses are written at a time. Any number of Rules may wait for the compiler.
const WRITES: usize = 4;

/// When a Rule whose status could not be written is looked at again.
const RETRY: Duration = Duration::from_secs(5);

/// How many Rulers the status of a Rule names.
const MOST_NAMED: usize = 3;

/// Which namespaces there are, where the operator may know.
pub(crate) type Namespaces = Option<Store<PartialObjectMeta<Namespace>>>;

struct RuleContext {
    shared: Arc<Context>,
    namespaces: Namespaces,
    /// When the namespaces are known. One future that all wait for, as in [`Context`].
    known: Shared<BoxFuture<'static, bool>>,
    judge: Judge,
    writes: Semaphore,
    shutdown: CancellationToken,
}

/// The Rulers that may evaluate a Rule.
struct Rulers {
    /// Whether there is one at all.
    are_there: bool,
    /// Those that look at it.
    looking: Vec<Arc<Stored<Ruler>>>,
    /// Those of which nobody knows what they look at.
    otherwise: Vec<Arc<Stored<Ruler>>>,
}

/// Says of each Rule how it is, until `shutdown`. `again` says that others changed on which all of
/// them depend.
pub(crate) async fn run(
    controller: Controller<RuleOutline>,
    again: impl Stream<Item = ()> + Send + 'static,
    shared: Arc<Context>,
    namespaces: Namespaces,
    shutdown: CancellationToken,
) {
    let metrics = shared.metrics.clone();
    let known = known(namespaces.clone(), shutdown.clone()).boxed().shared();
    let judge = Judge::new(shared.client.clone(), &shared.settings);
    let writes = Semaphore::new(WRITES);
    let ended = shutdown.clone();
    let context =
        Arc::new(RuleContext { shared, namespaces, known, judge, writes, shutdown: ended });
    let rules = controller.store();
    let there = Arc::clone(&context);
    controller
        .reconcile_all_on(again)
        .graceful_shutdown_on(shutdown.cancelled_owned())
        .run(reconcile, error_policy, context)
        .for_each(|result| {
            metrics.managed("Rule", rules.len());
            if there.judge.len() > rules.len() {
                let key = |namespace: &str, name: &str| ObjectRef::new(name).within(namespace);
                there.judge.retain(|namespace, name| rules.get(&key(namespace, name)).is_some());
            }
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
    rule: Arc<RuleOutline>,
    context: Arc<RuleContext>,
) -> Result<Action, kube::Error> {
    let begun = Instant::now();
    let result = context.publish(&rule).await;
    let metrics = &context.shared.metrics;
    metrics.reconciled("Rule", begun.elapsed(), result.is_err());
    result.map(|()| Action::await_change())
}

#[expect(clippy::needless_pass_by_value, reason = "the signature that the controller asks for")]
fn error_policy(rule: Arc<RuleOutline>, error: &kube::Error, _: Arc<RuleContext>) -> Action {
    warn!(%error, rule = %ObjectRef::from_obj(&*rule), "its status is tried again");
    Action::requeue(RETRY)
}

// === impl RuleContext ===

impl RuleContext {
    async fn publish(&self, rule: &RuleOutline) -> Result<(), kube::Error> {
        let namespace = rule.namespace().unwrap_or_default();
        if rule.meta().deletion_timestamp.is_some()
            || !self.is_ready().await
            || self.shared.has_its_own_operator(&namespace)
        {
            return Ok(());
        }
        let next = tokio::select! {
            next = self.status(rule) => next?,
            () = self.shutdown.cancelled() => return Ok(()),
        };
        let Some(next) = next.filter(|next| rule.status.as_ref() != Some(next)) else {
            return Ok(());
        };
        let _write = self.writes.acquire().await.expect("it is never closed");
        let api = Api::<RuleOutline>::namespaced(self.shared.client.clone(), &namespace);
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

    /// The status that the Rule should have; `None` if it is another one by now.
    async fn status(&self, rule: &RuleOutline) -> Result<Option<RuleStatus>, kube::Error> {
        let findings = if let Some(why) = scope_in_one_namespace(rule, &self.shared.settings) {
            refused("InvalidScope", why)
        } else {
            let judged = self.judge.of(rule, || self.rulers(rule).limits()).await?;
            let Some(judgement) = judged else { return Ok(None) };
            // Rulers may have changed meanwhile, of which a bell tells; what was not asked is not told.
            let rulers = self.rulers(rule);
            if rulers.limits().iter().any(|limits| judgement.count(limits).is_none()) {
                return Ok(None);
            }
            vec![judgement.accepted.clone(), rulers.programmed(&judgement)]
        };
        let before = rule.status.as_ref();
        let before = before.map(|status| status.conditions.as_slice()).unwrap_or_default();
        let generation = rule.meta().generation;
        Ok(Some(RuleStatus {
            observed_generation: generation,
            conditions: conditions(before, generation, findings),
        }))
    }

    fn rulers(&self, rule: &RuleOutline) -> Rulers {
        let namespace = rule.namespace().unwrap_or_default();
        let labels = self.labels(&namespace);
        let rulers = self.shared.rulers.state();
        let are_there = !rulers.is_empty();
        let there = rulers.into_iter().filter(|ruler| ruler.meta().deletion_timestamp.is_none());
        let (otherwise, there): (Vec<_>, Vec<_>) =
            there.partition(|ruler| runs_otherwise(ruler.status.as_ref()));
        let looks = |ruler: &Arc<Stored<Ruler>>| {
            let read = ruler.read.as_ref();
            read.is_ok_and(|read| looks_at(&read.spec, rule.labels(), &labels))
        };
        Rulers { are_there, looking: there.into_iter().filter(looks).collect(), otherwise }
    }

    fn labels(&self, namespace: &str) -> BTreeMap<String, String> {
        let store = self.namespaces.as_ref();
        let found = store.and_then(|store| store.get(&ObjectRef::new(namespace)));
        found.and_then(|found| found.metadata.labels.clone()).unwrap_or_default()
    }
}

// === impl Rulers ===

impl Rulers {
    /// What those allow that have pods which are ready.
    fn allowed(&self) -> impl Iterator<Item = RuleLimits> {
        let available = self.looking.iter().filter(|ruler| is_available(ruler.status.as_ref()));
        let limits = available.filter_map(|ruler| Some(ruler.read.as_ref().ok()?.spec.limits));
        limits.map(Option::unwrap_or_default)
    }

    /// The same, as far as the operator finds out what counts: once for all that do not differ in it.
    fn limits(&self) -> Vec<RuleLimits> {
        let mut distinct = Vec::new();
        for limits in self.allowed().map(judge::of_an_object) {
            if !distinct.contains(&limits) {
                distinct.push(limits);
            }
        }
        distinct
    }

    fn programmed(&self, judgement: &Judgement) -> Finding {
        let finding = |holds, reason: &str, message: String| Finding {
            kind: "Programmed",
            holds: Some(holds),
            reason: reason.to_owned(),
            message,
        };
        let is_ready = self.looking.iter().any(|ruler| is_available(ruler.status.as_ref()));
        if !is_ready && !self.otherwise.is_empty() {
            let by = named(&self.otherwise);
            let message = format!(
                "the pods of {by} do not run by its spec, and what they look at is not known"
            );
            return Finding { holds: None, ..finding(false, "RulerDegraded", message) };
        }
        if self.looking.is_empty() {
            let why = if self.are_there {
                "no Ruler's ruleSelector and ruleNamespaceSelector match"
            } else {
                "there is no Ruler"
            };
            return finding(false, "NoRuler", why.to_owned());
        }
        let by = format!("looked at by {}", named(&self.looking));
        if !is_ready {
            return finding(false, "NoRulerReady", format!("{by}, without a pod that is ready"));
        }
        let counts = self.limits().into_iter().filter_map(|limits| judgement.count(&limits));
        let (count, enabled) = (counts.max().unwrap_or(0), judgement.enabled);
        if judgement.is_too_large && self.allowed().any(judge::are_raised) {
            let message = format!(
                "within the usual limits {count} of {enabled} enabled rules count, and a Ruler has \
                 larger ones: its log says which others do; {by}"
            );
            return Finding { holds: None, ..finding(false, "LimitsRaised", message) };
        }
        match count {
            0 if !judgement.is_accepted() => finding(false, "NotAccepted", by),
            0 if enabled > 0 => finding(false, "BeyondLimits", by),
            count if count < enabled => {
                let message = format!("{count} of {enabled} enabled rules count; {by}");
                finding(true, "PartlyProgrammed", message)
            }
            _ => finding(true, "Programmed", by),
        }
    }
}

/// Rulers by their names. Not all of many, and not only those that are ready: each that comes or goes
/// would be a write to every Rule.
fn named(rulers: &[Arc<Stored<Ruler>>]) -> String {
    let name = |ruler: &Arc<Stored<Ruler>>| {
        let ruler = ObjectRef::from_obj(&**ruler);
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

/// What there is to say of a Rule of which nothing counts.
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
fn scope_in_one_namespace(rule: &impl Resource, settings: &Settings) -> Option<String> {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn in_one_namespace_there_are_no_workspaces() {
        let scope = "kubesphere.io/rule-scope";
        let why = |labels: &serde_json::Value, namespaced| {
            let settings = Settings { namespaced, ..Settings::default() };
            let metadata = json!({"name": "r", "namespace": settings.namespace, "labels": labels});
            let rule: RuleOutline = serde_json::from_value(json!({"metadata": metadata})).unwrap();
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
    fn a_ruler_looks_at_what_its_selectors_match() {
        let ruler: RulerSpec =
            serde_json::from_value(json!({"ruleSelector": {"matchLabels": {"team": "sre"}}}))
                .unwrap();
        let labels = |value: &str| [("team".to_owned(), value.to_owned())].into();
        assert!(looks_at(&ruler, &labels("sre"), &BTreeMap::new()));
        assert!(!looks_at(&ruler, &labels("web"), &BTreeMap::new()));
    }
}
