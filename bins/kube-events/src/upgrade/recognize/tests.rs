//! Objects of the shape that the bundle, the chart and the operator of the Go project leave.

use serde_json::json;

use super::*;

fn object(value: Value) -> DynamicObject {
    serde_json::from_value(value).unwrap()
}

/// The object with one value changed.
fn but(object: &DynamicObject, pointer: &str, value: Value) -> DynamicObject {
    let mut changed = serde_json::to_value(object).unwrap();
    *changed.pointer_mut(pointer).expect(pointer) = value;
    self::object(changed)
}

/// What the chart puts on everything.
fn labels() -> Value {
    json!({"helm.sh/chart": "kube-events-0.4.2", "app.kubernetes.io/managed-by": "Helm"})
}

fn webhooks_that(does: &str) -> DynamicObject {
    let path = format!("/{does}-events-kubesphere-io-v1alpha1-rule");
    object(json!({
        "metadata": {"name": format!("kube-events-admission-{does}")},
        "webhooks": [{
            "name": "rule.kb.io",
            "failurePolicy": "Fail",
            "clientConfig": {"service": {
                "name": "kube-events-admission", "namespace": "logging", "path": path,
            }},
            "rules": [{
                "apiGroups": [GROUP], "apiVersions": ["v1alpha1"],
                "operations": ["CREATE", "UPDATE"], "resources": ["rules"], "scope": "*",
            }],
        }],
    }))
}

fn operator() -> DynamicObject {
    object(json!({
        "metadata": {"name": "ks-events-operator", "namespace": "logging"},
        "spec": {"template": {"spec": {
            "containers": [{
                "name": "events-operator",
                "args": ["--config-reloader-image=reloader:1"],
            }],
            "volumes": [{"name": "cert", "secret": {"secretName": "ks-events-admission"}}],
        }}},
    }))
}

fn service() -> DynamicObject {
    object(json!({
        "metadata": {"name": "kube-events-admission"},
        "spec": {
            "ports": [{"port": 443, "targetPort": 9443, "protocol": "TCP"}],
            "selector": {"app": "kube-events-operator"},
        },
    }))
}

/// A Secret with something that has the names of a certificate where a certificate has them.
fn secret(subject: &str) -> DynamicObject {
    let der = BASE64_STANDARD.encode(format!("\x30\x0c{subject}\x30\x0d"));
    let pem = format!("-----BEGIN CERTIFICATE-----\n{der}\n-----END CERTIFICATE-----\n");
    object(json!({
        "metadata": {"name": "kube-events-admission"},
        "type": "Opaque",
        "data": {"tls.crt": BASE64_STANDARD.encode(pem), "tls.key": "a2V5"},
    }))
}

fn role_of_operator() -> DynamicObject {
    object(json!({
        "metadata": {"name": "ks-events-operator", "labels": labels()},
        "rules": [
            {"apiGroups": [GROUP], "resources": ["exporters"], "verbs": ["update"]},
            {
                "apiGroups": ["rbac.authorization.k8s.io"],
                "resources": ["clusterroles"],
                "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"],
            },
        ],
    }))
}

fn role_of_ruler() -> DynamicObject {
    let read = ["get", "list", "watch"];
    object(json!({
        "metadata": {
            "name": "shop-alerts",
            "labels": {"events-ruler": "alerts", "events-ruler-ns": "shop"},
        },
        "rules": [
            {"apiGroups": [GROUP], "resources": ["rules"], "verbs": read},
            {"apiGroups": [""], "resources": ["namespaces"], "verbs": read},
        ],
    }))
}

fn binding_of_ruler() -> DynamicObject {
    object(json!({
        "metadata": {
            "name": "shop-alerts",
            "labels": {"events-ruler": "alerts", "events-ruler-ns": "shop"},
        },
        "roleRef": {"kind": "ClusterRole", "name": "shop-alerts"},
        "subjects": [{"kind": "ServiceAccount", "name": "alerts", "namespace": "shop"}],
    }))
}

fn binding_of_operator() -> DynamicObject {
    object(json!({
        "metadata": {"name": "ks-events-operator", "labels": labels()},
        "roleRef": {"kind": "ClusterRole", "name": "ks-events-operator"},
        "subjects": [
            {"kind": "ServiceAccount", "name": "ks-events-operator", "namespace": "logging"},
        ],
    }))
}

#[test]
fn webhooks_are_known_by_what_they_call_and_for_what() {
    for does in ["mutate", "validate"] {
        let its = webhooks_that(does);
        assert_eq!(webhooks(&its).as_deref(), Some("logging"));
        for (pointer, value) in [
            ("/metadata/name", json!("admission")),
            ("/webhooks/0/clientConfig/service/path", json!("/mutate")),
            ("/webhooks/0/clientConfig/service/name", json!("kube-events-policy")),
            ("/webhooks/0/rules/0/apiGroups", json!([GROUP, "apps"])),
            ("/webhooks/0/rules/0/resources", json!(["*"])),
            ("/webhooks", json!([])),
        ] {
            assert_eq!(webhooks(&but(&its, pointer, value)), None, "{pointer}");
        }
        let mut both = its.clone();
        let other = json!({"name": "policy", "clientConfig": {"service": {"name": "policy"}}});
        both.data["webhooks"].as_array_mut().unwrap().push(other);
        assert_eq!(webhooks(&both), None);
    }
}

#[test]
fn an_operator_is_known_by_its_reloader_which_ours_does_not_have() {
    assert!(is_former(&operator()));
    for (pointer, value) in [
        ("/metadata/name", json!("ks-events")),
        ("/spec/template/spec/containers/0/name", json!("manager")),
        ("/spec/template/spec/containers/0/args", json!(["--namespace=logging"])),
    ] {
        assert!(!is_former(&but(&operator(), pointer, value)), "{pointer}");
    }
}

#[test]
fn our_operator_runs_when_a_pod_is_ready() {
    let ours = |status: Value| {
        let metadata =
            json!({"name": OPERATOR, "labels": {"app.kubernetes.io/part-of": "kube-events"}});
        object(json!({"metadata": metadata, "status": status}))
    };
    assert!(ours_runs(&ours(json!({"availableReplicas": 1}))));
    for status in [json!({}), json!({"replicas": 1, "availableReplicas": 0})] {
        assert!(is_ours(&ours(status.clone())) && !ours_runs(&ours(status)));
    }
}

#[test]
fn our_operator_is_known_by_its_label_and_has_no_reloader() {
    let former = but(&operator(), "/metadata", json!({"name": OPERATOR}));
    let metadata =
        json!({"name": OPERATOR, "labels": {"app.kubernetes.io/part-of": "kube-events"}});
    let applied = but(&former, "/metadata", metadata);
    let ours = but(&applied, "/spec/template/spec/containers/0/args", json!([]));
    assert!(is_ours(&ours));
    for other in [former, applied, but(&ours, "/metadata/labels", json!({}))] {
        assert!(!is_ours(&other), "{other:?}");
    }
}

#[test]
fn the_webhooks_service_is_known_by_its_selector_and_ports() {
    assert!(is_service(&service()));
    for (pointer, value) in [
        ("/metadata/name", json!("ks-events-admission")),
        ("/spec/selector/app", json!("policy")),
        ("/spec/ports/0/targetPort", json!("https")),
    ] {
        assert!(!is_service(&but(&service(), pointer, value)), "{pointer}");
    }

    let metadata = json!({"name": "ks-events-admission", "labels": labels()});
    let of_chart = but(&service(), "/metadata", metadata);
    let of_chart = but(&of_chart, "/spec/selector/app", json!("ks-events-operator"));
    assert!(is_service(&of_chart));
    assert!(!is_service(&but(&of_chart, "/metadata/labels", json!({}))));
}

#[test]
fn the_webhooks_secret_is_known_by_the_name_in_its_certificate() {
    let its = secret("kube-events-admission.logging.svc");
    assert!(is_secret(&its));
    assert!(!is_secret(&secret("policy.logging.svc")));
    assert!(!is_secret(&but(&its, "/metadata/name", json!("ks-events-admission"))));
    let of_chart = json!({"name": "ks-events-admission", "labels": labels()});
    let of_chart = but(&secret("ks-events-admission.logging.svc"), "/metadata", of_chart);
    assert!(is_secret(&of_chart));
    assert!(!is_secret(&but(&of_chart, "/metadata/labels", json!({}))));
    let data = its.data["data"].clone();
    let more = json!({"tls.crt": data["tls.crt"], "tls.key": "", "password": ""});
    let less = json!({"tls.crt": data["tls.crt"]});
    let broken = json!({"tls.crt": "!", "tls.key": ""});
    for data in [more, less, broken, json!(null)] {
        assert!(!is_secret(&but(&its, "/data", data.clone())), "{data}");
    }
}

#[test]
fn what_a_deployment_or_a_pod_mounts_or_runs_under_is_used() {
    let mut operator = operator();
    operator.data["spec"]["template"]["spec"]["serviceAccountName"] = json!("account");
    let pod = object(json!({"metadata": {}, "spec": pod_of(&operator)}));
    for user in [operator, pod] {
        assert!(uses(&user, "ks-events-admission"));
        assert!(uses(&user, "account"));
        assert!(!uses(&user, "kube-events-admission"));
    }
}

#[test]
fn what_an_operator_had_is_known_by_its_chart_and_is_not_ours() {
    let account = object(json!({"metadata": {"name": "ks-events-operator", "labels": labels()}}));
    let binds = |it: &DynamicObject| is_binding(it, "logging");
    for (its, is_its) in [
        (account, &is_account as &dyn Fn(&DynamicObject) -> bool),
        (role_of_operator(), &is_role),
        (binding_of_operator(), &binds),
    ] {
        assert!(is_its(&its), "{its:?}");
        for (pointer, value) in [
            ("/metadata/name", json!(OPERATOR)),
            ("/metadata/name", json!("ks-events")),
            ("/metadata/labels", json!({})),
            ("/metadata/labels/helm.sh~1chart", json!("policy-1.0.0")),
            ("/metadata/labels/helm.sh~1chart", json!("kube-events-router-1.0.0")),
        ] {
            assert!(!is_its(&but(&its, pointer, value)), "{pointer} {its:?}");
        }
    }
}

#[test]
fn rights_of_an_operator_are_known_by_how_far_they_reach() {
    for (pointer, value) in [
        ("/rules/1/resources", json!(["roles"])),
        ("/rules/1/verbs", json!(["get"])),
        ("/rules/1/apiGroups", json!([""])),
    ] {
        assert!(!is_role(&but(&role_of_operator(), pointer, value)), "{pointer}");
    }
    assert!(!is_binding(&binding_of_operator(), "shop"));
    for (pointer, value) in [
        ("/roleRef/name", json!("cluster-admin")),
        ("/subjects/0/kind", json!("User")),
        ("/subjects/0/namespace", json!("shop")),
    ] {
        let other = but(&binding_of_operator(), pointer, value);
        assert!(!is_binding(&other, "logging"), "{pointer}");
    }
}

#[test]
fn rights_of_pods_are_known_by_labels_and_by_what_they_allow() {
    let owner = Owner { kind: "Ruler".into(), namespace: "shop".into(), name: "alerts".into() };
    assert_eq!(owner_of_role(&role_of_ruler()).as_ref(), Some(&owner));
    for (pointer, value) in [
        ("/metadata/name", json!("shop-reports")),
        ("/metadata/labels/events-ruler-ns", json!("other")),
        ("/metadata/labels", json!({"events-exporter": "alerts", "events-exporter-ns": "shop"})),
        ("/rules/0/verbs", json!(["get", "list", "watch", "delete"])),
        ("/rules/1/resources", json!(["namespaces", "secrets"])),
        ("/rules/1", json!({"nonResourceURLs": ["/metrics"], "verbs": ["get"]})),
    ] {
        let other = but(&role_of_ruler(), pointer, value);
        assert_eq!(owner_of_role(&other), None, "{pointer}");
    }

    assert_eq!(owner_of_binding(&binding_of_ruler()), Some(owner));
    for (pointer, value) in [
        ("/metadata/name", json!("shop-reports")),
        ("/roleRef/name", json!("view")),
        ("/subjects/0/name", json!("somebody")),
        ("/subjects/0/namespace", json!("other")),
        ("/subjects/0/kind", json!("User")),
    ] {
        let other = but(&binding_of_ruler(), pointer, value);
        assert_eq!(owner_of_binding(&other), None, "{pointer}");
    }
}

#[test]
fn names_of_the_bundle_and_of_its_operators_making_are_noticed() {
    let named = |name: &str| object(json!({"metadata": {"name": name}}));
    assert!(is_namesake(&role_of_ruler()));
    assert!(is_namesake(&named("kube-events-admission")));
    assert!(is_namesake(&named("kube-events-admission-mutate")));
    assert!(!is_namesake(&named("kube-events-admission-policy")));
    assert!(!is_namesake(&named("shop-alerts")));
}

#[test]
fn an_object_is_well_when_our_operator_says_so() {
    let with = |status: &Value| object(json!({"metadata": {}, "status": status}));
    let degraded = |status: &str| json!({"conditions": [{"type": "Degraded", "status": status}]});
    assert!(is_well(&with(&degraded("False"))));
    assert!(!is_well(&with(&degraded("True"))));
    assert!(!is_well(&with(&json!({}))));
}
