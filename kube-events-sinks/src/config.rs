//! Sinks as they are configured: the one place that names them all.

#[cfg(feature = "alertmanager")]
mod alertmanager;
#[cfg(feature = "file")]
mod file;
#[cfg(feature = "stdout")]
mod stdout;
#[cfg(feature = "webhook")]
mod webhook;

use std::{collections::HashMap, fmt, path::Path, sync::Arc};
#[cfg(any(feature = "alertmanager", feature = "webhook"))]
use std::{fs, path::PathBuf};

use kube_events_core::{
    Alert, Event, Notification,
    crd::{
        SecretSource,
        sinks::{
            BasicAuth, ExporterSinks, FileSink, RulerFileSink, RulerSinkType, RulerSinks,
            RulerWebhookSink, StdoutSink, TlsSettings, WebhookSink,
        },
    },
};

use crate::{ConfigError, Lane, lane::name_of};

/// In place of a sink that is not part of this build.
#[allow(unused_macros, reason = "no sink may be missing")]
macro_rules! absent {
    ($module:ident, $sink:ty, $feature:literal) => {
        mod $module {
            use super::{ConfigError, Context, Lane};

            pub(super) fn lane<T>(_: &$sink, _: bool, _: &Context) -> Result<Lane<T>, ConfigError> {
                const REASON: &str = concat!(
                    "not in this build of kube-events-sinks, which lacks the feature `",
                    $feature,
                    "`"
                );
                Err(ConfigError::whole(REASON))
            }
        }
    };
}

#[cfg(not(feature = "alertmanager"))]
absent!(alertmanager, kube_events_core::crd::sinks::RulerAlertmanagerSink, "alertmanager");
#[cfg(not(feature = "file"))]
absent!(file, kube_events_core::crd::sinks::FileSink, "file");
#[cfg(not(feature = "stdout"))]
absent!(stdout, kube_events_core::crd::sinks::StdoutSink, "stdout");
#[cfg(not(feature = "webhook"))]
absent!(webhook, kube_events_core::crd::sinks::WebhookSink, "webhook");

/// Settings that become sinks.
///
/// ```
/// use kube_events_core::crd::sinks::ExporterSinks;
/// use kube_events_sinks::{Context, SinkConfig};
///
/// let sinks: ExporterSinks = serde_json::from_str(
///     r#"{"stdout": {}, "webhooks": [{"url": "http://archive.example/events"}]}"#,
/// )?;
/// let lanes = sinks.build(&Context::default())?;
/// let names: Vec<_> = lanes.iter().map(|lane| &*lane.name).collect();
/// assert_eq!(names, ["stdout", "webhook-df427c81"]);
///
/// let sinks: ExporterSinks = serde_json::from_str(r#"{"webhooks": [{"url": "archive"}]}"#)?;
/// let error = sinks.build(&Context::default()).unwrap_err();
/// assert_eq!(error.to_string(), "sinks.webhooks[0].url: relative URL without a base");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait SinkConfig {
    /// What becomes of them.
    type Lanes;

    /// Makes all sinks, or none.
    ///
    /// # Errors
    /// If a setting cannot work, two sinks have one name or write one file, or a sink is not part
    /// of this build.
    fn build(&self, context: &Context) -> Result<Self::Lanes, ConfigError>;
}

/// What sinks need of the program that they are part of.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Context {
    /// The API server, for Services' replicas and ports. Without it Services are addressed by
    /// their name in the cluster's DNS.
    #[cfg(feature = "kubernetes")]
    pub client: Option<kube::Client>,
    suppressed: Option<OnSuppressed>,
    needs_files: bool,
}

type OnSuppressed = Arc<dyn Fn(&str, usize) + Send + Sync>;

/// The sinks of a ruler, by what they take.
#[derive(Debug, Default)]
pub struct RulerLanes {
    /// Sinks of notifications.
    pub notifications: Vec<Lane<Notification>>,
    /// Sinks of alerts.
    pub alerts: Vec<Lane<Alert>>,
}

// === impl Context ===

impl Context {
    /// With an API server.
    #[cfg(feature = "kubernetes")]
    #[must_use]
    pub fn client(self, client: kube::Client) -> Self {
        Self { client: Some(client), ..self }
    }

    /// Calls `suppressed` with a lane's name and the number of alerts that it did not send because
    /// they are older than `maxAlertAge`.
    #[must_use]
    pub fn on_suppressed(self, suppressed: impl Fn(&str, usize) + Send + Sync + 'static) -> Self {
        Self { suppressed: Some(Arc::new(suppressed)), ..self }
    }

    /// Refuses settings that name a token's or password's file that cannot be read, or a file to be
    /// written in a folder that is not there. Otherwise that is found out when there is something to
    /// send, and tried again, so that the other sinks need not wait for it.
    #[must_use]
    pub fn needs_files(self) -> Self {
        Self { needs_files: true, ..self }
    }

    #[cfg(any(feature = "alertmanager", feature = "webhook"))]
    fn check_files(
        &self,
        bearer_token: Option<&PathBuf>,
        basic_auth: Option<&BasicAuth>,
    ) -> Result<(), ConfigError> {
        let password = basic_auth.and_then(|basic| basic.password_file.as_ref());
        for (field, path) in
            [("bearerTokenFile", bearer_token), ("basicAuth.passwordFile", password)]
        {
            let Some(path) = path.filter(|_| self.needs_files) else { continue };
            fs::read(path)
                .map_err(|error| ConfigError::new(field, format!("{}: {error}", path.display())))?;
        }
        Ok(())
    }

    #[cfg(feature = "alertmanager")]
    fn suppressed(&self, lane: &str, alerts: usize) {
        if let Some(suppressed) = &self.suppressed {
            suppressed(lane, alerts);
        }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").finish_non_exhaustive()
    }
}

// === impl SinkConfig ===

impl SinkConfig for ExporterSinks {
    type Lanes = Vec<Lane<Event>>;

    fn build(&self, context: &Context) -> Result<Vec<Lane<Event>>, ConfigError> {
        distinct(self.files.iter().map(|sink| &*sink.path))?;
        let (mut lanes, mut names) = (Vec::new(), Names::default());
        let mut add = |field: String, lane: Result<Lane<Event>, ConfigError>| {
            lanes.push(names.check(lane.map_err(|error| error.within(&field))?, field)?);
            Ok(())
        };
        if let Some(sink) = &self.stdout {
            add("sinks.stdout".into(), stdout::lane(sink, true, context))?;
        }
        for (field, sink) in fields("sinks.files", &self.files) {
            add(field, file::lane(sink, true, context))?;
        }
        for (field, sink) in fields("sinks.webhooks", &self.webhooks) {
            add(field, webhook::lane(sink, true, context))?;
        }
        Ok(lanes)
    }
}

/// Adds the lane that a module makes to those of its type.
macro_rules! add {
    ($lanes:ident, $names:ident, $field:expr, $type:expr, $module:ident($($argument:expr),*)) => {{
        let field = $field;
        let at = |error: ConfigError| error.within(&field);
        match $type {
            RulerSinkType::Notification => {
                let lane = $module::lane($($argument),*).map_err(at)?;
                $lanes.notifications.push($names.check(lane, field)?);
            }
            RulerSinkType::Alert => {
                let lane = $module::lane($($argument),*).map_err(at)?;
                $lanes.alerts.push($names.check(lane, field)?);
            }
        }
    }};
}

impl SinkConfig for RulerSinks {
    type Lanes = RulerLanes;

    fn build(&self, context: &Context) -> Result<RulerLanes, ConfigError> {
        distinct(self.files.iter().map(|sink| &*sink.path))?;
        let (mut lanes, mut names) = (RulerLanes::default(), Names::default());
        let single = self.alertmanager.iter().map(|sink| ("sinks.alertmanager".to_owned(), sink));
        for (field, sink) in fields("sinks.alertmanagers", &self.alertmanagers).chain(single) {
            let lane = alertmanager::lane(sink, sink.required, context);
            let lane = lane.map_err(|error| error.within(&field))?;
            lanes.alerts.push(names.check(lane, field)?);
        }
        for (field, sink) in fields("sinks.webhooks", &self.webhooks) {
            let plain = webhook_of(sink);
            match sink.r#type {
                RulerSinkType::Notification => {
                    let lane = webhook::lane(&plain, sink.required, context);
                    let lane = lane.map_err(|error| error.within(&field))?;
                    lanes.notifications.push(names.check(lane, field)?);
                }
                RulerSinkType::Alert => {
                    let lane = webhook::lane(&plain, sink.required, context);
                    let mut lane = lane.map_err(|error| error.within(&field))?;
                    if plain.name.is_none() {
                        // One receiver may take notifications as well.
                        lane.name = name_of("webhook", &format!("{} alert", lane.name));
                    }
                    lanes.alerts.push(names.check(lane, field)?);
                }
            }
        }
        for (field, sink) in fields("sinks.files", &self.files) {
            let plain = file_of(sink);
            add!(lanes, names, field, sink.r#type, file(&plain, sink.required, context));
        }
        if let Some(sink) = &self.stdout {
            let (field, plain) = ("sinks.stdout".to_owned(), StdoutSink { format: sink.format });
            add!(lanes, names, field, sink.r#type, stdout(&plain, sink.required, context));
        }
        Ok(lanes)
    }
}

/// Each entry of a list with its place in the configuration.
fn fields<'a, S>(list: &'a str, sinks: &'a [S]) -> impl Iterator<Item = (String, &'a S)> {
    sinks.iter().enumerate().map(move |(place, sink)| (format!("{list}[{place}]"), sink))
}

/// Two sinks that rotate one file would lose what the other wrote.
fn distinct<'a>(files: impl Iterator<Item = &'a Path>) -> Result<(), ConfigError> {
    let mut places = HashMap::new();
    for (place, path) in files.enumerate() {
        if let Some(other) = places.insert(path, place) {
            let field = format!("sinks.files[{place}].path");
            return Err(ConfigError::new(field, format!("sinks.files[{other}] writes it too")));
        }
    }
    Ok(())
}

/// Secrets are for custom resources, where the operator makes files of them.
#[cfg(any(feature = "alertmanager", feature = "webhook"))]
fn refuse_secrets(
    bearer_token: Option<&SecretSource>,
    basic_auth: Option<&BasicAuth>,
    tls: Option<&TlsSettings>,
) -> Result<(), ConfigError> {
    let password = basic_auth.and_then(|basic| basic.password.as_ref());
    let of_tls = |get: fn(&TlsSettings) -> Option<&SecretSource>| tls.and_then(get);
    let places = [
        ("bearerToken", bearer_token),
        ("basicAuth.password", password),
        ("tls.ca", of_tls(|tls| tls.ca.as_ref())),
        ("tls.cert", of_tls(|tls| tls.cert.as_ref())),
        ("tls.key", of_tls(|tls| tls.key.as_ref())),
    ];
    match places.iter().find(|(_, source)| source.is_some()) {
        None => Ok(()),
        Some((field, _)) => Err(ConfigError::new(
            *field,
            "a Secret can be named only in a custom resource; mount it, and set its path by the \
             key of the same name that ends with `File`",
        )),
    }
}

/// A ruler's webhook as an exporter has it.
fn webhook_of(sink: &RulerWebhookSink) -> WebhookSink {
    WebhookSink {
        name: sink.name.clone(),
        url: sink.url.clone(),
        service: sink.service.clone(),
        headers: sink.headers.clone(),
        bearer_token_file: sink.bearer_token_file.clone(),
        bearer_token: sink.bearer_token.clone(),
        basic_auth: sink.basic_auth.clone(),
        tls: sink.tls.clone(),
        timeout: sink.timeout,
        compression: sink.compression,
        format: sink.format,
    }
}

/// A ruler's file as an exporter has it.
fn file_of(sink: &RulerFileSink) -> FileSink {
    FileSink {
        name: sink.name.clone(),
        path: sink.path.clone(),
        max_size: sink.max_size,
        max_age: sink.max_age,
        max_files: sink.max_files,
        compress: sink.compress,
    }
}

/// The names of lanes so far, and where they come from.
#[derive(Default)]
struct Names(HashMap<String, String>);

// === impl Names ===

impl Names {
    fn check<T>(&mut self, lane: Lane<T>, field: String) -> Result<Lane<T>, ConfigError> {
        if lane.name.trim().is_empty() {
            return Err(ConfigError::new(field, "its name is empty"));
        }
        if let Some(other) = self.0.get(&lane.name) {
            let reason = format!(
                "{other} has the name {:?} too; `name` (of an Alertmanager `lane`) gives another",
                lane.name
            );
            return Err(ConfigError::new(field, reason));
        }
        self.0.insert(lane.name.clone(), field);
        Ok(lane)
    }
}
