//! Sinks that the Go project took and this one refuses: an object that worked with it keeps working.
//!
//! New writes are another matter; the schema refuses most of this. An API server lets what was stored
//! before stay until that part of it is changed.

use kube_events_core::crd::{
    defaults::{ALERT_DURATION, ALERTMANAGER_TIMEOUT, WEBHOOK_TIMEOUT},
    duration,
};
use serde_json::{Map, Value};

/// The keys that the Go project knew. A sink that has others was never its own, and is left alone,
/// unless they say only what counts without them: the API server writes defaults into every object.
const WEBHOOK_KEYS: [&str; 3] = ["type", "url", "service"];
const STDOUT_KEYS: [&str; 1] = ["type"];
const ALERTMANAGER_KEYS: [&str; 4] = ["namespace", "name", "port", "targetPort"];

/// The Go project's default for the port of an Alertmanager, and ours.
const ALERTMANAGER_PORT: u16 = 9093;

/// Makes the spec of an Exporter or a Ruler say what the Go project did with it, and tells what was
/// adjusted, each with its field as it is stored.
///
/// Of a webhook's `url` and `service` the `url` wins. A webhook with neither, and what has no `type`
/// that there is, is left out. Of two that are equal one is left out: the Go project sent to both.
pub(crate) fn adjust(spec: &mut Value) -> Vec<String> {
    let mut told = Vec::new();
    if let Some(sinks) = spec.get_mut("sinks").and_then(Value::as_object_mut) {
        if let Some(webhooks) = sinks.get_mut("webhooks").and_then(Value::as_array_mut) {
            adjust_webhooks(webhooks, &mut told);
        }
        let stdout = sinks.get("stdout").and_then(|sink| former(sink, &STDOUT_KEYS));
        if let Some(why) = stdout.and_then(typeless) {
            told.push(format!("sinks.stdout is left out: {why}"));
            sinks.remove("stdout");
        }
        adjust_alertmanagers(sinks, &mut told);
    }
    told
}

fn adjust_webhooks(webhooks: &mut Vec<Value>, told: &mut Vec<String>) {
    let mut kept: Vec<(usize, Value)> = Vec::new();
    for (place, mut webhook) in std::mem::take(webhooks).into_iter().enumerate() {
        if former(&webhook, &WEBHOOK_KEYS).is_some() {
            let field = format!("sinks.webhooks[{place}]");
            if let Some(fields) = webhook.as_object_mut() {
                fields.retain(|key, value| key == "type" || !is_blank(value));
                if fields.contains_key("url") && fields.remove("service").is_some() {
                    told.push(format!("{field}.service has no effect beside url"));
                }
                if let Some(why) = typeless(fields).or_else(|| nowhere(fields)) {
                    told.push(format!("{field} is left out: {why}"));
                    continue;
                }
            }
            if let Some((other, _)) = kept.iter().find(|(_, other)| *other == webhook) {
                told.push(format!("{field} is left out: sinks.webhooks[{other}] is the same"));
                continue;
            }
        }
        kept.push((place, webhook));
    }
    webhooks.extend(kept.into_iter().map(|(_, webhook)| webhook));
}

fn adjust_alertmanagers(sinks: &mut Map<String, Value>, told: &mut Vec<String>) {
    let mut kept: Vec<(usize, Value)> = Vec::new();
    let same = |kept: &[(usize, Value)], sink: &Value| {
        let service = service_of(sink)?;
        let mut others = kept.iter().filter(|(_, other)| service_of(other) == Some(service));
        others.next().map(|(place, _)| format!("sinks.alertmanagers[{place}] is the same"))
    };
    if let Some(list) = sinks.get_mut("alertmanagers").and_then(Value::as_array_mut) {
        for (place, sink) in list.drain(..).enumerate() {
            match same(&kept, &sink) {
                Some(why) => told.push(format!("sinks.alertmanagers[{place}] is left out: {why}")),
                None => kept.push((place, sink)),
            }
        }
        list.extend(kept.iter().map(|(_, sink)| sink.clone()));
    }
    if let Some(why) = sinks.get("alertmanager").and_then(|sink| same(&kept, sink)) {
        told.push(format!("sinks.alertmanager is left out: {why}"));
        sinks.remove("alertmanager");
    }
}

/// The fields of a sink, if the Go project knew them all.
fn former<'a>(sink: &'a Value, keys: &[&str]) -> Option<&'a Map<String, Value>> {
    let known =
        |(key, value): (&String, &Value)| keys.contains(&key.as_str()) || is_default(key, value);
    sink.as_object().filter(|fields| fields.iter().all(known))
}

/// Whether a key of ours has the value that the API server gives it.
fn is_default(key: &str, value: &Value) -> bool {
    let is = |default| value.as_str() == Some(duration::format(default).as_str());
    match key {
        "required" => value == true,
        "compression" => value == "none",
        "format" => value == "flat" || value == "auto",
        "scheme" => value == "http",
        "timeout" => is(WEBHOOK_TIMEOUT) || is(ALERTMANAGER_TIMEOUT),
        "alertDuration" => is(ALERT_DURATION),
        _ => false,
    }
}

/// By what two Alertmanagers are one: the Service and its port.
fn service_of(sink: &Value) -> Option<(&Value, &Value, u64)> {
    let fields = former(sink, &ALERTMANAGER_KEYS)?;
    let port = match fields.get("port") {
        None | Some(Value::Null) => ALERTMANAGER_PORT.into(),
        Some(port) => port.as_u64()?,
    };
    Some((fields.get("namespace")?, fields.get("name")?, port))
}

/// Why the Go project ignored a sink of a ruler.
fn typeless(fields: &Map<String, Value>) -> Option<String> {
    let given = fields.get("type")?.as_str()?;
    let known = ["notification", "alert"].contains(&given);
    (!known).then(|| format!("its type {given:?} is neither notification nor alert"))
}

fn nowhere(fields: &Map<String, Value>) -> Option<String> {
    let has_target = fields.contains_key("url") || fields.contains_key("service");
    (!has_target).then(|| "it has neither url nor service".to_owned())
}

fn is_blank(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn becomes(sinks: &Value, expected: &Value, told: &[&str]) {
        let mut spec = json!({"image": "i", "sinks": sinks});
        assert_eq!(adjust(&mut spec), told);
        assert_eq!(spec, json!({"image": "i", "sinks": expected}));
    }

    #[test]
    fn webhooks_are_what_the_go_project_made_of_them() {
        let service = json!({"namespace": "n", "name": "s", "port": 80});
        becomes(
            &json!({"webhooks": [
                {},
                {"url": "http://a", "service": service},
                {"url": " ", "service": service},
                {"url": "http://a"},
                {"service": service},
            ]}),
            &json!({"webhooks": [{"url": "http://a"}, {"service": service}]}),
            &[
                "sinks.webhooks[0] is left out: it has neither url nor service",
                "sinks.webhooks[1].service has no effect beside url",
                "sinks.webhooks[3] is left out: sinks.webhooks[1] is the same",
                "sinks.webhooks[4] is left out: sinks.webhooks[2] is the same",
            ],
        );
    }

    #[test]
    fn what_has_no_type_that_there_is_was_ignored() {
        becomes(
            &json!({
                "stdout": {"type": "Alert"},
                "webhooks": [{"type": "", "url": "http://a"}, {"type": "alert", "url": "http://a"}],
            }),
            &json!({"webhooks": [{"type": "alert", "url": "http://a"}]}),
            &[
                "sinks.webhooks[0] is left out: its type \"\" is neither notification nor alert",
                "sinks.stdout is left out: its type \"Alert\" is neither notification nor alert",
            ],
        );
    }

    #[test]
    fn an_alertmanager_under_both_keys_is_one() {
        let plain = json!({"namespace": "m", "name": "a"});
        let with_port = json!({"namespace": "m", "name": "a", "port": 9093, "targetPort": 9093});
        becomes(
            &json!({"alertmanagers": [with_port, plain], "alertmanager": plain}),
            &json!({"alertmanagers": [with_port]}),
            &[
                "sinks.alertmanagers[1] is left out: sinks.alertmanagers[0] is the same",
                "sinks.alertmanager is left out: sinks.alertmanagers[0] is the same",
            ],
        );
    }

    #[test]
    fn what_the_api_server_fills_in_makes_no_sink_ours() {
        let filled = json!({
            "required": true, "compression": "none", "format": "flat", "timeout": "30s",
            "type": "alert", "url": "http://a", "service": {"namespace": "n", "name": "s"},
        });
        let mut kept = filled.clone();
        kept.as_object_mut().unwrap().remove("service");
        becomes(
            &json!({"webhooks": [filled]}),
            &json!({"webhooks": [kept]}),
            &["sinks.webhooks[0].service has no effect beside url"],
        );
        becomes(
            &json!({"stdout": {"type": "Alert", "required": true, "format": "auto"}}),
            &json!({}),
            &["sinks.stdout is left out: its type \"Alert\" is neither notification nor alert"],
        );
    }

    #[test]
    fn every_default_of_a_sink_is_known() {
        let mut seen = 0;
        for definition in kube_events_core::crd::all() {
            let definition = serde_json::to_value(definition).unwrap();
            let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
            let sinks = &schema["properties"]["spec"]["properties"]["sinks"]["properties"];
            for sink in [
                &sinks["webhooks"]["items"],
                &sinks["stdout"],
                &sinks["alertmanager"],
                &sinks["alertmanagers"]["items"],
            ] {
                for (key, property) in sink["properties"].as_object().into_iter().flatten() {
                    if let Some(default) = property.get("default") {
                        assert!(is_default(key, default), "{key}: {default}");
                        seen += 1;
                    }
                }
            }
        }
        assert_eq!(seen, 18);
    }

    #[test]
    fn what_differs_and_what_is_ours_is_left_alone() {
        for sinks in [
            json!({"stdout": {}, "webhooks": [{"url": "http://a"}, {"url": "http://b"}]}),
            json!({"webhooks": [{"type": "alert", "url": "http://a"}, {"type": "notification", "url": "http://a"}]}),
            json!({"webhooks": [{"url": "http://a", "service": {}, "timeout": "1s"}, {"headers": {}}]}),
            json!({"stdout": {"type": "Alert", "format": "json"}}),
            json!({
                "alertmanagers": [{"namespace": "m", "name": "a", "port": 9094}, {"namespace": "m", "name": "a", "lane": "b"}],
                "alertmanager": {"namespace": "m", "name": "a"},
            }),
            json!(null),
        ] {
            becomes(&sinks, &sinks, &[]);
        }
    }
}
