//! `Ruler`: rulers, the Rules that they look at, and their sinks.

#![cfg_attr(
    feature = "crd",
    allow(clippy::duplicated_attributes, reason = "several columns have the same type")
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
#[cfg(feature = "crd")]
use kube::CustomResource;
#[cfg(feature = "crd")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[cfg(feature = "crd")]
use super::defaults::{REPLICAS, WARM_UP};
use super::{RuleLimits, Workload, sinks::RulerSinks};

/// Rulers: their pods, the Rules that they look at, and where notifications and alerts go.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(CustomResource, JsonSchema))]
#[cfg_attr(
    feature = "crd",
    kube(
        group = "events.kubesphere.io",
        version = "v1alpha1",
        kind = "Ruler",
        doc = "Rulers of Events: their pods, their Rules and their sinks.",
        plural = "rulers",
        shortname = "erl",
        category = "kube-events",
        namespaced,
        derive = "PartialEq",
        status = "crate::crd::Status",
        // What has such a name from before has to let its finalizers be taken off.
        validation = kube::core::Rule::new("oldSelf.hasValue() || size(self.metadata.name) <= 63")
            .optional_old_self(true)
            .message("the name becomes a label of the pods, and may have 63 characters at most"),
        validation = kube::core::Rule::new(
            "oldSelf.hasValue() || self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')"
        )
        .optional_old_self(true)
        .message(
            "the name becomes that of a Service: lower-case letters, digits and dashes, a letter first"
        ),
        printcolumn(name = "Replicas", type_ = "integer", json_path = ".status.replicas"),
        printcolumn(name = "Ready", type_ = "integer", json_path = ".status.readyReplicas"),
        printcolumn(
            name = "Available",
            type_ = "string",
            json_path = r#".status.conditions[?(@.type=="Available")].status"#
        ),
        printcolumn(
            name = "Degraded",
            type_ = "string",
            json_path = r#".status.conditions[?(@.type=="Degraded")].reason"#
        ),
        printcolumn(
            name = "Message",
            type_ = "string",
            json_path = r#".status.conditions[?(@.type=="Degraded")].message"#,
            priority = 1
        ),
        printcolumn(name = "Image", type_ = "string", json_path = ".status.image", priority = 1),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    )
)]
#[serde(rename_all = "camelCase")]
pub struct RulerSpec {
    /// How many pods there are. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(range(min = 0, max = 100), extend("default" = REPLICAS)))]
    pub replicas: Option<i32>,
    /// The settings of the pods.
    #[serde(flatten)]
    pub workload: Workload,
    /// The name of the cluster, for Events that come without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(length(max = 253)))]
    pub cluster: Option<String>,
    /// The namespaces whose Rules count. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule_namespace_selector: Option<LabelSelector>,
    /// The Rules that count. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule_selector: Option<LabelSelector>,
    /// Whether rules with state get to know, when a ruler starts, what happened before, from the Events
    /// that the API server still holds. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(extend("default" = WARM_UP)))]
    pub warm_up: Option<bool>,
    /// What rules may ask for, where that is not what usually counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<RuleLimits>,
    /// Where notifications and alerts are delivered; without it, nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sinks: Option<RulerSinks>,
}
