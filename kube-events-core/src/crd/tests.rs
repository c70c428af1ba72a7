#![cfg(feature = "crd")]

use serde::de::DeserializeOwned;
use serde_json::{Value, from_value, json, to_value};

use super::*;

fn schema(definition: &CustomResourceDefinition) -> Value {
    let definition = to_value(definition).unwrap();
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// Every object of a schema that is itself a schema, with its path.
fn walk(path: &str, schema: &Value, visit: &mut dyn FnMut(&str, &Value)) {
    visit(path, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        walk(&format!("{path}.{name}"), property, visit);
    }
    for key in ["items", "additionalProperties"] {
        if schema[key].is_object() {
            walk(&format!("{path}.{key}"), &schema[key], visit);
        }
    }
}

/// What of `value` the schema would refuse or drop, as an API server does.
fn objections(path: &str, schema: &Value, value: &Value) -> Vec<String> {
    let wrong = || vec![format!("{path}: {value} is no {}", schema["type"])];
    match (schema["type"].as_str(), value) {
        (Some("object"), Value::Object(fields)) => {
            let mut found: Vec<_> = schema["required"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .filter(|name| !fields.contains_key(*name))
                .map(|name| format!("{path}: {name} is missing"))
                .collect();
            for (name, value) in fields {
                let path = format!("{path}.{name}");
                let field = match &schema["properties"][name] {
                    Value::Null => &schema["additionalProperties"],
                    field => field,
                };
                match field {
                    Value::Null => found.push(format!("{path}: would be dropped")),
                    field => found.extend(objections(&path, field, value)),
                }
            }
            found
        }
        (Some("array"), Value::Array(items)) => items
            .iter()
            .enumerate()
            .flat_map(|(i, item)| objections(&format!("{path}[{i}]"), &schema["items"], item))
            .collect(),
        (Some("string"), Value::String(_)) => match schema["enum"].as_array() {
            Some(words) if !words.contains(value) => wrong(),
            _ => Vec::new(),
        },
        (Some("boolean"), Value::Bool(_)) => Vec::new(),
        (Some("integer"), Value::Number(number)) if number.is_i64() => Vec::new(),
        (None, Value::Number(_) | Value::String(_))
            if schema["x-kubernetes-int-or-string"] == true =>
        {
            Vec::new()
        }
        _ => wrong(),
    }
}

/// The object is taken whole by the schema, and by the type, which writes it as it was.
fn is_taken<K: DeserializeOwned + serde::Serialize>(kind: &str, object: &Value) {
    let definition = all().into_iter().find(|crd| crd.spec.names.kind == kind).unwrap();
    let spec = &schema(&definition)["properties"]["spec"];
    assert_eq!(objections(".spec", spec, &object["spec"]), Vec::<String>::new());
    let typed: K = from_value(object.clone()).unwrap();
    assert_eq!(to_value(&typed).unwrap()["spec"], object["spec"]);
}

#[test]
fn names_are_those_that_people_type() {
    let names: Vec<_> = all()
        .into_iter()
        .map(|crd| {
            let short = crd.spec.names.short_names.unwrap().remove(0);
            let category = crd.spec.names.categories.unwrap().remove(0);
            (crd.metadata.name.unwrap(), crd.spec.names.kind, short, category)
        })
        .collect();
    let expected = [
        ("exporters.events.kubesphere.io", "Exporter", "ex"),
        ("rulers.events.kubesphere.io", "Ruler", "erl"),
        ("rules.events.kubesphere.io", "Rule", "er"),
    ]
    .map(|(name, kind, short)| {
        (name.to_owned(), kind.to_owned(), short.to_owned(), "kube-events".to_owned())
    });
    assert_eq!(names, expected);
}

#[test]
fn each_definition_serves_one_namespaced_version_with_a_status_and_columns() {
    for crd in all() {
        assert_eq!((crd.spec.group.as_str(), crd.spec.scope.as_str()), (GROUP, "Namespaced"));
        let [version] = crd.spec.versions.as_slice() else { panic!("one version") };
        assert_eq!(version.name, VERSION);
        assert!(version.served && version.storage);
        assert!(version.subresources.as_ref().unwrap().status.is_some());
        let columns = version.additional_printer_columns.as_ref().unwrap();
        assert_eq!(columns.last().unwrap().name, "Age");
    }
}

#[test]
fn schemas_are_structural() {
    for crd in all() {
        walk("", &schema(&crd), &mut |path, schema| {
            let kind = crd.spec.names.kind.as_str();
            let typed = schema["type"].is_string() || schema["x-kubernetes-int-or-string"] == true;
            assert!(typed, "{kind}{path} has no type: {schema}");
            for key in ["$ref", "oneOf", "anyOf", "allOf", "not", "const", "definitions"] {
                assert!(schema[key].is_null(), "{kind}{path} has {key}: {schema}");
            }
            assert!(!schema["additionalProperties"].is_boolean(), "{kind}{path}");
            assert!(schema["x-kubernetes-preserve-unknown-fields"].is_null(), "{kind}{path}");
        });
    }
}

#[test]
fn formats_are_those_that_an_api_server_knows() {
    for crd in all() {
        walk("", &schema(&crd), &mut |path, schema| {
            if let Some(format) = schema["format"].as_str() {
                assert!(["int32", "int64", "date-time"].contains(&format), "{path}: {format}");
            }
        });
    }
}

#[test]
fn every_field_of_ours_is_described() {
    let ours = [".spec", ".status"];
    for crd in all() {
        walk("", &schema(&crd), &mut |path, schema| {
            let mine = path.is_empty()
                || ours.contains(&path)
                || path.starts_with(".spec.sinks") && !path.ends_with("items")
                || path.starts_with(".spec.rules")
                    && !path.ends_with("Properties")
                    && (path == ".spec.rules.items" || !path.ends_with("items"));
            let described = schema["description"].as_str().is_some_and(|text| !text.is_empty());
            assert!(!mine || described || path.ends_with("additionalProperties"), "{path}");
        });
    }
}

#[test]
fn an_exporter_that_people_have_is_taken() {
    is_taken::<Exporter>(
        "Exporter",
        &json!({
            "apiVersion": "events.kubesphere.io/v1alpha1",
            "kind": "Exporter",
            "metadata": {"name": "events-exporter", "namespace": "logging"},
            "spec": {
                "image": "registry.example/exporter:v1",
                "resources": {},
                "sinks": {
                    "stdout": {},
                    "webhooks": [{"service": {
                        "name": "events-ruler", "namespace": "logging", "path": "/events", "port": 8443,
                    }}],
                },
            },
        }),
    );
}

#[test]
fn every_pod_setting_is_taken() {
    is_taken::<Exporter>(
        "Exporter",
        &json!({
            "apiVersion": "events.kubesphere.io/v1alpha1",
            "kind": "Exporter",
            "metadata": {"name": "e"},
            "spec": {
                "image": "i",
                "imagePullPolicy": "IfNotPresent",
                "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{
                    "weight": 100,
                    "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname"},
                }]}},
                "nodeSelector": {"disk": "ssd"},
                "tolerations": [{"operator": "Exists", "effect": "NoSchedule"}],
                "resources": {"limits": {"cpu": "200m", "memory": "500Mi"}, "requests": {"cpu": "20m"}},
                "env": [{"name": "CLUSTER_NAME", "value": "host"}],
                "volumes": [{"name": "tls", "secret": {"secretName": "tls"}}],
                "volumeMounts": [{"name": "tls", "mountPath": "/tls", "readOnly": true}],
                "sinks": {"webhooks": [{"url": "https://hook.example/events"}]},
            },
        }),
    );
}

#[test]
fn a_ruler_that_people_have_is_taken() {
    is_taken::<Ruler>(
        "Ruler",
        &json!({
            "apiVersion": "events.kubesphere.io/v1alpha1",
            "kind": "Ruler",
            "metadata": {"name": "events-ruler", "namespace": "logging"},
            "spec": {
                "replicas": 2,
                "image": "registry.example/ruler:v1",
                "resources": {},
                "ruleNamespaceSelector": {"matchLabels": {"rules": "yes"}},
                "ruleSelector": {"matchExpressions": [{"key": "team", "operator": "Exists"}]},
                "sinks": {
                    "alertmanager": {"namespace": "monitoring", "name": "alertmanager-main"},
                    "alertmanagers": [{"namespace": "m", "name": "a", "port": 9093, "targetPort": 9093}],
                    "webhooks": [
                        {"type": "notification", "url": "http://notify.example"},
                        {"type": "alert", "service": {"namespace": "n", "name": "s", "port": 80}},
                    ],
                    "stdout": {"type": "notification"},
                },
            },
        }),
    );
}

#[test]
fn a_rule_that_people_have_is_taken() {
    is_taken::<Rule>(
        "Rule",
        &json!({
            "apiVersion": "events.kubesphere.io/v1alpha1",
            "kind": "Rule",
            "metadata": {"name": "r", "labels": {RULE_SCOPE_LABEL: "cluster"}},
            "spec": {"rules": [
                {
                    "name": "PullFailed",
                    "condition": "type=\"Warning\" and reason=\"Failed\" and count>3\n",
                    "labels": {"severity": "warning"},
                    "annotations": {"message": "%message", "summaryCn": "拉取失败"},
                    "enable": true,
                    "type": "alert",
                },
                {"name": "Off", "condition": "reason=\"Killing\"", "type": "notification"},
                {"condition": "count>1", "type": "a type of the future"},
            ]},
        }),
    );
}

#[test]
fn an_object_that_the_schema_refuses_is_seen() {
    let spec = &schema(&Rule::crd())["properties"]["spec"];
    let found = objections(".spec", spec, &json!({"rules": [{"enable": "yes", "nmae": "a"}]}));
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn a_status_is_written_by_nobody_but_its_writer() {
    let ruler: Ruler = from_value(json!({
        "apiVersion": "events.kubesphere.io/v1alpha1", "kind": "Ruler", "metadata": {},
        "spec": {"image": "i"},
        "status": {"observedGeneration": 3, "conditions": [{
            "type": "Available", "status": "True", "reason": "Running", "message": "",
            "lastTransitionTime": "2020-01-01T00:00:00Z",
        }]},
    }))
    .unwrap();
    let status = ruler.status.unwrap();
    assert_eq!((status.observed_generation, status.conditions.len()), (Some(3), 1));
    let empty: Rule = from_value(json!({
        "apiVersion": "events.kubesphere.io/v1alpha1", "kind": "Rule", "metadata": {},
        "spec": {}, "status": {},
    }))
    .unwrap();
    assert_eq!(empty.status, Some(RuleStatus::default()));
}

#[test]
fn definitions_are_smaller_than_what_an_api_server_stores() {
    for crd in all() {
        assert!(serde_json::to_string(&crd).unwrap().len() < 500_000);
    }
}

/// Writes defaults into a value where its fields are missing, as an API server does.
fn fill(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                if let Some(default) = property.get("default") {
                    fields.entry(name).or_insert_with(|| default.clone());
                }
                if let Some(field) = fields.get_mut(name) {
                    fill(property, field);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill(&schema["items"], item)),
        _ => {}
    }
}

/// Specs in which each object that has defaults is there, with no more than it needs.
fn bare() -> Vec<(&'static str, Value)> {
    let service = json!({"namespace": "n", "name": "s"});
    let webhook = json!({"type": "alert", "service": service, "tls": {}});
    let alertmanager = json!({"namespace": "n", "name": "a", "tls": {}});
    vec![
        (
            "Exporter",
            json!({"monitoring": {}, "sinks": {
                "stdout": {}, "files": [{"path": "/f"}],
                "webhooks": [{"service": service, "tls": {}}],
            }}),
        ),
        (
            "Ruler",
            json!({"monitoring": {}, "limits": {}, "sinks": {
                "stdout": {"type": "alert"}, "files": [{"type": "alert", "path": "/f"}],
                "webhooks": [webhook], "alertmanagers": [alertmanager], "alertmanager": alertmanager,
            }}),
        ),
        ("Rule", json!({"rules": [{}]})),
    ]
}

/// The values that a type has for what is missing. What it leaves open is filled by constants, which
/// the schema has from the same place.
fn read(kind: &str, spec: &Value) -> Value {
    fn spec_of<T: DeserializeOwned + std::fmt::Debug>(spec: &Value) -> String {
        format!("{:?}", from_value::<T>(spec.clone()).unwrap())
    }
    json!(match kind {
        "Exporter" => spec_of::<ExporterSpec>(spec),
        "Ruler" => spec_of::<RulerSpec>(spec),
        _ => spec_of::<RuleSpec>(spec),
    })
}

/// What a type takes `None` for, as the programs fill it.
fn open(kind: &str, spec: &mut Value) {
    use super::defaults::{
        ALERT_DURATION, ALERTMANAGER_TIMEOUT, EVENT_VERSION, REPLICAS, SERVICE_PATH,
        TERMINATION_GRACE_PERIOD, WARM_UP, WEBHOOK_TIMEOUT,
    };
    let seconds = |duration| json!(duration::format(duration));
    let mut set = |pointer: &str, field: &str, value: Value| {
        if let Some(Value::Object(fields)) = spec.pointer_mut(pointer) {
            fields.insert(field.to_owned(), value);
        }
    };
    match kind {
        "Exporter" => set("", "eventVersion", json!(EVENT_VERSION)),
        "Ruler" => {
            set("", "replicas", json!(REPLICAS));
            set("", "warmUp", json!(WARM_UP));
        }
        _ => return,
    }
    set("", "terminationGracePeriodSeconds", json!(TERMINATION_GRACE_PERIOD));
    set("/sinks/webhooks/0", "timeout", seconds(WEBHOOK_TIMEOUT));
    set("/sinks/webhooks/0/service", "path", json!(SERVICE_PATH));
    for alertmanager in ["/sinks/alertmanagers/0", "/sinks/alertmanager"] {
        set(alertmanager, "timeout", seconds(ALERTMANAGER_TIMEOUT));
        set(alertmanager, "alertDuration", seconds(ALERT_DURATION));
    }
}

#[test]
fn what_an_api_server_fills_in_is_what_counts_without_it() {
    for (kind, spec) in bare() {
        let definition = all().into_iter().find(|crd| crd.spec.names.kind == kind).unwrap();
        let (mut filled, mut opened) = (spec.clone(), spec);
        fill(&schema(&definition)["properties"]["spec"], &mut filled);
        open(kind, &mut opened);
        assert_ne!(filled, opened, "{kind} has defaults");
        assert_eq!(read(kind, &filled), read(kind, &opened));
    }
}

#[test]
fn no_default_is_missed_by_the_test_of_defaults() {
    let mut unseen = Vec::new();
    for (kind, mut spec) in bare() {
        let definition = all().into_iter().find(|crd| crd.spec.names.kind == kind).unwrap();
        let schema = &schema(&definition)["properties"]["spec"];
        fill(schema, &mut spec);
        walk("", schema, &mut |path, schema| {
            let pointer = path.replace(".items", "/0").replace('.', "/");
            if let Some(default) = schema.get("default")
                && spec.pointer(&pointer) != Some(default)
            {
                unseen.push(format!("{kind}{path}"));
            }
        });
    }
    assert_eq!(unseen, Vec::<String>::new());
}

#[test]
fn what_a_description_calls_a_default_is_one() {
    // Absence is what these mean; there is no value for it.
    let absent =
        ["all", "nowhere", "none", "no limit", "the host of the address", "the involved object"];
    for crd in all() {
        walk("", &schema(&crd), &mut |path, schema| {
            let said =
                schema["description"].as_str().and_then(|text| text.split("Default: ").nth(1));
            let ours = !path.contains("Probe") && !path.contains("olumes");
            let Some(said) = said.filter(|_| ours) else { return };
            let said = said.split(['.', ',']).next().unwrap_or_default().trim_matches('`');
            let default = schema.get("default").map(|default| match default {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            });
            assert!(
                default.as_deref() == Some(said) || absent.contains(&said) && default.is_none(),
                "{}{path} says {said:?}, and has {default:?}",
                crd.spec.names.kind,
            );
        });
    }
}
