//! Alertmanagers, as they are configured.

use std::num::NonZeroU16;

use kube_events_core::{
    Alert, Sink,
    crd::{
        ServicePort,
        sinks::{RulerAlertmanagerSink, Scheme},
    },
};

use super::{Context, refuse_secrets};
use crate::{
    ConfigError, Lane,
    alertmanager::{Alertmanager, AlertmanagerOptions, MaxAge, Urls},
    http::Target,
    lane::name_of,
    service::{Port, ServiceAddress},
};

const PORT: NonZeroU16 = NonZeroU16::new(9093).expect("it is not zero");

pub(super) fn lane(
    sink: &RulerAlertmanagerSink,
    required: bool,
    context: &Context,
) -> Result<Lane<Alert>, ConfigError> {
    if sink.timeout.is_some_and(|timeout| timeout.is_zero()) {
        return Err(ConfigError::new("timeout", "leaves no time for an answer"));
    }
    if sink.alert_duration.is_some_and(|duration| duration.is_zero()) {
        return Err(ConfigError::new("alertDuration", "leaves no time to fire"));
    }
    if sink.max_alert_age.is_some_and(|age| age.is_zero()) {
        return Err(ConfigError::new("maxAlertAge", "every alert is older when it is sent"));
    }
    refuse_secrets(sink.bearer_token.as_ref(), sink.basic_auth.as_ref(), sink.tls.as_ref())?;
    context.check_files(sink.bearer_token_file.as_ref(), sink.basic_auth.as_ref())?;
    let options = AlertmanagerOptions::from(sink);
    let (target, alertmanager) = match (&sink.namespace, &sink.name, sink.urls.as_slice()) {
        (None, None, [_, ..]) => at_urls(sink, &options)?,
        (Some(namespace), Some(name), []) => {
            let path = sink.path.as_deref().unwrap_or("").trim_end_matches('/');
            let address = ServiceAddress::new(namespace, name, sink.scheme, path)?;
            at_service(sink, address, &options, context)?
        }
        (Some(_), None, []) => return Err(ConfigError::new("name", "needed beside namespace")),
        (None, Some(_), []) => return Err(ConfigError::new("namespace", "needed beside name")),
        _ => {
            let reason = "exactly one of urls, and namespace with name, has to be set";
            return Err(ConfigError::whole(reason));
        }
    };
    let name = sink.lane.clone().unwrap_or_else(|| name_of("alertmanager", &target));
    let lane = limited(sink, name, required, alertmanager, context);
    Ok(lane.requests_within(options.http.timeout))
}

fn limited(
    sink: &RulerAlertmanagerSink,
    name: String,
    required: bool,
    alertmanager: impl Sink<Alert> + 'static,
    context: &Context,
) -> Lane<Alert> {
    let Some(limit) = sink.max_alert_age else { return Lane::new(name, required, alertmanager) };
    let (context, lane) = (context.clone(), name.clone());
    let suppressed = move |alerts| context.suppressed(&lane, alerts);
    Lane::new(name, required, MaxAge::new(alertmanager, limit, suppressed))
}

fn at_urls(
    sink: &RulerAlertmanagerSink,
    options: &AlertmanagerOptions,
) -> Result<(String, Alertmanager), ConfigError> {
    let of_services = [
        ("port", sink.port.is_some()),
        ("targetPort", sink.target_port.is_some()),
        ("scheme", sink.scheme != Scheme::default()),
        ("path", sink.path.is_some()),
    ];
    if let Some((field, _)) = of_services.iter().find(|(_, is_set)| *is_set) {
        return Err(ConfigError::new(*field, "has no effect beside urls"));
    }
    let urls = Urls::new(&sink.urls)?;
    let mut targets = Vec::new();
    for (place, url) in sink.urls.iter().enumerate() {
        let at = |error: ConfigError| ConfigError::new(format!("urls[{place}]"), error.reason);
        let target = Target::parse(url).map_err(at)?;
        if target.has_user() && (sink.bearer_token_file.is_some() || sink.basic_auth.is_some()) {
            return Err(at(ConfigError::whole("names a user beside bearerTokenFile or basicAuth")));
        }
        targets.push(target.url().to_string());
    }
    targets.sort();
    Ok((targets.join(" "), Alertmanager::new(urls, options)?))
}

fn at_service(
    sink: &RulerAlertmanagerSink,
    address: ServiceAddress,
    options: &AlertmanagerOptions,
    context: &Context,
) -> Result<(String, Alertmanager), ConfigError> {
    let tls = sink.tls.clone().unwrap_or_default();
    if sink.scheme == Scheme::Https && tls.server_name.is_none() && !tls.insecure_skip_verify {
        return Err(ConfigError::new(
            "tls.serverName",
            "needed with scheme https: replicas are reached by their addresses, which \
             certificates do not name",
        ));
    }
    let port = sink.port.clone().unwrap_or(ServicePort::Number(PORT));
    let target = format!("{}#{port}", address.url(None));
    #[cfg(feature = "kubernetes")]
    if let Some(client) = context.client.clone() {
        use crate::alertmanager::{BackendPort, ServiceReplicas};
        let port = BackendPort { port, target_port: sink.target_port.clone() };
        let replicas = ServiceReplicas::new(client, address, port);
        return Ok((target, Alertmanager::new(replicas, options)?));
    }
    #[cfg(not(feature = "kubernetes"))]
    let _ = context;
    match Port::of(Some(&port)) {
        Port::Named(_) => Err(ConfigError::new(
            "port",
            "a port can be named only where an API server can be asked for it",
        )),
        Port::Usual => Ok((target, Alertmanager::new(Urls::new(&[address.url(None)])?, options)?)),
        Port::Number(port) => {
            Ok((target, Alertmanager::new(Urls::new(&[address.url(Some(port))])?, options)?))
        }
    }
}
