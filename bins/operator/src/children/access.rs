//! What the pods may do: bindings to the roles that the bundle ships.

use std::collections::BTreeSet;

use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding};
use kube::core::{ApiResource, Resource};
use serde_json::{Value, json};

use super::{Child, Ownership, Parent, merge};
use crate::names;

/// Where a program looks.
pub(super) enum Reach {
    /// Everywhere.
    Cluster,
    /// In these namespaces.
    Namespaces(Vec<String>),
}

/// The bindings to the program's own role.
pub(super) fn bindings(parent: &Parent<'_>, reach: &Reach) -> Vec<Child> {
    let role = parent.program.role;
    match reach {
        Reach::Cluster => vec![binding::<ClusterRoleBinding>(parent, None, role)],
        Reach::Namespaces(namespaces) => {
            let namespaces: BTreeSet<_> = namespaces.iter().collect();
            let bind = |namespace: &String| binding::<RoleBinding>(parent, Some(namespace), role);
            namespaces.into_iter().map(bind).collect()
        }
    }
}

/// The bindings that let sinks look up Services: an Alertmanager's replicas, and ports by name.
pub(super) fn services(parent: &Parent<'_>, sinks: &Value) -> Vec<Child> {
    let mut namespaces = BTreeSet::new();
    let list = |key: &str| sinks[key].as_array().into_iter().flatten();
    for sink in list("alertmanagers").chain(Some(&sinks["alertmanager"])) {
        namespaces.extend(sink["namespace"].as_str());
    }
    for service in list("webhooks").map(|sink| &sink["service"]) {
        if service["port"].is_string() {
            namespaces.extend(service["namespace"].as_str());
        }
    }
    // A namespaced operator has no say elsewhere; the Service is then found by its name in the DNS.
    let settings = parent.settings;
    namespaces.retain(|namespace| !settings.namespaced || *namespace == settings.namespace);
    let bind = |namespace| binding::<RoleBinding>(parent, Some(namespace), names::SERVICE_READER);
    namespaces.into_iter().map(bind).collect()
}

fn binding<K: Resource<DynamicType = ()>>(
    parent: &Parent<'_>,
    namespace: Option<&str>,
    role: &'static str,
) -> Child {
    let namespaced = parent.settings.namespaced;
    let mut labels = parent.labels();
    merge(
        &mut labels,
        json!({
            names::OWNER_KIND: parent.program.kind,
            names::OWNER_NAMESPACE: parent.namespace,
            names::OWNER_NAME: parent.name,
        }),
    );
    // A namespaced install ships Roles, and all that it binds is in the object's own namespace.
    let (role_kind, ownership) = if namespaced {
        ("Role", Ownership::Object)
    } else {
        ("ClusterRole", Ownership::Role(role))
    };
    Child {
        resource: ApiResource::erase::<K>(&()),
        namespace: namespace.map(str::to_owned),
        name: names::binding(role, parent.program.kind, parent.namespace, parent.name),
        ownership,
        object: Some(json!({
            "metadata": {"labels": labels},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": role_kind,
                "name": role,
            },
            "subjects": [{
                "kind": "ServiceAccount",
                "name": parent.name,
                "namespace": parent.namespace,
            }],
        })),
    }
}
