//! The exporter's configuration file.

use std::path::PathBuf;

use kube_events_core::{crd::sinks::ExporterSinks, source::Start};
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

/// Where a sink begins that has no checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StartFrom {
    /// With everything that the API server still has.
    #[default]
    Held,
    /// With what happens from now on.
    Now,
}

/// A place for checkpoints.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CheckpointConfig {
    /// A file; its folder must be there, and outlive the process.
    pub file: PathBuf,
}

impl From<StartFrom> for Start {
    fn from(from: StartFrom) -> Self {
        match from {
            StartFrom::Held => Self::Held,
            StartFrom::Now => Self::Now,
        }
    }
}
