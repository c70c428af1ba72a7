//! What the API server knows of Services.
//!
//! The few fields that are needed are declared here: the types of `k8s_openapi` differ with the
//! version of Kubernetes that a program picks.

use std::time::Duration;

use kube::Client;
use serde::{Deserialize, de::DeserializeOwned};

use crate::service::ServiceAddress;

/// The client has patience of its own, which is longer than a delivery may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Why the API server could not say it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LookupError {
    #[error("cannot ask the API server for {0}")]
    Api(String, #[source] Box<kube::Error>),
    #[error("the API server did not answer within {TIMEOUT:?}")]
    Timeout,
    #[error("the Service {namespace}/{name} has no port {port:?}")]
    NoPort { namespace: String, name: String, port: String },
}

#[derive(Deserialize)]
struct List<T> {
    #[serde(default = "Vec::new")]
    items: Vec<T>,
}

/// An `EndpointSlice` of `discovery.k8s.io/v1`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Slice {
    pub(crate) address_type: String,
    endpoints: Option<Vec<Endpoint>>,
    ports: Option<Vec<Port>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Endpoint {
    pub(crate) addresses: Vec<String>,
    pub(crate) conditions: Conditions,
    pub(crate) target_ref: Option<Reference>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Conditions {
    /// `None` means that it is, says the API.
    pub(crate) ready: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Hash)]
#[serde(default)]
pub(crate) struct Reference {
    pub(crate) uid: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Port {
    pub(crate) name: Option<String>,
    pub(crate) port: Option<u16>,
}

#[derive(Deserialize)]
struct Service {
    spec: ServiceSpec,
}

#[derive(Deserialize)]
struct ServiceSpec {
    #[serde(default)]
    ports: Vec<Port>,
}

// === impl Slice ===

impl Slice {
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.iter().flatten()
    }

    pub(crate) fn ports(&self) -> impl Iterator<Item = &Port> + Clone {
        self.ports.iter().flatten()
    }
}

/// The `EndpointSlices` of a Service.
pub(crate) async fn slices(
    client: &Client,
    service: &ServiceAddress,
) -> Result<Vec<Slice>, LookupError> {
    let ServiceAddress { namespace, name, .. } = service;
    let list: List<Slice> = get(
        client,
        &format!(
            "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices\
             ?labelSelector=kubernetes.io%2Fservice-name%3D{name}"
        ),
    )
    .await?;
    Ok(list.items)
}

/// The number of a Service's port.
#[cfg(feature = "webhook")]
pub(crate) async fn service_port(
    client: &Client,
    service: &ServiceAddress,
    port: &str,
) -> Result<u16, LookupError> {
    let ServiceAddress { namespace, name, .. } = service;
    let found: Service =
        get(client, &format!("/api/v1/namespaces/{namespace}/services/{name}")).await?;
    let ports = found.spec.ports.iter();
    let mut ports = ports.filter(|candidate| candidate.name.as_deref() == Some(port));
    ports.find_map(|port| port.port).ok_or_else(|| LookupError::NoPort {
        namespace: namespace.clone(),
        name: name.clone(),
        port: port.to_owned(),
    })
}

async fn get<T: DeserializeOwned>(client: &Client, path: &str) -> Result<T, LookupError> {
    let request = http::Request::get(path).body(Vec::new()).expect("a path of names");
    tokio::time::timeout(TIMEOUT, client.request(request))
        .await
        .map_err(|_| LookupError::Timeout)?
        .map_err(|error| LookupError::Api(path.to_owned(), Box::new(error)))
}
