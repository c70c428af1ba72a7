//! What goes on in a cluster, told in Events.

use rand::rngs::SmallRng;

use crate::draft::Reference;
use crate::tale::Tale;

/// A kind of story.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scenario {
    /// A container starts, fails and is started again, more and more slowly.
    CrashLoop,
    /// A pod finds no node for a while.
    FailedScheduling,
    /// A probe fails until the container is killed.
    ProbeFailures,
    /// A node runs short of a resource and evicts a pod, or the kernel kills a process.
    Eviction,
    /// A deployment rolls out a new `ReplicaSet`.
    Rollout,
    /// A node stops answering, and comes back.
    NodeNotReady,
    /// A job fails for good.
    JobFailure,
    /// An image cannot be pulled.
    ImagePullFailure,
    /// A volume cannot be mounted.
    VolumeMountFailure,
}

/// Who reports an Event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reporter {
    Kubelet,
    Scheduler,
    Deployments,
    ReplicaSets,
    Jobs,
    Nodes,
    Kernel,
}

impl Reporter {
    pub(crate) fn component(self) -> &'static str {
        match self {
            Self::Kubelet => "kubelet",
            Self::Scheduler => "default-scheduler",
            Self::Deployments => "deployment-controller",
            Self::ReplicaSets => "replicaset-controller",
            Self::Jobs => "job-controller",
            Self::Nodes => "node-controller",
            Self::Kernel => "kernel-monitor",
        }
    }

    pub(crate) fn manager(self) -> &'static str {
        match self {
            Self::Kubelet => "kubelet",
            Self::Scheduler => "kube-scheduler",
            Self::Kernel => "node-problem-detector",
            _ => "kube-controller-manager",
        }
    }

    pub(crate) fn is_new_style(self) -> bool {
        self == Self::Scheduler
    }

    pub(crate) fn has_host(self) -> bool {
        matches!(self, Self::Kubelet | Self::Kernel)
    }

    /// What a reporter of the new style did when it reports `reason`.
    pub(crate) fn action(self, reason: &str) -> &'static str {
        match reason {
            _ if !self.is_new_style() => "",
            "Scheduled" => "Binding",
            _ => "Scheduling",
        }
    }
}

/// One Event of a story; a slot that comes again is the same Event, counted on.
#[derive(Debug, Clone)]
pub(crate) struct Beat {
    pub(crate) slot: usize,
    pub(crate) object: Reference,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    pub(crate) warning: bool,
    pub(crate) reporter: Reporter,
    pub(crate) host: String,
}

impl Scenario {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::CrashLoop,
        Self::FailedScheduling,
        Self::ProbeFailures,
        Self::Eviction,
        Self::Rollout,
        Self::NodeNotReady,
        Self::JobFailure,
        Self::ImagePullFailure,
        Self::VolumeMountFailure,
    ];

    pub(crate) fn tell(self, random: &mut SmallRng) -> Vec<Beat> {
        let mut tale = Tale::new(random);
        match self {
            Self::CrashLoop => tale.crash_loop(),
            Self::FailedScheduling => tale.failed_scheduling(),
            Self::ProbeFailures => tale.probe_failures(),
            Self::Eviction => tale.eviction(),
            Self::Rollout => tale.rollout(),
            Self::NodeNotReady => tale.node_not_ready(),
            Self::JobFailure => tale.job_failure(),
            Self::ImagePullFailure => tale.image_pull_failure(),
            Self::VolumeMountFailure => tale.volume_mount_failure(),
        }
        tale.beats
    }
}
