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
}

pub(crate) const EXAMPLES: &str = "\
Examples:
  kube-events bundle | kubectl apply --server-side -f -
  kube-events bundle --namespace observability | kubectl apply --server-side -f -";

pub(crate) fn run(options: BundleOptions) -> anyhow::Result<ExitCode> {
    std::io::stdout().write_all(yaml(options)?.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn yaml(options: BundleOptions) -> anyhow::Result<String> {
    let BundleOptions { namespace, namespaced, image } = options;
    let objects = Installation { namespace, namespaced, image }.objects()?;
    let documents: Result<Vec<_>, _> = objects.iter().map(serde_saphyr::to_string).collect();
    Ok(documents.context("an object has no form in YAML")?.join("---\n"))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn options(namespaced: bool) -> BundleOptions {
        BundleOptions { namespace: "here".into(), namespaced, image: "image:1".into() }
    }

    #[test]
    fn the_text_says_what_the_objects_say() {
        let read: Vec<Value> = serde_saphyr::from_multiple(&yaml(options(false)).unwrap()).unwrap();
        let installation =
            Installation { namespace: "here".into(), namespaced: false, image: "image:1".into() };
        assert_eq!(read, installation.objects().unwrap());
    }

    #[test]
    fn one_namespace_holds_all_of_a_namespaced_install() {
        let read: Vec<Value> = serde_saphyr::from_multiple(&yaml(options(true)).unwrap()).unwrap();
        for object in read {
            assert_eq!(object["metadata"]["namespace"], "here", "{object}");
        }
    }
}
