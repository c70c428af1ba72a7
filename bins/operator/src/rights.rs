//! What the operator, exporters and rulers may do, and why: the one table from which the bundle's
//! roles, the operator's preflight and the table in docs/operations.md come.

use serde_json::{Value, json};

use crate::{names, takeover::FORMER_WEBHOOKS};

/// A role that the bundle ships.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Role {
    pub(crate) name: &'static str,
    /// Who has it.
    pub(crate) holder: &'static str,
    pub(crate) rights: &'static [Right],
    /// The roles of Kubernetes that it is added to.
    pub(crate) aggregated_to: &'static [&'static str],
}

/// Verbs on resources, and the reason.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Right {
    pub(crate) group: &'static str,
    pub(crate) resources: &'static [&'static str],
    /// The only objects that it is about; none means all.
    pub(crate) names: &'static [&'static str],
    pub(crate) verbs: &'static [&'static str],
    pub(crate) why: &'static str,
    /// The only kind of installation that needs it.
    pub(crate) only: Option<Installed>,
}

/// How far an installation reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Installed {
    Everywhere,
    InOneNamespace,
}

const KEPT: &[&str] = &["get", "list", "watch", "create", "patch", "delete"];
const EVENTS_GROUP: &str = kube_events_core::crd::GROUP;

const fn right(
    group: &'static str,
    resources: &'static [&'static str],
    verbs: &'static [&'static str],
    why: &'static str,
) -> Right {
    Right { group, resources, names: &[], verbs, why, only: None }
}

const fn everywhere(right: Right) -> Right {
    Right { only: Some(Installed::Everywhere), ..right }
}

const fn in_one_namespace(right: Right) -> Right {
    Right { only: Some(Installed::InOneNamespace), ..right }
}

const fn named(names: &'static [&'static str], right: Right) -> Right {
    Right { names, ..right }
}

/// The operator's own.
pub(crate) const OPERATOR: Role = Role {
    name: names::OPERATOR,
    holder: "the operator",
    aggregated_to: &[],
    rights: &[
        right(
            EVENTS_GROUP,
            &["exporters", "rulers"],
            &["get", "list", "watch", "patch"],
            "to see what is asked for, and to take off the Go operator's finalizers",
        ),
        right(EVENTS_GROUP, &["rules"], &["get", "list", "watch"], "to compile them"),
        right(
            EVENTS_GROUP,
            &["exporters/status", "rulers/status", "rules/status"],
            &["patch"],
            "to say how they are",
        ),
        right("apps", &["deployments"], KEPT, "the pods of exporters and rulers"),
        right(
            "",
            &["configmaps", "serviceaccounts", "services"],
            KEPT,
            "their configuration, their identity, and the address of rulers",
        ),
        right("policy", &["poddisruptionbudgets"], KEPT, "for rulers with several replicas"),
        right("networking.k8s.io", &["networkpolicies"], KEPT, "where an object asks for one"),
        right(
            "monitoring.coreos.com",
            &["podmonitors", "prometheusrules"],
            KEPT,
            "where the Prometheus operator is installed",
        ),
        right(
            "rbac.authorization.k8s.io",
            &["rolebindings"],
            KEPT,
            "to give the pods the roles below, in single namespaces",
        ),
        everywhere(right(
            "rbac.authorization.k8s.io",
            &["clusterrolebindings"],
            KEPT,
            "to give the pods the roles below, in all namespaces",
        )),
        everywhere(named(
            &names::BOUND_ROLES,
            right(
                "rbac.authorization.k8s.io",
                &["clusterroles"],
                &["get", "bind"],
                "to bind these roles and no other, and to have their bindings go with them",
            ),
        )),
        in_one_namespace(named(
            &names::BOUND_ROLES,
            right(
                "rbac.authorization.k8s.io",
                &["roles"],
                &["bind"],
                "the same, in a namespaced install, where they are Roles",
            ),
        )),
        everywhere(right(
            "",
            &["namespaces"],
            &["get", "list", "watch"],
            "to tell which Rulers look at a Rule",
        )),
        right("events.k8s.io", &["events"], &["create", "patch"], "to tell what it did"),
        everywhere(named(
            &[FORMER_WEBHOOKS.0],
            right(
                "admissionregistration.k8s.io",
                &["mutatingwebhookconfigurations"],
                &["delete"],
                "the Go project's webhook would refuse every Rule",
            ),
        )),
        everywhere(named(
            &[FORMER_WEBHOOKS.1],
            right(
                "admissionregistration.k8s.io",
                &["validatingwebhookconfigurations"],
                &["delete"],
                "the Go project's webhook would refuse every Rule",
            ),
        )),
    ],
};

/// The operator's in its own namespace.
pub(crate) const ELECTION: Role = Role {
    name: "kube-events-operator-election",
    holder: "the operator, in its own namespace",
    aggregated_to: &[],
    rights: &[
        right("coordination.k8s.io", &["leases"], &["create"], "so that only one operator acts"),
        named(
            &[names::OPERATOR],
            right(
                "coordination.k8s.io",
                &["leases"],
                &["get", "update"],
                "so that only one operator acts",
            ),
        ),
    ],
};

/// The roles that the operator binds.
pub(crate) const BOUND: [Role; 4] = [
    Role {
        name: names::EXPORTER.role,
        holder: "exporters",
        aggregated_to: &[],
        rights: &[
            right("", &["events"], &["list", "watch"], "what they export"),
            right(
                "events.k8s.io",
                &["events"],
                &["list", "watch"],
                "the same, with `eventVersion: eventsv1`",
            ),
            everywhere(named(
                &["kubesphere-system", "ufl-system"],
                right("", &["namespaces"], &["get"], "the cluster's name is their annotation"),
            )),
        ],
    },
    Role {
        name: names::RULER.role,
        holder: "rulers",
        aggregated_to: &[],
        rights: &[
            right(EVENTS_GROUP, &["rules"], &["list", "watch"], "what they evaluate"),
            right(
                "",
                &["events"],
                &["get", "list"],
                "what happened before they started (`warmUp`)",
            ),
            everywhere(right(
                "",
                &["namespaces"],
                &["get", "list", "watch"],
                "their labels say which workspace they are in, and which Rules count",
            )),
        ],
    },
    Role {
        name: names::RULER_LEASE,
        holder: "rulers with several replicas, in their namespace",
        aggregated_to: &[],
        rights: &[right(
            "coordination.k8s.io",
            &["leases"],
            &["get", "create", "update"],
            "so that rules with state remember in one of them; its Lease has the Ruler's name",
        )],
    },
    Role {
        name: names::SERVICE_READER,
        holder: "exporters and rulers, in the namespaces of their sinks' Services",
        aggregated_to: &[],
        rights: &[
            right("", &["services"], &["get"], "to find a port by its name"),
            right(
                "discovery.k8s.io",
                &["endpointslices"],
                &["list"],
                "to find every replica of an Alertmanager",
            ),
        ],
    },
];

/// What people get by the roles that they have already. Exporters and Rulers are not among it.
pub(crate) const PEOPLE: [Role; 2] = [
    Role {
        name: "kube-events-rules-edit",
        holder: "whoever has `admin` or `edit` in a namespace",
        aggregated_to: &["admin", "edit"],
        rights: &[right(
            EVENTS_GROUP,
            &["rules"],
            &["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"],
            "to write the rules of their namespace",
        )],
    },
    Role {
        name: "kube-events-rules-view",
        holder: "whoever has `view` in a namespace",
        aggregated_to: &["view"],
        rights: &[right(
            EVENTS_GROUP,
            &["rules"],
            &["get", "list", "watch"],
            "to read the rules of their namespace",
        )],
    },
];

/// The tables of docs/operations.md.
pub fn permissions() -> String {
    let roles = [&OPERATOR, &ELECTION].into_iter().chain(&BOUND).chain(&PEOPLE);
    roles.map(Role::markdown).collect::<Vec<_>>().join("\n")
}

// === impl Role ===

impl Role {
    /// The rules of a `ClusterRole`, or with `namespaced` of a `Role`.
    pub(crate) fn rules(&self, namespaced: bool) -> Value {
        self.needed(namespaced).map(Right::rule).collect()
    }

    /// What an installation needs.
    pub(crate) fn needed(&self, namespaced: bool) -> impl Iterator<Item = &'static Right> {
        let installed = if namespaced { Installed::InOneNamespace } else { Installed::Everywhere };
        self.rights.iter().filter(move |right| right.only.is_none_or(|only| only == installed))
    }

    /// The role's part of the table in docs/operations.md.
    pub(crate) fn markdown(&self) -> String {
        let head = format!(
            "`{}`: {}\n\n| resources | verbs | why |\n|---|---|---|\n",
            self.name, self.holder
        );
        self.rights.iter().fold(head, |text, right| text + &right.markdown())
    }
}

// === impl Right ===

impl Right {
    fn rule(&self) -> Value {
        let mut rule = json!({
            "apiGroups": [self.group],
            "resources": self.resources,
            "verbs": self.verbs,
        });
        if !self.names.is_empty() {
            rule["resourceNames"] = json!(self.names);
        }
        rule
    }

    fn markdown(&self) -> String {
        let group = if self.group.is_empty() { String::new() } else { format!(".{}", self.group) };
        let of = self.resources.iter().map(|resource| match resource.split_once('/') {
            Some((resource, part)) => format!("`{resource}{group}/{part}`"),
            None => format!("`{resource}{group}`"),
        });
        let of = of.collect::<Vec<_>>().join(", ");
        let names =
            self.names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let only = if names.is_empty() { String::new() } else { format!(", only {names}") };
        format!("| {of}{only} | {} | {} |\n", self.verbs.join(", "), self.why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_right_is_in_the_book_with_its_reason() {
        let book = include_str!("../../../docs/operations.md");
        assert!(book.contains(&permissions()), "docs/operations.md needs\n\n{}", permissions());
    }
}
