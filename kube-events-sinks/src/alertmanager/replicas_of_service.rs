//! Replicas behind a Service of the cluster.

use std::{collections::HashSet, net::IpAddr, time::Duration};

use async_trait::async_trait;
use kube::Client;
use kube_events_core::{
    crd::{ServicePort, sinks::Scheme},
    error::chain,
};
use tokio::{sync::Mutex, time::Instant};
use tracing::warn;

use super::{Endpoints, EndpointsError};
use crate::{
    kubernetes::{self, LookupError, Slice},
    service::ServiceAddress,
};

/// How long what the API server said is believed.
const FRESH: Duration = Duration::from_secs(30);

/// The ready endpoints of a Service, as its EndpointSlices tell.
///
/// While the API server cannot be asked, the replicas known before count; if there are none, the
/// Service's name does.
pub(crate) struct ServiceReplicas {
    client: Client,
    address: ServiceAddress,
    port: BackendPort,
    known: Mutex<Option<(Instant, Vec<String>)>>,
}

/// Which port of a Service, and which of what is behind it.
#[derive(Clone, Debug)]
pub(crate) struct BackendPort {
    pub(crate) port: ServicePort,
    pub(crate) target_port: Option<ServicePort>,
}

/// A Service without replicas.
#[derive(Debug, thiserror::Error)]
#[error("no endpoint of the Service {0}/{1} is ready")]
struct NoneReady(String, String);

// === impl ServiceReplicas ===

impl ServiceReplicas {
    pub(crate) fn new(client: Client, address: ServiceAddress, port: BackendPort) -> Self {
        Self { client, address, port, known: Mutex::default() }
    }

    fn urls_of(&self, slices: &[Slice]) -> Vec<String> {
        let hosts = backends(slices, &self.port);
        let url = |(ip, port): &(IpAddr, u16)| match ip {
            IpAddr::V4(ip) => self.address.url_at(&ip.to_string(), Some(*port)),
            IpAddr::V6(ip) => self.address.url_at(&format!("[{ip}]"), Some(*port)),
        };
        hosts.iter().map(url).collect()
    }

    /// What there is to go on when the API server cannot be asked.
    fn instead(
        &self,
        known: Option<Vec<String>>,
        error: LookupError,
    ) -> Result<Vec<String>, EndpointsError> {
        warn!(error = chain(&error), "cannot look up the replicas of Alertmanager");
        match (known, &self.port.port) {
            (Some(urls), _) if !urls.is_empty() => Ok(urls),
            (_, ServicePort::Number(port)) => Ok(vec![self.address.url(Some(port.get()))]),
            (_, ServicePort::Name(_)) => Err(EndpointsError(Box::new(error))),
        }
    }
}

#[async_trait]
impl Endpoints for ServiceReplicas {
    async fn urls(&self) -> Result<Vec<String>, EndpointsError> {
        let mut known = self.known.lock().await;
        if let Some((time, urls)) = &*known
            && time.elapsed() < FRESH
        {
            return Ok(urls.clone());
        }
        let urls = match kubernetes::slices(&self.client, &self.address).await {
            Ok(slices) => self.urls_of(&slices),
            Err(error) => self.instead(known.take().map(|(_, urls)| urls), error)?,
        };
        if urls.is_empty() {
            let ServiceAddress { namespace, name, .. } = self.address.clone();
            return Err(EndpointsError(Box::new(NoneReady(namespace, name))));
        }
        *known = Some((Instant::now(), urls.clone()));
        Ok(urls)
    }

    fn scheme(&self) -> Scheme {
        self.address.scheme
    }
}

/// Address and port of each ready endpoint; of a Pod with addresses of two families, the first.
fn backends(slices: &[Slice], port: &BackendPort) -> Vec<(IpAddr, u16)> {
    let mut pods = HashSet::new();
    let mut found = Vec::new();
    for slice in slices {
        let Some(port) = port.of(slice) else { continue };
        for endpoint in slice.endpoints() {
            let ready = endpoint.conditions.ready != Some(false);
            let address = endpoint.addresses.first().and_then(|address| address.parse().ok());
            let (true, Some(address)) = (ready, address) else { continue };
            let new = endpoint.target_ref.as_ref().is_none_or(|pod| pods.insert(pod.uid.clone()));
            if new && !found.contains(&(address, port)) {
                found.push((address, port));
            }
        }
    }
    found
}

// === impl BackendPort ===

impl BackendPort {
    /// The port of the endpoints of this slice: `targetPort`, if it is a number; else the port of
    /// the slice with that name or number; else its only port; else the number as it stands.
    fn of(&self, slice: &Slice) -> Option<u16> {
        let wanted = self.target_port.as_ref().unwrap_or(&self.port);
        let mut ports = slice.ports();
        match wanted {
            ServicePort::Number(number) if self.target_port.is_some() => Some(number.get()),
            ServicePort::Number(number) => {
                let number = number.get();
                let only = || slice.ports().next().filter(|_| slice.ports().count() == 1)?.port;
                let same = ports.find_map(|port| port.port.filter(|port| *port == number));
                same.or_else(only).or(Some(number))
            }
            ServicePort::Name(name) => {
                ports.find(|port| port.name.as_deref() == Some(name)).and_then(|port| port.port)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use serde_json::json;

    use super::*;

    fn number(port: u16) -> ServicePort {
        ServicePort::Number(NonZeroU16::new(port).unwrap())
    }

    fn slice(ports: &serde_json::Value, endpoints: &serde_json::Value) -> Slice {
        let slice = json!({"addressType": "IPv4", "ports": ports, "endpoints": endpoints});
        serde_json::from_value(slice).unwrap()
    }

    #[test]
    fn the_port_of_a_backend_is_found_in_its_slice() {
        let web = json!([{"name": "web", "port": 9093, "protocol": "TCP"}]);
        let two = json!([{"name": "web", "port": 9093}, {"name": "mesh", "port": 9094}]);
        let name = |name: &str| ServicePort::Name(name.into());
        for (ports, port, target_port, expected) in [
            (&web, number(9093), None, Some(9093)),
            (&web, number(80), None, Some(9093)),
            (&two, number(80), None, Some(80)),
            (&two, number(9094), None, Some(9094)),
            (&two, number(80), Some(number(9095)), Some(9095)),
            (&two, name("mesh"), None, Some(9094)),
            (&two, number(80), Some(name("web")), Some(9093)),
            (&web, name("mesh"), None, None),
            (&serde_json::Value::Null, number(9093), None, Some(9093)),
        ] {
            let wanted = BackendPort { port, target_port };
            assert_eq!(wanted.of(&slice(ports, &json!(null))), expected, "{wanted:?} in {ports}");
        }
    }

    #[test]
    fn each_ready_pod_is_one_backend() {
        let pod = |uid: &str, address: &str, ready: Option<bool>| json!({"addresses": [address], "conditions": {"ready": ready}, "targetRef": {"uid": uid}});
        let ports = json!([{"name": "web", "port": 9093}]);
        let slices = [
            slice(
                &ports,
                &json!([pod("a", "10.0.0.1", Some(true)), pod("b", "10.0.0.2", Some(false))]),
            ),
            slice(&ports, &json!([pod("a", "fd00::1", Some(true)), pod("c", "fd00::3", None)])),
        ];
        let port = BackendPort { port: number(9093), target_port: None };
        let expected: Vec<(IpAddr, u16)> =
            vec![("10.0.0.1".parse().unwrap(), 9093), ("fd00::3".parse().unwrap(), 9093)];
        assert_eq!(backends(&slices, &port), expected);
    }
}
