//! How objects of the Go project are told from all others: by name and by content.
//!
//! Its bundle begins names with `kube-events`, its chart with what the release is called: `ks-events`
//! where `KubeSphere` installed it. Versions 0.1.0 to 0.10.0 are alike in everything that is looked at.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use kube::{ResourceExt as _, api::DynamicObject};
use kube_events_core::crd::GROUP;
use serde_json::{Value, json};

/// The name of our operator, its account and its roles, which its bundle's had, too.
pub(super) const OPERATOR: &str = "kube-events-operator";

/// The name of what the webhooks of its bundle need, and the beginning of theirs.
const ADMISSION: &str = "kube-events-admission";

/// An Exporter or a Ruler.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Owner {
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

/// What its operator let the pods of each Exporter or each Ruler do in the whole cluster, by a role
/// and a binding `NAMESPACE-NAME` (`pkg/controllers`).
#[derive(Debug)]
struct Rights {
    kind: &'static str,
    /// The labels that hold the object's namespace and name.
    labels: (&'static str, &'static str),
    /// The groups and resources that the role lets them read.
    reads: &'static [(&'static str, &'static str)],
}

const RIGHTS: [Rights; 2] = [
    Rights {
        kind: "Exporter",
        labels: ("events-exporter-ns", "events-exporter"),
        reads: &[("", "events")],
    },
    Rights {
        kind: "Ruler",
        labels: ("events-ruler-ns", "events-ruler"),
        reads: &[(GROUP, "rules"), ("", "namespaces")],
    },
];

/// Whether the spec of a pod runs its operator. Ours has the same container, but no reloader.
pub(super) fn runs_operator(pod: &Value) -> bool {
    items(&pod["containers"]).any(|container| {
        container["name"] == "events-operator"
            && texts(&container["args"]).any(|arg| arg.starts_with("--config-reloader-image"))
    })
}

/// Whether a Deployment is its operator's.
pub(super) fn is_former(deployment: &DynamicObject) -> bool {
    deployment.name_any().ends_with("-operator") && runs_operator(pod_of(deployment))
}

/// Whether a Deployment is our operator's.
pub(super) fn is_ours(deployment: &DynamicObject) -> bool {
    let part_of = deployment.labels().get("app.kubernetes.io/part-of");
    deployment.name_any() == OPERATOR
        && part_of.is_some_and(|it| it == "kube-events")
        && !runs_operator(pod_of(deployment))
}

/// Whether it is, and one of its pods is ready.
pub(super) fn ours_runs(deployment: &DynamicObject) -> bool {
    let ready = deployment.data["status"]["availableReplicas"].as_u64();
    is_ours(deployment) && ready.is_some_and(|ready| ready > 0)
}

/// The `ClusterRole` that a binding gives.
pub(super) fn role_of(binding: &DynamicObject) -> Option<String> {
    let role = &binding.data["roleRef"];
    (role["kind"] == "ClusterRole").then(|| role["name"].as_str().map(str::to_owned))?
}

/// The namespace of its installation, if these are its webhooks, which are about Rules only.
pub(super) fn webhooks(object: &DynamicObject) -> Option<String> {
    let name = object.name_any();
    let (service, does) = name.rsplit_once('-')?;
    let path = format!("/{does}-events-kubesphere-io-v1alpha1-rule");
    let is_about_rules = |rule: &Value| {
        texts(&rule["apiGroups"]).eq([GROUP]) && texts(&rule["resources"]).eq(["rules"])
    };
    let is_its = |webhook: &Value| {
        let called = &webhook["clientConfig"]["service"];
        called["path"] == path
            && called["name"] == service
            && items(&webhook["rules"]).all(is_about_rules)
    };
    let webhooks = &object.data["webhooks"];
    let namespace = webhooks[0]["clientConfig"]["service"]["namespace"].as_str()?;
    (service.ends_with("-admission") && items(webhooks).all(is_its)).then(|| namespace.to_owned())
}

/// Whether it is the Service of its webhooks.
pub(super) fn is_service(service: &DynamicObject) -> bool {
    let spec = &service.data["spec"];
    let is_its = |port: &Value| port["port"] == 443 && port["targetPort"] == 9443;
    prefix(service, "-admission").is_some_and(|it| spec["selector"]["app"] == it + "-operator")
        && items(&spec["ports"]).all(is_its)
}

/// Whether it is the Secret with the certificate of its webhooks, and nothing else.
pub(super) fn is_secret(secret: &DynamicObject) -> bool {
    let Some(data) = secret.data["data"].as_object() else { return false };
    let certificate = data.get("tls.crt").and_then(Value::as_str).unwrap_or_default();
    prefix(secret, "-admission").is_some()
        && data.contains_key("tls.key")
        && data.keys().all(|key| ["ca.crt", "tls.crt", "tls.key"].contains(&key.as_str()))
        && is_certificate_of(certificate, &secret.name_any())
}

/// Whether it is an account of its operator that is not ours now.
pub(super) fn is_account(account: &DynamicObject) -> bool {
    is_of_operator(account)
}

/// Whether it is a role of its operator that is not ours now. It may write any role.
pub(super) fn is_role(role: &DynamicObject) -> bool {
    let writes_roles = |rule: &Value| {
        texts(&rule["apiGroups"]).any(|group| group == "rbac.authorization.k8s.io")
            && texts(&rule["resources"]).any(|resource| resource == "clusterroles")
            && texts(&rule["verbs"]).any(|verb| verb == "create")
    };
    is_of_operator(role) && items(&role.data["rules"]).any(writes_roles)
}

/// Whether it gives that role to accounts of a namespace.
pub(super) fn is_binding(binding: &DynamicObject, namespace: &str) -> bool {
    let mut subjects = items(&binding.data["subjects"]);
    is_of_operator(binding)
        && binding.data["roleRef"]["name"] == binding.name_any()
        && subjects.all(|it| it["kind"] == "ServiceAccount" && it["namespace"] == namespace)
}

/// Whether it has its operator's name. What had ours is ours now.
fn is_of_operator(object: &DynamicObject) -> bool {
    object.name_any() != OPERATOR && prefix(object, "-operator").is_some()
}

/// What an object's name begins with, if its bundle or its chart made it. The chart labels all that
/// it makes with its name and version; ours uses no such label.
fn prefix(object: &DynamicObject, end: &str) -> Option<String> {
    let name = object.name_any();
    let prefix = name.strip_suffix(end)?;
    let chart = object.labels().get("helm.sh/chart");
    let version = chart.and_then(|it| it.strip_prefix("kube-events-"));
    let of_chart = version.is_some_and(|it| it.starts_with(|c: char| c.is_ascii_digit()));
    let its = prefix == "kube-events" || of_chart;
    its.then(|| prefix.to_owned())
}

/// The object whose pods have this role, if it is its operator's and allows nothing else.
pub(super) fn owner_of_role(role: &DynamicObject) -> Option<Owner> {
    let (rights, owner) = labelled(role)?;
    let allowed = |&(group, resource): &(&str, &str)| {
        let verbs = ["get", "list", "watch"];
        json!({"apiGroups": [group], "resources": [resource], "verbs": verbs})
    };
    let allowed: Vec<_> = rights.reads.iter().map(allowed).collect();
    items(&role.data["rules"]).all(|rule| allowed.contains(rule)).then_some(owner)
}

/// The object to whose pods this gives their role, if it is its operator's and gives nobody else any.
pub(super) fn owner_of_binding(binding: &DynamicObject) -> Option<Owner> {
    let (_, owner) = labelled(binding)?;
    let is_its = |subject: &Value| {
        subject["kind"] == "ServiceAccount"
            && subject["namespace"] == owner.namespace
            && subject["name"] == owner.name
    };
    let its = binding.data["roleRef"]["name"] == binding.name_any()
        && items(&binding.data["subjects"]).all(is_its);
    its.then_some(owner)
}

/// What the labels of a role or binding say, if its name agrees.
fn labelled(object: &DynamicObject) -> Option<(&'static Rights, Owner)> {
    let label = |key: &str| object.labels().get(key).cloned();
    RIGHTS.iter().find_map(|rights| {
        let (namespace, name) = (label(rights.labels.0)?, label(rights.labels.1)?);
        let agrees = object.name_any() == format!("{namespace}-{name}");
        agrees.then(|| (rights, Owner { kind: rights.kind.to_owned(), namespace, name }))
    })
}

/// Whether an object has the name of one that its bundle or its operator made.
pub(super) fn is_namesake(object: &DynamicObject) -> bool {
    let name = object.name_any();
    let end = name.strip_prefix(ADMISSION);
    end.is_some_and(|end| ["", "-mutate", "-validate"].contains(&end)) || labelled(object).is_some()
}

/// Whether a pod or a Deployment's pods mount a Secret or run under an account of this name.
pub(super) fn uses(user: &DynamicObject, name: &str) -> bool {
    let pod = pod_of(user);
    pod["serviceAccountName"] == name
        || items(&pod["volumes"]).any(|volume| volume["secret"]["secretName"] == name)
}

/// What a pod is, or a Deployment's pods are made of.
pub(super) fn pod_of(object: &DynamicObject) -> &Value {
    let spec = &object.data["spec"];
    spec.get("template").map_or(spec, |template| &template["spec"])
}

/// Whether an operator looks after an Exporter or a Ruler, and has nothing to complain of. Only ours
/// writes a status.
pub(super) fn is_well(object: &DynamicObject) -> bool {
    let mut conditions = items(&object.data["status"]["conditions"]);
    conditions.any(|held| held["type"] == "Degraded" && held["status"] == "False")
}

// === impl Owner ===

impl Owner {
    /// The name of the binding that our operator makes for it.
    pub(super) fn our_binding(&self) -> String {
        let Self { kind, namespace, name } = self;
        let kind = kind.to_lowercase();
        format!("kube-events-{kind}:{kind}:{namespace}:{name}")
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// Whether a certificate, PEM in a Secret, has a name in it. What it says is DER, in which names
/// stand as they are.
fn is_certificate_of(certificate: &str, name: &str) -> bool {
    let der = || {
        let pem = String::from_utf8(BASE64_STANDARD.decode(certificate).ok()?).ok()?;
        let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        BASE64_STANDARD.decode(body).ok()
    };
    der().is_some_and(|der| der.windows(name.len()).any(|part| part == name.as_bytes()))
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    items(list).filter_map(Value::as_str)
}

#[cfg(test)]
mod tests;
