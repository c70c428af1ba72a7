//! The pods of an exporter or a ruler: `Deployment`, `ConfigMap`, `ServiceAccount`, and what keeps
//! them.

use std::{collections::BTreeSet, path::Path};

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, EnvVar, ServiceAccount},
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
};
use kube_events_core::crd::defaults::TERMINATION_GRACE_PERIOD;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Child, Invalid, Parent,
    config::{Config, secret_folder},
    merge,
};
use crate::names;

/// The user that the images run as.
const USER: i64 = 65532;

/// The name of the volume with the configuration, as the Go project's operator gave it.
const CONFIG: &str = "config";

/// How the pods of a program differ from those of the other.
pub(super) struct Shape {
    pub(super) image: String,
    pub(super) replicas: i32,
    pub(super) strategy: Value,
    /// Arguments beside the configuration file.
    pub(super) arguments: Vec<String>,
    /// Variables beside those of the object, whose own count where both have one.
    pub(super) env: Vec<EnvVar>,
}

/// The objects without which there are no pods.
pub(super) fn children(
    parent: &Parent<'_>,
    config: &Config,
    shape: &Shape,
) -> Result<Vec<Child>, Invalid> {
    let files = json!({ parent.program.config: config.yaml });
    Ok(vec![
        parent.child::<ServiceAccount>(Some(json!({}))),
        parent.child::<ConfigMap>(Some(json!({ "data": files }))),
        parent.child::<Deployment>(Some(deployment(parent, config, shape)?)),
        parent.child::<PodDisruptionBudget>(disruption_budget(parent, shape.replicas)?),
    ])
}

fn deployment(parent: &Parent<'_>, config: &Config, shape: &Shape) -> Result<Value, Invalid> {
    Ok(json!({
        "spec": {
            "replicas": shape.replicas,
            "strategy": shape.strategy,
            "selector": {"matchLabels": parent.selector()},
            "template": {
                "metadata": metadata(parent),
                "spec": pod(parent, config, shape)?,
            },
        },
    }))
}

fn metadata(parent: &Parent<'_>) -> Value {
    let workload = parent.workload;
    let mut labels = json!(workload.pod_labels);
    merge(&mut labels, parent.labels());
    merge(&mut labels, parent.selector());
    let mut metadata = json!({ "labels": labels });
    if !workload.pod_annotations.is_empty() {
        metadata["annotations"] = json!(workload.pod_annotations);
    }
    metadata
}

fn pod(parent: &Parent<'_>, config: &Config, shape: &Shape) -> Result<Value, Invalid> {
    let workload = parent.workload;
    let mut volumes = vec![json!({"name": CONFIG, "configMap": {"name": parent.name}})];
    // By their keys, so that pods see no others, and wait for one that is missing.
    let secrets = config.secrets.iter().enumerate();
    volumes.extend(secrets.map(|(place, (secret, keys))| {
        let items: Vec<_> = keys.iter().map(|key| json!({"key": key, "path": key})).collect();
        json!({"name": secret_volume(place), "secret": {"secretName": secret, "items": items}})
    }));
    volumes.extend(list(&workload.volumes)?);
    check_unique("volumes", "name", &volumes)?;
    let mut pod = json!({
        "serviceAccountName": parent.name,
        "terminationGracePeriodSeconds":
            workload.termination_grace_period_seconds.unwrap_or(TERMINATION_GRACE_PERIOD),
        "securityContext": given_or(workload.security_context.as_ref(), || json!({
            "runAsNonRoot": true,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        }))?,
        "containers": [container(parent, config, shape)?],
        "volumes": volumes,
    });
    let mut set = |key: &str, value: Value| {
        if !is_empty(&value) {
            pod[key] = value;
        }
    };
    set("affinity", value(&workload.affinity)?);
    set("nodeSelector", value(&workload.node_selector)?);
    set("tolerations", value(&workload.tolerations)?);
    set("topologySpreadConstraints", spread(parent)?);
    set("priorityClassName", value(&workload.priority_class_name)?);
    set("imagePullSecrets", value(&workload.image_pull_secrets)?);
    Ok(pod)
}

fn container(parent: &Parent<'_>, config: &Config, shape: &Shape) -> Result<Value, Invalid> {
    let (workload, program) = (parent.workload, parent.program);
    let folder = format!("{}/config", program.folder);
    let mut arguments = vec![format!("--config.file={folder}/{}", program.config)];
    arguments.extend(shape.arguments.iter().cloned());
    let mut mounts = vec![json!({"name": CONFIG, "mountPath": folder, "readOnly": true})];
    let secrets = config.secrets.iter().enumerate();
    mounts.extend(secrets.map(|(place, (secret, _))| {
        let folder = secret_folder(&program, secret);
        json!({"name": secret_volume(place), "mountPath": folder, "readOnly": true})
    }));
    mounts.extend(list(&workload.volume_mounts)?);
    check_unique("volumeMounts", "mountPath", &mounts)?;
    let mut container = json!({
        "name": program.container,
        "image": shape.image,
        "args": arguments,
        "ports": [{"name": names::PORT_NAME, "containerPort": names::PORT, "protocol": "TCP"}],
        "livenessProbe": given_or(workload.liveness_probe.as_ref(), || probe("/healthz"))?,
        "readinessProbe": given_or(workload.readiness_probe.as_ref(), || probe("/readyz"))?,
        "resources": resources(parent)?,
        "securityContext": given_or(workload.container_security_context.as_ref(), || json!({
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": true,
        }))?,
        "volumeMounts": mounts,
    });
    if let Some(policy) = &workload.image_pull_policy {
        container["imagePullPolicy"] = json!(policy);
    }
    let env = [&shape.env[..], &workload.env].concat();
    if !env.is_empty() {
        container["env"] = value(&last_of_each_name(&env))?;
    }
    Ok(container)
}

/// Of variables of one name the last one counts. What is applied may have each once only.
fn last_of_each_name(variables: &[EnvVar]) -> Vec<&EnvVar> {
    let is_last = |(place, variable): &(usize, &EnvVar)| {
        variables[place + 1..].iter().all(|later| later.name != variable.name)
    };
    variables.iter().enumerate().filter(is_last).map(|(_, variable)| variable).collect()
}

fn probe(path: &str) -> Value {
    json!({"httpGet": {"path": path, "port": names::PORT_NAME}})
}

/// `resources: {}`, which the Go project's samples have, asks for nothing, and so for the usual.
fn resources(parent: &Parent<'_>) -> Result<Value, Invalid> {
    let given = value(&parent.workload.resources)?;
    let usual = || json!({"requests": {"cpu": "20m", "memory": "32Mi"}});
    Ok(if is_empty(&given) { usual() } else { given })
}

fn spread(parent: &Parent<'_>) -> Result<Value, Invalid> {
    let mut constraints = list(&parent.workload.topology_spread_constraints)?;
    for constraint in &mut constraints {
        if constraint.get("labelSelector").is_none() {
            constraint["labelSelector"] = json!({"matchLabels": parent.selector()});
        }
    }
    Ok(Value::Array(constraints))
}

/// Checks a list in which the operator's own items come first and no two may have one `key`.
///
/// # Errors
///
/// When there are two; an API server says so in words that do not name the field.
fn check_unique(field: &str, key: &str, items: &[Value]) -> Result<(), Invalid> {
    let mut seen = BTreeSet::new();
    let mut values = items.iter().filter_map(|item| item[key].as_str());
    // It is the same folder, whether or not there is a slash behind it.
    match values.find(|&value| !seen.insert(Path::new(value).components().as_path())) {
        None => Ok(()),
        Some(value) => Err(Invalid(format!(
            "{field}: there are two with the {key} {value}, of which one may be the operator's own: \
             give yours another"
        ))),
    }
}

fn secret_volume(place: usize) -> String {
    format!("secret-{place}")
}

fn disruption_budget(parent: &Parent<'_>, replicas: i32) -> Result<Option<Value>, Invalid> {
    let mut spec = match &parent.workload.pod_disruption_budget {
        Some(budget) => value(budget)?,
        None if replicas > 1 => json!({"maxUnavailable": 1}),
        None => return Ok(None),
    };
    spec["selector"] = json!({"matchLabels": parent.selector()});
    Ok(Some(json!({ "spec": spec })))
}

/// A policy that lets `peers` in, and whom the user lets in.
pub(super) fn network_policy(parent: &Parent<'_>, peers: Vec<Value>) -> Result<Child, Invalid> {
    let policy = match &parent.workload.network_policy {
        None => None,
        Some(access) => {
            let from: Vec<_> = peers.into_iter().chain(list(&access.from)?).collect();
            let ports = json!([{"port": names::PORT_NAME, "protocol": "TCP"}]);
            // Without `from` a rule would let everybody in.
            let ingress =
                if from.is_empty() { json!([]) } else { json!([{"from": from, "ports": ports}]) };
            Some(json!({"spec": {
                "podSelector": {"matchLabels": parent.selector()},
                "policyTypes": ["Ingress"],
                "ingress": ingress,
            }}))
        }
    };
    Ok(parent.child::<NetworkPolicy>(policy))
}

fn value(of: &impl Serialize) -> Result<Value, Invalid> {
    serde_json::to_value(of).map_err(|error| Invalid(error.to_string()))
}

fn list(of: &[impl Serialize]) -> Result<Vec<Value>, Invalid> {
    of.iter().map(value).collect()
}

fn given_or<T: Serialize>(
    given: Option<&T>,
    usual: impl FnOnce() -> Value,
) -> Result<Value, Invalid> {
    given.map_or_else(|| Ok(usual()), value)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_empty),
        _ => false,
    }
}
