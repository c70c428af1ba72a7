//! Names that others rely on: those of the Go project's objects, and labels.

/// Who the operator is in `managedFields` and in the label of what it makes.
pub(crate) const OPERATOR: &str = "kube-events-operator";

/// The label by which what the operator makes is found.
pub(crate) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// Labels of bindings, which cannot always name their object as owner.
pub(crate) const OWNER_KIND: &str = "events.kubesphere.io/owner-kind";
pub(crate) const OWNER_NAMESPACE: &str = "events.kubesphere.io/owner-namespace";
pub(crate) const OWNER_NAME: &str = "events.kubesphere.io/owner-name";

/// The annotation that holds a hash of what was applied last, so that a field that is no longer
/// wanted is noticed without a write.
pub(crate) const APPLIED: &str = "events.kubesphere.io/applied";

/// The port of exporters and rulers, and its name.
pub(crate) const PORT: u16 = 8443;
pub(crate) const PORT_NAME: &str = "http";

/// The name of a binding to a role, for an object.
pub(crate) fn binding(role: &str, kind: &str, namespace: &str, name: &str) -> String {
    format!("{role}:{}:{namespace}:{name}", kind.to_lowercase())
}

/// A kind of program, by the names that the Go project's operator gave to its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    /// The kind of the custom resource.
    pub(crate) kind: &'static str,
    /// The container, and the label of pods that holds the object's name.
    pub(crate) container: &'static str,
    /// The folder of everything that is mounted.
    pub(crate) folder: &'static str,
    /// The key of the `ConfigMap` and the name of the file.
    pub(crate) config: &'static str,
    /// The role that the bundle ships for its pods.
    pub(crate) role: &'static str,
}

pub(crate) const EXPORTER: Program = Program {
    kind: "Exporter",
    container: "events-exporter",
    folder: "/etc/events-exporter",
    config: "events-exporter.yaml",
    role: "kube-events-exporter",
};

pub(crate) const RULER: Program = Program {
    kind: "Ruler",
    container: "events-ruler",
    folder: "/etc/events-ruler",
    config: "events-ruler.yaml",
    role: "kube-events-ruler",
};

/// The role for looking up the Services that sinks name, bound in their namespaces.
pub(crate) const SERVICE_READER: &str = "kube-events-service-reader";

/// The role for agreeing on the active one of several rulers, bound in their namespace.
pub(crate) const RULER_LEASE: &str = "kube-events-ruler-lease";

/// Every role that the operator may bind.
pub(crate) const BOUND_ROLES: [&str; 4] = [EXPORTER.role, RULER.role, RULER_LEASE, SERVICE_READER];
