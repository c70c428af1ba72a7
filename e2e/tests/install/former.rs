//! What the Go project leaves in a cluster, in the shape of its bundle (`config/bundle.yaml`) and of what its operator
//! makes (`pkg/controllers`). Its exporter and ruler are played by ours, which read the same configuration.

use anyhow::{Context as _, Result};
use e2e::Cluster;
use serde_json::{Value, json};

use crate::NAMESPACE;

const OPERATOR: &str = "kube-events-operator";
const ADMISSION: &str = "kube-events-admission";
const GROUP: &str = "events.kubesphere.io";
const VERSION: &str = "events.kubesphere.io/v1alpha1";

/// Installs it, and waits for nothing.
pub(crate) fn install(cluster: &Cluster) -> Result<()> {
    let objects = [
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}),
        definition("Exporter", "ex"),
        definition("Ruler", "erl"),
        definition("Rule", "er"),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": own(OPERATOR)}),
        json!({
            "apiVersion": RBAC, "kind": "ClusterRole", "metadata": {"name": OPERATOR},
            "rules": [{"apiGroups": ["*"], "resources": ["clusterroles"], "verbs": ["*"]}],
        }),
        binding(OPERATOR, OPERATOR),
        certificate()?,
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": own(ADMISSION),
            "spec": {"selector": {"app": OPERATOR}, "ports": [{"port": 443, "targetPort": 9443}]},
        }),
        operator(),
    ];
    for object in &objects {
        cluster.apply(object)?;
    }
    for kind in ["exporters", "rulers", "rules"] {
        let condition = "--for=condition=Established --timeout=60s";
        cluster.shell(&format!("kubectl wait {condition} crd/{kind}.{GROUP}"))?;
    }
    let sinks = json!({"stdout": {}, "webhooks": [{"service": {
        "namespace": NAMESPACE, "name": "events-ruler", "port": 8443, "path": "/events",
    }}]});
    managed(cluster, "Exporter", &json!({"sinks": sinks}), "get,list,watch events")?;
    let sinks = json!({"alertmanager": {
        "namespace": "kubesphere-monitoring-system", "name": "alertmanager-operated",
    }});
    let spec = json!({"replicas": 2, "sinks": sinks});
    managed(cluster, "Ruler", &spec, &format!("get,list,watch rules.{GROUP},namespaces"))?;
    // Beyond what the Go project's ruler needed, for the one that plays it.
    cluster.shell(&format!(
        "kubectl -n kubesphere-monitoring-system create rolebinding former --clusterrole=view \
         --serviceaccount={NAMESPACE}:events-ruler"
    ))?;
    cluster.shell("kubectl apply -f deploy/samples/rules.yaml")?;
    for (kind, does) in
        [("MutatingWebhookConfiguration", "mutate"), ("ValidatingWebhookConfiguration", "validate")]
    {
        cluster.apply(&webhook(kind, does))?;
    }
    Ok(())
}

/// The real one has a key, too.
pub(crate) fn certificate() -> Result<Value> {
    let name = format!("{ADMISSION}.{NAMESPACE}.svc");
    let certificate = rcgen::generate_simple_self_signed([name])?.cert.pem();
    Ok(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": own(ADMISSION),
        "stringData": {"tls.key": "", "tls.crt": certificate},
    }))
}

const RBAC: &str = "rbac.authorization.k8s.io/v1";

fn own(name: &str) -> Value {
    json!({"name": name, "namespace": NAMESPACE})
}

/// One version, structural, and without the subresource `status`, of which nothing is kept. Of a spec all is kept
/// here: the real schema has the fields that this project's has, too, and wants little more than an image.
fn definition(kind: &str, short: &str) -> Value {
    let singular = kind.to_lowercase();
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{singular}s.{GROUP}"),
            "annotations": {"controller-gen.kubebuilder.io/version": "v0.4.1"},
        },
        "spec": {
            "group": GROUP, "scope": "Namespaced",
            "names": {
                "kind": kind, "listKind": format!("{kind}List"),
                "plural": format!("{singular}s"), "singular": singular, "shortNames": [short],
            },
            "versions": [{
                "name": "v1alpha1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {
                    "type": "object", "required": ["spec"],
                    "properties": {
                        "apiVersion": {"type": "string"},
                        "kind": {"type": "string"},
                        "metadata": {"type": "object"},
                        "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                        "status": {"type": "object"},
                    },
                }},
            }],
        },
    })
}

fn binding(name: &str, account: &str) -> Value {
    json!({
        "apiVersion": RBAC, "kind": "ClusterRoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}],
    })
}

fn operator() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": own(OPERATOR),
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": OPERATOR}},
            "template": {
                "metadata": {"labels": {"app": OPERATOR}},
                "spec": {
                    "serviceAccountName": OPERATOR,
                    "containers": [{
                        "name": "events-operator",
                        "image": "kubesphere/kube-events-operator:latest",
                        "args": ["--config-reloader-image=jimmidyson/configmap-reload:v0.3.0"],
                        "env": [{
                            "name": "POD_NAMESPACE",
                            "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}},
                        }],
                        "ports": [{"name": "webhook-server", "containerPort": 9443}],
                        "volumeMounts": [{
                            "name": "cert", "mountPath": "/tmp/k8s-webhook-server/serving-certs",
                            "readOnly": true,
                        }],
                    }],
                    "volumes": [{"name": "cert", "secret": {"secretName": ADMISSION}}],
                },
            },
        },
    })
}

fn webhook(kind: &str, does: &str) -> Value {
    let path = format!("/{does}-events-kubesphere-io-v1alpha1-rule");
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
        "metadata": {"name": format!("{ADMISSION}-{does}")},
        "webhooks": [{
            "name": "rule.kb.io", "failurePolicy": "Fail", "sideEffects": "None",
            "admissionReviewVersions": ["v1beta1"],
            "clientConfig": {"service": {
                "name": ADMISSION, "namespace": NAMESPACE, "path": path,
            }},
            "rules": [{
                "apiGroups": [GROUP], "apiVersions": ["v1alpha1"], "resources": ["rules"],
                "operations": ["CREATE", "UPDATE"],
            }],
        }],
    })
}

/// An Exporter or a Ruler, and what the Go project's operator makes of it. `rights` are verbs and resources.
fn managed(cluster: &Cluster, kind: &str, spec: &Value, rights: &str) -> Result<()> {
    let program = kind.to_lowercase();
    let name = format!("events-{program}");
    let mut spec = spec.clone();
    spec["image"] = json!(format!("kubesphere/kube-events-{program}:v0.6.0"));
    spec["resources"] = json!({});
    cluster.apply(&json!({
        "apiVersion": VERSION, "kind": kind, "metadata": own(&name), "spec": spec,
    }))?;
    let finalizer = json!({"metadata": {"finalizers": [format!("{program}s.finalizer.{GROUP}")]}});
    cluster.shell(&format!(
        "kubectl -n {NAMESPACE} patch {program}s.{GROUP} {name} --type=merge \
         --field-manager={OPERATOR} -p '{finalizer}'"
    ))?;
    let uid = format!(
        "kubectl -n {NAMESPACE} get {program}s.{GROUP} {name} -o jsonpath={{.metadata.uid}}"
    );
    let uid = cluster.shell(&uid)?;
    let mut labels = json!({ name.as_str(): name });
    let mut metadata = own(&name);
    metadata["labels"] = labels.clone();
    metadata["ownerReferences"] = json!([{
        "apiVersion": VERSION, "kind": kind, "name": name, "uid": uid, "controller": true,
        "blockOwnerDeletion": true,
    }]);
    labels["app"] = json!(name);
    let (verbs, resources) = rights.split_once(' ').context("verbs and resources")?;
    let role = format!("{NAMESPACE}-{name}");
    for (kind, rights) in [
        ("clusterrole", format!("--verb={verbs} --resource={resources}")),
        ("clusterrolebinding", format!("--clusterrole={role} --serviceaccount={NAMESPACE}:{name}")),
    ] {
        cluster.shell(&format!(
            "kubectl create {kind} {role} {rights} --field-manager={OPERATOR} -o yaml --dry-run=client |
             kubectl label -f - --local -o yaml {name}={name} {name}-ns={NAMESPACE} |
             kubectl create --field-manager={OPERATOR} -f -"
        ))?;
    }
    let config = json!({format!("{name}.yaml"): json!({"sinks": spec["sinks"]}).to_string()});
    let mut objects = vec![
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": config}),
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
            "spec": {
                "replicas": spec.get("replicas").unwrap_or(&json!(1)),
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod(&name, &spec["image"])},
            },
        }),
    ];
    if kind == "Ruler" {
        objects.push(json!({
            "apiVersion": "v1", "kind": "Service", "metadata": metadata,
            "spec": {
                "clusterIP": "None", "selector": labels,
                "ports": [{"name": "http", "port": 8443, "targetPort": 8443}],
            },
        }));
    }
    for object in &objects {
        let create = format!("kubectl create --field-manager={OPERATOR} -f -");
        cluster.shell_with(&create, &object.to_string())?;
    }
    Ok(())
}

fn pod(name: &str, image: &Value) -> Value {
    let folder = format!("/etc/{name}/config");
    let mounts = json!([{"name": "config", "mountPath": folder, "readOnly": true}]);
    json!({
        "serviceAccountName": name,
        "volumes": [{"name": "config", "configMap": {"name": name}}],
        "containers": [
            {
                "name": name, "image": image, "volumeMounts": mounts,
                "args": [format!("--config.file={folder}/{name}.yaml")],
            },
            {
                "name": "config-reloader", "image": "jimmidyson/configmap-reload:v0.3.0",
                "args": [
                    format!("--volume-dir={folder}"),
                    "--webhook-url=http://127.0.0.1:8443/-/reload",
                ],
                "resources": {"limits": {"cpu": "100m", "memory": "50Mi"}},
                "volumeMounts": mounts,
            },
        ],
    })
}
