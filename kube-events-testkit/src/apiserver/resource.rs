//! The table of resources that the server knows.

/// How objects of a resource look on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A built-in type: `kind`, `apiVersion`, `metadata`, then the rest; items of a list lack the
    /// first two.
    Typed,
    /// `events.k8s.io/v1`: stored as a core Event, converted on the way in and out.
    EventsV1,
    /// A custom resource: keys in alphabetical order, items of a list are complete.
    Custom,
}

/// One row of the table of resources.
///
/// Rows with the same [`storage`](Resource::storage) are two faces of the same objects, as the
/// Events of `v1` and `events.k8s.io/v1` are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "columns of a table, not a state")]
pub struct Resource {
    /// API group, empty for the core group.
    pub group: &'static str,
    /// API version, for example `v1`.
    pub version: &'static str,
    /// Name in paths, for example `events`.
    pub plural: &'static str,
    /// Name of one, for example `event`.
    pub singular: &'static str,
    /// Kind of an object, for example `Event`.
    pub kind: &'static str,
    /// Short names that `kubectl` knows.
    pub short_names: &'static [&'static str],
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Whether there is a `/status` subresource.
    pub status: bool,
    /// Whether `PUT` creates what does not exist, as it does for Events and Leases.
    pub put_creates: bool,
    /// Whether the real server keeps a watch cache, and so sends bookmarks.
    pub watch_cache: bool,
    /// Fields that a field selector may name besides `metadata.name` and `metadata.namespace`.
    pub selectable: &'static [&'static str],
    /// Look of the objects.
    pub form: Form,
    /// Name of the storage that holds the objects.
    pub storage: &'static str,
}

impl Resource {
    /// A custom resource with a `/status` subresource, to be added to a server by
    /// [`Builder::resource`](crate::Builder::resource).
    pub const fn custom(
        group: &'static str,
        version: &'static str,
        plural: &'static str,
        singular: &'static str,
        kind: &'static str,
        short_names: &'static [&'static str],
    ) -> Self {
        Self {
            group,
            version,
            plural,
            singular,
            kind,
            short_names,
            namespaced: true,
            status: true,
            put_creates: false,
            watch_cache: true,
            selectable: &[],
            form: Form::Custom,
            storage: plural,
        }
    }

    /// A built-in namespaced resource without subresources.
    pub const fn typed(
        group: &'static str,
        version: &'static str,
        plural: &'static str,
        singular: &'static str,
        kind: &'static str,
        short_names: &'static [&'static str],
    ) -> Self {
        Self {
            status: false,
            form: Form::Typed,
            ..Self::custom(group, version, plural, singular, kind, short_names)
        }
    }

    /// `v1` or `group/version`.
    pub fn api_version(&self) -> String {
        match self.group {
            "" => self.version.to_owned(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// `events` or `leases.coordination.k8s.io`, as messages name a resource.
    pub(crate) fn qualified(&self) -> String {
        match self.group {
            "" => self.plural.to_owned(),
            group => format!("{}.{group}", self.plural),
        }
    }

    /// Whether an update may leave out which version it is of. Those that carry a compare-and-swap
    /// must not.
    pub(crate) fn allows_unconditional_update(&self) -> bool {
        self.form != Form::Custom && self.group != "coordination.k8s.io"
    }

    pub(crate) fn is_event(&self) -> bool {
        self.storage == EVENTS
    }
}

/// Storage of Events.
pub(crate) const EVENTS: &str = "events";
/// Storage of Namespaces.
pub(crate) const NAMESPACES: &str = "namespaces";

const EVENT_FIELDS: &[&str] = &[
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];

const EVENT_V1_FIELDS: &[&str] = &[
    "regarding.kind",
    "regarding.namespace",
    "regarding.name",
    "regarding.uid",
    "regarding.apiVersion",
    "regarding.resourceVersion",
    "regarding.fieldPath",
    "reason",
    "reportingController",
    "type",
];

const KUBESPHERE: &str = "events.kubesphere.io";

const fn rbac(plural: &'static str, singular: &'static str, kind: &'static str) -> Resource {
    Resource::typed("rbac.authorization.k8s.io", "v1", plural, singular, kind, &[])
}

const fn webhooks(plural: &'static str, singular: &'static str, kind: &'static str) -> Resource {
    Resource {
        namespaced: false,
        ..Resource::typed("admissionregistration.k8s.io", "v1", plural, singular, kind, &[])
    }
}

/// What every server starts with.
pub(crate) const RESOURCES: &[Resource] = &[
    Resource::typed("", "v1", "configmaps", "configmap", "ConfigMap", &["cm"]),
    Resource {
        put_creates: true,
        watch_cache: false,
        selectable: EVENT_FIELDS,
        ..Resource::typed("", "v1", EVENTS, "event", "Event", &["ev"])
    },
    Resource {
        namespaced: false,
        status: true,
        selectable: &["status.phase"],
        ..Resource::typed("", "v1", NAMESPACES, "namespace", "Namespace", &["ns"])
    },
    Resource::typed("", "v1", "secrets", "secret", "Secret", &[]),
    Resource::typed("", "v1", "serviceaccounts", "serviceaccount", "ServiceAccount", &["sa"]),
    Resource {
        status: true,
        ..Resource::typed("", "v1", "services", "service", "Service", &["svc"])
    },
    Resource {
        status: true,
        ..Resource::typed("apps", "v1", "deployments", "deployment", "Deployment", &["deploy"])
    },
    webhooks(
        "mutatingwebhookconfigurations",
        "mutatingwebhookconfiguration",
        "MutatingWebhookConfiguration",
    ),
    webhooks(
        "validatingwebhookconfigurations",
        "validatingwebhookconfiguration",
        "ValidatingWebhookConfiguration",
    ),
    Resource {
        namespaced: false,
        status: true,
        ..Resource::typed(
            "apiextensions.k8s.io",
            "v1",
            "customresourcedefinitions",
            "customresourcedefinition",
            "CustomResourceDefinition",
            &["crd", "crds"],
        )
    },
    Resource {
        put_creates: true,
        ..Resource::typed("coordination.k8s.io", "v1", "leases", "lease", "Lease", &[])
    },
    Resource::typed(
        "discovery.k8s.io",
        "v1",
        "endpointslices",
        "endpointslice",
        "EndpointSlice",
        &[],
    ),
    Resource {
        put_creates: true,
        watch_cache: false,
        selectable: EVENT_V1_FIELDS,
        form: Form::EventsV1,
        ..Resource::typed("events.k8s.io", "v1", EVENTS, "event", "Event", &["ev"])
    },
    Resource::typed(
        "networking.k8s.io",
        "v1",
        "networkpolicies",
        "networkpolicy",
        "NetworkPolicy",
        &["netpol"],
    ),
    Resource {
        status: true,
        ..Resource::typed(
            "policy",
            "v1",
            "poddisruptionbudgets",
            "poddisruptionbudget",
            "PodDisruptionBudget",
            &["pdb"],
        )
    },
    rbac("roles", "role", "Role"),
    rbac("rolebindings", "rolebinding", "RoleBinding"),
    Resource { namespaced: false, ..rbac("clusterroles", "clusterrole", "ClusterRole") },
    Resource {
        namespaced: false,
        ..rbac("clusterrolebindings", "clusterrolebinding", "ClusterRoleBinding")
    },
    Resource::custom(KUBESPHERE, "v1alpha1", "exporters", "exporter", "Exporter", &["ex"]),
    Resource::custom(KUBESPHERE, "v1alpha1", "rulers", "ruler", "Ruler", &["erl"]),
    Resource::custom(KUBESPHERE, "v1alpha1", "rules", "rule", "Rule", &["er"]),
];
