//! Where the replicas of an Alertmanager are.

use async_trait::async_trait;
use kube_events_core::crd::sinks::Scheme;

use crate::{ConfigError, http::Target};

/// What knows the replicas of one Alertmanager.
#[async_trait]
pub trait Endpoints: Send + Sync {
    /// The base URLs of the replicas there are now. It is asked before each batch and should
    /// remember what it knows.
    ///
    /// # Errors
    /// If that cannot be said; the batch is tried again.
    async fn urls(&self) -> Result<Vec<String>, EndpointsError>;

    /// `Https` if any replica may speak it.
    fn scheme(&self) -> Scheme;
}

/// The replicas are not known.
#[derive(Debug, thiserror::Error)]
#[error("the replicas of Alertmanager are not known")]
pub struct EndpointsError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Replicas that stay where they are.
#[derive(Clone, Debug)]
pub struct Urls {
    urls: Vec<String>,
    scheme: Scheme,
}

// === impl Urls ===

impl Urls {
    /// The replicas at these base URLs.
    ///
    /// # Errors
    /// If one is not a URL that can be posted to; the field is `urls[i]`.
    pub fn new(urls: &[String]) -> Result<Self, ConfigError> {
        let mut scheme = Scheme::Http;
        for (place, url) in urls.iter().enumerate() {
            let target = Target::parse(url)
                .map_err(|error| ConfigError::new(format!("urls[{place}]"), error.reason))?;
            if target.url().query().is_some() || target.url().fragment().is_some() {
                let reason = "has a query or a fragment; only the base address is wanted";
                return Err(ConfigError::new(format!("urls[{place}]"), reason));
            }
            if target.is_https() {
                scheme = Scheme::Https;
            }
        }
        Ok(Self { urls: urls.to_vec(), scheme })
    }
}

#[async_trait]
impl Endpoints for Urls {
    async fn urls(&self) -> Result<Vec<String>, EndpointsError> {
        Ok(self.urls.clone())
    }

    fn scheme(&self) -> Scheme {
        self.scheme
    }
}
