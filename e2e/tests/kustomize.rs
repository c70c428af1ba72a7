//! The kustomizations, beside what the program prints and on a real API server.

use anyhow::{Context as _, Result, ensure};
use e2e::{ControlPlane, Manifest, Part, Settings, run};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const NAMESPACE: &str = "kubesphere-logging-system";
const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy");
const BOOK: &str = include_str!("../../docs/install.md");

/// `None` when it is missing.
fn kubectl() -> Option<PathBuf> {
    Some(Part::ControlPlane.find()?.join("kubectl"))
}

fn built(kubectl: &Path, folder: &Path) -> Result<Manifest> {
    Manifest::parse(&run(Command::new(kubectl).arg("kustomize").arg(folder))?)
}

#[test]
fn kustomizations_give_what_the_program_prints() -> Result<()> {
    let Some(kubectl) = kubectl() else { return Ok(()) };
    let Some(cli) = Part::Program("kube-events").find() else { return Ok(()) };
    for (folder, arguments) in
        [("", &["bundle"][..]), ("kustomize/namespaced", &["bundle", "--namespaced"])]
    {
        let printed = Manifest::parse(&run(Command::new(&cli).args(arguments))?)?;
        built(&kubectl, &Path::new(DEPLOY).join(folder))?.same_as(&printed)?;
    }
    Ok(())
}

#[test]
fn the_kustomization_of_the_book_takes_all_images_from_a_registry() -> Result<()> {
    let Some(kubectl) = kubectl() else { return Ok(()) };
    let section = BOOK.split("\n## With kustomize\n").nth(1).context("no such section")?;
    let block = section.split("```yaml\n").nth(1).and_then(|rest| rest.split("\n```").next());
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("kustomization.yaml"), block.context("no kustomization")?)?;
    fs::create_dir(folder.path().join("deploy"))?;
    for name in ["bundle.yaml", "kustomization.yaml"] {
        fs::copy(format!("{DEPLOY}/{name}"), folder.path().join("deploy").join(name))?;
    }
    let all = built(&kubectl, folder.path())?;
    let container = &all.the("Deployment")?["spec"]["template"]["spec"]["containers"][0];
    let version = env!("CARGO_PKG_VERSION");
    let image = |program| format!("registry.example/kube-events/{program}:v{version}");
    ensure!(container["image"] == image("operator"), "{container}");
    let arguments =
        ["exporter", "ruler"].map(|program| format!("--{program}-image={}", image(program)));
    ensure!(container["args"] == json!(arguments), "{container}");
    Ok(())
}

#[test]
fn a_namespaced_install_moves_by_one_line() -> Result<()> {
    let Some(kubectl) = kubectl() else { return Ok(()) };
    let Some(cli) = Part::Program("kube-events").find() else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let base = folder.path().join("base");
    fs::create_dir(&base)?;
    for name in ["bundle.yaml", "kustomization.yaml"] {
        fs::copy(format!("{DEPLOY}/kustomize/namespaced/{name}"), base.join(name))?;
    }
    let kustomization = json!({"namespace": "team", "resources": ["base"]});
    fs::write(folder.path().join("kustomization.yaml"), kustomization.to_string())?;
    let printed = run(Command::new(cli).args(["bundle", "--namespaced", "--namespace", "team"]))?;
    built(&kubectl, folder.path())?.same_as(&Manifest::parse(&printed)?)
}

#[test]
fn the_component_has_everything_monitored() -> Result<()> {
    let Some(kubectl) = kubectl() else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let component = folder.path().join("monitoring");
    fs::create_dir(&component)?;
    for name in ["kustomization.yaml", "operator.yaml"] {
        fs::copy(format!("{DEPLOY}/kustomize/monitoring/{name}"), component.join(name))?;
    }
    let operators_own = built(&kubectl, &component)?;
    for name in ["exporter.yaml", "ruler.yaml"] {
        fs::copy(format!("{DEPLOY}/samples/{name}"), folder.path().join(name))?;
    }
    let kustomization =
        json!({"resources": ["exporter.yaml", "ruler.yaml"], "components": ["monitoring"]});
    fs::write(folder.path().join("kustomization.yaml"), kustomization.to_string())?;
    let all = built(&kubectl, folder.path())?;
    let mut samples = all.clone().beyond(&operators_own);
    for object in samples.objects() {
        ensure!(object["spec"]["monitoring"]["enabled"] == true, "{object}");
    }
    for kind in ["Exporter", "Ruler"] {
        ensure!(samples.the(kind).is_ok(), "no {kind}");
    }
    for kind in ["PodMonitor", "PrometheusRule"] {
        ensure!(operators_own.the(kind)?["metadata"]["namespace"] == NAMESPACE);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespaced_install_can_become_the_clusters() -> Result<()> {
    let Some(assets) = Part::ControlPlane.find() else { return Ok(()) };
    let control_plane = ControlPlane::start(&assets, Settings::default()).await?;
    let cache = tempfile::tempdir()?;
    let kubectl = |arguments: &[&str]| {
        let mut command = Command::new(assets.join("kubectl"));
        command.arg(format!("--kubeconfig={}", control_plane.kubeconfig().display()));
        command.arg(format!("--cache-dir={}", cache.path().display()));
        run(command.args(arguments).current_dir(DEPLOY))
    };
    let deployments = Api::<Deployment>::namespaced(control_plane.client().await?, NAMESPACE);
    let arguments = async || -> Result<_> {
        let pod = deployments.get("kube-events-operator").await?.spec.template.spec;
        Ok(pod.map(|pod| pod.containers[0].args.clone().unwrap_or_default()))
    };
    kubectl(&["apply", "--server-side", "-f", "crds/crds.yaml"])?;
    kubectl(&["create", "namespace", NAMESPACE])?;
    kubectl(&["apply", "--server-side", "-k", "kustomize/namespaced"])?;
    ensure!(arguments().await? == Some(vec!["--namespace=$(POD_NAMESPACE)".to_owned()]));
    kubectl(&["apply", "--server-side", "-k", "."])?;
    ensure!(arguments().await? == Some(Vec::new()));
    Ok(())
}
