//! Events of a real API server through exporter and ruler to a real Alertmanager, by Rules of all scopes.

use anyhow::{Context as _, Result};
use e2e::{Alertmanager, ControlPlane, Part, Program, Settings, until};
use k8s_openapi::api::core::v1::{Event, Namespace};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use kube_events_core::crd::{self, Rule};
use kube_events_testkit::Receiver;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(60);
const RULES_NAMESPACE: &str = "kube-events";

type Labels = BTreeMap<String, String>;

/// Everything between an Event and an alert.
struct Chain {
    control_plane: ControlPlane,
    alertmanager: Alertmanager,
    notified: Receiver,
    ruler: Program,
    exporter: Program,
    /// How many Events have happened.
    happened: u32,
    _dir: TempDir,
}

// === impl Chain ===

impl Chain {
    /// Two tenants, `shop` of the workspace `retail` and `bank` of `finance`, and a first set of Rules;
    /// `None` when a part is missing.
    async fn find() -> Result<Option<Self>> {
        let Some(assets) = Part::ControlPlane.find() else { return Ok(None) };
        let Some(alertmanager) = Part::Alertmanager.find() else { return Ok(None) };
        let Some(exporter) = Part::Program("kube-events-exporter").find() else { return Ok(None) };
        let Some(ruler) = Part::Program("kube-events-ruler").find() else { return Ok(None) };
        let dir = tempfile::Builder::new().prefix("ruler-").tempdir()?;
        let control_plane = ControlPlane::start(&assets, Settings::default()).await?;
        prepare(&control_plane).await?;
        let alertmanager = Alertmanager::start(&alertmanager).await?;
        let notified = Receiver::start().await?;
        let config = ruler_config(&alertmanager, &notified);
        let flags = ["--rules-namespace", RULES_NAMESPACE];
        let ruler = Program::start(&ruler, dir.path(), &control_plane, &config, &flags).await?;
        let config = exporter_config(&ruler);
        let exporter = Program::start(&exporter, dir.path(), &control_plane, &config, &[]).await?;
        let happened = 0;
        Ok(Some(Self {
            control_plane,
            alertmanager,
            notified,
            ruler,
            exporter,
            happened,
            _dir: dir,
        }))
    }

    /// Lets Events (namespace, reason, pod) happen, and waits until the ruler has acknowledged all: only
    /// then has every alert been accepted that follows from them.
    async fn happen(&mut self, events: &[(&str, &str, &str)]) -> Result<()> {
        let client = self.control_plane.client().await?;
        for (namespace, reason, pod) in events {
            let api = Api::<Event>::namespaced(client.clone(), namespace);
            api.create(&PostParams::default(), &event(namespace, reason, pod)?).await?;
            self.happened += 1;
        }
        self.acknowledged().await
    }

    /// Lets what an Event tells of happen again, so often in all.
    async fn repeat(&mut self, namespace: &str, reason: &str, pod: &str, count: i32) -> Result<()> {
        let api = Api::<Event>::namespaced(self.control_plane.client().await?, namespace);
        let again = event(namespace, reason, pod)?;
        let again = json!({"count": count, "lastTimestamp": again.last_timestamp});
        let name = format!("{pod}.{}", reason.to_lowercase());
        api.patch(&name, &PatchParams::default(), &Patch::Merge(again)).await?;
        self.happened += 1;
        self.acknowledged().await
    }

    async fn acknowledged(&self) -> Result<()> {
        let wanted = Some(f64::from(self.happened));
        let delivered = "kube_events_delivered_total{lane=\"ruler\"}";
        let acknowledged =
            async || Ok((self.exporter.metric(delivered).await? == wanted).then_some(()));
        until("the ruler has acknowledged every Event", LIMIT, acknowledged).await
    }

    async fn compiled(&self, rules: f64, problems: f64) -> Result<()> {
        let compiled = async || {
            let rules_now = self.ruler.metric("kube_events_ruler_rules").await?;
            let problems_now = self.ruler.metric("kube_events_ruler_rule_problems").await?;
            Ok((rules_now == Some(rules) && problems_now == Some(problems)).then_some(()))
        };
        until("the changed Rules are in force", LIMIT, compiled).await
    }

    async fn alerts(&self) -> Result<BTreeSet<Labels>> {
        let alerts = self.alertmanager.alerts().await?.into_iter();
        Ok(alerts
            .map(|mut alert| serde_json::from_value(alert["labels"].take()))
            .collect::<Result<_, _>>()?)
    }

    /// Waits until the alert of this pod is over.
    async fn recovers(&self, pod: &str) -> Result<()> {
        let over = async || {
            let alerts = self.alerts().await?;
            Ok(alerts.iter().all(|labels| labels["pod"] != pod).then_some(()))
        };
        until("the alert is over", LIMIT, over).await
    }

    async fn apply(&self, namespace: &str, rule: &Value) -> Result<()> {
        apply(&self.control_plane, namespace, rule).await
    }

    async fn stop(self) -> Result<()> {
        self.exporter.stop().await?;
        self.ruler.stop().await?;
        self.alertmanager.stop().await?;
        self.control_plane.stop().await
    }
}

fn ruler_config(alertmanager: &Alertmanager, notified: &Receiver) -> String {
    let config = json!({
        "sinks": {
            "alertmanagers": [{"urls": [alertmanager.url()]}],
            "webhooks": [{"type": "notification", "url": notified.url()}],
        },
    });
    config.to_string()
}

fn exporter_config(ruler: &Program) -> String {
    let config = json!({
        "cluster": "e2e",
        "fieldSelector": "reportingComponent=e2e",
        "sinks": {"webhooks": [{"name": "ruler", "url": ruler.url("/events")}]},
    });
    config.to_string()
}

async fn prepare(control_plane: &ControlPlane) -> Result<()> {
    control_plane.install(&crd::all()).await?;
    let api = Api::<Namespace>::all(control_plane.client().await?);
    for (name, labels) in [
        (RULES_NAMESPACE, json!({})),
        ("shop", json!({crd::WORKSPACE_LABEL: "retail"})),
        ("bank", json!({crd::WORKSPACE_LABEL: "finance"})),
    ] {
        let namespace =
            serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}}))?;
        api.create(&PostParams::default(), &namespace).await?;
    }
    for (namespace, rule) in [
        (RULES_NAMESPACE, everywhere("reason=\"BackOff\"")),
        (RULES_NAMESPACE, in_retail()),
        ("bank", in_bank()),
        ("shop", in_shop()),
    ] {
        apply(control_plane, namespace, &rule).await?;
    }
    Ok(())
}

/// Two rules for the whole cluster: an alert, and a notification.
fn everywhere(condition: &str) -> Value {
    json!({
        "metadata": {"name": "everywhere", "labels": {crd::RULE_SCOPE_LABEL: "cluster"}},
        "spec": {"rules": [
            {
                "name": "PodTrouble", "type": "alert", "enable": true, "condition": condition,
                "labels": {"severity": "warning"}, "annotations": {"summary": "%message"},
            },
            {"name": "Pulled", "type": "notification", "enable": true, "condition": "reason=\"Pulled\""},
        ]},
    })
}

fn in_retail() -> Value {
    json!({
        "metadata": {"name": "in-retail", "labels": {
            crd::RULE_SCOPE_LABEL: "workspace", crd::WORKSPACE_LABEL: "retail",
        }},
        "spec": {"rules": [alert("RetailUnhealthy", "reason=\"Unhealthy\"")]},
    })
}

fn in_bank() -> Value {
    json!({
        "metadata": {"name": "in-bank", "labels": {crd::RULE_SCOPE_LABEL: "namespace"}},
        "spec": {"rules": [alert("BankUnscheduled", "reason=\"FailedScheduling\"")]},
    })
}

fn in_shop() -> Value {
    json!({
        "metadata": {"name": "in-shop", "labels": {crd::RULE_SCOPE_LABEL: "namespace"}},
        "spec": {"rules": [alert("ShopEvicted", "reason=\"Evicted\"")]},
    })
}

fn alert(name: &str, condition: &str) -> Value {
    json!({"name": name, "type": "alert", "enable": true, "condition": condition})
}

/// Applies a Rule object, given without `apiVersion` and `kind`.
async fn apply(control_plane: &ControlPlane, namespace: &str, rule: &Value) -> Result<()> {
    let mut rule = rule.clone();
    rule["apiVersion"] = json!(format!("{}/{}", crd::GROUP, crd::VERSION));
    rule["kind"] = json!("Rule");
    let name = rule["metadata"]["name"].as_str().context("no name")?.to_owned();
    let api = Api::<Rule>::namespaced(control_plane.client().await?, namespace);
    api.patch(&name, &PatchParams::apply("e2e").force(), &Patch::Apply(rule)).await?;
    Ok(())
}

fn event(namespace: &str, reason: &str, pod: &str) -> Result<Event> {
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let event = json!({
        "metadata": {"name": format!("{pod}.{}", reason.to_lowercase()), "namespace": namespace},
        "involvedObject": {
            "kind": "Pod", "apiVersion": "v1", "namespace": namespace, "name": pod,
            "fieldPath": "spec.containers{app}",
        },
        "reason": reason, "type": "Warning", "message": format!("{reason} of {pod}"),
        "firstTimestamp": now, "lastTimestamp": now, "count": 1,
        "source": {"component": "e2e"}, "reportingComponent": "e2e",
    });
    Ok(serde_json::from_value(event)?)
}

/// The labels of an alert about a container of a pod, and one of the rule's.
fn labels(name: &str, namespace: &str, pod: &str, severity: Option<&str>) -> Labels {
    let place = [
        ("alertname", name),
        ("alerttype", "event"),
        ("cluster", "e2e"),
        ("container", "app"),
        ("namespace", namespace),
        ("pod", pod),
    ];
    let severity = severity.map(|severity| ("severity", severity));
    place.into_iter().chain(severity).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_alerts_that_the_rules_ask_for_fire_and_no_others() -> Result<()> {
    let Some(mut chain) = Chain::find().await? else { return Ok(()) };
    chain.compiled(5.0, 0.0).await?;
    chain
        .happen(&[
            ("shop", "BackOff", "web-0"),
            ("bank", "BackOff", "db-0"),
            ("shop", "Unhealthy", "web-1"),
            ("bank", "Unhealthy", "db-1"),
            ("bank", "FailedScheduling", "db-2"),
            ("shop", "FailedScheduling", "web-2"),
            (RULES_NAMESPACE, "FailedScheduling", "op-0"),
            ("shop", "Pulled", "web-3"),
            ("shop", "Evicted", "web-4"),
            ("bank", "Evicted", "db-4"),
        ])
        .await?;
    let mut expected = BTreeSet::from([
        labels("PodTrouble", "shop", "web-0", Some("warning")),
        labels("PodTrouble", "bank", "db-0", Some("warning")),
        labels("RetailUnhealthy", "shop", "web-1", None),
        labels("BankUnscheduled", "bank", "db-2", None),
        labels("ShopEvicted", "shop", "web-4", None),
    ]);
    assert_eq!(chain.alerts().await?, expected);

    change_rules(&chain).await?;
    chain.compiled(5.0, 2.0).await?;
    chain
        .happen(&[
            ("shop", "BackOff", "web-10"),
            ("shop", "Killing", "web-11"),
            ("shop", "Unhealthy", "web-12"),
            ("bank", "FailedScheduling", "db-10"),
            ("bank", "OOMKilling", "db-11"),
            ("shop", "OOMKilling", "web-13"),
            ("bank", "Pulled", "db-12"),
        ])
        .await?;
    expected.extend([
        labels("PodTrouble", "shop", "web-11", Some("warning")),
        labels("BankUnscheduled", "bank", "db-10", None),
        labels("BankOom", "bank", "db-11", None),
    ]);
    assert_eq!(chain.alerts().await?, expected);

    let notified = chain.notified.accepted();
    let told = |event: &Value| {
        let rules: Vec<_> = event["rules"].as_array().into_iter().flatten().collect();
        (event["message"].clone(), rules.iter().map(|rule| rule["name"].clone()).collect())
    };
    let told: Vec<(Value, Vec<Value>)> = notified.iter().map(told).collect();
    let pulled = vec![json!("Pulled")];
    let expected = ["Pulled of web-3", "Pulled of db-12"].map(|text| (json!(text), pulled.clone()));
    assert_eq!(told, expected);
    chain.stop().await
}

/// One Rule is edited, one deleted, one added of which half is wrong, and a tenant's claims the cluster.
async fn change_rules(chain: &Chain) -> Result<()> {
    chain.apply(RULES_NAMESPACE, &everywhere("reason=\"Killing\"")).await?;
    let client = chain.control_plane.client().await?;
    let api = Api::<Rule>::namespaced(client, RULES_NAMESPACE);
    api.delete("in-retail", &DeleteParams::default()).await?;
    let half_wrong = json!({
        "metadata": {"name": "half-wrong"},
        "spec": {"rules": [alert("Wrong", "reason="), alert("BankOom", "reason=\"OOMKilling\"")]},
    });
    chain.apply("bank", &half_wrong).await?;
    let too_far = json!({
        "metadata": {"name": "too-far", "labels": {crd::RULE_SCOPE_LABEL: "cluster"}},
        "spec": {"rules": [alert("Spy", "type=\"Warning\"")]},
    });
    chain.apply("bank", &too_far).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_configuration_is_told_and_the_one_before_stays_in_force() -> Result<()> {
    let Some(mut chain) = Chain::find().await? else { return Ok(()) };
    for program in [&chain.ruler, &chain.exporter] {
        assert_eq!(program.reload().await?, (200, String::new()));
        program.configure("sinks:\n  webhooks:\n  - adress: http://127.0.0.1:1\n")?;
        let (code, text) = program.reload().await?;
        assert_eq!(code, 500, "{text}");
        assert!(text.contains("adress") && text.contains('^'), "{text}");
        let in_force = program.metric("kube_events_config_last_reload_successful").await?;
        assert_eq!(in_force, Some(0.0));
    }
    chain.happen(&[("shop", "BackOff", "web-0")]).await?;
    let expected = BTreeSet::from([labels("PodTrouble", "shop", "web-0", Some("warning"))]);
    assert_eq!(chain.alerts().await?, expected);

    chain.exporter.configure(&exporter_config(&chain.ruler))?;
    assert_eq!(chain.exporter.reload().await?.0, 200);
    chain.ruler.configure(&ruler_config(&chain.alertmanager, &chain.notified))?;
    assert_eq!(chain.ruler.reload().await?.0, 200);
    chain.happen(&[("bank", "BackOff", "db-0")]).await?;
    assert_eq!(chain.alerts().await?.len(), 2);
    chain.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_that_count_and_recover_are_seen_firing_and_then_resolved() -> Result<()> {
    let Some(mut chain) = Chain::find().await? else { return Ok(()) };
    let mut often = alert("Often", "reason=\"Crashed\"");
    often["threshold"] = json!({"count": 3, "within": "15s"});
    let mut unready = alert("Unready", "reason=\"Unready\"");
    unready["resolve"] = json!("reason=\"Ready\"");
    let rules = json!({"metadata": {"name": "stateful"}, "spec": {"rules": [often, unready]}});
    chain.apply("shop", &rules).await?;
    chain.compiled(7.0, 0.0).await?;

    chain.happen(&[("shop", "Crashed", "web-0"), ("shop", "Unready", "web-1")]).await?;
    let group = |name: &str, pod: &str| {
        let mut labels = labels(name, "shop", pod, None);
        labels.remove("container");
        labels
    };
    assert_eq!(chain.alerts().await?, BTreeSet::from([group("Unready", "web-1")]));
    chain.repeat("shop", "Crashed", "web-0", 3).await?;
    let firing = BTreeSet::from([group("Often", "web-0"), group("Unready", "web-1")]);
    assert_eq!(chain.alerts().await?, firing);

    // Told once, they fire for four minutes: somebody says that they are over. Of the one it is time.
    chain.recovers("web-0").await?;
    assert_eq!(chain.alerts().await?, BTreeSet::from([group("Unready", "web-1")]));
    chain.happen(&[("shop", "Ready", "web-1")]).await?;
    chain.recovers("web-1").await?;
    chain.stop().await
}

/// Sends an Event, as the API server has it, until it is taken.
async fn deliver(ruler: &Program, event: &Event) -> Result<()> {
    let (http, body) = (reqwest::Client::builder().no_proxy().build()?, serde_json::to_vec(event)?);
    let taken = async || {
        let answer = http.post(ruler.url("/events")).body(body.clone()).send().await?;
        Ok(answer.status().is_success().then_some(()))
    };
    until("the Event is taken", LIMIT, taken).await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_rulers_count_together_and_one_goes_on_without_the_other() -> Result<()> {
    let Some(assets) = Part::ControlPlane.find() else { return Ok(()) };
    let Some(program) = Part::Program("kube-events-ruler").find() else { return Ok(()) };
    let control_plane = ControlPlane::start(&assets, Settings::default()).await?;
    prepare(&control_plane).await?;
    let often = json!({
        "name": "Often", "type": "notification", "enable": true, "condition": "reason=\"Crashed\"",
        "threshold": {"count": 3, "within": "10m"}, "groupBy": ["involvedObject.namespace"],
    });
    let rules = json!({"metadata": {"name": "often"}, "spec": {"rules": [often]}});
    apply(&control_plane, "shop", &rules).await?;
    let notified = Receiver::start().await?;
    let config = json!({"sinks": {"webhooks": [{"type": "notification", "url": notified.url()}]}});
    let flags = ["--rules-namespace", RULES_NAMESPACE];
    let flags = [&flags[..], &["--lease.name=rulers", "--lease.address=127.0.0.1"]].concat();
    let (first_dir, second_dir) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let start = async |dir: &TempDir| {
        Program::start(&program, dir.path(), &control_plane, &config.to_string(), &flags).await
    };
    let (first, second) = (start(&first_dir).await?, start(&second_dir).await?);
    let api = Api::<Event>::namespaced(control_plane.client().await?, "shop");
    let crash = async |pod: &str| -> Result<Event> {
        Ok(api.create(&PostParams::default(), &event("shop", "Crashed", pod)?).await?)
    };

    deliver(&first, &crash("web-0").await?).await?;
    deliver(&second, &crash("web-1").await?).await?;
    assert_eq!(second.metric("kube_events_ruler_forwarded_total").await?, Some(1.0));
    first.stop().await?;
    let active =
        async || Ok((second.metric("kube_events_ruler_active").await? == Some(1.0)).then_some(()));
    until("the second one is the active one", LIMIT, active).await?;
    assert!(notified.requests().is_empty());
    let last = crash("web-2").await?;
    deliver(&second, &last).await?;
    deliver(&second, &last).await?;
    let told = notified.accepted();
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(told[0]["rules"][0]["because"], "3 occurrences in 10m");
    second.stop().await?;
    control_plane.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_make_no_sense_are_refused_by_the_api_server() -> Result<()> {
    let Some(assets) = Part::ControlPlane.find() else { return Ok(()) };
    let control_plane = ControlPlane::start(&assets, Settings::default()).await?;
    control_plane.install(&crd::all()).await?;
    for (settings, reason) in [
        (json!({"type": "route"}), "sinks belongs to type route"),
        (json!({"type": "alert", "sinks": ["a"]}), "sinks belongs to type route"),
        (json!({"type": "drop", "repeatInterval": "1h"}), "belong to the types notification"),
        (json!({"type": "notification", "resolve": "count>1"}), "belong to type alert"),
        (json!({"type": "alert", "groupBy": ["owner"]}), "groupBy needs one of"),
        (json!({"type": "alert", "keepFiringFor": "0s"}), "longer than nothing"),
        (json!({"type": "alert", "keepFiringFor": "soon"}), "a duration like 10s"),
        (json!({"type": "alert", "keepFiringFor": "5m1.5h"}), "a duration like 10s"),
        (
            json!({"type": "alert", "threshold": {"count": 0, "within": "1m"}}),
            "greater than or equal",
        ),
    ] {
        let mut rule = alert("R", "reason exists");
        rule.as_object_mut()
            .context("a rule")?
            .extend(settings.as_object().context("settings")?.clone());
        let object = json!({"metadata": {"name": "r"}, "spec": {"rules": [rule]}});
        let error = apply(&control_plane, "default", &object).await.unwrap_err();
        assert!(format!("{error:#}").contains(reason), "{error:#}");
    }
    control_plane.stop().await
}
