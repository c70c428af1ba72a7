//! Addresses of Services.

use kube_events_core::crd::{
    ServicePort,
    defaults::SERVICE_PATH,
    sinks::{Scheme, ServiceReference},
};

use crate::ConfigError;

/// The port of a Service as an address needs it.
pub(crate) enum Port<'a> {
    /// The scheme's own.
    Usual,
    Number(u16),
    /// To be looked up in the Service.
    Named(&'a str),
}

/// The parts of an address inside the cluster.
#[derive(Clone, Debug)]
pub(crate) struct ServiceAddress {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) scheme: Scheme,
    /// Without a slash in front.
    pub(crate) path: String,
}

// === impl Port ===

impl<'a> Port<'a> {
    pub(crate) fn of(port: Option<&'a ServicePort>) -> Self {
        match port {
            None => Self::Usual,
            Some(ServicePort::Number(number)) => Self::Number(number.get()),
            Some(ServicePort::Name(name)) => Self::Named(name),
        }
    }
}

// === impl ServiceAddress ===

impl ServiceAddress {
    pub(crate) fn of(service: &ServiceReference) -> Result<Self, ConfigError> {
        let path = service.path.as_deref().unwrap_or(SERVICE_PATH);
        Self::new(&service.namespace, &service.name, service.scheme, path)
    }

    pub(crate) fn new(
        namespace: &str,
        name: &str,
        scheme: Scheme,
        path: &str,
    ) -> Result<Self, ConfigError> {
        for (field, value) in [("namespace", namespace), ("name", name)] {
            let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
            if value.is_empty() || !value.chars().all(allowed) {
                return Err(ConfigError::new(field, format_args!("{value:?} is no {field}")));
            }
        }
        Ok(Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            scheme,
            path: path.trim_start_matches('/').to_owned(),
        })
    }

    /// The URL at the name that the cluster's DNS gives to the Service.
    pub(crate) fn url(&self, port: Option<u16>) -> String {
        self.url_at(&format!("{}.{}.svc", self.name, self.namespace), port)
    }

    /// The same path at another host, which stands in brackets if it is an IPv6 address.
    pub(crate) fn url_at(&self, host: &str, port: Option<u16>) -> String {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("{scheme}://{host}{port}/{}", self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_addressed_by_its_name_in_dns() {
        for (scheme, port, path, expected) in [
            (Scheme::Http, None, "", "http://ruler.shop.svc/"),
            (Scheme::Http, Some(8443), "/events", "http://ruler.shop.svc:8443/events"),
            (Scheme::Https, Some(8443), "events", "https://ruler.shop.svc:8443/events"),
            (Scheme::Https, None, "//events/", "https://ruler.shop.svc/events/"),
        ] {
            let address = ServiceAddress::new("shop", "ruler", scheme, path).unwrap();
            assert_eq!(address.url(port), expected);
        }
    }

    #[test]
    fn a_name_that_no_service_has_is_refused() {
        let error = ServiceAddress::new("shop", "a/b", Scheme::Http, "").unwrap_err();
        assert_eq!(error.to_string(), r#"name: "a/b" is no name"#);
        let error = ServiceAddress::new("", "a", Scheme::Http, "").unwrap_err();
        assert_eq!(error.to_string(), r#"namespace: "" is no namespace"#);
    }
}
