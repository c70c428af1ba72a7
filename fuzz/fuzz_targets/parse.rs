//! No text makes the parser panic; what it takes prints as something that means the same.
#![no_main]

use std::sync::LazyLock;

use kube_events_rules::{Condition, JsonEvent, Limits};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

static EVENT: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "metadata": {"name": "e", "labels": {"app": "web"}, "creationTimestamp": "2026-01-02T03:04:05Z"},
        "involvedObject": {"kind": "Pod", "name": "web-1", "namespace": "shop"},
        "reason": "BackOff", "message": "Back-off restarting failed container", "type": "Warning", "count": 27,
        "lastTimestamp": "2026-01-02T03:14:05Z",
    })
});

fuzz_target!(|text: &str| {
    let condition = match Condition::parse(text) {
        Ok(condition) => condition,
        Err(error) => return drop(error.render(text)),
    };
    for lint in condition.lints() {
        drop(lint.render(text));
    }
    // Parentheses and quotes take room that the text did not.
    let roomy = Limits { length: 1 << 20, ..Limits::default() };
    let printed = condition.to_string();
    let again = Condition::parse_within(&printed, &roomy).expect("what is printed can be read");
    assert_eq!(again.to_string(), printed);
    let event = JsonEvent::new(&EVENT);
    assert_eq!(again.evaluate(&event), condition.evaluate(&event), "{printed}");
});
