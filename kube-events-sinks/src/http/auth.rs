//! Who we say we are.

use std::{io, path::PathBuf};

use base64::{Engine, prelude::BASE64_STANDARD};
use kube_events_core::SendError;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use super::{HttpOptions, Target};
use crate::ConfigError;

/// The headers of every request, and what becomes their `Authorization`.
#[derive(Debug)]
pub(super) struct Auth {
    headers: HeaderMap,
    scheme: Scheme,
}

enum Scheme {
    None,
    Bearer(PathBuf),
    Basic { user: String, password: Option<PathBuf> },
}

/// What must not be seen in messages.
pub(super) struct Secrets(Vec<String>);

/// A secret that cannot be had.
#[derive(Debug, thiserror::Error)]
enum SecretError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} holds what no header can carry", .0.display())]
    Header(PathBuf),
}

// === impl Auth ===

impl Auth {
    pub(super) fn new(options: &HttpOptions) -> Result<Self, ConfigError> {
        let scheme = match (&options.bearer_token_file, &options.basic_auth) {
            (Some(_), Some(_)) => {
                return Err(ConfigError::new("basicAuth", "cannot be set beside bearerTokenFile"));
            }
            (Some(path), None) => Scheme::Bearer(path.clone()),
            (None, Some(basic)) => Scheme::Basic {
                user: basic.username.clone(),
                password: basic.password_file.clone(),
            },
            (None, None) => Scheme::None,
        };
        let headers = headers(options)?;
        if headers.contains_key(AUTHORIZATION) && !matches!(scheme, Scheme::None) {
            let reason = "cannot be set beside bearerTokenFile or basicAuth";
            return Err(ConfigError::new("headers.authorization", reason));
        }
        Ok(Self { headers, scheme })
    }

    /// True if it leaves no room for a user in a URL.
    pub(super) fn is_set(&self) -> bool {
        !matches!(self.scheme, Scheme::None) || self.headers.contains_key(AUTHORIZATION)
    }

    /// The headers of one request, with the secrets that files hold now.
    pub(super) async fn headers(&self, target: &Target) -> Result<HeaderMap, SendError> {
        let mut headers = self.headers.clone();
        let authorization = match &self.scheme {
            Scheme::None => target.authorization().cloned(),
            Scheme::Bearer(path) => Some(bearer(path).await.map_err(SendError::retry)?),
            Scheme::Basic { user, password } => {
                Some(basic_from(user, password.as_ref()).await.map_err(SendError::retry)?)
            }
        };
        headers.extend(authorization.map(|value| (AUTHORIZATION, value)));
        Ok(headers)
    }
}

impl std::fmt::Debug for Scheme {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Bearer(_) => "bearer",
            Self::Basic { .. } => "basic",
        })
    }
}

fn headers(options: &HttpOptions) -> Result<HeaderMap, ConfigError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &options.headers {
        let at = |reason: &str| ConfigError::new(format!("headers.{name}"), reason);
        let header = HeaderName::try_from(name).map_err(|_| at("not the name of a header"))?;
        let mut value = HeaderValue::try_from(value).map_err(|_| at("not a header's value"))?;
        value.set_sensitive(true);
        if headers.insert(header, value).is_some() {
            return Err(at("the same header twice"));
        }
    }
    Ok(headers)
}

async fn bearer(path: &PathBuf) -> Result<HeaderValue, SecretError> {
    let token = read(path).await?;
    sensitive(&format!("Bearer {token}")).ok_or_else(|| SecretError::Header(path.clone()))
}

async fn basic_from(user: &str, password: Option<&PathBuf>) -> Result<HeaderValue, SecretError> {
    let password = match password {
        Some(path) => read(path).await?,
        None => String::new(),
    };
    Ok(basic(user, &password))
}

/// The `Authorization` of a user and a password (RFC 7617).
pub(super) fn basic(user: &str, password: &str) -> HeaderValue {
    let credentials = BASE64_STANDARD.encode(format!("{user}:{password}"));
    sensitive(&format!("Basic {credentials}")).expect("base64 is visible ASCII")
}

fn sensitive(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A secret without the end of line that editors leave behind it.
async fn read(path: &PathBuf) -> Result<String, SecretError> {
    let text = tokio::fs::read_to_string(path)
        .await
        .map_err(|source| SecretError::Read { path: path.clone(), source })?;
    Ok(text.trim().to_owned())
}

// === impl Secrets ===

impl Secrets {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        /// What is shorter is no secret, and hiding it would hide too much.
        const SHORTEST: usize = 6;
        let values = headers.values().filter(|value| value.is_sensitive());
        let values = values.filter_map(|value| value.to_str().ok());
        let parts = values.flat_map(|value| {
            let credentials = value.split_once(' ').map_or(value, |(_, credentials)| credentials);
            [credentials.to_owned(), password(credentials).unwrap_or_default()]
        });
        Self(parts.filter(|secret| secret.len() >= SHORTEST).collect())
    }

    /// The text without the secrets, should somebody have sent them back.
    pub(super) fn hide(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
    }
}

/// The password in the credentials of basic authentication.
fn password(credentials: &str) -> Option<String> {
    let plain = String::from_utf8(BASE64_STANDARD.decode(credentials).ok()?).ok()?;
    plain.split_once(':').map(|(_, password)| password.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_sends_back_of_a_secret_is_hidden() {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, basic("user", "open sesame"));
        headers.insert("x-api-key", sensitive("0123456789").unwrap());
        headers.insert("accept", HeaderValue::from_static("anything"));
        let secrets = Secrets::of(&headers);
        assert_eq!(
            secrets.hide("user open sesame, key 0123456789, anything"),
            "user ***, key ***, anything"
        );
        assert_eq!(secrets.hide(headers[AUTHORIZATION].to_str().unwrap()), "Basic ***");
    }
}
