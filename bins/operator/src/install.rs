//! Everything that installs the operator: what `kube-events bundle` prints.

mod policies;

use anyhow::Context as _;
use kube_events_core::crd;
use serde_json::{Value, json};

use crate::{
    names::{OPERATOR, PORT, PORT_NAME},
    rights::{self, Role},
    settings::{NAMESPACE, default_image},
};

/// How the operator is installed.
#[derive(Clone, Debug)]
pub struct Installation {
    /// Its namespace.
    pub namespace: String,
    /// Whether it gets rights in that namespace only. Custom resources and policies, which no
    /// namespace holds, are left out then.
    pub namespaced: bool,
    /// The operator's image.
    pub image: String,
    /// The image of exporters whose object names none.
    pub exporter_image: String,
    /// The image of rulers whose object names none.
    pub ruler_image: String,
}

// === impl Installation ===

impl Default for Installation {
    fn default() -> Self {
        Self {
            namespace: NAMESPACE.to_owned(),
            namespaced: false,
            image: default_image("operator"),
            exporter_image: default_image("exporter"),
            ruler_image: default_image("ruler"),
        }
    }
}

impl Installation {
    /// The objects, in the order in which they have to be created.
    ///
    /// # Errors
    ///
    /// If a definition has no form in JSON, which would be a mistake of ours.
    pub fn objects(&self) -> anyhow::Result<Vec<Value>> {
        let mut objects = Vec::new();
        if !self.namespaced {
            for definition in crd::all() {
                objects.push(serde_json::to_value(definition).context("a definition")?);
            }
            objects.push(json!({
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": self.namespace},
            }));
        }
        objects.push(self.own("v1", "ServiceAccount", OPERATOR, json!({})));
        objects.extend(self.roles());
        if !self.namespaced {
            objects.extend(policies::objects(&self.namespace));
        }
        objects.push(self.deployment());
        Ok(objects)
    }

    fn roles(&self) -> Vec<Value> {
        let mut objects = vec![self.role(&rights::OPERATOR)];
        objects.extend(rights::BOUND.iter().map(|role| self.role(role)));
        if !self.namespaced {
            objects.extend(rights::PEOPLE.iter().map(|role| self.role(role)));
        }
        let election = json!({"rules": rights::ELECTION.rules(true)});
        objects.push(self.own(RBAC, "Role", rights::ELECTION.name, election));
        let kind = if self.namespaced { "RoleBinding" } else { "ClusterRoleBinding" };
        let own =
            self.binding(kind, OPERATOR, if self.namespaced { "Role" } else { "ClusterRole" });
        objects.push(own);
        objects.push(self.binding("RoleBinding", rights::ELECTION.name, "Role"));
        objects
    }

    fn role(&self, role: &Role) -> Value {
        let rules = json!({"rules": role.rules(self.namespaced)});
        if self.namespaced {
            return self.own(RBAC, "Role", role.name, rules);
        }
        let mut object = object(RBAC, "ClusterRole", role.name, rules);
        for target in role.aggregated_to {
            let label = format!("rbac.authorization.k8s.io/aggregate-to-{target}");
            object["metadata"]["labels"][label] = json!("true");
        }
        object
    }

    fn binding(&self, kind: &str, name: &str, role_kind: &str) -> Value {
        let fields = json!({
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role_kind, "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": OPERATOR, "namespace": self.namespace}],
        });
        match kind {
            "ClusterRoleBinding" => object(RBAC, kind, name, fields),
            _ => self.own(RBAC, kind, name, fields),
        }
    }

    /// The Deployment has the name, the selector and the container of the Go project's, so that it
    /// takes its place.
    fn deployment(&self) -> Value {
        let selector = json!({"app": OPERATOR});
        let probe = |path: &str| json!({"httpGet": {"path": path, "port": PORT_NAME}});
        let container = json!({
            "name": "events-operator",
            "image": self.image,
            "args": self.arguments(),
            "env": [{
                "name": "POD_NAMESPACE",
                "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}},
            }],
            "ports": [{"name": PORT_NAME, "containerPort": PORT, "protocol": "TCP"}],
            "livenessProbe": probe("/healthz"),
            "readinessProbe": probe("/readyz"),
            "resources": {
                "requests": {"cpu": "10m", "memory": "32Mi"},
                "limits": {"memory": "128Mi"},
            },
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": true,
            },
        });
        self.own(
            "apps/v1",
            "Deployment",
            OPERATOR,
            json!({"spec": {
                "replicas": 1,
                "selector": {"matchLabels": selector},
                "template": {
                    "metadata": {"labels": selector},
                    "spec": {
                        "serviceAccountName": OPERATOR,
                        "securityContext": {
                            "runAsNonRoot": true,
                            "seccompProfile": {"type": "RuntimeDefault"},
                        },
                        "containers": [container],
                    },
                },
            }}),
        )
    }

    /// The namespace is the pod's own, so that a kustomization can move all of it by one line.
    fn arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        if self.namespaced {
            arguments.push("--namespace=$(POD_NAMESPACE)".to_owned());
        }
        for (program, image) in [("exporter", &self.exporter_image), ("ruler", &self.ruler_image)] {
            if *image != default_image(program) {
                arguments.push(format!("--{program}-image={image}"));
            }
        }
        arguments
    }

    fn own(&self, version: &str, kind: &str, name: &str, fields: Value) -> Value {
        let mut object = object(version, kind, name, fields);
        object["metadata"]["namespace"] = json!(self.namespace);
        object
    }
}

const RBAC: &str = "rbac.authorization.k8s.io/v1";

fn object(version: &str, kind: &str, name: &str, fields: Value) -> Value {
    let mut object = json!({
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name, "labels": {"app.kubernetes.io/part-of": "kube-events"}},
    });
    if let (Value::Object(object), Value::Object(fields)) = (&mut object, fields) {
        object.extend(fields);
    }
    object
}
