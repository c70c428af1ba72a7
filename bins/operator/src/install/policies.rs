//! What the API server refuses by itself: `ValidatingAdmissionPolicies`, which need no webhook.

use std::iter;

use kube_events_rules::{SCOPE_LABEL, WORKSPACE_LABEL};
use serde_json::{Value, json};

use super::object;

const VERSION: &str = "admissionregistration.k8s.io/v1";

/// The policies and their bindings; `namespace` is where Rules may have a wide scope.
pub(super) fn objects(namespace: &str) -> Vec<Value> {
    let mut objects = Vec::new();
    for (name, spec) in [
        ("kube-events-rule-scope", rule_scope(namespace)),
        ("kube-events-rule-labels", rule_labels()),
        ("kube-events-exporter-reach", exporter_reach()),
        ("kube-events-ruler-reach", ruler_reach()),
        ("kube-events-sink-reach", sink_reach()),
    ] {
        objects.push(object(VERSION, "ValidatingAdmissionPolicy", name, json!({"spec": spec})));
        let binding = json!({"spec": {"policyName": name, "validationActions": ["Deny"]}});
        objects.push(object(VERSION, "ValidatingAdmissionPolicyBinding", name, binding));
    }
    for (name, spec) in [
        ("kube-events-exporter-passwords", passwords("exporters", &[WEBHOOKS])),
        ("kube-events-ruler-passwords", passwords("rulers", &[WEBHOOKS, LIST, SINGLE])),
    ] {
        objects.push(object(VERSION, "ValidatingAdmissionPolicy", name, json!({"spec": spec})));
        let binding = json!({"spec": {"policyName": name, "validationActions": ["Warn"]}});
        objects.push(object(VERSION, "ValidatingAdmissionPolicyBinding", name, binding));
    }
    objects
}

fn constraints(resources: &[&str]) -> Value {
    json!({"resourceRules": [{
        "apiGroups": [kube_events_core::crd::GROUP],
        "apiVersions": [kube_events_core::crd::VERSION],
        "operations": ["CREATE", "UPDATE"],
        "resources": resources,
    }]})
}

/// A label's value in CEL, or what counts without it.
fn label(object: &str, label: &str, default: &str) -> String {
    let labels = format!("{object}.metadata.labels");
    format!("(has({labels}) && '{label}' in {labels} ? {labels}['{label}'] : '{default}')")
}

/// Who may write Rules for more than their own namespace is who may write in `namespace`.
fn rule_scope(namespace: &str) -> Value {
    let scope = "variables.scope";
    let of = |object| (label(object, SCOPE_LABEL, "namespace"), label(object, WORKSPACE_LABEL, ""));
    let ((scope_now, workspace_now), (scope_before, workspace_before)) =
        (of("object"), of("oldObject"));
    json!({
        "failurePolicy": "Fail",
        "matchConstraints": constraints(&["rules"]),
        // What was there before a policy can still be changed otherwise, and deleted.
        "matchConditions": [{
            "name": "scope-changes",
            "expression": format!(
                "oldObject == null || {scope_now} != {scope_before} || \
                 {workspace_now} != {workspace_before}"
            ),
        }],
        "variables": [
            {"name": "scope", "expression": scope_now},
            {"name": "workspace", "expression": workspace_now},
        ],
        "validations": [
            {
                "expression": format!("{scope} in ['cluster', 'workspace', 'namespace']"),
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

/// How many labels a Rule has. The operator has those of all Rules in memory, and an object's size is all
/// that bounds them otherwise.
const LABELS: usize = 64;

fn rule_labels() -> Value {
    json!({
        "failurePolicy": "Fail",
        "matchConstraints": constraints(&["rules"]),
        "matchConditions": [{
            "name": "many-labels",
            "expression": format!(
                "has(object.metadata.labels) && size(object.metadata.labels) > {LABELS}"
            ),
        }],
        "validations": [{
            // What was there before the policy can be changed otherwise, and deleted.
            "expression": "oldObject != null && has(oldObject.metadata.labels) && \
                size(oldObject.metadata.labels) >= size(object.metadata.labels)",
            "message": format!("a Rule has {LABELS} labels at most; annotations are for the rest"),
        }],
    })
}

/// How many namespaces of an Exporter are asked for one by one. What a policy may cost in all is enough
/// for 28 questions, and what an expression may cost for two.
const ASKED: usize = 24;

/// An exporter must not show Events to somebody who may not see them.
fn exporter_reach() -> Value {
    let validation = |expression: String, message: String| json!({"expression": expression, "message": message, "reason": "Forbidden"});
    let everywhere = validation(
        format!(
            "size(variables.namespaces) > 0 && size(variables.namespaces) <= {ASKED} || \
             variables.everywhere"
        ),
        format!(
            "whoever creates or changes an Exporter has to be allowed to list the Events that it \
             exports: in all namespaces, or in those that spec.namespaces names, {ASKED} at most"
        ),
    );
    let each = (0..ASKED).map(|index| {
        validation(
            format!(
                "size(variables.namespaces) <= {index} || variables.everywhere || \
                 authorizer.group('').resource('events')\
                 .namespace(variables.namespaces[{index}]).check('list').allowed()"
            ),
            format!(
                "whoever creates or changes an Exporter has to be allowed to list the Events that it \
                 exports: not so in spec.namespaces[{index}]"
            ),
        )
    });
    json!({
        "failurePolicy": "Fail",
        "matchConstraints": constraints(&["exporters"]),
        "matchConditions": [spec_changes()],
        "variables": [
            {
                "name": "namespaces",
                "expression": "has(object.spec.namespaces) ? object.spec.namespaces : []",
            },
            {
                "name": "everywhere",
                "expression": "authorizer.group('').resource('events').check('list').allowed()",
            },
        ],
        "validations": iter::once(everywhere).chain(each).collect::<Value>(),
    })
}

/// A ruler reads the Rules of all namespaces and the namespaces themselves, and gets the Events of all.
/// Several agree by a Lease.
fn ruler_reach() -> Value {
    // What an expression may cost is enough for two questions.
    let validation = |expression: &str, message: &str| {
        json!({
            "expression": expression,
            "message": format!("whoever creates or changes a Ruler has to be allowed to {message}"),
            "reason": "Forbidden",
        })
    };
    json!({
        "failurePolicy": "Fail",
        "matchConstraints": constraints(&["rulers"]),
        "matchConditions": [spec_changes()],
        "variables": [{
            "name": "leases",
            "expression": "authorizer.group('coordination.k8s.io').resource('leases')\
                .namespace(object.metadata.namespace)",
        }],
        "validations": [
            validation(
                "authorizer.group('').resource('events').check('list').allowed() && \
                 authorizer.group('events.kubesphere.io').resource('rules').check('list').allowed()",
                "list Events and Rules in all namespaces, as it sees them",
            ),
            validation(
                "authorizer.group('').resource('namespaces').check('list').allowed()",
                "list namespaces, as it reads their labels",
            ),
            validation(
                "!has(object.spec.replicas) || object.spec.replicas < 2 || \
                 variables.leases.check('create').allowed() && \
                 variables.leases.check('update').allowed()",
                "create and update Leases in its namespace, by which several replicas agree",
            ),
        ],
    })
}

/// Where addresses are: a list of sinks below `spec.sinks` or one sink, and the field of a sink.
struct Addresses {
    field: &'static str,
    is_list: bool,
    of_sink: &'static str,
}

const WEBHOOKS: Addresses = Addresses { field: "webhooks", is_list: true, of_sink: "url" };
const LIST: Addresses = Addresses { field: "alertmanagers", is_list: true, of_sink: "urls" };
const SINGLE: Addresses = Addresses { field: "alertmanager", is_list: false, of_sink: "urls" };

/// Warns of users and passwords in addresses, where everybody sees them who may read the object. The
/// Go project took them, so they are not refused.
fn passwords(resource: &str, places: &[Addresses]) -> Value {
    let validation = |addresses: &Addresses| {
        let Addresses { field, of_sink, .. } = addresses;
        json!({
            "expression": addresses.expression(),
            "message": format!(
                "an address in spec.sinks.{field} names a user, in plain text for all who may read \
                 the object: leave the user out of {of_sink}, and set basicAuth with a password that \
                 is a secretKeyRef"
            ),
        })
    };
    json!({
        "failurePolicy": "Ignore",
        "matchConstraints": constraints(&[resource]),
        "matchConditions": [spec_changes()],
        "validations": places.iter().map(validation).collect::<Value>(),
    })
}

/// How many namespaces of sinks' Services are asked for one by one: each costs two questions.
const LOOKED_UP: usize = 12;

/// The most Services that sinks can name, by their schema: webhooks, `alertmanagers`, `alertmanager`.
const MOST_SERVICES: usize = 32 + 32 + 1;

/// The operator binds the role for looking up Services wherever a sink needs it; nobody must get by
/// the pods' account what they may not do themselves. A policy of its own has a budget of its own.
fn sink_reach() -> Value {
    let may = |namespace: &str| {
        format!(
            "authorizer.group('').resource('services'){namespace}.check('get').allowed() && \
             authorizer.group('discovery.k8s.io').resource('endpointslices'){namespace}\
             .check('list').allowed()"
        )
    };
    let told = "whoever creates or changes an Exporter or a Ruler has to be allowed to get Services \
        and list EndpointSlices where its sinks look them up";
    let few = json!({
        "expression": format!("size(variables.namespaces) <= {LOOKED_UP} || variables.everywhere"),
        "message": format!(
            "{told}: in all namespaces, or in those that the sinks name, {LOOKED_UP} at most"
        ),
        "reason": "Forbidden",
    });
    let each = (0..LOOKED_UP).map(|index| {
        let namespace = format!("variables.namespaces[{index}]");
        json!({
            "expression": format!(
                "size(variables.namespaces) <= {index} || variables.everywhere || {}",
                may(&format!(".namespace({namespace})"))
            ),
            "messageExpression": format!("'{told}: not so in the namespace ' + {namespace}"),
            "reason": "Forbidden",
        })
    });
    json!({
        "failurePolicy": "Fail",
        "matchConstraints": constraints(&["exporters", "rulers"]),
        "matchConditions": [spec_changes()],
        "variables": [
            {
                // Of one type for both kinds, of which one has no Alertmanagers.
                "name": "sinks",
                "expression": "dyn(has(object.spec.sinks) ? object.spec.sinks : {})",
            },
            {
                "name": "services",
                "expression": "(has(variables.sinks.webhooks) ? variables.sinks.webhooks\
                    .filter(sink, has(sink.service) && has(sink.service.port) && \
                    type(sink.service.port) == string).map(sink, sink.service.namespace) : []) + \
                    (has(variables.sinks.alertmanagers) ? variables.sinks.alertmanagers : [])\
                    .filter(sink, has(sink.namespace)).map(sink, sink.namespace) + \
                    (has(variables.sinks.alertmanager) ? [variables.sinks.alertmanager] : [])\
                    .filter(sink, has(sink.namespace)).map(sink, sink.namespace)",
            },
            {
                "name": "namespaces",
                "expression": format!(
                    "{:?}.filter(i, i < size(variables.services) && \
                     variables.services.indexOf(variables.services[i]) == i)\
                     .map(i, variables.services[i])",
                    (0..MOST_SERVICES).collect::<Vec<_>>()
                ),
            },
            {"name": "everywhere", "expression": may("")},
        ],
        "validations": iter::once(few).chain(each).collect::<Value>(),
    })
}

/// The operator takes a finalizer off, and the garbage collector marks; neither asks for more.
fn spec_changes() -> Value {
    json!({
        "name": "spec-changes",
        "expression": "oldObject == null || object.spec != oldObject.spec",
    })
}

// === impl Addresses ===

impl Addresses {
    /// Holds if no address names a user.
    fn expression(&self) -> String {
        let Self { field, is_list, of_sink } = self;
        let sinks = format!("object.spec.sinks.{field}");
        let plain = |address: &str| format!("!{address}.matches('^[^/?#]*//[^/?#]*@')");
        let of = |sink: &str| {
            let value = format!("{sink}.{of_sink}");
            let all = match *of_sink {
                "urls" => format!("{value}.all(url, {})", plain("url")),
                _ => plain(&value),
            };
            format!("!has({value}) || {all}")
        };
        let each = if *is_list { format!("{sinks}.all(sink, {})", of("sink")) } else { of(&sinks) };
        format!("!has(object.spec.sinks) || !has({sinks}) || {each}")
    }
}
