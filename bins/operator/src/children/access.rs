//! What the pods may do: bindings to the roles that the bundle ships.

use std::collections::BTreeSet;

use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding};
use kube::core::{ApiResource, Resource};
use serde_json::{Value, json};

use super::{Child, Invalid, Ownership, Parent, merge};
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
///
/// # Errors
///
/// When a namespaced install would have to look up a port in another namespace. An Alertmanager whose
/// port is a number is then found by the name of its Service in the DNS.
pub(super) fn services(parent: &Parent<'_>, sinks: &Value) -> Result<Vec<Child>, Invalid> {
    let settings = parent.settings;
    let mut namespaces = BTreeSet::new();
    for (field, service, is_looked_up) in services_of(sinks) {
        let Some(namespace) = service["namespace"].as_str() else { continue };
        if !settings.namespaced || namespace == settings.namespace {
            namespaces.extend(is_looked_up.then(|| namespace.to_owned()));
        } else if let Some(port) = service["port"].as_str() {
            return Err(Invalid(format!(
                "{field}.port: {port} has to be a number, as this operator has no rights to look it \
                 up in the namespace {namespace}"
            )));
        }
    }
    let bind =
        |namespace: &String| binding::<RoleBinding>(parent, Some(namespace), names::SERVICE_READER);
    Ok(namespaces.iter().map(bind).collect())
}

/// The Services that sinks name: each with its field, and whether it is looked up at all.
fn services_of(sinks: &Value) -> Vec<(String, &Value, bool)> {
    let list = |key: &str| sinks[key].as_array().into_iter().flatten().enumerate();
    let replicas = list("alertmanagers")
        .map(|(place, sink)| (format!("sinks.alertmanagers[{place}]"), sink, true))
        .chain(Some(("sinks.alertmanager".to_owned(), &sinks["alertmanager"], true)));
    let webhooks = list("webhooks").map(|(place, sink)| {
        let service = &sink["service"];
        let field = format!("sinks.webhooks[{place}].service");
        (field, service, service["port"].is_string())
    });
    replicas.chain(webhooks).collect()
}

/// The binding that lets several rulers agree on one.
pub(super) fn lease(parent: &Parent<'_>) -> Child {
    binding::<RoleBinding>(parent, Some(parent.namespace), names::RULER_LEASE)
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
