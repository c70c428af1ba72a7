//! A cluster is installed as docs/install.md says, word by word: the pods are our programs with the arguments,
//! files, environment, token and rights that the operator gave them.

mod former;
mod rights;

use anyhow::{Context as _, Result, ensure};
use e2e::{Cluster, isolated, until};
use k8s_openapi::api::core::v1::Event;
use kube::{Api, Client, api::PostParams};
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};
use tokio::{sync::oneshot, time::interval};

const LIMIT: Duration = Duration::from_secs(60);
const NAMESPACE: &str = "kubesphere-logging-system";
const BOOK: &str = include_str!("../../../docs/install.md");
const UPGRADE: &str = include_str!("../../../docs/upgrade.md");

/// The commands of the book under a heading.
fn book(heading: &str) -> Vec<&'static str> {
    let section = BOOK.split("\n## ").find_map(|section| section.strip_prefix(heading));
    let blocks = section.into_iter().flat_map(|section| section.split("```sh\n").skip(1));
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

async fn is_well(cluster: &Cluster) -> Result<()> {
    let columns = "jsonpath={range .items[*]}{.metadata.name}={.status.readyReplicas} {end}";
    let command = format!("kubectl get ex,erl -A -o '{columns}'");
    let well = "events-exporter=1 events-ruler=2 ";
    cluster.prints(&command, |printed| printed == well).await.map(drop)
}

/// What is there before anything of ours, and has to be there after it.
fn everything(cluster: &Cluster) -> Result<BTreeSet<String>> {
    // Each namespace gets them by and by.
    let settled = "for it in $(kubectl get namespaces -o jsonpath='{.items[*].metadata.name}'); do \
        kubectl -n $it wait --for=create serviceaccount/default configmap/kube-root-ca.crt; done";
    cluster.shell(settled)?;
    Ok(cluster.objects()?.into_iter().collect())
}

/// Waits until nothing is there but what was there before.
async fn nothing_is_left(cluster: &Cluster, before: &BTreeSet<String>) -> Result<()> {
    let gone = async || Ok((everything(cluster)? == *before).then_some(()));
    let gone = until("nothing is left", LIMIT, gone).await;
    let after = everything(cluster)?;
    let differ: Vec<_> = after.symmetric_difference(before).collect();
    gone.with_context(|| format!("{differ:#?}"))
}

#[test]
fn a_cluster_is_installed_by_the_book() -> Result<()> {
    isolated("a_cluster_is_installed_by_the_book", async {
        let Some(cluster) = Cluster::find().await? else { return Ok(()) };
        cluster.shell("kubectl create namespace shop")?;
        let before = everything(&cluster)?;
        // The pods have to pass the strictest standard.
        let label = "pod-security.kubernetes.io/enforce=restricted";
        cluster.shell(&format!("kubectl create namespace {NAMESPACE}"))?;
        cluster.shell(&format!("kubectl label namespace {NAMESPACE} {label}"))?;

        for command in book("From the bundle") {
            cluster.shell(command)?;
        }
        is_well(&cluster).await?;
        rights_are_those_of_the_book(&cluster)?;
        an_event_becomes_an_alert(&cluster).await?;
        a_wrong_rule_shows_its_mistake(&cluster).await?;
        a_tenant_writes_rules_for_itself_only(&cluster).await?;
        damage_heals(&cluster).await?;
        a_change_is_read_without_a_restart(&cluster).await?;

        for command in book("Away with it") {
            cluster.shell(command)?;
        }
        nothing_is_left(&cluster, &before).await?;
        cluster.stop().await
    })
}

/// Of each account, what the API server lets it do beyond what it lets anyone do.
fn rights_are_those_of_the_book(cluster: &Cluster) -> Result<()> {
    let operator = ["kube-events-operator", "kube-events-operator-election"];
    let monitoring = "kubesphere-monitoring-system";
    for (account, namespace, roles) in [
        ("kube-events-operator", NAMESPACE, &operator[..]),
        ("kube-events-operator", "shop", &operator[..1]),
        ("events-exporter", NAMESPACE, &["kube-events-exporter"]),
        ("events-exporter", "shop", &["kube-events-exporter"]),
        ("events-ruler", NAMESPACE, &["kube-events-ruler"]),
        ("events-ruler", monitoring, &["kube-events-ruler", "kube-events-service-reader"]),
    ] {
        let anyone = rights::granted(cluster, "shop:default", namespace)?;
        let granted = rights::granted(cluster, &format!("{NAMESPACE}:{account}"), namespace)?;
        let granted: BTreeSet<_> = granted.difference(&anyone).cloned().collect();
        let listed: BTreeSet<_> = roles.iter().flat_map(|role| rights::listed(role)).collect();
        let differ: Vec<_> = granted.symmetric_difference(&listed).collect();
        ensure!(differ.is_empty(), "{account} in {namespace}: {differ:#?}");
    }
    Ok(())
}

async fn an_event_becomes_an_alert(cluster: &Cluster) -> Result<()> {
    back_off(cluster, "web-0").await?;
    let labels = alerted(cluster, "web-0").await?;
    let expected = json!({
        "alertname": "ContainerBackoff", "alerttype": "event", "namespace": "shop",
        "pod": "web-0", "container": "app", "severity": "warning",
    });
    ensure!(labels == expected, "{labels}");
    let exported = cluster.node().stdout("events-exporter")?;
    ensure!(exported.contains("\"web-0.1\""), "it is not on the exporter's standard output");
    Ok(())
}

async fn a_wrong_rule_shows_its_mistake(cluster: &Cluster) -> Result<()> {
    cluster.apply(&rule("wrong", &json!({}), "reason = \"BackOff\" And count > 3"))?;
    let shown = |text: &str| text.contains("And") && text.contains("^^^");
    cluster.prints("kubectl -n shop describe er wrong", shown).await?;
    cluster.shell("kubectl -n shop delete er wrong").map(drop)
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

async fn a_tenant_writes_rules_for_itself_only(cluster: &Cluster) -> Result<()> {
    cluster.shell("kubectl -n shop create rolebinding tenant --clusterrole=edit --user=tenant")?;
    let as_tenant =
        |object: &Value| cluster.shell_with("kubectl --as=tenant apply -f -", &object.to_string());
    let own = rule("own", &json!({}), "reason = \"Unhealthy\"");
    // The rights are added to the role `edit` by a controller.
    let allowed = async || Ok(as_tenant(&own).ok());
    until("a tenant may write rules", LIMIT, allowed).await?;

    let scope = json!({"kubesphere.io/rule-scope": "cluster"});
    let mut wide = rule("wide", &scope, "reason = \"Unhealthy\"");
    let refused = as_tenant(&wide).err().context("a tenant wrote a rule for all")?.to_string();
    ensure!(refused.contains(&format!("kubectl apply -n {NAMESPACE}")), "{refused}");
    wide["metadata"]["namespace"] = json!(NAMESPACE);
    let refused = as_tenant(&wide).err().context("a tenant wrote a rule for all")?.to_string();
    ensure!(refused.contains("forbidden"), "{refused}");
    let exporter = json!({
        "apiVersion": "events.kubesphere.io/v1alpha1", "kind": "Exporter",
        "metadata": {"name": "spy", "namespace": "shop"}, "spec": {"sinks": {"stdout": {}}},
    });
    let refused = as_tenant(&exporter).err().context("a tenant exports")?.to_string();
    ensure!(refused.contains("forbidden"), "{refused}");
    cluster.shell("kubectl -n shop delete rolebinding tenant").map(drop)
}

/// A role that is made anew is another owner of its bindings.
async fn roles_come_back(cluster: &Cluster) -> Result<()> {
    let role = "kube-events-exporter";
    let binding = format!("{role}:exporter:{NAMESPACE}:events-exporter");
    let uid = |what: &str, path: &str| {
        cluster.shell(&format!("kubectl get {what} --ignore-not-found -o jsonpath='{{{path}}}'"))
    };
    let owner =
        || uid(&format!("clusterrolebinding {binding}"), ".metadata.ownerReferences[0].uid");
    let (before, owned) = (uid(&format!("clusterrole {role}"), ".metadata.uid")?, owner()?);
    ensure!(before == owned, "{before} is not {owned}");
    cluster.shell(&format!("kubectl delete clusterrole {role}"))?;
    let collected = async || Ok(owner()?.is_empty().then_some(()));
    until("the binding is collected with its role", LIMIT, collected).await?;
    cluster.shell("kube-events bundle | kubectl apply --server-side -f -")?;
    let now = uid(&format!("clusterrole {role}"), ".metadata.uid")?;
    let healed = async || Ok((owner()? == now).then_some(()));
    until("the binding belongs to the new role", LIMIT, healed).await
}

async fn damage_heals(cluster: &Cluster) -> Result<()> {
    let pods = format!("kubectl -n {NAMESPACE} get pods -l events-ruler -o name");
    let before = cluster.shell(&pods)?;
    for damage in [
        "delete service events-ruler",
        "delete configmap events-exporter",
        "scale deployment events-exporter --replicas=0",
        "delete pods -l events-ruler",
        "delete deployment events-exporter",
    ] {
        cluster.shell(&format!("kubectl -n {NAMESPACE} {damage}"))?;
    }
    is_well(cluster).await?;
    roles_come_back(cluster).await?;
    let after = cluster.shell(&pods)?;
    ensure!(before.lines().all(|pod| !after.contains(pod)), "the same pods: {after}");
    back_off(cluster, "web-1").await?;
    alerted(cluster, "web-1").await.map(drop)
}

async fn a_change_is_read_without_a_restart(cluster: &Cluster) -> Result<()> {
    let pods = format!("kubectl -n {NAMESPACE} get pods -l events-exporter -o name");
    let before = cluster.shell(&pods)?;
    let patch = r#"{"spec": {"cluster": "blue"}}"#;
    cluster.shell(&format!(
        "kubectl -n {NAMESPACE} patch ex events-exporter --type=merge -p '{patch}'"
    ))?;
    let told = async || {
        let said = cluster.node().stderr("events-exporter")?;
        Ok(said.contains("the configuration has changed").then_some(()))
    };
    until("the exporter has read it", LIMIT, told).await?;
    back_off(cluster, "web-2").await?;
    let labels = alerted(cluster, "web-2").await?;
    ensure!(labels["cluster"] == "blue", "{labels}");
    ensure!(cluster.shell(&pods)? == before, "the pods were replaced");
    Ok(())
}

/// A namespace's own installation has rights in no other, and exports and rules on its Events alone.
#[test]
fn one_namespace_is_served_by_the_book() -> Result<()> {
    isolated("one_namespace_is_served_by_the_book", async {
        let Some(cluster) = Cluster::find().await? else { return Ok(()) };
        for namespace in ["shop", "team"] {
            cluster.shell(&format!("kubectl create namespace {namespace}"))?;
        }
        let before = everything(&cluster)?;
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
        is_well(&cluster).await?;
        let pods = "kubectl -n kubesphere-logging-system get pods \
            -o jsonpath='{range .items[*]}{.spec.containers[*].name} {end}'";
        let ours = |text: &str| {
            let names: BTreeSet<_> = text.split_whitespace().collect();
            names == BTreeSet::from(["events-exporter", "events-operator", "events-ruler"])
        };
        cluster.prints(pods, ours).await?;
        stop.send(()).ok().context("Events ended early")?;
        for pod in happening.await?? {
            alerted(&cluster, &pod).await?;
        }

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
