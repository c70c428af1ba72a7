//! What the cluster calls itself.

use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, Error, ResourceExt as _};
use tracing::{debug, info};

const ANNOTATION: &str = "cluster.kubesphere.io/name";

/// The namespaces whose annotation may hold the name; the first that has it counts.
const NAMESPACES: [&str; 2] = ["kubesphere-system", "ufl-system"];

/// A name is welcome, not needed: an API server that is slow to answer holds nothing up.
const PATIENCE: Duration = Duration::from_secs(10);

/// The name of the cluster, if it has one.
///
/// The first of: the environment variable `CLUSTER_NAME`, the `configured` name, the annotation
/// `cluster.kubesphere.io/name` of the namespace `kubesphere-system`, and that of `ufl-system`. A
/// namespace that is not there or must not be read has none.
pub async fn cluster_name(client: &Client, configured: Option<&str>) -> Option<String> {
    let environment = std::env::var("CLUSTER_NAME").ok();
    let name = resolve(environment, configured, client).await;
    if let Some(cluster) = &name {
        info!(cluster, "the cluster has a name");
    } else {
        info!("the cluster has no name; `cluster` or CLUSTER_NAME gives it one");
    }
    name
}

async fn resolve(
    environment: Option<String>,
    configured: Option<&str>,
    client: &Client,
) -> Option<String> {
    let given = environment.as_deref().into_iter().chain(configured).find(|name| !name.is_empty());
    match given {
        Some(name) => Some(name.to_owned()),
        None => tokio::time::timeout(PATIENCE, annotated(client)).await.ok().flatten(),
    }
}

async fn annotated(client: &Client) -> Option<String> {
    let namespaces = Api::<Namespace>::all(client.clone());
    for name in NAMESPACES {
        match namespaces.get_metadata_opt(name).await {
            Ok(namespace) => {
                let annotation = namespace.and_then(|it| it.annotations().get(ANNOTATION).cloned());
                if let Some(cluster) = annotation.filter(|cluster| !cluster.is_empty()) {
                    return Some(cluster);
                }
            }
            Err(error) => unreadable(name, &error),
        }
    }
    None
}

fn unreadable(namespace: &str, error: &Error) {
    debug!(namespace, %error, "cannot look for the cluster's name");
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::{Request, Response, StatusCode};
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;

    /// An API server that knows these namespaces by path, and forbids all others.
    fn server(namespaces: &'static [(&'static str, Option<&'static str>)]) -> Client {
        let service = tower::service_fn(move |request: Request<Body>| async move {
            let name = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
            let found = namespaces.iter().find(|(namespace, _)| *namespace == name);
            let (status, body) = match found {
                Some((_, annotation)) => (StatusCode::OK, namespace(&name, *annotation)),
                None => (StatusCode::FORBIDDEN, forbidden()),
            };
            let body = Body::from(serde_json::to_vec(&body).unwrap());
            Ok::<_, Infallible>(Response::builder().status(status).body(body).unwrap())
        });
        Client::new(service, "default")
    }

    fn namespace(name: &str, annotation: Option<&str>) -> Value {
        let annotations = annotation.map(|cluster| json!({ANNOTATION: cluster}));
        json!({
            "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
            "metadata": {"name": name, "annotations": annotations},
        })
    }

    fn forbidden() -> Value {
        json!({
            "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": 403,
            "reason": "Forbidden", "message": "namespaces is forbidden",
        })
    }

    #[tokio::test]
    async fn the_environment_comes_before_the_configuration() {
        let client = server(&[("kubesphere-system", Some("annotated"))]);
        let environment = Some("environment".to_owned());
        let name = resolve(environment, Some("configured"), &client).await;
        assert_eq!(name.as_deref(), Some("environment"));
        let name = resolve(Some(String::new()), Some("configured"), &client).await;
        assert_eq!(name.as_deref(), Some("configured"));
    }

    #[tokio::test]
    async fn the_first_namespace_that_has_a_name_gives_it() {
        let both = server(&[("kubesphere-system", Some("a")), ("ufl-system", Some("b"))]);
        assert_eq!(resolve(None, None, &both).await.as_deref(), Some("a"));
        let bare = server(&[("kubesphere-system", None), ("ufl-system", Some("b"))]);
        assert_eq!(resolve(None, Some(""), &bare).await.as_deref(), Some("b"));
        let second = server(&[("ufl-system", Some("b"))]);
        assert_eq!(resolve(None, None, &second).await.as_deref(), Some("b"));
    }

    #[tokio::test]
    async fn a_right_that_is_missing_is_no_error() {
        assert_eq!(resolve(None, None, &server(&[])).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_does_not_answer_is_not_waited_for() {
        let service = tower::service_fn(|_: Request<Body>| {
            std::future::pending::<Result<Response<Body>, Infallible>>()
        });
        assert_eq!(resolve(None, None, &Client::new(service, "default")).await, None);
    }
}
