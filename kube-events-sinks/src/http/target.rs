//! Where requests go.

use std::fmt;

use reqwest::{Url, header::HeaderValue};

use super::auth;
use crate::ConfigError;

/// A URL without user and password, and what they say.
#[derive(Clone)]
pub(crate) struct Target {
    url: Url,
    origin: Origin,
    authorization: Option<HeaderValue>,
}

/// What messages say of a URL: scheme, host and port. Paths and queries of webhooks hold secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin(String);

// === impl Target ===

impl Target {
    /// Reads an absolute `http` or `https` URL.
    pub(crate) fn parse(text: &str) -> Result<Self, ConfigError> {
        let at = |reason: &dyn fmt::Display| ConfigError::new("url", reason);
        let mut url = Url::parse(text.trim()).map_err(|error| at(&error))?;
        if !["http", "https"].contains(&url.scheme()) {
            return Err(at(&format_args!("scheme {:?} is neither http nor https", url.scheme())));
        }
        let authorization = take_user(&mut url);
        let origin = Origin(url.origin().ascii_serialization());
        Ok(Self { url, origin, authorization })
    }

    pub(crate) fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    #[cfg(feature = "alertmanager")]
    pub(crate) fn has_user(&self) -> bool {
        self.authorization.is_some()
    }

    pub(super) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }
}

fn take_user(url: &mut Url) -> Option<HeaderValue> {
    let decode = |text: &str| percent_decode(text);
    let (user, password) = (decode(url.username()), url.password().map(decode));
    if user.is_empty() && password.is_none() {
        return None;
    }
    url.set_username("").and_then(|()| url.set_password(None)).expect("http URLs have hosts");
    Some(auth::basic(&user, &password.unwrap_or_default()))
}

fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        let decoded = hex.filter(|_| bytes[at] == b'%');
        let decoded = decoded.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(decoded.unwrap_or(bytes[at]));
        at += if decoded.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Target").field(&self.origin).finish()
    }
}

// === impl Origin ===

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_in_a_url_becomes_a_header() {
        let target = Target::parse("https://me:p%40ss@host:8443/a?b=c").unwrap();
        assert_eq!(target.url().as_str(), "https://host:8443/a?b=c");
        assert_eq!(target.authorization(), Some(&auth::basic("me", "p@ss")));
        assert_eq!(target.origin().to_string(), "https://host:8443");
        assert_eq!(format!("{target:?}"), r#"Target(Origin("https://host:8443"))"#);
    }

    #[test]
    fn a_url_is_absolute_and_speaks_http() {
        for (url, reason) in [
            ("", "url: relative URL without a base"),
            ("/events", "url: relative URL without a base"),
            ("ftp://host/", "url: scheme \"ftp\" is neither http nor https"),
            ("http://", "url: empty host"),
            ("http://host:99999/", "url: invalid port number"),
        ] {
            assert_eq!(Target::parse(url).unwrap_err().to_string(), reason);
        }
    }
}
