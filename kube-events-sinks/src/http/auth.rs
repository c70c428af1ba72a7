//! Who we say we are.

use std::{io, path::PathBuf};

use base64::{Engine, prelude::BASE64_STANDARD};
use kube_events_core::SendError;
use reqwest::{
    Url,
    header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue},
};

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
    #[error("{} is empty", .0.display())]
    Empty(PathBuf),
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
    if token.is_empty() {
        return Err(SecretError::Empty(path.clone()));
    }
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
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

// === impl Secrets ===

impl Secrets {
    /// Of headers that are marked, and of a URL: paths and queries of webhooks are keys to them.
    pub(super) fn of(headers: &HeaderMap, url: &Url) -> Self {
        /// What is shorter is no secret, and hiding it would hide too much.
        const SHORTEST: usize = 6;
        /// A part of a path that is shorter is a word.
        const SHORTEST_SEGMENT: usize = 10;
        let marked = headers.iter().filter(|(_, value)| value.is_sensitive());
        let of_headers = marked.flat_map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            let credentials = value.split_once(' ').map(|(_, credentials)| credentials.to_owned());
            let password = password(credentials.as_deref().unwrap_or(&value));
            // Before credentials stands the name of a scheme, which is none.
            let whole = (name != AUTHORIZATION || credentials.is_none()).then_some(value);
            [whole, credentials, password]
        });
        let segments = url.path_segments().into_iter().flatten();
        let segments = segments.filter(|segment| segment.len() >= SHORTEST_SEGMENT);
        let of_url = [Some(url.path()), url.query()].into_iter().flatten().chain(segments);
        let of_query = url.query_pairs().map(|(_, value)| value.into_owned());
        let mut secrets: Vec<_> = of_headers.flatten().collect();
        secrets.extend(of_url.map(str::to_owned).chain(of_query));
        secrets.retain(|secret| secret.len() >= SHORTEST);
        // The whole before its parts, of which nothing would be left to find it by.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self(secrets)
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
        headers.insert("cookie", sensitive("session=TOPSECRET; theme=dark").unwrap());
        let url = Url::parse("https://a.example/services/T000/SECRETTOKEN?key=hidden").unwrap();
        let secrets = Secrets::of(&headers, &url);
        for (sent_back, shown) in [
            ("user open sesame, key 0123456789, anything", "user ***, key ***, anything"),
            ("session=TOPSECRET; theme=dark", "***"),
            ("Cannot POST /services/T000/SECRETTOKEN", "Cannot POST ***"),
            ("no SECRETTOKEN, key hidden", "no ***, key ***"),
        ] {
            assert_eq!(secrets.hide(sent_back), shown);
        }
        assert_eq!(secrets.hide(headers[AUTHORIZATION].to_str().unwrap()), "Basic ***");
    }
}
