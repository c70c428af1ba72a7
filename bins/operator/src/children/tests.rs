use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Service, ServiceAccount},
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
    rbac::v1::{ClusterRoleBinding, RoleBinding},
};
use serde::{Serialize, de::DeserializeOwned};

use super::*;

/// Specs by what is special about them; each has a snapshot of its own.
fn exporters() -> Vec<(&'static str, Value)> {
    vec![
        (
            "of-the-go-project",
            json!({
                "image": "kubesphere/kube-events-exporter:latest",
                "resources": {},
                "sinks": {
                    "stdout": {},
                    "webhooks": [{"service": {
                        "namespace": "logging", "name": "events-ruler", "port": 8443, "path": "/events",
                    }}],
                },
            }),
        ),
        (
            "with-everything",
            json!({
                "image": "registry.example/exporter:v2",
                "imagePullPolicy": "Always",
                "imagePullSecrets": [{"name": "registry"}],
                "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}],
                }}},
                "nodeSelector": {"disk": "ssd"},
                "tolerations": [{"operator": "Exists"}],
                "topologySpreadConstraints": [{
                    "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
                }],
                "priorityClassName": "high",
                "podAnnotations": {"a": "b"},
                "podLabels": {"team": "sre", "app": "not-this"},
                "resources": {"limits": {"memory": "64Mi"}},
                "env": [{"name": "CLUSTER_NAME", "value": "north"}],
                "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                "terminationGracePeriodSeconds": 60,
                "livenessProbe": {"httpGet": {"path": "/healthz", "port": 8443}, "periodSeconds": 5},
                "readinessProbe": {"tcpSocket": {"port": 8443}},
                "networkPolicy": {"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]},
                "podDisruptionBudget": {"maxUnavailable": 0},
                "monitoring": {"labels": {"release": "prometheus"}},
                "cluster": "north",
                "eventVersion": "eventsv1",
                "startFrom": "now",
                "checkpoint": {"file": "/data/checkpoint.json"},
                "namespaces": ["shop", "payments", "shop"],
                "labelSelector": "a=b",
                "fieldSelector": "type=Warning",
                "sinks": {"webhooks": [{
                    "name": "archive",
                    "url": "https://archive.example/",
                    "bearerToken": {"secretKeyRef": {"name": "archive", "key": "token"}},
                    "tls": {"ca": {"secretKeyRef": {"name": "archive", "key": "ca.crt"}}},
                }]},
            }),
        ),
    ]
}

fn rulers() -> Vec<(&'static str, Value)> {
    vec![
        (
            "of-the-go-project",
            json!({
                "image": "kubesphere/kube-events-ruler:latest",
                "replicas": 2,
                "resources": {},
                "sinks": {"alertmanager": {"namespace": "monitoring", "name": "alertmanager"}},
            }),
        ),
        (
            "guarded",
            json!({
                "networkPolicy": {},
                "monitoring": {"enabled": false},
                "ruleSelector": {"matchLabels": {"team": "sre"}},
                "sinks": {
                    "alertmanagers": [{"namespace": "m", "name": "a"}, {"urls": ["http://a:9093"], "lane": "b"}],
                    "webhooks": [{"type": "alert", "url": "http://hook.example"}],
                },
            }),
        ),
    ]
}

fn object<M: DeserializeOwned>(kind: &str, spec: &Value) -> M {
    let metadata = json!({"name": "events", "namespace": "logging", "uid": "u"});
    serde_json::from_value(json!({
        "apiVersion": "events.kubesphere.io/v1alpha1", "kind": kind,
        "metadata": metadata, "spec": spec,
    }))
    .unwrap()
}

fn all(settings: &Settings) -> Vec<(String, Desired)> {
    let context = Context::default();
    let exporters = exporters().into_iter().map(|(name, spec)| {
        let desired = object::<Exporter>("Exporter", &spec).desired(settings, &context);
        (format!("exporter-{name}"), desired.unwrap())
    });
    let rulers = rulers().into_iter().map(|(name, spec)| {
        let desired = object::<Ruler>("Ruler", &spec).desired(settings, &context);
        (format!("ruler-{name}"), desired.unwrap())
    });
    exporters.chain(rulers).collect()
}

fn shown(desired: &Desired) -> String {
    let place = |child: &Child| {
        let namespace = child.namespace.as_deref().unwrap_or("-");
        format!("# {} {namespace}/{} ({:?})", child.resource.kind, child.name, child.ownership)
    };
    let text = |child: &Child| match &child.object {
        Some(object) => serde_saphyr::to_string(object).unwrap(),
        None => "absent\n".to_owned(),
    };
    let children =
        desired.children.iter().map(|child| format!("{}\n{}", place(child), text(child)));
    let about = format!("{:?}\nunrestricted: {:?}\n", desired.image, desired.unrestricted);
    children.fold(about, |all, child| all + &child)
}

#[test]
fn everything_that_follows_is_as_it_was_looked_at() {
    for (name, desired) in all(&Settings::default()) {
        insta::assert_snapshot!(name, shown(&desired));
    }
}

#[test]
fn one_namespace_is_enough() {
    let settings =
        Settings { namespace: "logging".into(), namespaced: true, ..Settings::default() };
    for (name, desired) in all(&settings) {
        for child in &desired.children {
            assert_eq!(child.namespace.as_deref(), Some("logging"), "{name}: {}", child.name);
            assert_eq!(child.ownership, Ownership::Object, "{name}: {}", child.name);
        }
    }
}

/// A field that its type does not have would be dropped without a word.
fn is_whole<K: DeserializeOwned + Serialize>(object: &Value) {
    let typed: K = serde_json::from_value(object.clone()).unwrap();
    let mut written = serde_json::to_value(&typed).unwrap();
    let mut object = object.clone();
    for value in [&mut written, &mut object] {
        without_nulls(value);
        value.as_object_mut().unwrap().retain(|key, _| !["apiVersion", "kind"].contains(&&**key));
    }
    assert_eq!(written, object);
}

fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

#[test]
fn every_field_is_known_to_its_type() {
    let children = all(&Settings::default()).into_iter().flat_map(|(_, desired)| desired.children);
    for Child { resource, object, .. } in children {
        let Some(object) = object else { continue };
        match resource.kind.as_str() {
            "Deployment" => is_whole::<Deployment>(&object),
            "ConfigMap" => is_whole::<ConfigMap>(&object),
            "Service" => is_whole::<Service>(&object),
            "ServiceAccount" => is_whole::<ServiceAccount>(&object),
            "NetworkPolicy" => is_whole::<NetworkPolicy>(&object),
            "PodDisruptionBudget" => is_whole::<PodDisruptionBudget>(&object),
            "ClusterRoleBinding" => is_whole::<ClusterRoleBinding>(&object),
            "RoleBinding" => is_whole::<RoleBinding>(&object),
            "PodMonitor" | "PrometheusRule" => {}
            other => panic!("{other} is not looked at"),
        }
    }
}

#[test]
fn host_paths_are_what_the_restricted_standard_forbids() {
    let spec = json!({"volumes": [{"name": "logs", "hostPath": {"path": "/var/log"}}]});
    let exporter: Exporter = object("Exporter", &spec);
    let desired = exporter.desired(&Settings::default(), &Context::default()).unwrap();
    assert!(desired.unrestricted.unwrap().contains("logs"));
}

#[test]
fn what_the_api_server_fills_in_changes_no_pod() {
    fn deployment<M: Managed + DeserializeOwned>(kind: &str, spec: &Value) -> Option<Value> {
        let object: M = object(kind, spec);
        let desired = object.desired(&Settings::default(), &Context::default()).unwrap();
        let mut children = desired.children.into_iter();
        children.find(|child| child.resource.kind == "Deployment")?.object
    }
    let plain = json!({"sinks": {"stdout": {"type": "alert"}}});
    let mut filled = plain.clone();
    filled["replicas"] = json!(1);
    filled["terminationGracePeriodSeconds"] = json!(30);
    filled["sinks"]["stdout"] = json!({"type": "alert", "required": true, "format": "auto"});
    assert_eq!(deployment::<Ruler>("Ruler", &plain), deployment::<Ruler>("Ruler", &filled));
    let plain = json!({});
    let filled = json!({
        "eventVersion": "corev1", "startFrom": "held", "terminationGracePeriodSeconds": 30,
    });
    let before = deployment::<Exporter>("Exporter", &plain);
    assert!(before.is_some());
    assert_eq!(before, deployment::<Exporter>("Exporter", &filled));
}
