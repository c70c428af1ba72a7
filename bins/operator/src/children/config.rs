//! The configuration file of a program, out of the spec of its object.

use std::collections::{BTreeMap, BTreeSet};

use clap::ValueEnum as _;
use kube_events_core::event::Api;
use kube_events_exporter::{EventVersion, ExporterConfig};
use kube_events_ruler::RulerConfig;
use kube_events_sinks::{Context, SinkConfig as _};
use serde_json::{Map, Value, json};

use super::Invalid;
use crate::names::Program;

/// A configuration file, and the Secrets that it needs.
#[derive(Debug)]
pub(super) struct Config {
    /// The file's text.
    pub(super) yaml: String,
    /// The Secrets whose values it names by path, with the keys that it needs.
    pub(super) secrets: Secrets,
}

/// Keys by the names of Secrets.
pub(super) type Secrets = BTreeMap<String, BTreeSet<String>>;

/// The keys of a spec that the program's configuration has too, under the same names.
const EXPORTER_KEYS: [&str; 7] =
    ["cluster", "startFrom", "checkpoint", "namespaces", "labelSelector", "fieldSelector", "sinks"];
const RULER_KEYS: [&str; 6] =
    ["cluster", "ruleSelector", "ruleNamespaceSelector", "warmUp", "limits", "sinks"];

/// An exporter's configuration. In `only`, if it is set, are the Events that it may see.
pub(super) fn exporter(
    spec: &Value,
    program: &Program,
    only: Option<&str>,
    context: &Context,
) -> Result<Config, Invalid> {
    let mut config = pick(spec, &EXPORTER_KEYS);
    if let Some(namespace) = only {
        config["namespaces"] = json!([namespace]);
    }
    let secrets = mount_secrets(&mut config, program);
    let read: ExporterConfig = read(&config)?;
    kube_events_exporter::check_selectors(api(spec)?, &read)
        .map_err(|error| Invalid(format!("{error:#}")))?;
    check(read.sinks.unwrap_or_default().build(context))?;
    Ok(Config { yaml: yaml(&config)?, secrets })
}

/// A ruler's configuration.
pub(super) fn ruler(spec: &Value, program: &Program, context: &Context) -> Result<Config, Invalid> {
    let mut config = pick(spec, &RULER_KEYS);
    let secrets = mount_secrets(&mut config, program);
    let read: RulerConfig = read(&config)?;
    for (key, selector) in [
        ("ruleSelector", &read.rule_selector),
        ("ruleNamespaceSelector", &read.rule_namespace_selector),
    ] {
        kube_events_ruler::selector(key, selector.as_ref())
            .map_err(|error| Invalid(format!("{error:#}")))?;
    }
    check(read.sinks.unwrap_or_default().build(context))?;
    Ok(Config { yaml: yaml(&config)?, secrets })
}

/// The API that the exporter asks, by whose fields it selects.
fn api(spec: &Value) -> Result<Api, Invalid> {
    let version = spec["eventVersion"].as_str().map(|name| EventVersion::from_str(name, false));
    let version = version.transpose().map_err(|why| Invalid(format!("eventVersion: {why}")))?;
    Ok(version.unwrap_or_default().into())
}

fn pick(spec: &Value, keys: &[&str]) -> Value {
    let picked = keys.iter().filter_map(|&key| {
        let value = spec.get(key).filter(|value| !value.is_null())?;
        Some((key.to_owned(), value.clone()))
    });
    Value::Object(picked.collect::<Map<_, _>>())
}

/// Reads it as the program will, but for files that only the pod has. A server's name is of no use
/// without them; that there is one may be, so any server will do in its place.
fn read<T: serde::de::DeserializeOwned>(config: &Value) -> Result<T, Invalid> {
    let mut config = config.clone();
    each_object(&mut config, &mut |fields| {
        if let Some(tls) = fields.get_mut("tls") {
            let any = tls["serverName"].is_string() || tls["insecureSkipVerify"] == true;
            *tls = json!({ "insecureSkipVerify": any });
        }
    });
    serde_json::from_value(config).map_err(|error| Invalid(error.to_string()))
}

fn check<L>(built: Result<L, kube_events_sinks::ConfigError>) -> Result<(), Invalid> {
    built.map(drop).map_err(|error| Invalid(error.to_string()))
}

fn yaml(config: &Value) -> Result<String, Invalid> {
    serde_saphyr::to_string(config).map_err(|error| Invalid(error.to_string()))
}

/// Puts `keyFile: path` in the place of each `key: {secretKeyRef: …}`; gives the Secrets.
fn mount_secrets(config: &mut Value, program: &Program) -> Secrets {
    let mut secrets = Secrets::new();
    each_object(config, &mut |fields| {
        let references: Vec<_> = fields
            .iter()
            .filter_map(|(field, value)| {
                let reference = value.get("secretKeyRef")?;
                let name = reference["name"].as_str()?.to_owned();
                let key = reference["key"].as_str()?.to_owned();
                Some((field.clone(), name, key))
            })
            .collect();
        for (field, name, key) in references {
            let path = format!("{}/{key}", secret_folder(program, &name));
            fields.remove(&field);
            fields.insert(format!("{field}File"), path.into());
            secrets.entry(name).or_default().insert(key);
        }
    });
    secrets
}

/// Where a Secret is mounted.
pub(super) fn secret_folder(program: &Program, secret: &str) -> String {
    format!("{}/secrets/{secret}", program.folder)
}

fn each_object(value: &mut Value, visit: &mut dyn FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(fields) => {
            visit(fields);
            fields.values_mut().for_each(|field| each_object(field, visit));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| each_object(item, visit)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use kube_events_core::crd::defaults;
    use serde_json::json;

    use super::*;
    use crate::names::{EXPORTER, RULER};

    #[test]
    fn a_secret_becomes_a_path() {
        let spec = json!({"image": "i", "sinks": {"webhooks": [{
            "url": "https://a.example/",
            "bearerToken": {"secretKeyRef": {"name": "archive", "key": "token"}},
            "tls": {"ca": {"secretKeyRef": {"name": "authority", "key": "ca.crt"}}},
        }]}});
        let config = exporter(&spec, &EXPORTER, None, &Context::default()).unwrap();
        let keys = |keys: &[&str]| keys.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
        let secrets = [("archive", keys(&["token"])), ("authority", keys(&["ca.crt"]))];
        assert_eq!(config.secrets, secrets.map(|(name, keys)| (name.to_owned(), keys)).into());
        let read: Value = serde_saphyr::from_str(&config.yaml).unwrap();
        let webhook = &read["sinks"]["webhooks"][0];
        assert_eq!(webhook["bearerTokenFile"], "/etc/events-exporter/secrets/archive/token");
        assert_eq!(webhook["tls"]["caFile"], "/etc/events-exporter/secrets/authority/ca.crt");
        assert!(webhook.get("bearerToken").is_none() && read.get("image").is_none());
    }

    #[test]
    fn what_the_program_would_refuse_is_refused_here() {
        let spec = json!({"sinks": {"webhooks": [{"url": "archive"}]}});
        let error = exporter(&spec, &EXPORTER, None, &Context::default()).unwrap_err();
        assert_eq!(error.to_string(), "sinks.webhooks[0].url: relative URL without a base");
    }

    #[test]
    fn replicas_that_speak_https_need_a_name() {
        let refused = |tls: Value| {
            let spec = json!({"sinks": {"alertmanagers": [
                {"namespace": "monitoring", "name": "main", "scheme": "https", "tls": tls},
            ]}});
            ruler(&spec, &RULER, &Context::default()).err().map(|error| error.0)
        };
        let ca = json!({"secretKeyRef": {"name": "authority", "key": "ca.crt"}});
        assert_eq!(refused(json!({"ca": ca, "serverName": "main"})), None);
        assert_eq!(refused(json!({"insecureSkipVerify": true})), None);
        let error = refused(json!({ "ca": ca })).unwrap();
        assert!(error.starts_with("sinks.alertmanagers[0].tls.serverName: needed"), "{error}");
    }

    #[test]
    fn selectors_are_those_of_the_api_that_is_asked() {
        let refused = |mut spec: Value| {
            spec["sinks"] = json!({});
            exporter(&spec, &EXPORTER, None, &Context::default()).err().map(|error| error.0)
        };
        let error = refused(json!({"labelSelector": "!!x"})).unwrap();
        assert!(error.starts_with("labelSelector: "), "{error}");
        let error = refused(json!({"fieldSelector": "nofield"})).unwrap();
        assert!(error.starts_with("fieldSelector: "), "{error}");
        let by_kind =
            |version| json!({"eventVersion": version, "fieldSelector": "regarding.kind=Pod"});
        assert!(refused(by_kind("corev1")).is_some());
        assert_eq!(refused(by_kind("eventsv1")), None);
    }

    #[test]
    fn the_api_that_an_object_asks_for_by_default_is_the_program_s() {
        let named = EventVersion::from_str(defaults::EVENT_VERSION, false);
        assert_eq!(named, Ok(EventVersion::default()));
    }

    #[test]
    fn one_namespace_takes_the_place_of_all_that_were_asked_for() {
        let spec = json!({"namespaces": ["a", "b"], "sinks": {}});
        let config = exporter(&spec, &EXPORTER, Some("own"), &Context::default()).unwrap();
        assert!(config.yaml.contains("own") && !config.yaml.contains("- b"), "{}", config.yaml);
    }
}
