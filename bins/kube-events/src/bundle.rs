//! `bundle`: everything that installs the operator, as one YAML text.

use std::{io::Write as _, process::ExitCode};

use anyhow::Context as _;
use clap::Args;
use kube_events_operator::Installation;

/// How the operator is to be installed.
#[derive(Clone, Debug, Args)]
pub struct BundleOptions {
    /// The operator's namespace, where Rules of the scopes `cluster` and `workspace` count.
    #[arg(long, value_name = "NAMESPACE", default_value_t = Installation::default().namespace)]
    namespace: String,
    /// Give the operator rights in its namespace only. Custom resources and policies, which no
    /// namespace holds, are left out: `kube-events crds` prints the former.
    #[arg(long)]
    namespaced: bool,
    /// The operator's image.
    #[arg(long, value_name = "IMAGE", default_value_t = Installation::default().image)]
    image: String,
    /// The image of exporters whose object names none.
    #[arg(long, value_name = "IMAGE", default_value_t = Installation::default().exporter_image)]
    exporter_image: String,
    /// The image of rulers whose object names none.
    #[arg(long, value_name = "IMAGE", default_value_t = Installation::default().ruler_image)]
    ruler_image: String,
}

pub(crate) const EXAMPLES: &str = "\
Examples:
  kube-events bundle | kubectl apply --server-side -f -
  kube-events bundle --namespace observability | kubectl apply --server-side -f -
  kube-events bundle --image registry.example/operator:v1 --exporter-image registry.example/exporter:v1 \
    --ruler-image registry.example/ruler:v1 | kubectl apply --server-side -f -";

pub(crate) fn run(options: BundleOptions) -> anyhow::Result<ExitCode> {
    std::io::stdout().write_all(yaml(options)?.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn yaml(options: BundleOptions) -> anyhow::Result<String> {
    let objects = Installation::from(options).objects()?;
    let documents: Result<Vec<_>, _> = objects.iter().map(serde_saphyr::to_string).collect();
    Ok(documents.context("an object has no form in YAML")?.join("---\n"))
}

// === impl Installation ===

impl From<BundleOptions> for Installation {
    fn from(options: BundleOptions) -> Self {
        let BundleOptions { namespace, namespaced, image, exporter_image, ruler_image } = options;
        Self { namespace, namespaced, image, exporter_image, ruler_image }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn options(namespaced: bool) -> BundleOptions {
        let Installation { exporter_image, ruler_image, .. } = Installation::default();
        let (namespace, image) = ("here".into(), "image:1".into());
        BundleOptions { namespace, namespaced, image, exporter_image, ruler_image }
    }

    #[test]
    fn the_text_says_what_the_objects_say() {
        let read: Vec<Value> = serde_saphyr::from_multiple(&yaml(options(false)).unwrap()).unwrap();
        let installation = Installation {
            namespace: "here".into(),
            image: "image:1".into(),
            ..Installation::default()
        };
        assert_eq!(read, installation.objects().unwrap());
    }

    #[test]
    fn the_operator_is_told_only_images_that_it_does_not_know() {
        let arguments = |options: BundleOptions| {
            let objects = Installation::from(options).objects().unwrap();
            let pod = &objects.last().unwrap()["spec"]["template"]["spec"];
            pod["containers"][0]["args"].clone()
        };
        assert_eq!(arguments(options(false)), json!([]));
        let mirrored = BundleOptions {
            exporter_image: "mirror/exporter:1".into(),
            ruler_image: "mirror/ruler:1".into(),
            ..options(false)
        };
        let images = json!(["--exporter-image=mirror/exporter:1", "--ruler-image=mirror/ruler:1"]);
        assert_eq!(arguments(mirrored), images);
    }

    #[test]
    fn one_namespace_holds_all_of_a_namespaced_install() {
        let read: Vec<Value> = serde_saphyr::from_multiple(&yaml(options(true)).unwrap()).unwrap();
        for object in read {
            assert_eq!(object["metadata"]["namespace"], "here", "{object}");
        }
    }
}
