//! Webhooks, as they are configured.

use kube_events_core::{
    Sink,
    crd::sinks::{ServiceReference, WebhookSink},
};

use super::{Context, refuse_secrets};
use crate::{
    ConfigError, Lane,
    encode::Encode,
    http::Target,
    lane::name_of,
    service::{Port, ServiceAddress},
    webhook::{Webhook, WebhookOptions},
};

pub(super) fn lane<T: Encode>(
    sink: &WebhookSink,
    required: bool,
    context: &Context,
) -> Result<Lane<T>, ConfigError> {
    if sink.timeout.is_some_and(|timeout| timeout.is_zero()) {
        return Err(ConfigError::new("timeout", "leaves no time for an answer"));
    }
    refuse_secrets(sink.bearer_token.as_ref(), sink.basic_auth.as_ref(), sink.tls.as_ref())?;
    context.check_files(sink.bearer_token_file.as_ref(), sink.basic_auth.as_ref())?;
    let options = WebhookOptions::from(sink);
    // An empty URL is none, as before.
    match (sink.url.as_deref().filter(|url| !url.trim().is_empty()), &sink.service) {
        (Some(url), None) => {
            let name = name(sink, Target::parse(url)?.url().as_str());
            Ok(lane_of(name, required, Webhook::new(url, &options)?, &options))
        }
        (None, Some(service)) => at_service(sink, service, &options, required, context),
        _ => Err(ConfigError::whole("exactly one of url and service has to be set")),
    }
}

fn at_service<T: Encode>(
    sink: &WebhookSink,
    service: &ServiceReference,
    options: &WebhookOptions,
    required: bool,
    context: &Context,
) -> Result<Lane<T>, ConfigError> {
    let address = ServiceAddress::of(service).map_err(|error| error.within("service"))?;
    let number = match Port::of(service.port.as_ref()) {
        Port::Usual => None,
        Port::Number(number) => Some(number),
        Port::Named(port) => {
            let name = name(sink, &format!("{}#{port}", address.url(None)));
            return at_named_port(name, address, port, options, required, context)
                .map_err(|error| error.within("service"));
        }
    };
    let url = address.url(number);
    let webhook = Webhook::new(&url, options)
        .map_err(|error| if error.field == "url" { error.within("service") } else { error })?;
    Ok(lane_of(name(sink, &url), required, webhook, options))
}

#[cfg(feature = "kubernetes")]
fn at_named_port<T: Encode>(
    name: String,
    address: ServiceAddress,
    port: &str,
    options: &WebhookOptions,
    required: bool,
    context: &Context,
) -> Result<Lane<T>, ConfigError> {
    let client = context.client.clone().ok_or_else(no_api_server)?;
    let webhook = crate::webhook::NamedPort::new(client, address, port, options.clone())?;
    Ok(lane_of(name, required, webhook, options))
}

#[cfg(not(feature = "kubernetes"))]
fn at_named_port<T: Encode>(
    _: String,
    _: ServiceAddress,
    _: &str,
    _: &WebhookOptions,
    _: bool,
    _: &Context,
) -> Result<Lane<T>, ConfigError> {
    Err(no_api_server())
}

fn lane_of<T>(
    name: String,
    required: bool,
    webhook: impl Sink<T> + 'static,
    options: &WebhookOptions,
) -> Lane<T> {
    Lane::new(name, required, webhook).requests_within(options.http.timeout)
}

fn no_api_server() -> ConfigError {
    ConfigError::new("port", "a port can be named only where an API server can be asked for it")
}

fn name(sink: &WebhookSink, target: &str) -> String {
    sink.name.clone().unwrap_or_else(|| name_of("webhook", target))
}
