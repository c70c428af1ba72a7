//! `upgrade`: what the Go project left in a cluster, and away with it.
//!
//! Its operator is replaced by the bundle, and ours takes over what it made, but for what an operator has no
//! right to delete. That is found here by name and by content: an object of the name that says something
//! else is somebody else's.

use std::{
    fmt,
    io::{IsTerminal as _, Write as _},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, DynamicObject, ListParams, Preconditions},
    core::{ApiResource, GroupVersionKind},
};
use kube_events_core::crd::{GROUP, VERSION};
use kube_events_daemon::{KubeOptions, LogOptions, Threads};
use kube_events_operator::NAMESPACE;
use serde::Serialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// Where to look, and whether to act.
#[derive(Clone, Debug, Args)]
pub struct UpgradeOptions {
    /// The namespace of the operator.
    #[arg(long, value_name = "NAMESPACE", default_value = NAMESPACE)]
    namespace: String,
    /// Only say what would be deleted.
    #[arg(long)]
    dry_run: bool,
    /// Print a JSON array, and nothing else.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    kube: KubeOptions,
}

pub(crate) const EXAMPLES: &str = "\
Run it with an administrator's rights after the bundle was applied over the Go project.

Exit codes: 0 nothing is left, 1 something is, the cluster cannot be asked, or the Go project's operator
still runs.

Examples:
  kube-events upgrade --dry-run
  kube-events upgrade";

const USER_AGENT: &str = concat!("kube-events/", env!("CARGO_PKG_VERSION"));

/// The Secret and the Service of the Go project's webhooks, and the beginning of their names.
const ADMISSION: &str = "kube-events-admission";
const OPERATOR: &str = "kube-events-operator";

/// How long the operator may take for what the Go project's left to it.
const TAKEOVER: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_secs(1);

/// An object that the Go project left.
#[derive(Debug)]
struct Leftover {
    api: Api<DynamicObject>,
    object: DynamicObject,
    kind: &'static str,
    what: &'static str,
    /// The Exporter or Ruler whose pods need it until the operator has taken over.
    needed_by: Option<Owner>,
}

/// An Exporter or a Ruler.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Owner {
    kind: &'static str,
    namespace: String,
    name: String,
}

/// What became of a leftover.
#[derive(Debug, Serialize)]
struct Line {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    name: String,
    what: &'static str,
    done: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Looks and deletes, and says how the process is to exit.
pub(crate) fn start(options: UpgradeOptions) -> ExitCode {
    let log = LogOptions { level: "warn".to_owned(), ..LogOptions::default() };
    kube_events_daemon::run(&log, Threads::One, |shutdown| async move {
        ensure!(run(options, shutdown).await?, "something of the Go project is left");
        Ok(())
    })
}

/// Whether nothing is left that should not be.
async fn run(options: UpgradeOptions, shutdown: CancellationToken) -> anyhow::Result<bool> {
    let client = options.kube.client(USER_AGENT).await?;
    let still = former_operator_runs(&client, &options.namespace).await?;
    if still && !options.dry_run {
        bail!(
            "the Go project's operator still runs in {}; apply the bundle over it first: \
             kube-events bundle | kubectl apply --server-side -f -",
            options.namespace
        );
    }
    let leftovers = leftovers(&client, &options.namespace).await?;
    let mut lines = Vec::new();
    for leftover in leftovers {
        if options.dry_run {
            lines.push(leftover.line("would be deleted", None));
            continue;
        }
        let deleted = tokio::select! {
            deleted = leftover.delete(&client) => deleted,
            () = shutdown.cancelled() => bail!("interrupted; run it again for the rest"),
        };
        lines.push(match deleted {
            Ok(()) => leftover.line("deleted", None),
            Err(error) => leftover.line("not deleted", Some(format!("{error:#}"))),
        });
    }
    print(&lines, options.json)?;
    Ok(lines.iter().all(|line| line.error.is_none()))
}

/// Whether the operator's Deployment still is the Go project's, which mounts its webhooks' certificate.
async fn former_operator_runs(client: &Client, namespace: &str) -> anyhow::Result<bool> {
    let deployments = api(client, "apps", "v1", "Deployment", Some(namespace));
    let deployment = deployments.get_opt(OPERATOR).await.context("cannot look at Deployments")?;
    Ok(deployment.is_some_and(|deployment| mounts_certificate(&deployment.data)))
}

fn mounts_certificate(deployment: &Value) -> bool {
    let volumes = &deployment["spec"]["template"]["spec"]["volumes"];
    volumes.as_array().into_iter().flatten().any(|it| it["secret"]["secretName"] == ADMISSION)
}

/// Everything that can be recognised, in the order in which it has to go: what refuses Rules first, and
/// what gives rights last.
async fn leftovers(client: &Client, namespace: &str) -> anyhow::Result<Vec<Leftover>> {
    let mut found = Vec::new();
    let admission = "admissionregistration.k8s.io";
    for (group, kind, name, what, is_former) in [
        (
            admission,
            "MutatingWebhookConfiguration",
            "kube-events-admission-mutate",
            "a webhook that nobody answers any more",
            calls_admission as fn(&Value) -> bool,
        ),
        (
            admission,
            "ValidatingWebhookConfiguration",
            "kube-events-admission-validate",
            "a webhook that nobody answers any more",
            calls_admission,
        ),
        ("", "Service", ADMISSION, "the address of the webhooks", selects_operator),
        ("", "Secret", ADMISSION, "the certificate and key of the webhooks", holds_certificate),
    ] {
        let place = group.is_empty().then_some(namespace);
        let api = api(client, group, "v1", kind, place);
        let object = api.get_opt(name).await.with_context(|| format!("cannot look at {kind}"))?;
        if let Some(object) = object.filter(|object| is_former(&object.data)) {
            found.push(Leftover { api, object, kind, what, needed_by: None });
        }
    }
    for kind in ["ClusterRoleBinding", "ClusterRole"] {
        for (owner, label) in [("Exporter", "events-exporter"), ("Ruler", "events-ruler")] {
            let api = api(client, "rbac.authorization.k8s.io", "v1", kind, None);
            let params = ListParams::default().labels(&format!("{label},{label}-ns"));
            let listed = api.list(&params).await;
            for object in listed.with_context(|| format!("cannot look at {kind}"))? {
                let Some(needed_by) = owner_of(&object, owner, label) else { continue };
                found.push(Leftover {
                    api: api.clone(),
                    object,
                    kind,
                    what: "rights that the operator gives by fixed roles now",
                    needed_by: Some(needed_by),
                });
            }
        }
    }
    Ok(found)
}

fn api(
    client: &Client,
    group: &str,
    version: &str,
    kind: &str,
    namespace: Option<&str>,
) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

/// A webhook for Rules whose Service is the Go project's.
fn calls_admission(configuration: &Value) -> bool {
    let mut webhooks = configuration["webhooks"].as_array().into_iter().flatten();
    webhooks.any(|webhook| {
        let rules = webhook["rules"].as_array().into_iter().flatten();
        let mut groups = rules.flat_map(|rule| rule["apiGroups"].as_array().into_iter().flatten());
        webhook["clientConfig"]["service"]["name"] == ADMISSION && groups.any(|it| it == GROUP)
    })
}

fn selects_operator(service: &Value) -> bool {
    service["spec"]["selector"]["app"] == OPERATOR
}

fn holds_certificate(secret: &Value) -> bool {
    let data = secret["data"].as_object();
    data.is_some_and(|data| data.contains_key("tls.key") && data.contains_key("tls.crt"))
}

/// The Go project named such roles and bindings after namespace and name of their object, and put both
/// into labels (`pkg/controllers/exporter_controller.go`).
fn owner_of(object: &DynamicObject, kind: &'static str, label: &str) -> Option<Owner> {
    let namespace = object.labels().get(&format!("{label}-ns"))?.clone();
    let name = object.labels().get(label)?.clone();
    (object.name_any() == format!("{namespace}-{name}")).then_some(Owner { kind, namespace, name })
}

// === impl Leftover ===

impl Leftover {
    async fn delete(&self, client: &Client) -> anyhow::Result<()> {
        if let Some(owner) = &self.needed_by {
            owner.taken_over(client).await?;
        }
        let uid = self.object.uid();
        let preconditions = Some(Preconditions { uid, resource_version: None });
        let params = DeleteParams { preconditions, ..DeleteParams::default() };
        match self.api.delete(&self.object.name_any(), &params).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn line(&self, done: &'static str, error: Option<String>) -> Line {
        let (namespace, name) = (self.object.namespace(), self.object.name_any());
        Line { kind: self.kind, namespace, name, what: self.what, done, error }
    }
}

// === impl Owner ===

impl Owner {
    /// Waits until the operator looks after the object, or the object is gone.
    async fn taken_over(&self, client: &Client) -> anyhow::Result<()> {
        let api = api(client, GROUP, VERSION, self.kind, Some(&self.namespace));
        let end = Instant::now() + TAKEOVER;
        let mut told = false;
        loop {
            let object = api.get_opt(&self.name).await?;
            if object.is_none_or(|object| is_well(&object.data)) {
                return Ok(());
            }
            if Instant::now() >= end {
                bail!("its {self} is not taken over by the operator: see its status");
            }
            if !told && std::io::stderr().is_terminal() {
                eprintln!("waiting for the operator to take over the {self}");
                told = true;
            }
            sleep(PAUSE).await;
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// Only our operator writes a status.
fn is_well(object: &Value) -> bool {
    let mut conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|held| held["type"] == "Degraded" && held["status"] == "False")
}

fn print(lines: &[Line], json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        return Ok(writeln!(out, "{}", serde_json::to_string(lines)?)?);
    }
    if lines.is_empty() {
        return Ok(writeln!(out, "nothing of the Go project is left")?);
    }
    let width = |of: fn(&Line) -> usize| lines.iter().map(of).max().unwrap_or(0);
    let kinds = width(|line| line.kind.len());
    let names = width(|line| line.place().len());
    for line in lines {
        writeln!(
            out,
            "{:<kinds$}  {:<names$}  {}: {}",
            line.kind,
            line.place(),
            line.done,
            line.what
        )?;
        if let Some(error) = &line.error {
            writeln!(out, "  {error}")?;
        }
    }
    Ok(())
}

// === impl Line ===

impl Line {
    fn place(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{namespace}/{}", self.name),
            None => self.name.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_webhook_is_recognised_by_what_it_calls_and_for_what() {
        let webhook = |service: &str, group: &str| {
            json!({"webhooks": [{
                "clientConfig": {"service": {"name": service}},
                "rules": [{"apiGroups": [group], "resources": ["rules"]}],
            }]})
        };
        assert!(calls_admission(&webhook(ADMISSION, GROUP)));
        assert!(!calls_admission(&webhook("ours", GROUP)));
        assert!(!calls_admission(&webhook(ADMISSION, "example.com")));
        assert!(!calls_admission(&json!({})));
    }

    #[test]
    fn a_role_is_recognised_by_labels_that_agree_with_its_name() {
        let role = |name: &str, labels: &Value| -> DynamicObject {
            serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}})).unwrap()
        };
        let labels = json!({"events-exporter": "e", "events-exporter-ns": "n"});
        let owner = Owner { kind: "Exporter", namespace: "n".into(), name: "e".into() };
        let of = |role: &DynamicObject| owner_of(role, "Exporter", "events-exporter");
        assert_eq!(of(&role("n-e", &labels)), Some(owner));
        assert_eq!(of(&role("other", &labels)), None);
        assert_eq!(of(&role("n-e", &json!({"events-exporter": "e"}))), None);
    }

    #[test]
    fn other_objects_of_the_names_are_left_alone() {
        assert!(selects_operator(&json!({"spec": {"selector": {"app": OPERATOR}}})));
        assert!(!selects_operator(&json!({"spec": {"selector": {"app": "mine"}}})));
        assert!(holds_certificate(&json!({"data": {"tls.crt": "", "tls.key": ""}})));
        assert!(!holds_certificate(&json!({"data": {"password": ""}})));
    }

    #[test]
    fn the_former_operator_is_known_by_its_certificate() {
        let with = |volumes: Value| json!({"spec": {"template": {"spec": {"volumes": volumes}}}});
        assert!(mounts_certificate(&with(json!([{"secret": {"secretName": ADMISSION}}]))));
        assert!(!mounts_certificate(&with(json!([]))));
        assert!(!mounts_certificate(&json!({})));
    }
}
