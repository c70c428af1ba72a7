//! What an installation has to do, whichever way it came.

use anyhow::{Context as _, Result, ensure};
use e2e::{Cluster, until};
use serde_json::{Value, json};
use std::collections::BTreeSet;

use crate::{LIMIT, NAMESPACE, alerted, back_off, rights, rule};

/// An operator with an Exporter and a Ruler that have all Events, the usual rules, and the Alertmanager.
pub(crate) struct Installed<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) exporter: &'a str,
    pub(crate) ruler: &'a str,
    /// The command that brings back what is missing of it.
    pub(crate) again: &'a str,
}

// === impl Installed ===

impl<'a> Installed<'a> {
    /// The bundle and the samples.
    pub(crate) fn of_samples(cluster: &'a Cluster) -> Self {
        Self {
            cluster,
            exporter: "events-exporter",
            ruler: "events-ruler",
            again: "kube-events bundle | kubectl apply --server-side -f -",
        }
    }

    /// All of it.
    pub(crate) async fn works(&self) -> Result<()> {
        self.is_well().await?;
        self.rights_are_those_of_the_book()?;
        self.an_event_becomes_an_alert().await?;
        self.a_wrong_rule_shows_its_mistake().await?;
        self.a_tenant_writes_rules_for_itself_only().await?;
        self.damage_heals().await?;
        self.a_change_is_read_without_a_restart().await
    }

    pub(crate) async fn is_well(&self) -> Result<()> {
        let columns = "jsonpath={range .items[*]}{.metadata.name}={.status.readyReplicas} {end}";
        let command = format!("kubectl get ex,erl -A -o '{columns}'");
        let well = format!("{}=1 {}=2 ", self.exporter, self.ruler);
        self.cluster.prints(&command, |printed| printed == well).await.map(drop)
    }

    /// Of each account, what the API server lets it do beyond what it lets anyone do.
    fn rights_are_those_of_the_book(&self) -> Result<()> {
        let Self { cluster, exporter, ruler, .. } = self;
        let operator = ["kube-events-operator", "kube-events-operator-election"];
        let monitoring = "kubesphere-monitoring-system";
        for (account, namespace, roles) in [
            ("kube-events-operator", NAMESPACE, &operator[..]),
            ("kube-events-operator", "shop", &operator[..1]),
            (exporter, NAMESPACE, &["kube-events-exporter"]),
            (exporter, "shop", &["kube-events-exporter"]),
            (ruler, NAMESPACE, &["kube-events-ruler", "kube-events-ruler-lease"]),
            (ruler, monitoring, &["kube-events-ruler", "kube-events-service-reader"]),
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

    pub(crate) async fn an_event_becomes_an_alert(&self) -> Result<()> {
        let Self { cluster, exporter, .. } = self;
        back_off(cluster, "web-0").await?;
        let labels = alerted(cluster, "web-0").await?;
        let expected = json!({
            "alertname": "ContainerBackoff", "alerttype": "event", "namespace": "shop",
            "pod": "web-0", "container": "app", "severity": "warning",
        });
        ensure!(labels == expected, "{labels}");
        let exported = cluster.node().stdout(exporter)?;
        ensure!(exported.contains("\"web-0.1\""), "it is not on the exporter's standard output");
        Ok(())
    }

    async fn a_wrong_rule_shows_its_mistake(&self) -> Result<()> {
        let Self { cluster, .. } = self;
        cluster.apply(&rule("wrong", &json!({}), "reason = \"BackOff\" And count > 3"))?;
        let shown = |text: &str| text.contains("And") && text.contains("^^^");
        cluster.prints("kubectl -n shop describe er wrong", shown).await?;
        cluster.shell("kubectl -n shop delete er wrong").map(drop)
    }

    async fn a_tenant_writes_rules_for_itself_only(&self) -> Result<()> {
        let Self { cluster, .. } = self;
        cluster
            .shell("kubectl -n shop create rolebinding tenant --clusterrole=edit --user=tenant")?;
        let as_tenant = |object: &Value| {
            cluster.shell_with("kubectl --as=tenant apply -f -", &object.to_string())
        };
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
    async fn roles_come_back(&self) -> Result<()> {
        let Self { cluster, exporter, .. } = self;
        let role = "kube-events-exporter";
        let binding = format!("{role}:exporter:{NAMESPACE}:{exporter}");
        let uid = |what: &str, path: &str| {
            cluster
                .shell(&format!("kubectl get {what} --ignore-not-found -o jsonpath='{{{path}}}'"))
        };
        let owner =
            || uid(&format!("clusterrolebinding {binding}"), ".metadata.ownerReferences[0].uid");
        let (before, owned) = (uid(&format!("clusterrole {role}"), ".metadata.uid")?, owner()?);
        ensure!(before == owned, "{before} is not {owned}");
        cluster.shell(&format!("kubectl delete clusterrole {role}"))?;
        let collected = async || Ok(owner()?.is_empty().then_some(()));
        until("the binding is collected with its role", LIMIT, collected).await?;
        cluster.shell(self.again)?;
        let now = uid(&format!("clusterrole {role}"), ".metadata.uid")?;
        let healed = async || Ok((owner()? == now).then_some(()));
        until("the binding belongs to the new role", LIMIT, healed).await
    }

    async fn damage_heals(&self) -> Result<()> {
        let Self { cluster, exporter, ruler, .. } = self;
        let pods = format!("kubectl -n {NAMESPACE} get pods -l events-ruler -o name");
        let before = cluster.shell(&pods)?;
        for damage in [
            format!("delete service {ruler}"),
            format!("delete configmap {exporter}"),
            format!("scale deployment {exporter} --replicas=0"),
            "delete pods -l events-ruler".to_owned(),
            format!("delete deployment {exporter}"),
            "delete lease kube-events-operator".to_owned(),
        ] {
            cluster.shell(&format!("kubectl -n {NAMESPACE} {damage}"))?;
        }
        let leads = async || {
            let said = cluster.node().stderr("kube-events-operator")?;
            Ok(said.contains("the lease was deleted and is made anew").then_some(()))
        };
        until("the operator leads by a new Lease", LIMIT, leads).await?;
        self.is_well().await?;
        self.roles_come_back().await?;
        let after = cluster.shell(&pods)?;
        ensure!(before.lines().all(|pod| !after.contains(pod)), "the same pods: {after}");
        back_off(cluster, "web-1").await?;
        alerted(cluster, "web-1").await.map(drop)
    }

    async fn a_change_is_read_without_a_restart(&self) -> Result<()> {
        let Self { cluster, exporter, .. } = self;
        let pods = format!("kubectl -n {NAMESPACE} get pods -l events-exporter -o name");
        let before = cluster.shell(&pods)?;
        let patch = r#"{"spec": {"cluster": "blue"}}"#;
        cluster.shell(&format!(
            "kubectl -n {NAMESPACE} patch ex {exporter} --type=merge -p '{patch}'"
        ))?;
        let told = async || {
            let said = cluster.node().stderr(exporter)?;
            Ok(said.contains("the configuration has changed").then_some(()))
        };
        until("the exporter has read it", LIMIT, told).await?;
        back_off(cluster, "web-2").await?;
        let labels = alerted(cluster, "web-2").await?;
        ensure!(labels["cluster"] == "blue", "{labels}");
        ensure!(cluster.shell(&pods)? == before, "the pods were replaced");
        Ok(())
    }
}
