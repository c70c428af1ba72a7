//! The ruler's configuration file.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube_events_core::crd::{RuleLimits, sinks::RulerSinks};
use serde::Deserialize;

/// What a ruler's configuration file holds. Every key may be left out; unknown ones are errors.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RulerConfig {
    /// Which Rules count, by their labels. Default: all.
    pub rule_selector: Option<LabelSelector>,
    /// Which namespaces' Rules count, by the namespaces' labels. Default: all.
    pub rule_namespace_selector: Option<LabelSelector>,
    /// Whether rules with state get to know at the start what happened before. Default: true.
    pub warm_up: Option<bool>,
    /// What rules may ask for.
    pub limits: RuleLimits,
    /// Where notifications and alerts go.
    pub sinks: Option<RulerSinks>,
    /// The name of the cluster, for Events that come without one.
    pub cluster: Option<String>,
}
