//! A cluster with the bundle's roles, an operator that can start, stop and die, and a view of all
//! that it keeps.

use std::{collections::BTreeMap, time::Duration};

use clap::Parser as _;
use kube::{
    Api, Client, Config,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams},
};
use kube_events_operator::{Options, run};
use kube_events_testkit::{ApiServer, RequestRecord, Resource};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Where the objects of these tests are.
pub(crate) const NAMESPACE: &str = "logging";

/// Where the operator is.
pub(crate) const HOME: &str = "kubesphere-logging-system";

/// How the operator calls itself.
pub(crate) const OPERATOR: &str = "kube-events-operator";

/// What the operator makes.
pub(crate) const KINDS: [&str; 10] = [
    "ClusterRoleBinding",
    "ConfigMap",
    "Deployment",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "PodMonitor",
    "PrometheusRule",
    "RoleBinding",
    "Service",
    "ServiceAccount",
];

/// For how long nobody writes before all is taken to be done: longer than the operator waits before
/// it tries again or sweeps.
const QUIET: Duration = Duration::from_secs(8);

/// How much time passes at most before everybody had a chance to act.
const STEP: Duration = Duration::from_secs(1);

pub(crate) const POD_MONITOR: Resource = monitoring("podmonitors", "podmonitor", "PodMonitor");
pub(crate) const PROMETHEUS_RULE: Resource =
    monitoring("prometheusrules", "prometheusrule", "PrometheusRule");

const fn monitoring(plural: &'static str, singular: &'static str, kind: &'static str) -> Resource {
    Resource::custom("monitoring.coreos.com", "v1", plural, singular, kind, &[])
}

pub(crate) struct Cluster {
    pub(crate) server: ApiServer,
    pub(crate) client: Client,
    folder: tempfile::TempDir,
}

/// A running operator. It ends when this is dropped.
pub(crate) struct Operator {
    shutdown: CancellationToken,
    end: JoinHandle<anyhow::Result<()>>,
}

/// All that the operator keeps, by kind, namespace and name, without what differs from one server
/// to the next.
pub(crate) type State = BTreeMap<String, Value>;

// === impl Cluster ===

impl Cluster {
    /// A cluster that knows the Prometheus operator's kinds.
    pub(crate) async fn new() -> Self {
        let server = ApiServer::builder().resource(POD_MONITOR).resource(PROMETHEUS_RULE);
        Self::of(server.start().await.unwrap())
    }

    /// The same with an Exporter and a Ruler, and all that they need.
    pub(crate) async fn with_objects() -> Self {
        let cluster = Self::new().await;
        cluster.server.create_namespace("monitoring");
        cluster.create("Exporter", "exporter", &exporter());
        cluster.create("Ruler", "ruler", &ruler());
        cluster
    }

    pub(crate) fn of(server: ApiServer) -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("kubeconfig"), server.kubeconfig()).unwrap();
        let client = Client::try_from(Config::new(server.url().parse().unwrap())).unwrap();
        for role in [
            OPERATOR,
            "kube-events-exporter",
            "kube-events-ruler",
            "kube-events-ruler-lease",
            "kube-events-service-reader",
        ] {
            let metadata = json!({"name": role, "uid": format!("uid-of-{role}")});
            server
                .create(json!({
                    "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
                    "metadata": metadata,
                }))
                .unwrap();
        }
        server.create_namespace(NAMESPACE);
        Self { server, client, folder }
    }

    fn options(&self, kubeconfig: &str) -> Options {
        Options::parse_from([
            "kube-events-operator".as_ref(),
            "--listen=127.0.0.1:0".as_ref(),
            "--rules-namespace".as_ref(),
            HOME.as_ref(),
            "--kubeconfig".as_ref(),
            self.folder.path().join(kubeconfig).as_os_str(),
        ])
    }

    /// An operator that acts at once.
    pub(crate) fn start(&self) -> Operator {
        Operator::run(Options { no_leader_election: true, ..self.options("kubeconfig") })
    }

    /// An operator that is installed for the objects' namespace alone, and acts at once.
    pub(crate) fn start_namespaced(&self) -> Operator {
        Operator::run(Options {
            no_leader_election: true,
            namespace: Some("logging".to_owned()),
            ..self.options("kubeconfig")
        })
    }

    /// An operator that acts when it leads, and is a user of its own.
    pub(crate) fn start_as(&self, user: &str) -> Operator {
        let kubeconfig = self.server.kubeconfig_of(user);
        std::fs::write(self.folder.path().join(user), kubeconfig).unwrap();
        Operator::run(self.options(user))
    }

    /// Starts an operator and waits until it has done all.
    pub(crate) async fn started(&self) -> Operator {
        let operator = self.start();
        self.quiet().await;
        operator
    }

    /// Waits until nobody has written for a while.
    pub(crate) async fn quiet(&self) {
        for _ in 0..200 {
            let before = self.server.resource_version();
            self.elapse(QUIET).await;
            if self.server.resource_version() == before {
                return;
            }
        }
        panic!("it never ends: {:#?}", self.server.requests());
    }

    /// Lets so much time pass, and then what comes of it.
    pub(crate) async fn pass(&self, time: Duration) {
        self.elapse(time).await;
        self.quiet().await;
    }

    /// Lets so much time pass, in steps that are shorter than anybody's patience: what is on its way
    /// in the kernel arrives before the answer to the question of a step does.
    pub(crate) async fn elapse(&self, time: Duration) {
        let end = tokio::time::Instant::now() + time;
        while tokio::time::Instant::now() < end {
            tokio::time::sleep(STEP.min(time)).await;
            self.client.apiserver_version().await.unwrap();
        }
    }

    // === objects ===

    /// An Exporter or a Ruler whose uid is the same in every cluster.
    pub(crate) fn create(&self, kind: &str, name: &str, spec: &Value) {
        self.create_in(NAMESPACE, kind, name, spec);
    }

    pub(crate) fn create_in(&self, namespace: &str, kind: &str, name: &str, spec: &Value) {
        let metadata = json!({
            "name": name, "namespace": namespace, "uid": format!("uid-of-{kind}-{name}"),
        });
        let object = json!({
            "apiVersion": "events.kubesphere.io/v1alpha1", "kind": kind,
            "metadata": metadata, "spec": spec,
        });
        self.server.create(object).unwrap();
    }

    /// Replaces the whole spec, whoever writes meanwhile.
    pub(crate) async fn respecify(&self, kind: &str, name: &str, spec: &Value) {
        let api = self.api("events.kubesphere.io/v1alpha1", kind);
        loop {
            let mut object = api.get(name).await.unwrap();
            object.data["spec"] = spec.clone();
            match api.replace(name, &PostParams::default(), &object).await {
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                replaced => return drop(replaced.unwrap()),
            }
        }
    }

    /// A change that a person makes.
    pub(crate) async fn edit(&self, api_version: &str, kind: &str, name: &str, patch: &Value) {
        let params =
            PatchParams { field_manager: Some("hand".to_owned()), ..PatchParams::default() };
        let api = self.api(api_version, kind);
        api.patch(name, &params, &Patch::Merge(patch)).await.unwrap();
    }

    /// The same, of the Exporter itself.
    pub(crate) async fn edit_object(&self, patch: &Value) {
        self.edit("events.kubesphere.io/v1alpha1", "Exporter", "exporter", patch).await;
    }

    /// An object in place of what has its name, as `kubectl replace` writes it.
    pub(crate) async fn replace(&self, object: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let metadata = &object["metadata"];
        let (name, namespace) = (text(&metadata["name"]), text(&metadata["namespace"]));
        let params = PostParams { field_manager: Some("hand".to_owned()), ..PostParams::default() };
        let resource = resource(&text(&object["apiVersion"]), &text(&object["kind"]));
        let api = match namespace.as_str() {
            "" => Api::<DynamicObject>::all_with(self.client.clone(), &resource),
            namespace => Api::namespaced_with(self.client.clone(), namespace, &resource),
        };
        let object = serde_json::from_value(object.clone()).unwrap();
        api.replace(&name, &params, &object).await.unwrap();
    }

    /// An object that somebody creates under this name.
    pub(crate) async fn create_as(&self, manager: &str, object: &Value) -> Value {
        let text = |key: &str| object[key].as_str().unwrap();
        let params =
            PostParams { field_manager: Some(manager.to_owned()), ..PostParams::default() };
        let api = self.api(text("apiVersion"), text("kind"));
        let object = serde_json::from_value(object.clone()).unwrap();
        serde_json::to_value(api.create(&params, &object).await.unwrap()).unwrap()
    }

    /// A status that a controller of the cluster's writes.
    pub(crate) async fn tell_status(
        &self,
        api_version: &str,
        kind: &str,
        name: &str,
        status: &Value,
    ) {
        let patch = json!({ "status": status });
        let params = PatchParams::default();
        let api = self.api(api_version, kind);
        api.patch_status(name, &params, &Patch::Merge(&patch)).await.unwrap();
    }

    /// So many pods of a Deployment are ready.
    pub(crate) async fn ready(&self, name: &str, pods: u32) {
        self.tell_status("apps/v1", "Deployment", name, &json!({"readyReplicas": pods})).await;
        self.quiet().await;
    }

    fn api(&self, api_version: &str, kind: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), NAMESPACE, &resource(api_version, kind))
    }

    pub(crate) fn get(&self, kind: &str, name: &str) -> Value {
        self.server.get(kind, NAMESPACE, name).unwrap()
    }

    pub(crate) fn has(&self, kind: &str, name: &str) -> bool {
        self.server.get(kind, NAMESPACE, name).is_ok()
    }

    /// `Reason` of a condition that is true, `!Reason` of one that is false, `?Reason` of an unknown one.
    pub(crate) fn condition(&self, kind: &str, name: &str, condition: &str) -> String {
        let object = self.get(kind, name);
        let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
        let mut found = conditions.filter(|held| held["type"] == condition);
        let Some(found) = found.next() else { return String::new() };
        let mark = match found["status"].as_str().unwrap() {
            "True" => "",
            "False" => "!",
            _ => "?",
        };
        format!("{mark}{}", found["reason"].as_str().unwrap())
    }

    pub(crate) fn message(&self, kind: &str, name: &str, condition: &str) -> String {
        let object = self.get(kind, name);
        let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
        let mut found = conditions.filter(|held| held["type"] == condition);
        found.next().unwrap()["message"].as_str().unwrap().to_owned()
    }

    // === what the operator keeps, and what it did ===

    pub(crate) fn state(&self) -> State {
        let all = KINDS.iter().filter_map(|kind| self.server.list(kind).ok()).flatten();
        let ours = all.filter(|object| {
            object["metadata"]["labels"]["app.kubernetes.io/managed-by"] == OPERATOR
        });
        let children = ours.map(|object| (place(&object), lasting(object)));
        let told =
            ["Exporter", "Ruler", "Rule"].iter().flat_map(|kind| self.server.list(kind).unwrap());
        let told = told.map(|object| (place(&object), findings(&object)));
        children.chain(told).collect()
    }

    /// The places of all that the operator keeps.
    pub(crate) fn places(&self) -> Vec<String> {
        let state = self.state().into_keys();
        state
            .filter(|place| {
                !["Exporter ", "Ruler ", "Rule "].iter().any(|it| place.starts_with(it))
            })
            .collect()
    }

    /// What the operator asked to be changed.
    pub(crate) fn writes(&self) -> Vec<std::sync::Arc<RequestRecord>> {
        let mut requests = self.server.requests();
        requests.retain(|it| it.is_write() && it.user_agent.starts_with(OPERATOR));
        requests
    }
}

/// Fails with what differs, if anything does.
#[track_caller]
pub(crate) fn assert_same(found: &State, wanted: &State, when: &str) {
    let places = found.keys().chain(wanted.keys());
    let mut differ = places.filter(|place| found.get(*place) != wanted.get(*place));
    if let Some(place) = differ.next() {
        panic!("{when}, {place}: {:#?}\ninstead of {:#?}", found.get(place), wanted.get(place));
    }
}

fn resource(api_version: &str, kind: &str) -> ApiResource {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

fn place(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let metadata = &object["metadata"];
    let (namespace, name) = (text(&metadata["namespace"]), text(&metadata["name"]));
    format!("{} {namespace}/{name}", text(&object["kind"]))
}

/// What does not depend on when it was written, and by how many writes.
fn lasting(mut object: Value) -> Value {
    let metadata = object["metadata"].as_object_mut().unwrap();
    for key in ["creationTimestamp", "generation", "resourceVersion", "uid"] {
        metadata.remove(key);
    }
    for entry in metadata["managedFields"].as_array_mut().unwrap() {
        entry.as_object_mut().unwrap().remove("time");
    }
    object
}

fn findings(object: &Value) -> Value {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    let lasting = conditions.map(|condition| {
        json!([condition["type"], condition["status"], condition["reason"], condition["message"]])
    });
    json!({"image": object["status"]["image"], "conditions": lasting.collect::<Vec<_>>()})
}

// === impl Operator ===

impl Operator {
    fn run(options: Options) -> Self {
        let shutdown = CancellationToken::new();
        let end = tokio::spawn(run(options, shutdown.clone()));
        Self { shutdown, end }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.end.is_finished()
    }

    /// Why it ended by itself.
    pub(crate) async fn error(mut self) -> String {
        (&mut self.end).await.unwrap().unwrap_err().to_string()
    }

    /// Stops it as the kubelet does.
    pub(crate) async fn stop(mut self) {
        self.shutdown.cancel();
        (&mut self.end).await.unwrap().unwrap();
    }

    /// Ends it between two instructions.
    pub(crate) async fn kill(mut self) {
        self.end.abort();
        drop((&mut self.end).await);
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.end.abort();
    }
}

// === specs ===

pub(crate) fn exporter() -> Value {
    json!({
        "sinks": {"stdout": {}, "webhooks": [{"service": {
            "namespace": NAMESPACE, "name": "ruler", "port": "http", "path": "/events",
        }}]},
    })
}

pub(crate) fn ruler() -> Value {
    json!({
        "replicas": 2,
        "networkPolicy": {},
        "sinks": {"alertmanager": {"namespace": "monitoring", "name": "alertmanager"}},
    })
}
