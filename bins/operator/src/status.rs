//! What the operator says of an Exporter or a Ruler.

use jiff::Timestamp;
use k8s_openapi::{
    api::apps::v1::{Deployment, DeploymentCondition},
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
};
use kube_events_core::crd::Status;

use crate::image::Image;

/// What is wrong with an object, in one word and a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    /// Whether the pods are not as the spec says, for it.
    pub(crate) blocks: bool,
}

/// A condition as it is now; since when is found out by comparing.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) kind: &'static str,
    /// `None` if that is not known.
    pub(crate) holds: Option<bool>,
    pub(crate) reason: String,
    pub(crate) message: String,
}

/// What there is to say of the pods.
pub(crate) struct Pods<'a> {
    pub(crate) deployment: Option<&'a Deployment>,
    /// Whether it could be looked at.
    pub(crate) is_seen: bool,
    pub(crate) image: Option<&'a Image>,
    pub(crate) unrestricted: Option<&'a str>,
    /// What of the spec they were given in another form.
    pub(crate) adjusted: &'a [String],
    /// What of the spec is out of reach.
    pub(crate) narrowed: Option<&'a str>,
}

/// The reason of an object whose spec cannot work.
pub(crate) const INVALID: &str = "InvalidConfig";

/// The reason of an object for which the API server fails, in words that may be others each time.
pub(crate) const API_SERVER: &str = "ApiServer";

/// The reason of an object that the API server does not take.
pub(crate) const REFUSED: &str = "Refused";

/// The reason of a Deployment whose pods do not become ready.
const LATE: &str = "ProgressDeadlineExceeded";

/// The reason of a Deployment whose pods have all been ready since it was changed.
const ROLLED_OUT: Option<&str> = Some("NewReplicaSetAvailable");

/// The longest message that is shown; more is cut off.
pub(crate) const MAX_MESSAGE: usize = 4096;

/// The status of an object whose generation is `generation`, when it was `before`.
pub(crate) fn status(
    before: Option<&Status>,
    generation: Option<i64>,
    pods: &Pods<'_>,
    trouble: Option<&Trouble>,
) -> Status {
    let counts = pods.deployment.and_then(|deployment| deployment.status.as_ref());
    let count = |of: Option<i32>| pods.is_seen.then(|| of.unwrap_or(0));
    let of_pods = pods.deployment.and_then(trouble_of_pods);
    let mut findings = vec![
        available(pods),
        progressing(pods.deployment, trouble),
        degraded(both(trouble, of_pods.as_ref()).as_ref()),
    ];
    if let Some(image) = pods.image {
        findings.push(restricted(pods.unrestricted));
        findings.extend(image.replaced.as_deref().map(|asked| replaced(asked, &image.name)));
    }
    findings.extend(adjusted(pods.adjusted));
    findings.extend(pods.narrowed.map(narrowed));
    let before_conditions = before.map(|status| status.conditions.as_slice()).unwrap_or_default();
    Status {
        observed_generation: generation,
        image: pods.image.map(|image| image.name.clone()).or_else(|| before?.image.clone()),
        replicas: count(counts.and_then(|counts| counts.replicas)),
        ready_replicas: count(counts.and_then(|counts| counts.ready_replicas)),
        conditions: conditions(before_conditions, generation, findings),
    }
}

/// Whether a pod was ready when the status was written.
pub(crate) fn is_available(status: Option<&Status>) -> bool {
    let mut conditions = status.into_iter().flat_map(|status| &status.conditions);
    conditions.any(|held| held.type_ == "Available" && held.status == "True")
}

/// Whether pods run, and not as the spec says: they go on with what they were told before.
pub(crate) fn runs_otherwise(status: Option<&Status>) -> bool {
    let mut conditions = status.into_iter().flat_map(|status| &status.conditions);
    is_available(status)
        && conditions.any(|held| held.type_ == "Degraded" && held.reason == INVALID)
}

/// Conditions in the form of the API: an unchanged one keeps its time, and the first words about what
/// fails for the same spec, if the next ones are likely to differ each time. A status is a reason to
/// look again, at once.
pub(crate) fn conditions(
    before: &[Condition],
    generation: Option<i64>,
    findings: Vec<Finding>,
) -> Vec<Condition> {
    let condition = |finding: Finding| {
        let status = match finding.holds {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        };
        let held = before.iter().find(|held| held.type_ == finding.kind && held.status == status);
        let since = held.map_or_else(now, |held| held.last_transition_time.clone());
        let told = held.filter(|held| {
            held.reason == finding.reason
                && held.observed_generation == generation
                && says_the_same(&finding.reason, &held.message, &finding.message)
        });
        Condition {
            type_: finding.kind.to_owned(),
            status: status.to_owned(),
            reason: finding.reason,
            message: told.map_or_else(
                || shortened(finding.message, MAX_MESSAGE),
                |held| held.message.clone(),
            ),
            last_transition_time: since,
            observed_generation: generation,
        }
    };
    findings.into_iter().map(condition).collect()
}

/// Whether two messages tell of the same: an API server that fails has other words each time, and a
/// webhook that refuses may have a number or an identifier in them.
fn says_the_same(reason: &str, before: &str, now: &str) -> bool {
    let has_digit = |word: &str| word.bytes().any(|byte| byte.is_ascii_digit());
    match reason {
        API_SERVER => true,
        REFUSED => {
            let (before, now) = (before.split(' '), now.split(' '));
            let same =
                |(before, now): (&str, &str)| before == now || has_digit(before) && has_digit(now);
            before.clone().count() == now.clone().count() && before.zip(now).all(same)
        }
        _ => false,
    }
}

/// Times have whole seconds in the API.
fn now() -> Time {
    let seconds = Timestamp::now().as_second();
    Time(Timestamp::from_second(seconds).unwrap_or_default())
}

/// At most so many bytes of a message, with a mark where it is cut off.
pub(crate) fn shortened(mut message: String, max: usize) -> String {
    if message.len() > max {
        let mut end = max - '…'.len_utf8();
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message.truncate(end);
        message.push('…');
    }
    message
}

fn available(pods: &Pods<'_>) -> Finding {
    if !pods.is_seen {
        let (reason, message) = ("NotSeen".to_owned(), "the Deployment cannot be read".to_owned());
        return Finding { kind: "Available", holds: None, reason, message };
    }
    let ready = ready(pods.deployment);
    let asked = asked(pods.deployment);
    let (holds, reason) = match (ready, asked) {
        (_, 0) => (false, "ScaledToZero"),
        (0, _) => (false, "NoPodReady"),
        _ => (true, "PodsReady"),
    };
    let message = format!("{ready} of {asked} pods are ready");
    Finding { kind: "Available", holds: Some(holds), reason: reason.to_owned(), message }
}

fn progressing(deployment: Option<&Deployment>, trouble: Option<&Trouble>) -> Finding {
    let blocked = trouble.is_some_and(|trouble| trouble.blocks);
    let paused = deployment.is_some_and(|deployment| deployment.spec.paused == Some(true));
    let rolling = !paused && deployment.map_or(!blocked, is_rolling);
    let (reason, message) = match (rolling, blocked) {
        (false, _) if paused => {
            ("Paused", "somebody paused the Deployment: changes wait until it goes on")
        }
        (true, _) => ("RollingOut", "the pods are being replaced, and not all new ones are ready"),
        (false, true) => ("Blocked", "the spec is not in force, see Degraded"),
        (false, false) => ("Settled", "the Deployment is rolled out"),
    };
    Finding {
        kind: "Progressing",
        holds: Some(rolling),
        reason: reason.to_owned(),
        message: message.to_owned(),
    }
}

fn is_rolling(deployment: &Deployment) -> bool {
    let status = deployment.status.as_ref();
    let seen = status.and_then(|status| status.observed_generation);
    let updated = status.and_then(|status| status.updated_replicas).unwrap_or(0);
    let total = status.and_then(|status| status.replicas).unwrap_or(0);
    let asked = asked(Some(deployment));
    seen != deployment.metadata.generation
        || updated < asked
        || total > updated
        || condition(deployment, "Progressing")
            .is_some_and(|told| told.reason.as_deref() != ROLLED_OUT)
}

/// What a Deployment tells of itself under this name.
fn condition<'a>(deployment: &'a Deployment, kind: &str) -> Option<&'a DeploymentCondition> {
    let conditions = deployment.status.as_ref()?.conditions.as_deref()?;
    conditions.iter().find(|held| held.type_.as_deref() == Some(kind))
}

/// Why pods do not come, as the Deployment tells it.
fn trouble_of_pods(deployment: &Deployment) -> Option<Trouble> {
    let conditions = deployment.status.as_ref()?.conditions.as_deref()?;
    let told = |reason, tells: fn(&DeploymentCondition) -> bool| {
        let told = conditions.iter().find(|held| tells(held))?;
        let message = told.message.clone().unwrap_or_default();
        Some(Trouble { reason, message, blocks: false })
    };
    let refused = told("ReplicaFailure", |held| {
        held.type_.as_deref() == Some("ReplicaFailure") && held.status.as_deref() == Some("True")
    });
    refused.or_else(|| told(LATE, |held| held.reason.as_deref() == Some(LATE)))
}

/// What is wrong with the object and with its pods: first what keeps the pods from being there, and of
/// an API server that fails only that, if it does.
fn both(object: Option<&Trouble>, pods: Option<&Trouble>) -> Option<Trouble> {
    let (Some(object), Some(pods)) = (object, pods) else { return object.or(pods).cloned() };
    let (first, second) = if object.blocks { (object, pods) } else { (pods, object) };
    if object.reason == API_SERVER {
        return Some(first.clone());
    }
    let message = format!("{}; {}: {}", first.message, second.reason, second.message);
    Some(Trouble { message, ..first.clone() })
}

fn degraded(trouble: Option<&Trouble>) -> Finding {
    let (reason, message) = match trouble {
        Some(trouble) => (trouble.reason, trouble.message.clone()),
        None => ("AsExpected", String::new()),
    };
    let holds = Some(trouble.is_some());
    Finding { kind: "Degraded", holds, reason: reason.to_owned(), message }
}

fn restricted(unrestricted: Option<&str>) -> Finding {
    let (reason, message) = match unrestricted {
        Some(why) => ("OwnSettings", why.to_owned()),
        None => (
            "Restricted",
            "with these settings pods pass the restricted Pod Security Standard".to_owned(),
        ),
    };
    Finding {
        kind: "Restricted",
        holds: Some(unrestricted.is_none()),
        reason: reason.to_owned(),
        message,
    }
}

fn replaced(asked: &str, runs: &str) -> Finding {
    let message = format!("{asked} is an image of the Go project; the pods run {runs}");
    let reason = "GoProjectImage".to_owned();
    Finding { kind: "ImageReplaced", holds: Some(true), reason, message }
}

fn adjusted(what: &[String]) -> Option<Finding> {
    let [_, ..] = what else { return None };
    let (reason, message) = ("GoProjectSinks".to_owned(), what.join("; "));
    Some(Finding { kind: "Adjusted", holds: Some(true), reason, message })
}

fn narrowed(why: &str) -> Finding {
    let (reason, message) = ("NamespacedInstall".to_owned(), why.to_owned());
    Finding { kind: "Narrowed", holds: Some(true), reason, message }
}

fn asked(deployment: Option<&Deployment>) -> i32 {
    deployment.map_or(1, |deployment| deployment.spec.replicas.unwrap_or(1))
}

fn ready(deployment: Option<&Deployment>) -> i32 {
    let status = deployment.and_then(|deployment| deployment.status.as_ref());
    status.and_then(|status| status.ready_replicas).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn deployment(status: &Value) -> Deployment {
        serde_json::from_value(json!({
            "metadata": {"generation": 2},
            "spec": {"replicas": 2, "selector": {}, "template": {}},
            "status": status,
        }))
        .unwrap()
    }

    fn pods(deployment: Option<&Deployment>) -> Pods<'_> {
        Pods {
            deployment,
            is_seen: true,
            image: None,
            unrestricted: None,
            adjusted: &[],
            narrowed: None,
        }
    }

    fn trouble(reason: &'static str, message: &str) -> Trouble {
        Trouble { reason, message: message.to_owned(), blocks: true }
    }

    fn of(deployment: &Deployment, before: Option<&Status>, trouble: Option<&Trouble>) -> Status {
        status(before, Some(1), &pods(Some(deployment)), trouble)
    }

    fn holds(status: &Status, kind: &str) -> String {
        let condition = status.conditions.iter().find(|condition| condition.type_ == kind).unwrap();
        format!("{} {}", condition.status, condition.reason)
    }

    #[test]
    fn conditions_say_how_the_pods_are() {
        let rolling = json!({"observedGeneration": 1, "replicas": 2, "updatedReplicas": 1, "readyReplicas": 1});
        let rolling = of(&deployment(&rolling), None, None);
        assert_eq!(holds(&rolling, "Available"), "True PodsReady");
        assert!(is_available(Some(&rolling)));
        assert_eq!(holds(&rolling, "Progressing"), "True RollingOut");
        let settled = json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2});
        let settled = of(&deployment(&settled), None, None);
        assert_eq!(holds(&settled, "Available"), "False NoPodReady");
        assert!(!is_available(Some(&settled)) && !is_available(None));
        assert_eq!(holds(&settled, "Progressing"), "False Settled");
        assert_eq!(holds(&settled, "Degraded"), "False AsExpected");
    }

    #[test]
    fn pods_that_were_never_ready_are_not_called_settled() {
        let progressing = |reason| {
            let told = json!({
                "observedGeneration": 2, "replicas": 2, "updatedReplicas": 2,
                "conditions": [{"type": "Progressing", "status": "True", "reason": reason}],
            });
            holds(&of(&deployment(&told), None, None), "Progressing")
        };
        assert_eq!(progressing("ReplicaSetUpdated"), "True RollingOut");
        assert_eq!(progressing(LATE), "True RollingOut");
        assert_eq!(progressing("NewReplicaSetAvailable"), "False Settled");
        let mut paused = deployment(&json!({}));
        paused.spec.paused = Some(true);
        assert_eq!(holds(&of(&paused, None, None), "Progressing"), "False Paused");
    }

    #[test]
    fn pods_that_are_too_many_or_none_are_told() {
        let surplus = json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 2, "readyReplicas": 2});
        let surplus = of(&deployment(&surplus), None, None);
        assert_eq!(holds(&surplus, "Progressing"), "True RollingOut");
        assert_eq!((surplus.replicas, surplus.ready_replicas), (Some(3), Some(2)));
        let mut none = deployment(&json!({"observedGeneration": 2}));
        none.spec.replicas = Some(0);
        assert_eq!(holds(&of(&none, None, None), "Available"), "False ScaledToZero");
    }

    #[test]
    fn the_image_is_told_and_what_the_pods_may_not_do() {
        let image = Image { name: "ours:1".to_owned(), replaced: None };
        let told = |image, unrestricted, before: Option<&Status>| {
            let pods = Pods { image, unrestricted, ..pods(None) };
            status(before, Some(1), &pods, None)
        };
        let restricted = told(Some(&image), None, None);
        assert_eq!(holds(&restricted, "Restricted"), "True Restricted");
        assert_eq!(restricted.image.as_deref(), Some("ours:1"));
        let own = told(Some(&image), Some("hostPath"), None);
        assert_eq!(holds(&own, "Restricted"), "False OwnSettings");
        // With a spec that cannot be in force, the pods run what they ran before.
        assert_eq!(told(None, None, Some(&own)).image.as_deref(), Some("ours:1"));
    }

    #[test]
    fn a_spec_that_is_not_in_force_is_not_called_settled() {
        let trouble = trouble(INVALID, "no such sink");
        let nothing = status(None, Some(1), &pods(None), Some(&trouble));
        assert_eq!(holds(&nothing, "Progressing"), "False Blocked");
        let settled = json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2});
        let refused = of(&deployment(&settled), None, Some(&trouble));
        assert_eq!(holds(&refused, "Progressing"), "False Blocked");
        assert_eq!(holds(&refused, "Degraded"), "True InvalidConfig");
        let aside = Trouble { blocks: false, ..trouble };
        assert_eq!(
            holds(&of(&deployment(&settled), None, Some(&aside)), "Progressing"),
            "False Settled"
        );
    }

    #[test]
    fn pods_that_cannot_be_seen_are_not_counted() {
        let unseen = Pods { is_seen: false, ..pods(None) };
        let told = status(None, Some(1), &unseen, Some(&trouble("MissingRights", "get")));
        assert_eq!(holds(&told, "Available"), "Unknown NotSeen");
        assert_eq!(holds(&told, "Degraded"), "True MissingRights");
        assert_eq!((told.replicas, told.ready_replicas), (None, None));
    }

    #[test]
    fn an_api_server_that_fails_in_other_words_is_told_once_for_a_spec() {
        let deployment = deployment(&json!({}));
        let at = |generation, before: Option<&Status>, reason, message| {
            let trouble = trouble(reason, message);
            let told = status(before, Some(generation), &pods(Some(&deployment)), Some(&trouble));
            let message = told.conditions[2].message.clone();
            (told, message)
        };
        let (first, _) = at(1, None, API_SERVER, "port 1");
        let (again, message) = at(1, Some(&first), API_SERVER, "port 2");
        assert_eq!((&again, message.as_str()), (&first, "port 1"));
        assert_eq!(at(2, Some(&first), API_SERVER, "port 2").1, "port 2");
        assert_eq!(at(1, Some(&first), REFUSED, "quota 2").1, "quota 2");
    }

    #[test]
    fn a_refusal_that_differs_in_a_number_alone_is_told_once_for_a_spec() {
        for (reason, before, now, is_told) in [
            (REFUSED, "request 4711 is denied", "request 4712 is denied", false),
            (REFUSED, "request 4711 is denied", "request 4712 is denied, too", true),
            (REFUSED, "exceeded quota: pods", "exceeded quota: services", true),
            (INVALID, "port 1", "port 2", true),
        ] {
            let told = says_the_same(reason, before, now);
            assert_eq!(!told, is_told, "{before}; {now}");
        }
    }

    #[test]
    fn what_is_wrong_with_the_pods_is_told_beside_what_is_wrong_with_the_object() {
        let late = trouble(LATE, "timed out");
        let both = |reason, message, blocks| {
            let object = Trouble { blocks, ..trouble(reason, message) };
            let told = both(Some(&object), Some(&late)).unwrap();
            format!("{}: {}", told.reason, told.message)
        };
        let told = both("NoNamespace", "shop is not there", false);
        assert_eq!(told, "ProgressDeadlineExceeded: timed out; NoNamespace: shop is not there");
        let told = both(INVALID, "no such sink", true);
        assert_eq!(told, "InvalidConfig: no such sink; ProgressDeadlineExceeded: timed out");
        // Its words may be others each time.
        assert_eq!(both(API_SERVER, "port 1", true), "ApiServer: port 1");
        assert_eq!(both(API_SERVER, "port 1", false), "ProgressDeadlineExceeded: timed out");
    }

    #[test]
    fn what_the_deployment_says_of_missing_pods_is_told() {
        let late = json!({
            "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded",
            "message": "ReplicaSet \"a-1\" has timed out progressing.",
        });
        let refused = json!({
            "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
            "message": "pods \"a-1-x\" is forbidden: exceeded quota: pods",
        });
        let degraded = |conditions: Value, trouble: Option<&Trouble>| {
            let told = of(&deployment(&json!({ "conditions": conditions })), None, trouble);
            let message = told.conditions.iter().find(|held| held.type_ == "Degraded");
            (holds(&told, "Degraded"), message.unwrap().message.clone())
        };
        let (reason, message) = degraded(json!([late]), None);
        assert_eq!(reason, "True ProgressDeadlineExceeded");
        assert_eq!(message, "ReplicaSet \"a-1\" has timed out progressing.");
        let (reason, message) = degraded(json!([late, refused]), None);
        assert_eq!(reason, "True ReplicaFailure");
        assert!(message.contains("exceeded quota"), "{message}");
        let worse = trouble("MissingRights", "");
        assert_eq!(degraded(json!([refused]), Some(&worse)).0, "True MissingRights");
        let well = json!([
            {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"},
            {"type": "Progressing", "status": "False", "reason": "DeploymentPaused"},
            {"type": "ReplicaFailure", "status": "False"},
        ]);
        assert_eq!(degraded(well, None).0, "False AsExpected");
    }

    #[test]
    fn a_condition_that_stays_keeps_its_time() {
        let deployment = deployment(&json!({}));
        let mut before = of(&deployment, None, None);
        let long_ago = Time(Timestamp::from_second(1).unwrap());
        before.conditions.iter_mut().for_each(|held| held.last_transition_time = long_ago.clone());
        let trouble = trouble(INVALID, &"x".repeat(9000));
        let after = of(&deployment, Some(&before), Some(&trouble));
        for condition in &after.conditions {
            let stays = condition.last_transition_time == long_ago;
            assert_eq!(stays, condition.type_ != "Degraded", "{condition:?}");
            assert!(condition.message.len() <= MAX_MESSAGE);
        }
        assert_eq!(of(&deployment, Some(&before), None), before);
    }
}
