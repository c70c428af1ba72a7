//! A cluster is installed as docs/install.md says, word by word, in each way that it has: the pods are our programs with
//! the arguments, files, environment, token and rights that the operator gave them.

mod former;
mod installed;
mod rights;

use anyhow::{Context as _, Result, bail, ensure};
use e2e::{Cluster, Part, isolated, until};
use k8s_openapi::api::core::v1::Event;
use kube::{Api, Client, api::PostParams};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, time::Duration};
use tokio::{sync::oneshot, time::interval};

use self::installed::Installed;

const LIMIT: Duration = Duration::from_secs(60);
const NAMESPACE: &str = "kubesphere-logging-system";
const BOOK: &str = include_str!("../../../docs/install.md");
const UPGRADE: &str = include_str!("../../../docs/upgrade.md");

/// The commands of the book under a heading.
fn book(heading: &str) -> Vec<&'static str> {
    blocks(heading, "sh")
}

/// What the book has under a heading in a language.
fn blocks(heading: &str, language: &str) -> Vec<&'static str> {
    let heading = format!("{heading}\n");
    let section = BOOK.split("\n## ").find_map(|section| section.strip_prefix(&heading));
    let begin = format!("```{language}\n");
    let blocks = section.into_iter().flat_map(|section| section.split(&begin).skip(1));
    blocks.filter_map(|block| Some(block.split_once("\n```")?.0)).collect()
}

/// Lets an Event happen in the namespace `shop` that the usual rules alert on.
async fn back_off(cluster: &Cluster, pod: &str) -> Result<()> {
    back_off_in(cluster, "shop", pod).await
}

async fn back_off_in(cluster: &Cluster, namespace: &str, pod: &str) -> Result<()> {
    create(&cluster.control_plane().client().await?, namespace, pod).await
}

async fn create(client: &Client, namespace: &str, pod: &str) -> Result<()> {
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let event = json!({
        "metadata": {"name": format!("{pod}.1"), "namespace": namespace},
        "involvedObject": {
            "kind": "Pod", "apiVersion": "v1", "namespace": namespace, "name": pod,
            "fieldPath": "spec.containers{app}",
        },
        "reason": "BackOff", "type": "Warning", "message": "Back-off restarting failed container",
        "firstTimestamp": now, "lastTimestamp": now, "count": 4,
        "source": {"component": "kubelet"},
    });
    let events = Api::<Event>::namespaced(client.clone(), namespace);
    events.create(&PostParams::default(), &serde_json::from_value(event)?).await?;
    Ok(())
}

/// Waits for the alert about a pod, and gives its labels.
async fn alerted(cluster: &Cluster, pod: &str) -> Result<Value> {
    let alert = async || {
        let alerts = cluster.alertmanager().alerts().await?;
        let labels = alerts.into_iter().map(|mut alert| alert["labels"].take());
        Ok(labels.into_iter().find(|labels| labels["pod"] == pod))
    };
    let alert = until(&format!("an alert about {pod}"), LIMIT, alert).await;
    alert.with_context(|| cluster.node().stderr("").unwrap_or_default())
}

/// Waits until there was an alert about each of the pods. They are asked for all at once: some minutes later
/// they have ended.
async fn all_alerted(cluster: &Cluster, pods: Vec<String>) -> Result<()> {
    let mut missing: BTreeSet<_> = pods.into_iter().collect();
    let told = async || {
        for alert in cluster.alertmanager().alerts().await? {
            missing.remove(alert["labels"]["pod"].as_str().unwrap_or_default());
        }
        Ok(missing.is_empty().then_some(()))
    };
    let told = until("an alert about each pod", LIMIT, told).await;
    told.with_context(|| format!("{missing:?}\n{}", cluster.node().stderr("").unwrap_or_default()))
}

/// What is there before anything of ours, and has to be there after it.
async fn everything(cluster: &Cluster) -> Result<BTreeSet<String>> {
    // Each namespace gets them by and by.
    let settled = "for it in $(kubectl get namespaces -o jsonpath='{.items[*].metadata.name}'); do \
        kubectl -n $it get serviceaccount/default configmap/kube-root-ca.crt; done";
    let settled = async || Ok(cluster.shell(settled).ok());
    until("each namespace has what it gets", LIMIT, settled).await?;
    Ok(cluster.objects()?.into_iter().collect())
}

/// Waits until nothing is there but what was there before.
async fn nothing_is_left(cluster: &Cluster, before: &BTreeSet<String>) -> Result<()> {
    let gone = async || Ok((everything(cluster).await? == *before).then_some(()));
    let gone = until("nothing is left", LIMIT, gone).await;
    let after = everything(cluster).await?;
    let differ: Vec<_> = after.symmetric_difference(before).collect();
    gone.with_context(|| format!("{differ:#?}"))
}

/// A clean cluster, with the namespace `shop` of a tenant, and what is in it. In our namespace, pods have to
/// pass the strictest standard.
async fn prepare(cluster: &Cluster) -> Result<BTreeSet<String>> {
    cluster.shell("kubectl create namespace shop")?;
    let before = everything(cluster).await?;
    let label = "pod-security.kubernetes.io/enforce=restricted";
    cluster.shell(&format!("kubectl create namespace {NAMESPACE}"))?;
    cluster.shell(&format!("kubectl label namespace {NAMESPACE} {label}"))?;
    Ok(before)
}

#[test]
fn a_cluster_is_installed_by_the_book() -> Result<()> {
    isolated("a_cluster_is_installed_by_the_book", async {
        let Some(cluster) = Cluster::find().await? else { return Ok(()) };
        let before = prepare(&cluster).await?;
        let [upgrade, _helms] = book("From one version to the next")[..] else {
            bail!("other commands")
        };
        for command in book("From the bundle").into_iter().chain([upgrade]) {
            cluster.shell(command)?;
        }
        Installed::of_samples(&cluster).works().await?;
        for command in book("Away with it") {
            cluster.shell(command)?;
        }
        nothing_is_left(&cluster, &before).await?;
        cluster.stop().await
    })
}

#[test]
fn a_cluster_is_installed_by_helm() -> Result<()> {
    isolated("a_cluster_is_installed_by_helm", async {
        let Some(helm) = Part::Helm.find() else { return Ok(()) };
        let Some(mut cluster) = Cluster::find().await? else { return Ok(()) };
        cluster.add_command(&helm)?;
        let before = prepare(&cluster).await?;
        let [_bundles, upgrade] = book("From one version to the next")[..] else {
            bail!("other commands")
        };
        for command in book("With Helm").into_iter().chain([upgrade]) {
            cluster.shell(command)?;
        }
        let installed = Installed {
            cluster: &cluster,
            exporter: "kube-events-exporter",
            ruler: "kube-events-ruler",
            again: upgrade,
        };
        installed.works().await?;
        for command in book("Away with a release of Helm") {
            cluster.shell(command)?;
        }
        nothing_is_left(&cluster, &before).await?;
        cluster.stop().await
    })
}

/// All images come from a registry, as the kustomization in the book says.
#[test]
fn a_cluster_is_installed_by_kustomize() -> Result<()> {
    isolated("a_cluster_is_installed_by_kustomize", async {
        let Some(cluster) = Cluster::find().await? else { return Ok(()) };
        let before = prepare(&cluster).await?;
        let folder = tempfile::tempdir()?;
        let [kustomization] = blocks("With kustomize", "yaml")[..] else {
            bail!("not one kustomization")
        };
        fs::write(folder.path().join("kustomization.yaml"), kustomization)?;
        cluster.shell(&format!("cp -r deploy {}", folder.path().display()))?;
        for command in book("With kustomize") {
            cluster.shell_in(folder.path(), command)?;
        }
        cluster.shell("kubectl apply -f deploy/samples/")?;
        let installed = Installed::of_samples(&cluster);
        installed.is_well().await?;
        let images = format!("kubectl -n {NAMESPACE} get pods -o jsonpath={{..image}}");
        let images = cluster.shell(&images)?;
        let ours = |image: &str| image.starts_with("registry.example/kube-events/");
        ensure!(images.split_whitespace().all(ours), "{images}");
        installed.an_event_becomes_an_alert().await?;
        for command in book("Away with it") {
            cluster.shell(command)?;
        }
        nothing_is_left(&cluster, &before).await?;
        cluster.stop().await
    })
}

fn rule(name: &str, labels: &Value, condition: &str) -> Value {
    json!({
        "apiVersion": "events.kubesphere.io/v1alpha1", "kind": "Rule",
        "metadata": {"name": name, "namespace": "shop", "labels": labels},
        "spec": {"rules": [
            {"name": "OfTheShop", "type": "alert", "enable": true, "condition": condition},
        ]},
    })
}

/// A namespace's own installation has rights in no other, and exports and rules on its Events alone.
#[test]
fn one_namespace_is_served_by_the_book() -> Result<()> {
    isolated("one_namespace_is_served_by_the_book", async {
        let Some(cluster) = Cluster::find().await? else { return Ok(()) };
        for namespace in ["shop", "team"] {
            cluster.shell(&format!("kubectl create namespace {namespace}"))?;
        }
        let before = everything(&cluster).await?;
        who_installs_has_all_rights_in_the_namespace(&cluster).await?;
        for command in book("In one namespace") {
            cluster.shell(command)?;
        }
        let sinks = json!({"stdout": {}, "webhooks": [{"service": {
            "namespace": "team", "name": "events-ruler", "port": 8443, "path": "/events",
        }}]});
        let url = cluster.alertmanager().url();
        for (kind, name, sinks) in [
            ("Exporter", "events-exporter", sinks),
            ("Ruler", "events-ruler", json!({"alertmanagers": [{"urls": [url]}]})),
        ] {
            cluster.apply(&json!({
                "apiVersion": "events.kubesphere.io/v1alpha1", "kind": kind,
                "metadata": {"name": name, "namespace": "team"}, "spec": {"sinks": sinks},
            }))?;
        }
        let scope = json!({"kubesphere.io/rule-scope": "namespace"});
        let mut own = rule("own", &scope, "reason = \"BackOff\"");
        own["metadata"]["namespace"] = json!("team");
        cluster.apply(&own)?;
        let ready = "kubectl -n team get ex,erl,er -o \
            jsonpath='{range .items[*]}{.status.readyReplicas}{.status.conditions[*].reason} {end}'";
        let well = |text: &str| {
            text.starts_with("1PodsReady")
                && text.contains(" 1PodsReady")
                && text.contains("Programmed")
        };
        cluster.prints(ready, well).await?;

        back_off_in(&cluster, "shop", "foreign").await?;
        back_off_in(&cluster, "team", "own").await?;
        let labels = alerted(&cluster, "own").await?;
        ensure!(labels["alertname"] == "OfTheShop" && labels["namespace"] == "team", "{labels}");
        let exported = cluster.node().stdout("events-exporter")?;
        ensure!(exported.contains("own.1") && !exported.contains("foreign.1"), "{exported}");
        for account in ["kube-events-operator", "events-exporter", "events-ruler"] {
            let anyone = rights::granted(&cluster, "shop:default", "shop")?;
            let granted = rights::granted(&cluster, &format!("team:{account}"), "shop")?;
            ensure!(granted == anyone, "{account}: {:?}", granted.difference(&anyone));
        }
        for command in book("Away from one namespace") {
            cluster.shell(command)?;
        }
        nothing_is_left(&cluster, &before).await?;
        cluster.stop().await
    })
}

/// Nobody gives rights that they do not have, and the role `admin` lacks some of the operator's.
async fn who_installs_has_all_rights_in_the_namespace(cluster: &Cluster) -> Result<()> {
    let install = "kube-events bundle --namespaced --namespace team | \
        kubectl --as=installer apply --server-side --dry-run=server -f -";
    cluster
        .shell("kubectl -n team create rolebinding admin --clusterrole=admin --user=installer")?;
    let refused = async || {
        let said = cluster.shell(install).err().context("an admin installed it")?.to_string();
        Ok(said.contains("attempting to grant RBAC permissions not currently held").then_some(()))
    };
    until("an admin is refused", LIMIT, refused).await?;
    cluster.shell("kubectl -n team delete rolebinding admin")?;
    cluster.shell(
        "kubectl -n team create rolebinding installer --clusterrole=cluster-admin --user=installer",
    )?;
    let allowed = async || Ok(cluster.shell(install).ok());
    until("an administrator of the namespace may install it", LIMIT, allowed).await?;
    cluster.shell("kubectl -n team delete rolebinding installer").map(drop)
}

/// The Go project's objects, children and webhooks are there; the bundle is applied over them, while Events happen.
#[test]
fn an_upgrade_from_the_go_project_keeps_delivering() -> Result<()> {
    isolated("an_upgrade_from_the_go_project_keeps_delivering", async {
        let Some(cluster) = Cluster::find().await? else { return Ok(()) };
        cluster.shell("kubectl create namespace shop")?;
        former::install(&cluster)?;
        back_off(&cluster, "before").await?;
        alerted(&cluster, "before").await?;
        let tenant = rule("tenant", &json!({}), "reason = \"Unhealthy\"");
        ensure!(cluster.apply(&tenant).is_err(), "the old webhooks refuse no Rule");
        let deployments = "kubectl -n kubesphere-logging-system get deployments \
            -o jsonpath='{range .items[*]}{.metadata.name} {.metadata.uid}{\"\\n\"}{end}'";
        let former = cluster.shell(deployments)?;

        let (stop, stopped) = oneshot::channel();
        let happening = tokio::spawn(happen(cluster.control_plane().client().await?, stopped));
        for command in book("Instead of the Go project") {
            cluster.shell(command)?;
        }
        Installed::of_samples(&cluster).is_well().await?;
        let pods = "kubectl -n kubesphere-logging-system get pods \
            -o jsonpath='{range .items[*]}{.spec.containers[*].name} {end}'";
        let ours = |text: &str| {
            let names: BTreeSet<_> = text.split_whitespace().collect();
            names == BTreeSet::from(["events-exporter", "events-operator", "events-ruler"])
        };
        cluster.prints(pods, ours).await?;
        stop.send(()).ok().context("Events ended early")?;
        all_alerted(&cluster, happening.await??).await?;

        ensure!(cluster.shell(deployments)? == former, "a Deployment was replaced");
        let left = cluster.shell("kube-events upgrade")?;
        ensure!(left == "nothing of the Go project is left\n", "{left}");
        let objects = cluster.objects()?;
        let left: Vec<_> =
            objects.iter().filter(|it| it.contains("kube-events-admission")).collect();
        ensure!(left.is_empty(), "{left:?}");
        cluster.apply(&tenant)?;
        a_volume_of_another_manager_goes_with_its_deployment(&cluster)?;
        // Nothing holds the objects back that the old operator's finalizers did.
        cluster.shell("kubectl delete ex,erl --all -A --timeout=60s")?;
        cluster.stop().await
    })
}

/// `kubectl apply` leaves it where it was not the one that wrote it.
fn a_volume_of_another_manager_goes_with_its_deployment(cluster: &Cluster) -> Result<()> {
    cluster.apply(&former::certificate()?)?;
    let volume = json!({"name": "cert", "secret": {"secretName": "kube-events-admission"}});
    let patch = json!({"spec": {"template": {"spec": {"volumes": [volume]}}}});
    cluster.shell(&format!(
        "kubectl -n {NAMESPACE} patch deployment kube-events-operator --field-manager=another -p '{patch}'"
    ))?;
    let said = cluster.shell("kube-events upgrade || true")?;
    ensure!(said.contains("delete that, apply the bundle again, then upgrade"), "{said}");
    let mut blocks = UPGRADE.split("```sh\n").filter_map(|block| block.split_once("\n```"));
    let (commands, _) = blocks
        .find(|(block, _)| block.contains("delete deployment kube-events-operator"))
        .context("no such commands")?;
    cluster.shell(commands)?;
    let left = cluster.shell("kube-events upgrade")?;
    ensure!(left == "nothing of the Go project is left\n", "{left}");
    Ok(())
}

/// Lets an Event happen every 100 ms, until told to stop; the names of their pods.
async fn happen(client: Client, mut stopped: oneshot::Receiver<()>) -> Result<Vec<String>> {
    let mut pods = Vec::new();
    let mut ticks = interval(Duration::from_millis(100));
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = &mut stopped => return Ok(pods),
        }
        let pod = format!("during-{}", pods.len());
        create(&client, "shop", &pod).await?;
        pods.push(pod);
    }
}
