//! Whether an object is as it has to be, so that nothing is written when nothing changed.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde_json::Value;

/// Fields that have one owner as a whole, in all kinds: whoever adds a label to a selector changes it.
const WHOLE: [&str; 5] =
    ["labelSelector", "namespaceSelector", "nodeSelector", "podSelector", "selector"];

/// A short text that changes when an object does.
pub(crate) fn hash(object: &Value) -> String {
    let mut hasher = DefaultHasher::new();
    // Keys of an object are in alphabetical order, so equal objects have equal texts.
    object.to_string().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// Whether `live` has every field of `desired`, with its value. What else it has is foreign, or a
/// default of the API server's.
pub(crate) fn covers(live: &Value, desired: &Value) -> bool {
    match (live, desired) {
        // A null takes a field out.
        (live, Value::Null) => live.is_null(),
        (Value::Object(live), Value::Object(desired)) => desired.iter().all(|(key, value)| {
            let held = live.get(key).unwrap_or(&Value::Null);
            let same =
                if WHOLE.contains(&key.as_str()) { held == value } else { covers(held, value) };
            same || is_empty(value) && held.is_null()
        }),
        (Value::Array(live), Value::Array(desired)) => match key_of(desired) {
            Some(key) => desired.iter().all(|item| {
                live.iter()
                    .find(|held| held[key] == item[key])
                    .is_some_and(|held| covers(held, item))
            }),
            None => {
                live.len() == desired.len() && live.iter().zip(desired).all(|(l, d)| covers(l, d))
            }
        },
        (live, desired) => live == desired || same_quantity(live, desired),
    }
}

/// The API server leaves out what is empty.
fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
        || value.as_str().is_some_and(str::is_empty)
        || value.as_object().is_some_and(|fields| fields.values().all(is_empty))
}

/// The key by which items of such a list are told apart, where others may add items of their own.
/// `subjects` of a binding have names too, but nobody else has a say in them.
fn key_of(items: &[Value]) -> Option<&'static str> {
    let first = items.first()?;
    if first.get("kind").is_some() && first.get("uid").is_none() {
        return None;
    }
    ["uid", "mountPath", "name"]
        .into_iter()
        .find(|key| items.iter().all(|item| item[key].is_string()))
}

/// `1000m` is written back as `1`.
fn same_quantity(live: &Value, desired: &Value) -> bool {
    let number = |value: &Value| match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => quantity(text),
        _ => None,
    };
    matches!((number(live), number(desired)), (Some(a), Some(b)) if (a - b).abs() <= a.abs() * 1e-9)
}

/// <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>
fn quantity(text: &str) -> Option<f64> {
    if let Ok(number) = text.parse() {
        return Some(number); // with an exponent, maybe
    }
    let at = text.find(|c: char| !c.is_ascii_digit() && !".+-".contains(c)).unwrap_or(text.len());
    let (number, suffix) = text.split_at(at);
    let factor = match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        "Ti" => 1024_f64.powi(4),
        "Pi" => 1024_f64.powi(5),
        "Ei" => 1024_f64.powi(6),
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_others_add_does_not_count() {
        let desired = json!({"spec": {"containers": [{"name": "a", "image": "i"}], "empty": []}});
        let live = json!({"spec": {
            "containers": [{"name": "sidecar"}, {"name": "a", "image": "i", "tty": false}],
            "restartPolicy": "Always",
        }});
        assert!(covers(&live, &desired));
    }

    #[test]
    fn what_is_added_to_a_selector_counts() {
        let desired = json!({"spec": {"selector": {"app": "a"}, "podSelector": {}}});
        assert!(covers(&json!({"spec": {"selector": {"app": "a"}, "podSelector": {}}}), &desired));
        let live = json!({"spec": {"selector": {"app": "a", "more": "b"}, "podSelector": {}}});
        assert!(!covers(&live, &desired));
        let live = json!({"spec": {"selector": {"app": "a"}, "podSelector": {"more": "b"}}});
        assert!(!covers(&live, &desired));
    }

    #[test]
    fn what_others_change_counts() {
        let desired = json!({"a": {"b": 1, "c": [1, 2]}});
        for live in [
            json!({"a": {"b": 2, "c": [1, 2]}}),
            json!({"a": {"b": 1, "c": [1, 2, 3]}}),
            json!({"a": {"b": 1}}),
            json!({}),
        ] {
            assert!(!covers(&live, &desired), "{live}");
        }
    }

    #[test]
    fn a_subject_that_was_added_counts() {
        let subject = |name: &str| json!({"kind": "ServiceAccount", "name": name});
        let desired = json!({"subjects": [subject("ours")]});
        assert!(covers(&desired, &desired));
        assert!(!covers(&json!({"subjects": [subject("ours"), subject("theirs")]}), &desired));
    }

    #[test]
    fn a_null_asks_for_nothing_to_be_there() {
        let desired = json!({"strategy": {"type": "Recreate", "rollingUpdate": null}});
        assert!(covers(&json!({"strategy": {"type": "Recreate"}}), &desired));
        let held = json!({"strategy": {"type": "Recreate", "rollingUpdate": {}}});
        assert!(!covers(&held, &desired));
    }

    #[test]
    fn quantities_are_compared_by_value() {
        for (live, desired) in [
            ("1", "1000m"),
            ("64Mi", "65536Ki"),
            ("500m", "0.5"),
            ("1500e6", "1.5e9"),
            ("2Pi", "2048Ti"),
        ] {
            assert!(covers(&json!(live), &json!(desired)), "{live} {desired}");
        }
        assert!(!covers(&json!("1"), &json!("1m")));
        assert!(!covers(&json!("a1"), &json!("b1")));
    }

    #[test]
    fn a_hash_depends_on_what_is_there_alone() {
        let one: Value = serde_json::from_str(r#"{"a": 1, "b": 2}"#).unwrap();
        let other: Value = serde_json::from_str(r#"{"b": 2, "a": 1}"#).unwrap();
        assert_eq!(hash(&one), hash(&other));
        assert_ne!(hash(&one), hash(&json!({"a": 1})));
    }
}
