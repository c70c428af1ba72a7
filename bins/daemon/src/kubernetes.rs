//! The way to an API server.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use clap::Args;
use http::{HeaderValue, Uri, header::USER_AGENT};
use kube::{
    Client, Config,
    config::{InferConfigError, KubeConfigOptions, Kubeconfig},
};

/// The options that say how the API server is reached.
///
/// Without any of them: the files that `KUBECONFIG` names, else `~/.kube/config`, else the pod's
/// own service account.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Kubernetes")]
pub struct KubeOptions {
    /// The kubeconfig file [default: what KUBECONFIG names, ~/.kube/config, or the pod's service
    /// account].
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The address of the API server, in place of the kubeconfig's.
    #[arg(long, value_name = "URL")]
    pub master: Option<Uri>,
}

// === impl KubeOptions ===

impl KubeOptions {
    /// A client for the API server, which names the program in its requests: `kube-events/1.0`.
    ///
    /// # Errors
    ///
    /// When no configuration is found, or it cannot be read or used. No request is made.
    pub async fn client(&self, user_agent: &'static str) -> anyhow::Result<Client> {
        // An error means that there is one already, which is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        let mut config = self.config().await?;
        // Whoever asks has its own patience, and is to see what the server answers.
        config.default_retry = false;
        config.headers.push((USER_AGENT, HeaderValue::from_static(user_agent)));
        Client::try_from(config).context("cannot use the Kubernetes configuration")
    }

    async fn config(&self) -> anyhow::Result<Config> {
        let mut config = match (&self.kubeconfig, &self.master) {
            (Some(path), _) => from_file(path).await?,
            (None, None) => Config::infer().await.map_err(|error| no_config(&error))?,
            (None, Some(master)) => {
                Config::infer().await.unwrap_or_else(|_| Config::new(master.clone()))
            }
        };
        if let Some(master) = &self.master {
            config.cluster_url = master.clone();
        }
        Ok(config)
    }
}

/// The error tells its causes itself, so it is not made one of a chain, which would repeat them.
fn no_config(error: &InferConfigError) -> anyhow::Error {
    anyhow!("no Kubernetes API server is known: {error}\nhelp: set KUBECONFIG or --kubeconfig")
}

async fn from_file(path: &PathBuf) -> anyhow::Result<Config> {
    let context = || format!("cannot use kubeconfig {}", path.display());
    let kubeconfig = Kubeconfig::read_from(path).with_context(context)?;
    let options = KubeConfigOptions::default();
    Config::from_custom_kubeconfig(kubeconfig, &options).await.with_context(context)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn kubeconfig() -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(
            br#"
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "http://127.0.0.1:6443"}}]
contexts: [{name: x, context: {cluster: c, user: u, namespace: logging}}]
users: [{name: u, user: {token: secret}}]
current-context: x
"#,
        )
        .unwrap();
        file
    }

    #[tokio::test]
    async fn a_kubeconfig_says_where_the_server_is() {
        let file = kubeconfig();
        let options = KubeOptions { kubeconfig: Some(file.path().into()), master: None };
        let config = options.config().await.unwrap();
        assert_eq!(config.cluster_url, Uri::from_static("http://127.0.0.1:6443/"));
        assert_eq!(config.default_namespace, "logging");
        options.client("test/1").await.unwrap();
    }

    #[tokio::test]
    async fn master_takes_precedence() {
        let file = kubeconfig();
        let master = Uri::from_static("http://127.0.0.1:1/");
        let options =
            KubeOptions { kubeconfig: Some(file.path().into()), master: Some(master.clone()) };
        assert_eq!(options.config().await.unwrap().cluster_url, master);
    }

    #[tokio::test]
    async fn a_kubeconfig_that_is_not_there_is_named() {
        let options = KubeOptions { kubeconfig: Some("/nowhere/config".into()), master: None };
        let error = options.config().await.unwrap_err();
        assert!(error.to_string().contains("/nowhere/config"), "{error}");
    }
}
