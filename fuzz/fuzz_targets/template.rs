//! No text makes a template panic, nor what it becomes for an Event.
#![no_main]

use std::sync::LazyLock;

use kube_events_rules::{JsonEvent, Template};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

static EVENT: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "metadata": {"name": "e", "labels": {"app": "web"}, "annotations": {}},
        "involvedObject": {"kind": "Pod", "name": "web-1", "namespace": "shop"},
        "reason": "BackOff", "message": "Back-off é % {{ reason }}", "type": "Warning", "count": 27,
        "firstTimestamp": null, "lastTimestamp": "2026-01-02T03:14:05Z", "related": [1, {"a": "b"}],
    })
});

fuzz_target!(|text: &str| {
    match Template::parse(text) {
        Ok(template) => {
            template.unknown().for_each(drop);
            drop(template.render(&JsonEvent::new(&EVENT)));
        }
        Err(error) => drop(error.render(text)),
    }
});
