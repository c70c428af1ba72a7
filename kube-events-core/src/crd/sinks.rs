//! The settings of sinks: one type for the custom resource and the configuration file.
//!
//! Every kind of destination is a key that holds a list; `stdout` is an object, because there is
//! only one, and `alertmanager` is the older single form of `alertmanagers`.
//!
//! ```
//! use kube_events_core::crd::sinks::ExporterSinks;
//!
//! let sinks: ExporterSinks = serde_json::from_str(
//!     r#"{
//!         "stdout": {},
//!         "webhooks": [{
//!             "name": "archive",
//!             "url": "https://archive.example/events",
//!             "bearerTokenFile": "/run/secrets/archive/token",
//!             "timeout": "10s",
//!             "compression": "gzip"
//!         }]
//!     }"#,
//! )?;
//! assert_eq!(sinks.webhooks[0].name.as_deref(), Some("archive"));
//! # Ok::<(), serde_json::Error>(())
//! ```
//!
//! Unknown keys are errors. Secrets are named by the path of the file that holds them, or in a custom
//! resource by Secret and key, so that they appear neither here nor in logs, and may change while a
//! program runs.

use std::{collections::BTreeMap, num::NonZeroU32, path::PathBuf, time::Duration};

#[cfg(feature = "crd")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ByteSize, SecretSource, ServicePort, duration, null_is_empty};
#[cfg(feature = "crd")]
use super::{
    defaults::{ALERT_DURATION, ALERTMANAGER_TIMEOUT, SERVICE_PATH, WEBHOOK_TIMEOUT},
    schema,
};

/// Where an exporter delivers Events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(JsonSchema))]
#[cfg_attr(
    feature = "crd",
    schemars(extend("x-kubernetes-validations" = schema::exporter_sinks()))
)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ExporterSinks {
    /// HTTP endpoints that get newline-delimited Events by POST.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "crd", schemars(length(max = 32)))]
    pub webhooks: Vec<WebhookSink>,
    /// Standard output, if present; `{}` is enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdout: Option<StdoutSink>,
    /// Files with one JSON object a line.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "crd", schemars(length(max = 32)))]
    pub files: Vec<FileSink>,
}

/// Where a ruler delivers notifications and alerts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(JsonSchema))]
#[cfg_attr(
    feature = "crd",
    schemars(extend("x-kubernetes-validations" = schema::ruler_sinks()))
)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RulerSinks {
    /// Alertmanagers that get the alerts.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "crd", schemars(length(max = 32)))]
    pub alertmanagers: Vec<RulerAlertmanagerSink>,
    /// One more Alertmanager: the older form of `alertmanagers`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alertmanager: Option<RulerAlertmanagerSink>,
    /// HTTP endpoints that get notifications or alerts by POST.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "crd", schemars(length(max = 32)))]
    pub webhooks: Vec<RulerWebhookSink>,
    /// Standard output, if present.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdout: Option<RulerStdoutSink>,
    /// Files with one JSON object a line.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "crd", schemars(length(max = 32)))]
    pub files: Vec<RulerFileSink>,
}

/// What a sink of a ruler takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum RulerSinkType {
    /// Notifications: the event and the rules that it matched.
    Notification,
    /// Alerts, in the form that Alertmanager takes.
    Alert,
}

/// An HTTP endpoint that gets Events. Either `url` or `service` says where it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(JsonSchema))]
#[cfg_attr(
    feature = "crd",
    schemars(extend("x-kubernetes-validations" = schema::webhook()))
)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct WebhookSink {
    /// The name of the sink's lane in checkpoints, logs and metrics. Without it the lane is named
    /// after the endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(schema_with = "schema::lane"))]
    pub name: Option<String>,
    /// The address: `scheme://host:port/path`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(schema_with = "schema::url"))]
    pub url: Option<String>,
    /// The Service, when the endpoint runs in the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceReference>,
    /// Headers that every request carries. In a custom resource none with credentials, which
    /// `bearerToken` and `basicAuth` take from Secrets.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "crd", schemars(schema_with = "schema::headers"))]
    pub headers: BTreeMap<String, String>,
    /// The file that holds the bearer token.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(schema_with = "super::file::optional_schema"))]
    pub bearer_token_file: Option<PathBuf>,
    /// The Secret that holds the bearer token; custom resources only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer_token: Option<SecretSource>,
    /// The user and password of HTTP basic authentication.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic_auth: Option<BasicAuth>,
    /// How https is spoken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSettings>,
    /// The longest time that a request may take, like `10s`. Default: `30s`.
    #[serde(with = "duration", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "crd",
        schemars(schema_with = "duration::positive", extend("default" = duration::format(WEBHOOK_TIMEOUT)))
    )]
    pub timeout: Option<Duration>,
    /// How bodies are compressed. Default: `none`.
    #[serde(skip_serializing_if = "Compression::is_default")]
    #[cfg_attr(feature = "crd", schemars(extend("default" = Compression::default())))]
    pub compression: Compression,
    /// The shape of a line. Default: `flat`.
    #[serde(skip_serializing_if = "EventFormat::is_default")]
    #[cfg_attr(feature = "crd", schemars(extend("default" = EventFormat::default())))]
    pub format: EventFormat,
}

/// An HTTP endpoint that gets notifications or alerts. Either `url` or `service` says where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(JsonSchema))]
#[cfg_attr(
    feature = "crd",
    schemars(extend("x-kubernetes-validations" = schema::webhook()))
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RulerWebhookSink {
    /// What the endpoint gets.
    pub r#type: RulerSinkType,
    /// Whether senders of events wait until the sink has accepted what came of them. A sink that is
    /// not required has a bounded queue of its own. Default: `true`.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    #[cfg_attr(feature = "crd", schemars(extend("default" = yes())))]
    pub required: bool,
    /// The name of the sink's lane in logs and metrics. Without it the lane is named after the
    /// endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(schema_with = "schema::lane"))]
    pub name: Option<String>,
    /// The address: `scheme://host:port/path`. Configuration files of older rulers hold it under
    /// the key `namespace`, which is read too.
    #[serde(default, alias = "namespace", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(schema_with = "schema::url"))]
    pub url: Option<String>,
    /// The Service, when the endpoint runs in the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceReference>,
    /// Headers that every request carries. In a custom resource none with credentials, which
    /// `bearerToken` and `basicAuth` take from Secrets.
    #[serde(
        default,
        deserialize_with = "null_is_empty",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    #[cfg_attr(feature = "crd", schemars(schema_with = "schema::headers"))]
    pub headers: BTreeMap<String, String>,
    /// The file that holds the bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(schema_with = "super::file::optional_schema"))]
    pub bearer_token_file: Option<PathBuf>,
    /// The Secret that holds the bearer token; custom resources only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer_token: Option<SecretSource>,
    /// The user and password of HTTP basic authentication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic_auth: Option<BasicAuth>,
    /// How https is spoken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSettings>,
    /// The longest time that a request may take, like `10s`. Default: `30s`.
    #[serde(default, with = "duration", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "crd",
        schemars(schema_with = "duration::positive", extend("default" = duration::format(WEBHOOK_TIMEOUT)))
    )]
    pub timeout: Option<Duration>,
    /// How bodies are compressed. Default: `none`.
    #[serde(default, skip_serializing_if = "Compression::is_default")]
    #[cfg_attr(feature = "crd", schemars(extend("default" = Compression::default())))]
    pub compression: Compression,
    /// The shape of the event in a notification. Default: `flat`.
    #[serde(default, skip_serializing_if = "EventFormat::is_default")]
    #[cfg_attr(feature = "crd", schemars(extend("default" = EventFormat::default())))]
    pub format: EventFormat,
}

/// An Alertmanager: the replicas behind a Service (`namespace` and `name`), or `urls`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(JsonSchema))]
#[cfg_attr(
    feature = "crd",
    schemars(extend("x-kubernetes-validations" = schema::alertmanager()))
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RulerAlertmanagerSink {
    /// The name of the sink's lane in logs and metrics. (`name` is the Service's.) Without it the
    /// lane is named after the Alertmanager.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(schema_with = "schema::lane"))]
    pub lane: Option<String>,
    /// Whether senders of events wait until the Alertmanager has accepted what came of them.
    /// Default: `true`.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    #[cfg_attr(feature = "crd", schemars(extend("default" = yes())))]
    pub required: bool,
    /// The namespace of the Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(schema_with = "schema::optional_service"))]
    pub namespace: Option<String>,
    /// The name of the Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(schema_with = "schema::optional_service"))]
    pub name: Option<String>,
    /// The Service's port. Without it 9093; it is not written into the object, as it must not stand
    /// beside `urls`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<ServicePort>,
    /// The port of the replicas. Without it, what the Service says of `port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_port: Option<ServicePort>,
    /// How the replicas are spoken to. Default: `http`.
    #[serde(default, skip_serializing_if = "Scheme::is_default")]
    #[cfg_attr(feature = "crd", schemars(extend("default" = Scheme::default())))]
    pub scheme: Scheme,
    /// The path in front of `/api/v2/alerts`, if Alertmanager is served below one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(length(max = 2048)))]
    pub path: Option<String>,
    /// The base addresses of all replicas, in place of a Service.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "crd", schemars(schema_with = "schema::urls"))]
    pub urls: Vec<String>,
    /// Headers that every request carries. In a custom resource none with credentials, which
    /// `bearerToken` and `basicAuth` take from Secrets.
    #[serde(
        default,
        deserialize_with = "null_is_empty",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    #[cfg_attr(feature = "crd", schemars(schema_with = "schema::headers"))]
    pub headers: BTreeMap<String, String>,
    /// The file that holds the bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(schema_with = "super::file::optional_schema"))]
    pub bearer_token_file: Option<PathBuf>,
    /// The Secret that holds the bearer token; custom resources only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer_token: Option<SecretSource>,
    /// The user and password of HTTP basic authentication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic_auth: Option<BasicAuth>,
    /// How https is spoken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSettings>,
    /// The longest time that a request may take, like `10s`. Default: `10s`.
    #[serde(default, with = "duration", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "crd",
        schemars(schema_with = "duration::positive", extend("default" = duration::format(ALERTMANAGER_TIMEOUT)))
    )]
    pub timeout: Option<Duration>,
    /// How long an alert fires after it was sent. Default: `5m`.
    #[serde(default, with = "duration", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "crd",
        schemars(schema_with = "duration::positive", extend("default" = duration::format(ALERT_DURATION)))
    )]
    pub alert_duration: Option<Duration>,
    /// The age from which on an event raises no alert any more, like `15m`. Default: no limit.
    #[serde(default, with = "duration", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(schema_with = "duration::positive"))]
    pub max_alert_age: Option<Duration>,
}

/// Standard output of an exporter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct StdoutSink {
    /// The shape of a line. Default: `auto`.
    #[serde(skip_serializing_if = "StdoutFormat::is_default")]
    #[cfg_attr(feature = "crd", schemars(extend("default" = StdoutFormat::default())))]
    pub format: StdoutFormat,
}

/// Standard output of a ruler.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RulerStdoutSink {
    /// What is written.
    pub r#type: RulerSinkType,
    /// Whether senders of events wait until the line is written. Default: `true`.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    #[cfg_attr(feature = "crd", schemars(extend("default" = yes())))]
    pub required: bool,
    /// The shape of a line. Default: `auto`.
    #[serde(default, skip_serializing_if = "StdoutFormat::is_default")]
    #[cfg_attr(feature = "crd", schemars(extend("default" = StdoutFormat::default())))]
    pub format: StdoutFormat,
}

/// A file of an exporter, with one JSON object a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileSink {
    /// The name of the sink's lane in checkpoints, logs and metrics. Without it the lane is named
    /// after the path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(schema_with = "schema::lane"))]
    pub name: Option<String>,
    /// The file that is written; rotated ones get a time in their names. In a custom resource it lies
    /// below one of `volumeMounts`.
    #[cfg_attr(feature = "crd", schemars(schema_with = "super::file::schema"))]
    pub path: PathBuf,
    /// The size at which a file is rotated, like `100Mi`. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<ByteSize>,
    /// The age at which a file is rotated, like `24h`. Default: no limit.
    #[serde(default, with = "duration", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(schema_with = "duration::positive"))]
    pub max_age: Option<Duration>,
    /// How many rotated files are kept; the oldest go. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(with = "Option<i32>", range(min = 1)))]
    pub max_files: Option<NonZeroU32>,
    /// Whether rotated files are compressed with gzip. Default: `false`.
    #[serde(default, skip_serializing_if = "is_no")]
    #[cfg_attr(feature = "crd", schemars(extend("default" = false)))]
    pub compress: bool,
}

/// A file of a ruler, with one JSON object a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RulerFileSink {
    /// What is written.
    pub r#type: RulerSinkType,
    /// Whether senders of events wait until the line is written. Default: `true`.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    #[cfg_attr(feature = "crd", schemars(extend("default" = yes())))]
    pub required: bool,
    /// The name of the sink's lane in logs and metrics. Without it the lane is named after the
    /// path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(schema_with = "schema::lane"))]
    pub name: Option<String>,
    /// The file that is written; rotated ones get a time in their names. In a custom resource it lies
    /// below one of `volumeMounts`.
    #[cfg_attr(feature = "crd", schemars(schema_with = "super::file::schema"))]
    pub path: PathBuf,
    /// The size at which a file is rotated, like `100Mi`. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<ByteSize>,
    /// The age at which a file is rotated, like `24h`. Default: no limit.
    #[serde(default, with = "duration", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(schema_with = "duration::positive"))]
    pub max_age: Option<Duration>,
    /// How many rotated files are kept; the oldest go. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(with = "Option<i32>", range(min = 1)))]
    pub max_files: Option<NonZeroU32>,
    /// Whether rotated files are compressed with gzip. Default: `false`.
    #[serde(default, skip_serializing_if = "is_no")]
    #[cfg_attr(feature = "crd", schemars(extend("default" = false)))]
    pub compress: bool,
}

/// A Service of the cluster, and where on it the endpoint is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceReference {
    /// The namespace of the Service.
    #[cfg_attr(feature = "crd", schemars(schema_with = "schema::service"))]
    pub namespace: String,
    /// The name of the Service.
    #[cfg_attr(feature = "crd", schemars(schema_with = "schema::service"))]
    pub name: String,
    /// The port of the Service. Without it the scheme's: 80, or 443 for `https`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<ServicePort>,
    /// The path of the endpoint, with or without a slash in front. Default: `/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(length(max = 2048), extend("default" = SERVICE_PATH)))]
    pub path: Option<String>,
    /// How the endpoint is spoken to. Default: `http`.
    #[serde(default, skip_serializing_if = "Scheme::is_default")]
    #[cfg_attr(feature = "crd", schemars(extend("default" = Scheme::default())))]
    pub scheme: Scheme,
}

/// How an endpoint is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Scheme {
    /// In plain text.
    #[default]
    Http,
    /// Over TLS.
    Https,
}

/// The user and password of HTTP basic authentication.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(JsonSchema))]
#[cfg_attr(
    feature = "crd",
    schemars(extend("x-kubernetes-validations" = schema::basic_auth()))
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BasicAuth {
    /// The user's name.
    pub username: String,
    /// The file that holds the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(schema_with = "super::file::optional_schema"))]
    pub password_file: Option<PathBuf>,
    /// The Secret that holds the password; custom resources only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretSource>,
}

/// How https is spoken: whom to trust, and who we are. All files are PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(JsonSchema))]
#[cfg_attr(
    feature = "crd",
    schemars(extend("x-kubernetes-validations" = schema::tls()))
)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TlsSettings {
    /// The certificates of the authorities that are trusted, in place of the usual ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(schema_with = "super::file::optional_schema"))]
    pub ca_file: Option<PathBuf>,
    /// The Secret that holds these certificates; custom resources only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<SecretSource>,
    /// Our own certificate and its chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(schema_with = "super::file::optional_schema"))]
    pub cert_file: Option<PathBuf>,
    /// The Secret that holds our own certificate; custom resources only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<SecretSource>,
    /// The private key of our own certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(schema_with = "super::file::optional_schema"))]
    pub key_file: Option<PathBuf>,
    /// The Secret that holds the private key; custom resources only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<SecretSource>,
    /// The name that the server's certificate must have. Default: the host of the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// Whether any certificate of the server is taken. Default: `false`.
    #[serde(skip_serializing_if = "is_no")]
    #[cfg_attr(feature = "crd", schemars(extend("default" = false)))]
    pub insecure_skip_verify: bool,
}

/// How bodies of requests are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// `content-encoding: gzip`.
    Gzip,
}

/// The shape of an Event on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum EventFormat {
    /// The Event as the API server gave it, and `cluster` beside its fields.
    #[default]
    Flat,
    /// `{"Event": {…}, "cluster": …}`.
    Wrapped,
}

/// The shape of a line on standard output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum StdoutFormat {
    /// `human` on a terminal, else `json`.
    #[default]
    Auto,
    /// One compact JSON object.
    Json,
    /// A sentence for people, with colours on a terminal.
    Human,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_yes(value: &bool) -> bool {
    *value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_no(value: &bool) -> bool {
    !*value
}

// === impl Scheme ===

impl Scheme {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

// === impl Compression ===

impl Compression {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

// === impl EventFormat ===

impl EventFormat {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

// === impl StdoutFormat ===

impl StdoutFormat {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json, to_value};

    use super::*;

    #[test]
    fn settings_are_written_as_they_were_read() {
        let settings = json!({
            "alertmanagers": [{"urls": ["http://a:9093"], "alertDuration": "10m", "lane": "pager"}],
            "alertmanager": {"namespace": "monitoring", "name": "main", "port": 9093, "targetPort": "web"},
            "webhooks": [{
                "type": "notification",
                "required": false,
                "service": {"namespace": "n", "name": "s", "port": 80, "path": "/x", "scheme": "https"},
                "headers": {"x-tenant": "a"},
                "basicAuth": {"username": "u", "passwordFile": "/p"},
                "tls": {"caFile": "/ca", "serverName": "s", "insecureSkipVerify": true},
                "timeout": "10s",
                "compression": "gzip",
                "format": "wrapped",
            }],
            "stdout": {"type": "alert", "format": "json"},
            "files": [{"type": "alert", "path": "/f", "maxSize": "1Gi", "maxAge": "24h", "maxFiles": 3, "compress": true}],
        });
        let sinks: RulerSinks = from_value(settings.clone()).unwrap();
        assert_eq!(to_value(&sinks).unwrap(), settings);
    }

    #[test]
    fn defaults_are_not_written() {
        let sinks: ExporterSinks = from_value(json!({"stdout": {}, "webhooks": []})).unwrap();
        assert_eq!(to_value(&sinks).unwrap(), json!({"stdout": {}}));
    }

    #[test]
    fn an_older_ruler_s_webhook_has_its_url_under_namespace() {
        let sink: RulerWebhookSink =
            from_value(json!({"type": "alert", "namespace": "http://hook"})).unwrap();
        assert_eq!(sink.url.as_deref(), Some("http://hook"));
        assert!(sink.required);
    }

    #[test]
    fn a_key_without_a_value_sets_nothing() {
        let settings = json!({"webhooks": null, "stdout": null, "files": null});
        assert_eq!(from_value::<ExporterSinks>(settings).unwrap(), ExporterSinks::default());
    }

    #[test]
    fn an_unknown_key_is_named() {
        let error = from_value::<ExporterSinks>(json!({"webhook": []})).unwrap_err();
        assert!(error.to_string().contains("unknown field `webhook`"), "{error}");
    }
}
