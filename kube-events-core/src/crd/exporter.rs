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

use super::{Workload, sinks::ExporterSinks};

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
        printcolumn(name = "Image", type_ = "string", json_path = ".spec.image", priority = 1),
        printcolumn(
            name = "Ready",
            type_ = "string",
            json_path = r#".status.conditions[?(@.type=="Ready")].status"#
        ),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    )
)]
#[serde(rename_all = "camelCase")]
pub struct ExporterSpec {
    /// The settings of the pod.
    #[serde(flatten)]
    pub workload: Workload,
    /// Where Events are delivered; without it, nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sinks: Option<ExporterSinks>,
}
