//! How far the rules of one object reach.

use std::collections::BTreeMap;

/// The label that says which scope a Rule object claims: `cluster`, `workspace` or `namespace`.
pub const SCOPE_LABEL: &str = "kubesphere.io/rule-scope";

/// The label that names a workspace: of a Rule object the one it is for, of a namespace the one it
/// belongs to.
pub const WORKSPACE_LABEL: &str = "kubesphere.io/workspace";

/// Which Events a rule sees, by the namespace of the object that they are about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// Every Event.
    Cluster,
    /// The Events of the namespaces of one workspace.
    Workspace(String),
    /// The Events of one namespace.
    Namespace(String),
}

/// Why a Rule object has no scope, and so none of its rules counts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScopeError {
    /// A tenant's namespace cannot give itself a wider scope.
    #[error(
        "scope `{scope}` counts only in the namespace `{rules_namespace}`: create it there, or set \
         the label {SCOPE_LABEL} to `namespace`"
    )]
    WrongPlace {
        /// The scope that was claimed.
        scope: String,
        /// Where it would count.
        rules_namespace: String,
    },
    /// In the rules namespace a forgotten label would silently narrow a rule to that namespace.
    #[error(
        "here the label {SCOPE_LABEL} is needed: set it to `cluster`, `workspace` or `namespace`"
    )]
    Unlabelled,
    /// A workspace scope that does not say which.
    #[error("scope `workspace` needs the label {WORKSPACE_LABEL} with the workspace's name")]
    NoWorkspace,
    /// Another text.
    #[error("there is no scope `{0}`: use `cluster`, `workspace` or `namespace`")]
    Unknown(String),
}

// === impl Scope ===

impl Scope {
    /// The more namespaces it may have, the more.
    pub(crate) fn breadth(&self) -> u8 {
        match self {
            Self::Namespace(_) => 0,
            Self::Workspace(_) => 1,
            Self::Cluster => 2,
        }
    }

    /// The scope of a Rule object with these labels in this namespace.
    ///
    /// `rules_namespace` is the only one whose objects may reach beyond it. An object without the
    /// label [`SCOPE_LABEL`] reaches its own namespace.
    ///
    /// # Errors
    /// If the labels claim what they cannot have, or nothing that is known.
    pub fn of(
        labels: &BTreeMap<String, String>,
        namespace: &str,
        rules_namespace: &str,
    ) -> Result<Self, ScopeError> {
        let claimed = labels.get(SCOPE_LABEL).map(String::as_str);
        let trusted = namespace == rules_namespace;
        match claimed {
            Some("namespace") => Ok(Self::Namespace(namespace.to_owned())),
            None if !trusted => Ok(Self::Namespace(namespace.to_owned())),
            None => Err(ScopeError::Unlabelled),
            Some(scope @ ("cluster" | "workspace")) if !trusted => Err(ScopeError::WrongPlace {
                scope: scope.to_owned(),
                rules_namespace: rules_namespace.to_owned(),
            }),
            Some("cluster") => Ok(Self::Cluster),
            Some("workspace") => match labels.get(WORKSPACE_LABEL) {
                Some(workspace) if !workspace.is_empty() => Ok(Self::Workspace(workspace.clone())),
                _ => Err(ScopeError::NoWorkspace),
            },
            Some(other) => Err(ScopeError::Unknown(other.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(labels: &[(&str, &str)], namespace: &str) -> Result<Scope, ScopeError> {
        let labels = labels.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
        Scope::of(&labels, namespace, "system")
    }

    #[test]
    fn a_tenant_reaches_no_further_than_its_namespace() {
        let own = Ok(Scope::Namespace("shop".into()));
        assert_eq!(scope(&[], "shop"), own);
        assert_eq!(scope(&[(SCOPE_LABEL, "namespace")], "shop"), own);
        for wide in ["cluster", "workspace"] {
            let error = scope(&[(SCOPE_LABEL, wide), (WORKSPACE_LABEL, "w")], "shop").unwrap_err();
            assert!(error.to_string().contains("`system`"), "{error}");
        }
    }

    #[test]
    fn the_rules_namespace_reaches_as_far_as_the_labels_say() {
        assert_eq!(scope(&[(SCOPE_LABEL, "cluster")], "system"), Ok(Scope::Cluster));
        let workspace = [(SCOPE_LABEL, "workspace"), (WORKSPACE_LABEL, "w")];
        assert_eq!(scope(&workspace, "system"), Ok(Scope::Workspace("w".into())));
        assert_eq!(scope(&workspace[..1], "system"), Err(ScopeError::NoWorkspace));
        assert_eq!(scope(&[], "system"), Err(ScopeError::Unlabelled));
        assert_eq!(
            scope(&[(SCOPE_LABEL, "namespace")], "system"),
            Ok(Scope::Namespace("system".into()))
        );
    }

    #[test]
    fn a_scope_that_does_not_exist_is_told() {
        let unknown = Err(ScopeError::Unknown("Cluster".into()));
        assert_eq!(scope(&[(SCOPE_LABEL, "Cluster")], "system"), unknown);
    }
}
