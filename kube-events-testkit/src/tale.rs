//! Stories, Event by Event, with the words of the components that report them.

use rand::Rng;
use rand::rngs::SmallRng;

use crate::apiserver::{suffix, uuid};
use crate::draft::Reference;
use crate::scenario::{Beat, Reporter};

const NAMESPACES: &[&str] =
    &["payments", "checkout", "web-prod", "data-platform", "monitoring", "kube-system", "default"];
const APPS: &[&str] = &[
    "orders-api",
    "cart",
    "frontend",
    "search-indexer",
    "billing-worker",
    "auth",
    "metrics-agent",
];
const CONTAINERS: &[&str] = &["app", "server", "worker", "main"];

/// A story in the making, with the people in it.
pub(crate) struct Tale<'a> {
    random: &'a mut SmallRng,
    namespace: &'static str,
    app: &'static str,
    container: &'static str,
    hash: String,
    image: String,
    node: String,
    pub(crate) beats: Vec<Beat>,
}

impl<'a> Tale<'a> {
    pub(crate) fn new(random: &'a mut SmallRng) -> Self {
        let app = pick(random, APPS);
        let tag = format!(
            "v{}.{}.{}",
            random.random_range(1..4),
            random.random_range(0..20),
            random.random_range(0..40)
        );
        Self {
            namespace: pick(random, NAMESPACES),
            app,
            container: pick(random, CONTAINERS),
            hash: suffix(random) + &suffix(random),
            image: format!("registry.example.com/{app}:{tag}"),
            node: format!(
                "ip-10-0-{}-{}.ec2.internal",
                random.random_range(0..8),
                random.random_range(2..250)
            ),
            random,
            beats: Vec::new(),
        }
    }

    // === who ===

    fn reference(
        &mut self,
        kind: &'static str,
        api_version: &'static str,
        name: String,
    ) -> Reference {
        Reference {
            kind,
            namespace: self.namespace.to_owned(),
            name,
            uid: uuid(self.random.random()),
            api_version,
            resource_version: self.random.random_range(100_000_000..900_000_000_u64).to_string(),
            field_path: String::new(),
        }
    }

    fn pod(&mut self) -> Reference {
        let name = format!("{}-{}-{}", self.app, self.hash, suffix(self.random));
        self.reference("Pod", "v1", name)
    }

    fn in_container(&self, pod: &Reference) -> Reference {
        Reference { field_path: format!("spec.containers{{{}}}", self.container), ..pod.clone() }
    }

    fn node(&mut self) -> Reference {
        let uid = self.node.clone();
        Reference {
            kind: "Node",
            name: self.node.clone(),
            uid,
            api_version: "v1",
            ..Reference::default()
        }
    }

    // === what ===

    /// Adds an Event in a slot of its own, which is returned.
    fn add(
        &mut self,
        reporter: Reporter,
        object: &Reference,
        reason: &'static str,
        warning: bool,
        message: impl Into<String>,
    ) -> usize {
        let slot = self.beats.iter().map(|beat| beat.slot + 1).max().unwrap_or(0);
        let host = match reporter {
            Reporter::Kubelet | Reporter::Kernel => self.node.clone(),
            Reporter::Scheduler => "default-scheduler-control-plane-0".to_owned(),
            _ => String::new(),
        };
        let message = message.into();
        self.beats.push(Beat {
            slot,
            object: object.clone(),
            reason,
            message,
            warning,
            reporter,
            host,
        });
        slot
    }

    fn normal(
        &mut self,
        object: &Reference,
        reason: &'static str,
        message: impl Into<String>,
    ) -> usize {
        self.add(Reporter::Kubelet, object, reason, false, message)
    }

    fn warning(
        &mut self,
        object: &Reference,
        reason: &'static str,
        message: impl Into<String>,
    ) -> usize {
        self.add(Reporter::Kubelet, object, reason, true, message)
    }

    /// The Event of a slot happens again.
    fn again(&mut self, slot: usize) {
        let beat = self.beats.iter().rfind(|beat| beat.slot == slot).cloned();
        self.beats.extend(beat);
    }

    fn all_again(&mut self, slots: &[usize]) {
        for slot in slots {
            self.again(*slot);
        }
    }

    fn times(&mut self, range: std::ops::Range<u32>) -> u32 {
        self.random.random_range(range)
    }

    fn scheduled(&mut self, pod: &Reference) {
        let message =
            format!("Successfully assigned {}/{} to {}", pod.namespace, pod.name, self.node);
        self.add(Reporter::Scheduler, pod, "Scheduled", false, message);
    }

    fn pulled(&mut self, container: &Reference) -> usize {
        let (image, time) = (self.image.clone(), self.times(200..9_000));
        self.normal(container, "Pulling", format!("Pulling image \"{image}\""));
        let message = format!(
            "Successfully pulled image \"{image}\" in {time}ms ({time}ms including waiting). \
             Image size: {} bytes.",
            self.times(9_000_000..400_000_000)
        );
        self.normal(container, "Pulled", message)
    }

    fn started(&mut self, container: &Reference) -> [usize; 2] {
        let name = self.container;
        [
            self.normal(container, "Created", format!("Created container: {name}")),
            self.normal(container, "Started", format!("Started container {name}")),
        ]
    }

    // === the stories ===

    pub(crate) fn crash_loop(&mut self) {
        let pod = self.pod();
        let container = self.in_container(&pod);
        self.scheduled(&pod);
        self.pulled(&container);
        let present = format!("Container image \"{}\" already present on machine", self.image);
        let pulled = self.normal(&container, "Pulled", present);
        let [created, started] = self.started(&container);
        let message = format!(
            "Back-off restarting failed container {} in pod {}_{}({})",
            self.container, pod.name, pod.namespace, pod.uid
        );
        let back_off = self.warning(&container, "BackOff", message);
        for round in 0..self.times(4..14) {
            if round % 3 == 0 {
                self.all_again(&[pulled, created, started]);
            }
            self.again(back_off);
        }
    }

    pub(crate) fn failed_scheduling(&mut self) {
        let pod = self.pod();
        let nodes = self.times(3..60);
        let message = format!(
            "0/{nodes} nodes are available: {nodes} Insufficient cpu. preemption: 0/{nodes} nodes \
             are available: {nodes} No preemption victims found for incoming pod."
        );
        let failed = self.add(Reporter::Scheduler, &pod, "FailedScheduling", true, message);
        for _ in 0..self.times(0..6) {
            self.again(failed);
        }
        self.scheduled(&pod);
    }

    pub(crate) fn probe_failures(&mut self) {
        let pod = self.pod();
        let container = self.in_container(&pod);
        let message = format!(
            "Readiness probe failed: Get \"http://10.244.{}.{}:8080/healthz\": context deadline \
             exceeded (Client.Timeout exceeded while awaiting headers)",
            self.times(0..32),
            self.times(2..250)
        );
        let unhealthy = self.warning(&container, "Unhealthy", message);
        for _ in 0..self.times(2..9) {
            self.again(unhealthy);
        }
        let name = self.container;
        let message = format!("Container {name} failed liveness probe, will be restarted");
        self.normal(&container, "Killing", message);
        self.started(&container);
    }

    pub(crate) fn eviction(&mut self) {
        let node = self.node();
        let pod = self.pod();
        let app = self.app;
        let container = self.container;
        if self.random.random_bool(0.4) {
            let message = format!(
                "Memory cgroup out of memory: Killed process {} ({}) total-vm:{}kB, anon-rss:{}kB, \
                 file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:1204kB oom_score_adj:985",
                self.times(900..90_000),
                app,
                self.times(400_000..4_000_000),
                self.times(100_000..900_000)
            );
            self.add(Reporter::Kernel, &node, "OOMKilling", true, message);
            return;
        }
        self.warning(&node, "EvictionThresholdMet", "Attempting to reclaim memory");
        let message = format!(
            "The node was low on resource: memory. Threshold quantity: 100Mi, available: {}Ki. \
             Container {} was using {}Ki, request is 0, has larger consumption of memory. ",
            self.times(10_000..100_000),
            container,
            self.times(200_000..900_000)
        );
        self.warning(&pod, "Evicted", message);
        let stopped = self.in_container(&pod);
        self.normal(&stopped, "Killing", format!("Stopping container {container}"));
        self.normal(
            &node,
            "NodeHasSufficientMemory",
            "Node status is now: NodeHasSufficientMemory",
        );
    }

    pub(crate) fn rollout(&mut self) {
        let app = self.app;
        let deployment = self.reference("Deployment", "apps/v1", app.to_owned());
        let set = format!("{app}-{}", self.hash);
        let replica_set = self.reference("ReplicaSet", "apps/v1", set.clone());
        for replica in 1..=self.times(1..5) {
            let message = format!("Scaled up replica set {set} from {} to {replica}", replica - 1);
            self.add(Reporter::Deployments, &deployment, "ScalingReplicaSet", false, message);
            let pod = self.pod();
            let message = format!("Created pod: {}", pod.name);
            self.add(Reporter::ReplicaSets, &replica_set, "SuccessfulCreate", false, message);
            self.scheduled(&pod);
            let container = self.in_container(&pod);
            self.pulled(&container);
            self.started(&container);
            let old = self.pod();
            let message = format!("Stopping container {}", self.container);
            let container = self.in_container(&old);
            self.normal(&container, "Killing", message);
        }
    }

    pub(crate) fn node_not_ready(&mut self) {
        let node = self.node();
        let name = self.node.clone();
        self.normal(&node, "NodeNotReady", format!("Node {name} status is now: NodeNotReady"));
        let pod = self.pod();
        self.add(Reporter::Nodes, &pod, "NodeNotReady", true, "Node is not ready");
        self.normal(&node, "NodeReady", format!("Node {name} status is now: NodeReady"));
    }

    pub(crate) fn job_failure(&mut self) {
        let minute = self.times(28_000_000..29_000_000);
        let name = format!("{}-{minute}", self.app);
        let job = self.reference("Job", "batch/v1", name.clone());
        for _ in 0..self.times(1..4) {
            let pod = format!("{name}-{}", suffix(self.random));
            self.add(
                Reporter::Jobs,
                &job,
                "SuccessfulCreate",
                false,
                format!("Created pod: {pod}"),
            );
        }
        let message = "Job has reached the specified backoff limit";
        self.add(Reporter::Jobs, &job, "BackoffLimitExceeded", true, message);
    }

    pub(crate) fn image_pull_failure(&mut self) {
        let pod = self.pod();
        let container = self.in_container(&pod);
        let image = self.image.clone();
        self.scheduled(&pod);
        let pulling = self.normal(&container, "Pulling", format!("Pulling image \"{image}\""));
        let message = format!(
            "Failed to pull image \"{image}\": rpc error: code = NotFound desc = failed to pull and \
             unpack image \"{image}\": failed to resolve reference \"{image}\": {image}: not found"
        );
        let failed = self.warning(&container, "Failed", message);
        let error = self.warning(&container, "Failed", "Error: ErrImagePull");
        let back_off =
            self.normal(&container, "BackOff", format!("Back-off pulling image \"{image}\""));
        for _ in 0..self.times(1..5) {
            self.all_again(&[pulling, failed, error, back_off]);
        }
    }

    pub(crate) fn volume_mount_failure(&mut self) {
        let pod = self.pod();
        self.scheduled(&pod);
        let message = format!(
            "MountVolume.SetUp failed for volume \"config\" : configmap \"{}-config\" not found",
            self.app
        );
        let failed = self.warning(&pod, "FailedMount", message);
        for _ in 0..self.times(1..8) {
            self.again(failed);
        }
    }
}

fn pick<T: Copy>(random: &mut SmallRng, from: &[T]) -> T {
    from[random.random_range(0..from.len())]
}
