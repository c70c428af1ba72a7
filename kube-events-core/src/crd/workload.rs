//! The settings of pods that Exporter and Ruler share.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        core::v1::{
            Affinity, EnvVar, LocalObjectReference, PodSecurityContext, Probe,
            ResourceRequirements, SecurityContext, Toleration, TopologySpreadConstraint, Volume,
            VolumeMount,
        },
        networking::v1::NetworkPolicyPeer,
    },
    apimachinery::pkg::util::intstr::IntOrString,
};
#[cfg(feature = "crd")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[cfg(feature = "crd")]
use super::defaults::TERMINATION_GRACE_PERIOD;

/// The settings of pods that Exporter and Ruler share: the fields that a pod template has too, and
/// the objects around the pods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Workload {
    /// The image of the container. Without it, the one that the operator was installed with, which
    /// also takes the place of images of the Go project (`kubesphere/kube-events-…`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// When the image is pulled. Without it by the image's tag: `Always` for `latest`, else
    /// `IfNotPresent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "crd",
        schemars(extend("enum" = ["Always", "IfNotPresent", "Never"]))
    )]
    pub image_pull_policy: Option<String>,
    /// The Secrets that hold credentials for the image's registry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// Which nodes and neighbours the pods prefer or need.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// The labels that a node must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// The taints of nodes that the pods bear.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    /// How the pods are spread over zones and nodes. A constraint without a `labelSelector` means
    /// the pods of this object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// The priority class of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority_class_name: Option<String>,
    /// Annotations of the pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pod_annotations: BTreeMap<String, String>,
    /// Labels of the pods, beside the operator's own, which win.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pod_labels: BTreeMap<String, String>,
    /// The container's requests and limits. Without any, 20m and 32Mi are requested; this is not
    /// written into the object, where it would stay beside limits that are set later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Environment variables of the container, beside its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvVar>,
    /// Volumes of the pod, beside its own, of which `config` is one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(
        feature = "crd",
        schemars(extend("x-kubernetes-validations" = super::schema::volumes()))
    )]
    pub volumes: Vec<Volume>,
    /// Where the container sees the volumes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volume_mounts: Vec<VolumeMount>,
    /// How long the pods may take to end, seconds. Default: 30.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(range(min = 0), extend("default" = TERMINATION_GRACE_PERIOD)))]
    pub termination_grace_period_seconds: Option<i64>,
    /// When the container is started anew. Without it, when `/healthz` does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness_probe: Option<Probe>,
    /// When the container is ready. Without it, when `/readyz` says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness_probe: Option<Probe>,
    /// The pod's security context. Without it, what the *restricted* Pod Security Standard asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_context: Option<PodSecurityContext>,
    /// The container's security context. Without it, what the *restricted* Pod Security Standard asks
    /// for, and a root file system that cannot be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_security_context: Option<SecurityContext>,
    /// A `NetworkPolicy` for the pods. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_policy: Option<NetworkAccess>,
    /// A `PodDisruptionBudget` for the pods. Without it there is one for two replicas and more: one
    /// pod at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_disruption_budget: Option<DisruptionBudget>,
    /// What the Prometheus operator is told, where its custom resources are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitoring: Option<Monitoring>,
}

/// Who may connect to the pods, by a `NetworkPolicy`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkAccess {
    /// Who may connect to port 8443, beside the exporters' pods, which may reach rulers. The
    /// kubelet's probes are always let through.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<NetworkPolicyPeer>,
}

/// How many pods may be missing on purpose, as in a `PodDisruptionBudget`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(JsonSchema))]
#[cfg_attr(
    feature = "crd",
    schemars(extend("x-kubernetes-validations" = [{
        "rule": "has(self.minAvailable) != has(self.maxUnavailable)",
        "message": "exactly one of minAvailable and maxUnavailable has to be set",
    }]))
)]
#[serde(rename_all = "camelCase", default)]
pub struct DisruptionBudget {
    /// The number or percentage of pods that must be there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_available: Option<IntOrString>,
    /// The number or percentage of pods that may be missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<IntOrString>,
}

/// A `PodMonitor` and a `PrometheusRule` for the pods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Monitoring {
    /// Whether there are any. Default: `true`.
    pub enabled: bool,
    /// Labels of both objects, for the selectors of a Prometheus: `release: kube-prometheus-stack`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

// === impl Monitoring ===

impl Default for Monitoring {
    fn default() -> Self {
        Self { enabled: true, labels: BTreeMap::new() }
    }
}
