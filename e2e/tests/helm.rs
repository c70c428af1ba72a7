//! The Helm chart, beside the bundle and on a real API server.

use anyhow::{Context as _, Result, ensure};
use e2e::{ControlPlane, Manifest, Part, Settings, run};
use k8s_openapi::{
    api::{
        admissionregistration::v1::ValidatingWebhookConfiguration, apps::v1::Deployment,
        core::v1::Secret, rbac::v1::ClusterRole,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, ListParams},
};
use kube_events_core::crd::{Exporter, Rule};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

const NAMESPACE: &str = "kubesphere-logging-system";
const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy");
const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/helm/kube-events");
/// Helm keeps a release in a Secret, which may have 1 MiB; this is what leaves room for values.
const RELEASE_SIZE: usize = 768 << 10;
const EVERYTHING: &str = "--set=exporter.enabled=true,ruler.enabled=true,rule.createDefaults=true";

/// Helm with a home of its own.
struct Helm {
    program: PathBuf,
    home: TempDir,
}

// === impl Helm ===

impl Helm {
    /// `None` when it is missing.
    fn find() -> Result<Option<Self>> {
        let Some(program) = Part::Helm.find() else { return Ok(None) };
        let home = tempfile::Builder::new().prefix("helm-").tempdir()?;
        Ok(Some(Self { program, home }))
    }

    fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.program);
        command.args(arguments);
        for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(name, self.home.path());
        }
        run(command.env("KUBECONFIG", self.home.path().join("kubeconfig")))
    }

    /// What the release `kube-events` would hold.
    fn template(&self, namespace: &str, arguments: &[&str]) -> Result<Manifest> {
        let first = ["template", "kube-events", CHART, "--namespace", namespace];
        Manifest::parse(&self.run(&[&first, arguments].concat())?)
    }

    /// Why Helm does not do it.
    fn refusal(&self, arguments: &[&str]) -> Result<String> {
        let refused = self.run(arguments).err();
        Ok(refused.with_context(|| format!("{arguments:?} was taken"))?.to_string())
    }
}

/// Helm and a cluster.
struct Cluster {
    _control_plane: ControlPlane,
    client: Client,
    helm: Helm,
}

// === impl Cluster ===

impl Cluster {
    /// `None` when a part is missing.
    async fn find() -> Result<Option<Self>> {
        let Some(assets) = Part::ControlPlane.find() else { return Ok(None) };
        let Some(helm) = Helm::find()? else { return Ok(None) };
        let control_plane = ControlPlane::start(&assets, Settings::default()).await?;
        fs::copy(control_plane.kubeconfig(), helm.home.path().join("kubeconfig"))?;
        let client = control_plane.client().await?;
        Ok(Some(Self { _control_plane: control_plane, client, helm }))
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    fn all<K: kube::Resource<DynamicType = ()>>(&self) -> Api<K> {
        Api::all(self.client.clone())
    }

    /// Does something with a release in the usual namespace.
    fn helm(&self, arguments: &[&str]) -> Result<String> {
        self.helm.run(&[arguments, &["--namespace", NAMESPACE]].concat())
    }
}

/// What `kube-events bundle` prints.
fn bundle(arguments: &[&str]) -> Result<Option<Manifest>> {
    let Some(cli) = Part::Program("kube-events").find() else { return Ok(None) };
    let printed = run(Command::new(cli).arg("bundle").args(arguments))?;
    Ok(Some(Manifest::parse(&printed)?))
}

fn sample(name: &str) -> Result<Manifest> {
    Manifest::parse(&fs::read_to_string(format!("{DEPLOY}/samples/{name}.yaml"))?)
}

/// Takes the annotation off by which Helm keeps a definition.
fn unkept(object: &mut Value) -> bool {
    let kept = json!({"helm.sh/resource-policy": "keep"});
    let metadata = object["metadata"].as_object_mut();
    metadata.and_then(|metadata| metadata.remove("annotations")) == Some(kept)
}

#[test]
fn the_chart_passes_lint_and_is_whole_when_packaged() -> Result<()> {
    let Some(helm) = Helm::find()? else { return Ok(()) };
    helm.run(&["lint", "--strict", CHART])?;
    let folder = helm.home.path().display().to_string();
    helm.run(&["package", CHART, "--destination", &folder])?;
    let archive = fs::read_dir(&folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "tgz"))
        .context("no archive")?
        .display()
        .to_string();
    for arguments in
        [&[][..], &["--set=namespaced=true"], &["--set=monitoring.enabled=true", EVERYTHING]]
    {
        let folder = helm.run(&[&["template", "a", CHART], arguments].concat())?;
        let packaged = helm.run(&[&["template", "a", &archive], arguments].concat())?;
        ensure!(folder == packaged, "{arguments:?}: the archive gives something else");
    }
    Ok(())
}

#[test]
fn the_defaults_install_what_the_bundle_does() -> Result<()> {
    let Some(helm) = Helm::find()? else { return Ok(()) };
    for namespace in [NAMESPACE, "elsewhere"] {
        let Some(bundle) = bundle(&["--namespace", namespace])? else { return Ok(()) };
        let mut release = helm.template(namespace, &[])?;
        let definitions = release.objects().filter(|it| it["kind"] == "CustomResourceDefinition");
        for definition in definitions {
            ensure!(unkept(definition), "{} is not kept", definition["metadata"]["name"]);
        }
        // Helm makes the namespace before it looks at a chart.
        let bundle = bundle.without("Namespace");
        release.same_as(&bundle)?;
        let elsewhere = format!("--set=namespaceOverride={namespace},crds.keep=false");
        helm.template("default", &[&elsewhere])?.same_as(&bundle)?;
    }
    Ok(())
}

#[test]
fn a_namespaced_release_is_the_namespaced_bundle() -> Result<()> {
    let Some(helm) = Helm::find()? else { return Ok(()) };
    let Some(bundle) = bundle(&["--namespaced", "--namespace", "team"])? else { return Ok(()) };
    helm.template("team", &["--set=namespaced=true"])?.same_as(&bundle)
}

#[test]
fn what_is_switched_off_is_left_out() -> Result<()> {
    let Some(helm) = Helm::find()? else { return Ok(()) };
    let everything = helm.template(NAMESPACE, &[])?;
    let policy = "ValidatingAdmissionPolicy";
    for (value, kinds) in [
        ("crds.install", &["CustomResourceDefinition"][..]),
        ("policies.enabled", &[policy, "ValidatingAdmissionPolicyBinding"]),
        (
            "operator.serviceAccount.name=kube-events-operator,operator.serviceAccount.create",
            &["ServiceAccount"],
        ),
    ] {
        let release = helm.template(NAMESPACE, &[&format!("--set={value}=false")])?;
        let left_out = everything.clone().beyond(&release);
        let rest = kinds.iter().fold(left_out, |objects, kind| objects.without(kind));
        rest.same_as(&Manifest::default()).with_context(|| format!("without {value}"))?;
        for kind in kinds {
            ensure!(
                release.the(kind).is_err_and(|error| error.to_string() == format!("no {kind}"))
            );
        }
    }
    Ok(())
}

#[test]
fn the_objects_that_can_be_switched_on_are_the_samples() -> Result<()> {
    let Some(helm) = Helm::find()? else { return Ok(()) };
    let operator = helm.template(NAMESPACE, &[])?;
    let release = helm.template(NAMESPACE, &[EVERYTHING, "--set=fullnameOverride=events"])?;
    let added = release.beyond(&operator);
    for (kind, name) in [("Exporter", "exporter"), ("Ruler", "ruler"), ("Rule", "rules")] {
        let (found, sample) = (added.the(kind)?, sample(name)?);
        ensure!(found["spec"] == sample.the(kind)?["spec"], "{found}");
        ensure!(found["metadata"]["labels"] == sample.the(kind)?["metadata"]["labels"], "{found}");
    }
    Ok(())
}

#[test]
fn monitoring_is_that_of_the_kustomization() -> Result<()> {
    let Some(helm) = Helm::find()? else { return Ok(()) };
    let operator = helm.template(NAMESPACE, &[])?;
    let monitored = helm.template(NAMESPACE, &["--set=monitoring.enabled=true"])?;
    let monitors = fs::read_to_string(format!("{DEPLOY}/kustomize/monitoring/operator.yaml"))?;
    monitored.beyond(&operator).same_as(&Manifest::parse(&monitors)?)?;
    let labelled = "--set=monitoring.enabled=true,monitoring.labels.release=prometheus";
    let release = helm.template(NAMESPACE, &[EVERYTHING, labelled])?;
    for kind in ["PodMonitor", "PrometheusRule"] {
        ensure!(release.the(kind)?["metadata"]["labels"]["release"] == "prometheus");
    }
    let wanted = json!({"enabled": true, "labels": {"release": "prometheus"}});
    for kind in ["Exporter", "Ruler"] {
        ensure!(release.the(kind)?["spec"]["monitoring"] == wanted);
    }
    Ok(())
}

#[test]
fn a_wrong_value_is_refused_with_its_place() -> Result<()> {
    let Some(helm) = Helm::find()? else { return Ok(()) };
    for (value, refusal) in [
        ("exportr.enabled=true", "additional properties 'exportr' not allowed"),
        ("operator.image.tga=v1", "at '/operator/image': additional properties 'tga' not allowed"),
        ("operator.replicas=many", "at '/operator/replicas': got string, want integer"),
        (
            "operator.image.pullPolicy=Often",
            "at '/operator/image/pullPolicy': value must be one of",
        ),
        (
            "operator.nodeSelector.ssd=true",
            "at '/operator/nodeSelector/ssd': got boolean, want string",
        ),
        ("exporter=null", "at '': missing property 'exporter'"),
        ("operator.image=null", "at '/operator': missing property 'image'"),
        ("exporter.sinks.stdout=null", "at '/exporter/sinks': missing property 'stdout'"),
        ("operator.serviceAccount.create=false", "operator.serviceAccount.name has to say"),
        ("imagePullSecrets[0]=registry", "at '/imagePullSecrets/0': got string, want object"),
        ("fluentbit.enabled=true", "fluentbit.enabled: this chart makes no objects of the Fluent"),
    ] {
        let found = helm.refusal(&["template", "a", CHART, "--set", value])?;
        ensure!(found.contains(refusal), "{value}: {found}");
    }
    Ok(())
}

/// The shape that values of the Go project's chart have where an installer wrote them.
const FORMER_VALUES: &str = "
operator:
  enabled: true
  image: {repository: registry.example/kubesphere/kube-events-operator, tag: v0.6.0, pullPolicy: IfNotPresent}
  configReloader: {image: 'jimmidyson/configmap-reload:v0.7.1'}
  nodeSelector: {disk: ssd}
  tolerations: {}
  resources: {limits: {cpu: 200m, memory: 200Mi}, requests: {cpu: 20m, memory: 20Mi}}
  volumes: [{name: host-time, hostPath: {path: /etc/localtime}}]
  volumeMounts: [{name: host-time, mountPath: /etc/localtime, readOnly: true}]
  serviceAccount: {create: true, name: ''}
  cleanupAllCustomResources: false
  kubectlImage: 'docker.io/bitnami/kubectl:1.14.1'
exporter:
  enabled: true
  image: {repository: kubesphere/kube-events-exporter, tag: '', pullPolicy: IfNotPresent}
  tolerations: [{key: dedicated, operator: Exists}]
  resources: {limits: {cpu: 200m, memory: 500Mi}}
  sinks: {stdout: {enabled: true}, additionalWebhooks: [{url: 'https://archive.example/events'}]}
fluentbit: {enabled: false, containerRuntime: '', input: {enabled: true, tail: {memBufLimit: 5MB}}}
ruler:
  enabled: false
  image: {repository: mirror.example/ruler, tag: v9}
  sinks: {alertmanager: {namespace: monitoring, name: main}, webhooks: []}
rule: {createDefaults: true, overrideDefaults: true}
timezone: Europe/Berlin
";

#[test]
fn values_of_the_go_projects_chart_keep_their_meaning() -> Result<()> {
    let Some(helm) = Helm::find()? else { return Ok(()) };
    let values = helm.home.path().join("values.yaml");
    fs::write(&values, FORMER_VALUES)?;
    let values = format!("--values={}", values.display());
    let release = helm.template(NAMESPACE, &[&values, "--set=ruler.enabled=true"])?;
    let deployment = release.the("Deployment")?;
    let pod = &deployment["spec"]["template"]["spec"];
    ensure!(pod["nodeSelector"] == json!({"disk": "ssd"}), "{pod}");
    ensure!(pod["volumes"][0]["hostPath"]["path"] == "/etc/localtime", "{pod}");
    let container = &pod["containers"][0];
    let image = container["image"].as_str().unwrap_or_default();
    ensure!(image.starts_with("kube-events/operator:v"), "the Go project's image runs: {image}");
    ensure!(container["args"] == json!(["--ruler-image=mirror.example/ruler:v9"]), "{container}");
    ensure!(container["resources"]["limits"] == json!({"cpu": "200m", "memory": "200Mi"}));
    ensure!(container["volumeMounts"][0]["name"] == "host-time", "{container}");

    let exporter = release.the("Exporter")?;
    let spec = &exporter["spec"];
    ensure!(exporter["metadata"]["name"] == "kube-events-exporter", "{exporter}");
    ensure!(spec["tolerations"][0]["key"] == "dedicated", "{exporter}");
    ensure!(spec["resources"] == json!({"limits": {"cpu": "200m", "memory": "500Mi"}}));
    ensure!(spec["sinks"]["webhooks"][0]["service"]["name"] == "kube-events-ruler", "{exporter}");
    ensure!(spec["sinks"]["webhooks"][1]["url"] == "https://archive.example/events", "{exporter}");
    let ruler = &release.the("Ruler")?["spec"]["sinks"];
    let alertmanager = json!({"namespace": "monitoring", "name": "main"});
    ensure!(*ruler == json!({"alertmanager": alertmanager}), "{ruler}");
    ensure!(release.the("Rule")?["metadata"]["name"] == "kube-events-cluster-rules-default");
    Ok(())
}

/// The Alertmanager of the samples is there only for a Ruler that is told no sink.
#[test]
fn a_ruler_has_the_sinks_that_it_is_given() -> Result<()> {
    let Some(helm) = Helm::find()? else { return Ok(()) };
    let usual = &sample("ruler")?.the("Ruler")?["spec"]["sinks"].clone();
    let webhook = json!({"url": "https://alerts.example"});
    for (given, wanted) in [
        ("{}", usual),
        (r#"{"alertmanagers": null, "webhooks": []}"#, usual),
        (r#"{"stdout": {}}"#, &json!({"stdout": {}})),
        (r#"{"webhooks": [{"url": "https://alerts.example"}]}"#, &json!({"webhooks": [webhook]})),
    ] {
        let sinks = format!("--set-json=ruler.enabled=true,ruler.sinks={given}");
        let release = helm.template(NAMESPACE, &[&sinks])?;
        let found = &release.the("Ruler")?["spec"]["sinks"];
        ensure!(found == wanted, "{given}: {found}");
    }
    let spec = "--set-json=ruler.enabled=true,ruler.spec.sinks={\"stdout\": {}}";
    let release = helm.template(NAMESPACE, &[spec])?;
    ensure!(release.the("Ruler")?["spec"]["sinks"] == json!({"stdout": {}}));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_comes_changes_and_goes() -> Result<()> {
    let Some(cluster) = Cluster::find().await? else { return Ok(()) };
    let release = ["kube-events", CHART, "--namespace", NAMESPACE];
    let too_early = [&["install"], &release[..], &["--create-namespace", EVERYTHING]].concat();
    let refusal = cluster.helm.refusal(&too_early)?;
    ensure!(refusal.contains("this cluster has no Exporters, Rulers and Rules yet"), "{refusal}");

    cluster.helm(&["install", "kube-events", CHART, "--create-namespace"])?;
    let (deployments, exporters) = (cluster.api::<Deployment>(), cluster.api::<Exporter>());
    let operator = deployments.get("kube-events-operator").await?;
    ensure!(operator.labels().get("app.kubernetes.io/managed-by").is_some_and(|by| by == "Helm"));

    let upgrade = ["upgrade", "kube-events", CHART, "--reuse-values"];
    cluster.helm(&[&upgrade[..], &[EVERYTHING, "--set=operator.replicas=2"]].concat())?;
    exporters.get("kube-events-exporter").await?;
    let operator = deployments.get("kube-events-operator").await?;
    ensure!(operator.spec.replicas == Some(2));
    for secret in cluster.api::<Secret>().list(&ListParams::default().labels("owner=helm")).await? {
        let size = secret.data.into_iter().flatten().map(|(_, value)| value.0.len()).sum::<usize>();
        ensure!(size < RELEASE_SIZE, "a release takes {size} bytes");
    }

    cluster.helm(&["uninstall", "kube-events"])?;
    ensure!(deployments.get_opt("kube-events-operator").await?.is_none());
    ensure!(exporters.get_opt("kube-events-exporter").await?.is_none());
    let roles = cluster.all::<ClusterRole>();
    ensure!(roles.get_opt("kube-events-operator").await?.is_none());
    let definitions = cluster.all::<CustomResourceDefinition>();
    definitions.get("exporters.events.kubesphere.io").await?;

    // The definitions that were kept do not stand in the way.
    cluster.helm(&["install", "kube-events", CHART, EVERYTHING])?;
    exporters.get("kube-events-exporter").await?;

    // Objects may go before their release does, and values stay when its chart is another.
    exporters.delete("kube-events-exporter", &DeleteParams::default()).await?;
    cluster.helm(&["upgrade", "kube-events", CHART, "--reset-then-reuse-values"])?;
    exporters.get("kube-events-exporter").await?;
    exporters.delete("kube-events-exporter", &DeleteParams::default()).await?;
    cluster.helm(&["uninstall", "kube-events"])?;
    Ok(())
}

/// A chart that leaves what the Go project's leaves: definitions that belong to no release, an Exporter
/// an operator and a webhook that do, and default rules that a hook made.
fn former_chart(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder.join("crds"))?;
    fs::create_dir_all(folder.join("templates"))?;
    fs::write(folder.join("Chart.yaml"), "apiVersion: v2\nname: kube-events\nversion: 0.4.2\n")?;
    fs::copy(format!("{DEPLOY}/crds/crds.yaml"), folder.join("crds/bundle.yaml"))?;
    let metadata = |suffix: &str| json!({"name": format!("{{{{ .Release.Name }}}}-{suffix}")});
    let labels = json!({"app": "operator", "helm.sh/chart": "kube-events-0.4.2"});
    let mut rule = metadata("cluster-rules-default");
    rule["annotations"] = json!({"helm.sh/hook": "pre-install"});
    rule["labels"] = json!({"kubesphere.io/rule-scope": "cluster"});
    let webhook = json!({
        "name": "vrule.kb.io", "admissionReviewVersions": ["v1"], "sideEffects": "None",
        "clientConfig": {"service": {"name": "nobody", "namespace": NAMESPACE}},
        "rules": [{
            "apiGroups": ["events.kubesphere.io"], "apiVersions": ["v1alpha1"],
            "resources": ["rules"], "operations": ["CREATE", "UPDATE"],
        }],
    });
    for (name, object) in [
        (
            "webhook",
            json!({
                "apiVersion": "admissionregistration.k8s.io/v1",
                "kind": "ValidatingWebhookConfiguration",
                "metadata": metadata("admission-validate"), "webhooks": [webhook],
            }),
        ),
        (
            "exporter",
            json!({
                "apiVersion": "events.kubesphere.io/v1alpha1", "kind": "Exporter",
                "metadata": metadata("exporter"), "spec": {"sinks": {"stdout": {}}},
            }),
        ),
        (
            "rule",
            json!({
                "apiVersion": "events.kubesphere.io/v1alpha1", "kind": "Rule", "metadata": rule,
                "spec": {"rules": [{"name": "Old", "type": "alert", "condition": "count > 1"}]},
            }),
        ),
        (
            "operator",
            json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata("operator"),
                "spec": {"selector": {"matchLabels": labels}, "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [{"name": "events-operator", "image": "former"}]},
                }},
            }),
        ),
    ] {
        fs::write(folder.join(format!("templates/{name}.yaml")), object.to_string())?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_of_the_go_projects_chart_is_upgraded() -> Result<()> {
    let Some(cluster) = Cluster::find().await? else { return Ok(()) };
    let folder = cluster.helm.home.path();
    let (chart, values) = (folder.join("former"), folder.join("values.yaml"));
    former_chart(&chart)?;
    fs::write(&values, FORMER_VALUES)?;
    let (chart, values) = (chart.display().to_string(), format!("--values={}", values.display()));
    cluster.helm(&["install", "ks-events", &chart, "--create-namespace"])?;
    let exporters = cluster.api::<Exporter>();
    let before = exporters.get("ks-events-exporter").await?;

    // Its values alone lack what this chart's templates need.
    let upgrade = ["upgrade", "ks-events", CHART, "--namespace", NAMESPACE, "--take-ownership"];
    let refusal = cluster.helm.refusal(&[&upgrade[..], &["--reuse-values"]].concat())?;
    ensure!(refusal.contains("at '': missing properties 'namespaced', 'crds'"), "{refusal}");

    let webhooks = cluster.all::<ValidatingWebhookConfiguration>();
    webhooks.delete("ks-events-admission-validate", &DeleteParams::default()).await?;
    let told = cluster.helm(&["upgrade", "ks-events", CHART, "--take-ownership", &values])?;
    for line in [
        "operator.configReloader: a mounted ConfigMap is noticed without a reloader",
        "operator.kubectlImage: nothing is cleaned up by a Job",
        "rule.overrideDefaults: the default rules are part of the release and upgraded with it",
        "timezone: all times are in UTC",
        "operator.image: registry.example/kubesphere/kube-events-operator is the Go project's",
        "exporter.image: kubesphere/kube-events-exporter is the Go project's",
    ] {
        ensure!(told.contains(line), "{line} is missing in\n{told}");
    }
    let after = exporters.get("ks-events-exporter").await?;
    ensure!(after.uid() == before.uid(), "the exporter was replaced");
    ensure!(after.metadata.generation > before.metadata.generation, "{after:?}");
    let deployments = cluster.api::<Deployment>();
    deployments.get("kube-events-operator").await?;
    ensure!(
        deployments.get_opt("ks-events-operator").await?.is_none(),
        "the former operator stays"
    );
    let rule = cluster.api::<Rule>().get("ks-events-cluster-rules-default").await?;
    ensure!(rule.spec.rules.len() > 1, "the default rules are the former ones");
    Ok(())
}
