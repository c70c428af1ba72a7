//! `Exporter`: an exporter and its sinks.

#![cfg_attr(
    feature = "crd",
    allow(clippy::duplicated_attributes, reason = "several columns have the same type")
)]

#[cfg(feature = "crd")]
use kube::CustomResource;
#[cfg(feature = "crd")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[cfg(feature = "crd")]
use super::defaults::EVENT_VERSION;
use super::{CheckpointConfig, StartFrom, Workload, sinks::ExporterSinks};

/// An exporter: its pod, and where it delivers the cluster's Events.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(CustomResource, JsonSchema))]
#[cfg_attr(
    feature = "crd",
    kube(
        group = "events.kubesphere.io",
        version = "v1alpha1",
        kind = "Exporter",
        doc = "An exporter of Events: its pod and its sinks.",
        plural = "exporters",
        shortname = "ex",
        category = "kube-events",
        namespaced,
        derive = "PartialEq",
        status = "crate::crd::Status",
        // What has such a name from before has to let its finalizers be taken off.
        validation = kube::core::Rule::new("oldSelf.hasValue() || size(self.metadata.name) <= 63")
            .optional_old_self(true)
            .message("the name becomes a label of the pods, and may have 63 characters at most"),
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
pub struct ExporterSpec {
    /// The settings of the pod.
    #[serde(flatten)]
    pub workload: Workload,
    /// The name of the cluster, which each Event is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(length(max = 253)))]
    pub cluster: Option<String>,
    /// The API whose form Events are delivered in. Default: `corev1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(extend("enum" = ["corev1", "eventsv1"], "default" = EVENT_VERSION)))]
    pub event_version: Option<String>,
    /// Where a sink begins that has no checkpoint. Default: `held`.
    #[serde(default, skip_serializing_if = "StartFrom::is_default")]
    #[cfg_attr(feature = "crd", schemars(extend("default" = StartFrom::default())))]
    pub start_from: StartFrom,
    /// Where the sinks' positions are kept over a restart. Default: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<CheckpointConfig>,
    /// The namespaces whose Events are exported. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(
        feature = "crd",
        schemars(
            length(max = 100),
            inner(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")),
            extend("x-kubernetes-list-type" = "set")
        )
    )]
    pub namespaces: Vec<String>,
    /// Only Events with these labels, as `kubectl --selector` takes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(length(max = 4096)))]
    pub label_selector: Option<String>,
    /// Only Events with these fields, as `kubectl --field-selector` takes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(length(max = 4096)))]
    pub field_selector: Option<String>,
    /// Where Events are delivered; without it, nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sinks: Option<ExporterSinks>,
}
