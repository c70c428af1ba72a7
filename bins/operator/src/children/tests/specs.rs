//! Specs by what is special about them; each has a snapshot of its own.

use serde_json::{Value, json};

/// Of Exporters.
pub(super) fn exporters() -> Vec<(&'static str, Value)> {
    vec![
        (
            "of-the-go-project",
            json!({
                "image": "kubesphere/kube-events-exporter:latest",
                "resources": {},
                "sinks": {
                    "stdout": {},
                    "webhooks": [
                        {"service": {
                            "namespace": "logging", "name": "events-ruler", "port": 8443, "path": "/events",
                        }},
                        {"url": "http://archive.example", "service": {"namespace": "shop", "name": "archive"}},
                        {},
                    ],
                },
            }),
        ),
        (
            "with-everything",
            with(
                &pods(),
                &json!({
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
        ),
        (
            "with-every-sink",
            with(
                &own_context(),
                &json!({
                    "podDisruptionBudget": {"minAvailable": 1},
                    "monitoring": {"enabled": false},
                    "sinks": {
                        "stdout": {"format": "json"},
                        "webhooks": webhooks(),
                        "files": [file()],
                    },
                }),
            ),
        ),
    ]
}

/// Of Rulers.
pub(super) fn rulers() -> Vec<(&'static str, Value)> {
    vec![
        (
            "of-the-go-project",
            json!({
                "image": "kubesphere/kube-events-ruler:latest",
                "replicas": 2,
                "resources": {},
                "sinks": {
                    "alertmanager": {"namespace": "monitoring", "name": "alertmanager"},
                    "stdout": {"type": ""},
                    "webhooks": [{
                        "type": "alert",
                        "url": "http://hook.example",
                        "service": {"namespace": "shop", "name": "hook"},
                    }],
                },
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
        (
            "with-everything",
            with(
                &pods(),
                &json!({
                    "replicas": 3,
                    "podDisruptionBudget": {"maxUnavailable": "50%"},
                    "monitoring": {"labels": {"release": "prometheus"}},
                    "cluster": "north",
                    "ruleSelector": {"matchLabels": {"team": "sre"}},
                    "ruleNamespaceSelector": {"matchExpressions": [{"key": "a", "operator": "Exists"}]},
                    "warmUp": false,
                    "limits": {
                        "conditionSize": "4Ki",
                        "conditionDepth": 64,
                        "patternSize": "1Mi",
                        "objectPatternsSize": "2Mi",
                        "objectRules": 50,
                        "namespaceRules": 100,
                        "namespaceConditionsSize": "64Ki",
                        "namespacePatternsSize": "8Mi",
                        "ruleGroups": 1000,
                        "eventWork": "512Mi",
                        "groupsSize": "16Mi",
                        "measuredObjects": 200,
                    },
                    "sinks": {"alertmanager": {"namespace": "monitoring", "name": "main"}},
                }),
            ),
        ),
        (
            "with-every-sink",
            with(
                &own_context(),
                &json!({
                    "podDisruptionBudget": {"minAvailable": 1},
                    "sinks": {
                        "alertmanagers": alertmanagers(),
                        "stdout": {"type": "alert", "required": false, "format": "human"},
                        "webhooks": optional("notification", webhooks()),
                        "files": optional("alert", json!([file()])),
                    },
                }),
            ),
        ),
    ]
}

/// All settings of pods that pass the *restricted* standard.
fn pods() -> Value {
    json!({
        "image": "registry.example/events:v2",
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
    })
}

/// A context of the pods' own, whose root can be written.
fn own_context() -> Value {
    json!({
        "securityContext": {"runAsUser": 1000},
        "containerSecurityContext": {"readOnlyRootFilesystem": false},
        "volumes": [{"name": "data", "secret": {"secretName": "data"}}],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    })
}

fn secret(key: &str) -> Value {
    json!({"secretKeyRef": {"name": "archive", "key": key}})
}

/// Ways to be known to a peer that exclude each other.
fn credentials() -> [Value; 4] {
    [
        json!({
            "basicAuth": {"username": "events", "password": secret("password")},
            "tls": {"ca": secret("ca.crt"), "cert": secret("tls.crt"), "key": secret("tls.key"), "serverName": "peer"},
        }),
        json!({"bearerToken": secret("token"), "tls": {"insecureSkipVerify": true}}),
        json!({
            "bearerTokenFile": "/data/token",
            "tls": {"caFile": "/data/ca.crt", "certFile": "/data/tls.crt", "keyFile": "/data/tls.key"},
        }),
        json!({"basicAuth": {"username": "events", "passwordFile": "/data/password"}}),
    ]
}

fn webhooks() -> Value {
    let [secrets, token, files, password] = credentials();
    let service = json!({"service": {
        "namespace": "shop", "name": "archive", "port": "https", "path": "/events", "scheme": "https",
    }});
    let way = json!({
        "name": "slow", "url": "http://slow.example", "headers": {"x-tenant": "north"},
        "timeout": "10s", "compression": "gzip", "format": "wrapped",
    });
    json!([
        with(&service, &secrets),
        with(&way, &token),
        with(&json!({"url": "http://files.example"}), &files),
        with(&json!({"url": "http://password.example"}), &password),
    ])
}

fn alertmanagers() -> Value {
    let [secrets, token, files, password] = credentials();
    let service = json!({
        "namespace": "monitoring", "name": "main", "port": "web", "targetPort": 9093,
        "scheme": "https", "path": "/alertmanager",
    });
    let way = json!({
        "lane": "late", "required": false, "urls": ["http://late.example"],
        "headers": {"x-tenant": "north"}, "timeout": "10s", "alertDuration": "10m", "maxAlertAge": "1h",
    });
    json!([
        with(&service, &secrets),
        with(&way, &token),
        with(&json!({"urls": ["http://tokens.example"]}), &files),
        with(&json!({"urls": ["http://user.example"]}), &password),
    ])
}

fn file() -> Value {
    json!({
        "name": "log", "path": "/data/log.jsonl", "maxSize": "1Gi", "maxAge": "24h",
        "maxFiles": 3, "compress": true,
    })
}

/// Sinks of a ruler for which nobody waits.
fn optional(kind: &str, mut sinks: Value) -> Value {
    for sink in sinks.as_array_mut().unwrap() {
        *sink = with(sink, &json!({"type": kind, "required": false}));
    }
    sinks
}

fn with(fields: &Value, more: &Value) -> Value {
    let mut all = fields.as_object().unwrap().clone();
    all.extend(more.as_object().unwrap().clone());
    Value::Object(all)
}
