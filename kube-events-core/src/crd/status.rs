//! What the operator says of a resource.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
#[cfg(feature = "crd")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the operator last saw of an Exporter or a Ruler.
///
/// | condition | true when |
/// |---|---|
/// | `Available` | at least one pod is ready |
/// | `Progressing` | a change is on its way to the pods |
/// | `Degraded` | something is wrong, which its message tells |
/// | `Restricted` | the pods pass the *restricted* Pod Security Standard |
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// The `metadata.generation` that the conditions speak of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The image that the pods run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// How many pods there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// How many of them are ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_replicas: Option<i32>,
    /// What holds and what does not, one entry a type.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(
        feature = "crd",
        schemars(extend(
            "x-kubernetes-list-type" = "map",
            "x-kubernetes-list-map-keys" = ["type"]
        ))
    )]
    pub conditions: Vec<Condition>,
}

/// What the operator last saw of a Rule.
///
/// | condition | true when |
/// |---|---|
/// | `Accepted` | the object has a scope and all its conditions compile; else the message shows where not |
/// | `Programmed` | a Ruler with a pod that is ready evaluates those of its rules that count; reason `PartlyProgrammed` if not all of them do |
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct RuleStatus {
    /// The `metadata.generation` that the conditions speak of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What holds and what does not, one entry a type.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(
        feature = "crd",
        schemars(extend(
            "x-kubernetes-list-type" = "map",
            "x-kubernetes-list-map-keys" = ["type"]
        ))
    )]
    pub conditions: Vec<Condition>,
}
