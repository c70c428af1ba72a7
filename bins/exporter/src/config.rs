//! The exporter's configuration file.

use kube_events_core::crd::{CheckpointConfig, StartFrom, sinks::ExporterSinks};
use serde::Deserialize;

/// What an exporter's configuration file holds. Every key may be left out; unknown ones are errors.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ExporterConfig {
    /// Where Events go.
    pub sinks: Option<ExporterSinks>,
    /// The name of the cluster, which each Event is given.
    pub cluster: Option<String>,
    /// Where a sink begins that has no checkpoint.
    pub start_from: StartFrom,
    /// Where the sinks' positions are kept over a restart. Default: nowhere.
    pub checkpoint: Option<CheckpointConfig>,
    /// The namespaces whose Events are exported. Default: all.
    pub namespaces: Vec<String>,
    /// Only Events with these labels, as `kubectl --selector` takes it.
    pub label_selector: Option<String>,
    /// Only Events with these fields, as `kubectl --field-selector` takes it.
    pub field_selector: Option<String>,
}
