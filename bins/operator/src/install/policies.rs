//! What the API server refuses by itself: `ValidatingAdmissionPolicies`, which need no webhook.

use serde_json::{Value, json};

use super::object;

const VERSION: &str = "admissionregistration.k8s.io/v1";

/// The policies and their bindings; `namespace` is where Rules may have a wide scope.
pub(super) fn objects(namespace: &str) -> Vec<Value> {
    let mut objects = Vec::new();
    for (name, spec) in [
        ("kube-events-rule-scope", rule_scope(namespace)),
        ("kube-events-exporter-reach", exporter_reach()),
        ("kube-events-ruler-reach", ruler_reach()),
    ] {
        objects.push(object(VERSION, "ValidatingAdmissionPolicy", name, json!({"spec": spec})));
        let binding = json!({"spec": {"policyName": name, "validationActions": ["Deny"]}});
        objects.push(object(VERSION, "ValidatingAdmissionPolicyBinding", name, binding));
    }
    objects
}

fn constraints(resource: &str) -> Value {
    json!({"resourceRules": [{
        "apiGroups": [kube_events_core::crd::GROUP],
        "apiVersions": [kube_events_core::crd::VERSION],
        "operations": ["CREATE", "UPDATE"],
        "resources": [resource],
    }]})
}

/// Who may write Rules for more than their own namespace is who may write in `namespace`.
fn rule_scope(namespace: &str) -> Value {
    let scope = "variables.scope";
    json!({
        "failurePolicy": "Fail",
        "matchConstraints": constraints("rules"),
        // What was there before a policy can still be labelled, annotated and deleted.
        "matchConditions": [{
            "name": "labels-change",
            "expression": "oldObject == null || \
                (has(object.metadata.labels) ? object.metadata.labels : {}) != \
                (has(oldObject.metadata.labels) ? oldObject.metadata.labels : {})",
        }],
        "variables": [
            {
                "name": "scope",
                "expression": "has(object.metadata.labels) && \
                    'kubesphere.io/rule-scope' in object.metadata.labels ? \
                    object.metadata.labels['kubesphere.io/rule-scope'] : ''",
            },
            {
                "name": "workspace",
                "expression": "has(object.metadata.labels) && \
                    'kubesphere.io/workspace' in object.metadata.labels ? \
                    object.metadata.labels['kubesphere.io/workspace'] : ''",
            },
        ],
        "validations": [
            {
                "expression": format!("{scope} in ['', 'cluster', 'workspace', 'namespace']"),
                "messageExpression": format!(
                    "\"there is no scope '\" + {scope} + \"': set the label \
                     kubesphere.io/rule-scope to cluster, workspace or namespace\""
                ),
            },
            {
                "expression": format!(
                    "!({scope} in ['cluster', 'workspace']) || \
                     object.metadata.namespace == '{namespace}'"
                ),
                "messageExpression": format!(
                    "\"a Rule of the scope \" + {scope} + \" belongs in the namespace {namespace}: \
                     apply it there with kubectl apply -n {namespace}, or set the label \
                     kubesphere.io/rule-scope to namespace\""
                ),
                "reason": "Forbidden",
            },
            {
                "expression": format!("{scope} != 'workspace' || variables.workspace != ''"),
                "message": "a Rule of the scope workspace needs the label kubesphere.io/workspace \
                    with the workspace's name",
            },
        ],
    })
}

/// An exporter must not show Events to somebody who may not see them.
fn exporter_reach() -> Value {
    json!({
        "failurePolicy": "Fail",
        "matchConstraints": constraints("exporters"),
        "matchConditions": [spec_changes()],
        "variables": [{
            "name": "namespaces",
            "expression": "has(object.spec.namespaces) ? object.spec.namespaces : []",
        }],
        "validations": [{
            "expression": "size(variables.namespaces) == 0 ? \
                authorizer.group('').resource('events').check('list').allowed() : \
                variables.namespaces.all(name, authorizer.group('').resource('events')\
                .namespace(name).check('list').allowed())",
            "message": "whoever creates or changes an Exporter has to be allowed to list the Events \
                that it exports: in all namespaces, or in those that spec.namespaces names",
            "reason": "Forbidden",
        }],
    })
}

/// A ruler reads the Rules of all namespaces, and gets the Events of all.
fn ruler_reach() -> Value {
    json!({
        "failurePolicy": "Fail",
        "matchConstraints": constraints("rulers"),
        "matchConditions": [spec_changes()],
        "validations": [{
            "expression": "authorizer.group('').resource('events').check('list').allowed() && \
                authorizer.group('events.kubesphere.io').resource('rules').check('list').allowed()",
            "message": "whoever creates or changes a Ruler has to be allowed to list Events and Rules \
                in all namespaces, as it sees them",
            "reason": "Forbidden",
        }],
    })
}

/// The operator takes a finalizer off, and the garbage collector marks; neither asks for more.
fn spec_changes() -> Value {
    json!({
        "name": "spec-changes",
        "expression": "oldObject == null || object.spec != oldObject.spec",
    })
}
