//! Which of the Prometheus operator's kinds the cluster knows. It may get them, or lose them, while
//! this operator runs; a watch of a kind that is not known would hold up all others.

use std::time::Duration;

use kube::{Client, core::ApiResource};
use tokio::time::sleep;
use tracing::{debug, info};

use crate::children::monitoring;

/// How often it is asked what the cluster knows.
const INTERVAL: Duration = Duration::from_secs(60);

/// The kinds of ours that the cluster knows now.
///
/// # Errors
///
/// If the API server cannot be asked.
pub(crate) async fn known(client: &Client) -> Result<Vec<ApiResource>, kube::Error> {
    let version = format!("{}/{}", monitoring::GROUP, monitoring::VERSION);
    let listed = match client.list_api_group_resources(&version).await {
        Ok(list) => list.resources,
        Err(kube::Error::Api(status)) if status.code == 404 => Vec::new(),
        Err(error) => return Err(error),
    };
    let mut kinds = monitoring::kinds();
    kinds.retain(|kind| listed.iter().any(|resource| resource.name == kind.plural));
    Ok(kinds)
}

/// Waits until they are others than `before`.
pub(crate) async fn changed(client: &Client, before: &[ApiResource]) -> Vec<ApiResource> {
    loop {
        sleep(INTERVAL).await;
        match known(client).await {
            Ok(now) if now != before => {
                let names: Vec<_> = now.iter().map(|kind| kind.kind.as_str()).collect();
                info!(?names, "the cluster knows other kinds of the Prometheus operator");
                return now;
            }
            Ok(_) => {}
            Err(error) => debug!(%error, "cannot ask which kinds the cluster knows"),
        }
    }
}
