//! The custom resources of `events.kubesphere.io/v1alpha1`, and the settings of sinks.
//!
//! | kind | short name | what it asks for |
//! |---|---|---|
#![cfg_attr(
    feature = "kubernetes",
    doc = "| `Exporter` | `ex` | an exporter and its sinks: [`ExporterSpec`] |"
)]
#![cfg_attr(
    feature = "kubernetes",
    doc = "| `Ruler` | `erl` | rulers, the Rules that they look at, and their sinks: [`RulerSpec`] |"
)]
//! | `Rule` | `er` | conditions on Events and what follows from them: [`RuleSpec`] |
//!
//! [`RuleSpec`] and everything in [`sinks`] are plain data that need no Kubernetes crate: a
//! configuration file holds the same types as the resources. The other specs hold pod settings and
//! need the feature `kubernetes`. The feature `crd` adds the resources themselves (`Exporter`,
//! `Ruler`, `Rule`) and `all`, which gives their definitions for an API server.

pub mod defaults;
pub mod duration;
#[cfg(feature = "kubernetes")]
mod exporter;
#[cfg(feature = "crd")]
mod file;
mod limits;
mod port;
mod rule;
#[cfg(feature = "kubernetes")]
mod ruler;
#[cfg(feature = "crd")]
mod schema;
mod secret;
pub mod sinks;
mod size;
mod start;
#[cfg(feature = "kubernetes")]
mod status;
#[cfg(feature = "kubernetes")]
mod workload;

#[cfg(feature = "crd")]
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
#[cfg(feature = "crd")]
use kube::CustomResourceExt;
use serde::{Deserialize, Deserializer};

#[cfg(feature = "crd")]
pub use exporter::Exporter;
#[cfg(feature = "kubernetes")]
pub use exporter::ExporterSpec;
pub use limits::RuleLimits;
pub use port::ServicePort;
#[cfg(feature = "crd")]
pub use rule::Rule;
pub use rule::{Absence, EventRule, RuleSpec, RuleType, Threshold};
#[cfg(feature = "crd")]
pub use ruler::Ruler;
#[cfg(feature = "kubernetes")]
pub use ruler::RulerSpec;
pub use secret::{SecretKeyReference, SecretSource};
pub use size::ByteSize;
pub use start::{CheckpointConfig, StartFrom};
#[cfg(feature = "kubernetes")]
pub use status::{RuleStatus, Status};
#[cfg(feature = "kubernetes")]
pub use workload::{DisruptionBudget, Monitoring, NetworkAccess, Workload};

/// The API group of all three kinds.
pub const GROUP: &str = "events.kubesphere.io";

/// The version of all three kinds.
pub const VERSION: &str = "v1alpha1";

/// The label of a Rule that says how far it reaches: `cluster`, `workspace` or `namespace`.
pub const RULE_SCOPE_LABEL: &str = "kubesphere.io/rule-scope";

/// The label of namespaces, and of Rules of scope `workspace`, that names their workspace.
pub const WORKSPACE_LABEL: &str = "kubesphere.io/workspace";

/// The most rules that one Rule object may hold.
pub const MAX_RULES: u32 = 500;

/// The longest condition of a rule, bytes.
pub const MAX_CONDITION: u64 = 16 << 10;

/// The definitions of all three kinds, as an API server takes them.
#[cfg(feature = "crd")]
pub fn all() -> Vec<CustomResourceDefinition> {
    [Exporter::crd(), Ruler::crd(), Rule::crd()].map(schema::with_quantities).into()
}

/// Reads a collection as Go does: a key without a value (`webhooks:`) is an empty one.
fn null_is_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests;
