//! Values that tests look at, and their text form.

use std::borrow::Cow;

use serde_json::Value as Json;

use crate::number;

/// The value of a field, as a test sees it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// A text.
    Text(Cow<'a, str>),
    /// A number.
    Number(f64),
    /// Any JSON, in views of data that is no Event. `null` counts as missing.
    Json(&'a Json),
}

impl<'a> Value<'a> {
    /// A borrowed text.
    pub fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    /// The text that string operators see: a text itself, a number's shortest form, JSON in the
    /// form of Go's `fmt`.
    pub(crate) fn as_text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Number(number) => Cow::Owned(written(|out| number::write(out, *number))),
            Self::Json(Json::String(text)) => Cow::Borrowed(text),
            Self::Json(json) => Cow::Owned(written(|out| write(out, json))),
        }
    }

    pub(crate) fn as_number(&self) -> Option<f64> {
        match self {
            Self::Text(text) => number::parse(text),
            Self::Number(number) => Some(*number),
            Self::Json(Json::String(text)) => number::parse(text),
            Self::Json(json) => json.as_f64(),
        }
    }

    pub(crate) fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Text(text) => number::parse_bool(text),
            Self::Number(number) => digit(*number),
            Self::Json(Json::String(text)) => number::parse_bool(text),
            Self::Json(Json::Bool(bool)) => Some(*bool),
            Self::Json(json) => json.as_f64().and_then(digit),
        }
    }

    pub(crate) fn as_list(&self) -> Option<&'a [Json]> {
        match self {
            Self::Json(Json::Array(list)) => Some(list),
            _ => None,
        }
    }
}

/// 1 is true and 0 is false, but negative zero reads `-0`, which is neither.
fn digit(number: f64) -> Option<bool> {
    if number.to_bits() == 1f64.to_bits() {
        Some(true)
    } else {
        (number.to_bits() == 0).then_some(false)
    }
}

fn written(write: impl FnOnce(&mut String)) -> String {
    let mut out = String::new();
    write(&mut out);
    out
}

/// Writes JSON as Go's `%v` shows its decoded form: `map[k:v]`, `[a b]`, `<nil>`.
///
/// The recursion is bounded by `serde_json`, which refuses to parse deeper than 128 levels.
pub(crate) fn write(out: &mut String, json: &Json) {
    match json {
        Json::Null => out.push_str("<nil>"),
        Json::Bool(bool) => out.push_str(if *bool { "true" } else { "false" }),
        Json::Number(number) => number::write(out, number.as_f64().unwrap_or(f64::NAN)),
        Json::String(text) => out.push_str(text),
        Json::Array(list) => {
            out.push('[');
            separated(out, list.iter(), write);
            out.push(']');
        }
        Json::Object(map) => {
            out.push_str("map[");
            let mut members: Vec<_> = map.iter().collect();
            members.sort_unstable_by_key(|(key, _)| *key);
            separated(out, members.into_iter(), |out, (key, value)| {
                out.push_str(key);
                out.push(':');
                write(out, value);
            });
            out.push(']');
        }
    }
}

/// Writes items with single blanks between them.
pub(crate) fn separated<T>(
    out: &mut String,
    items: impl Iterator<Item = T>,
    mut write: impl FnMut(&mut String, T),
) {
    for (i, item) in items.enumerate() {
        if i > 0 {
            out.push(' ');
        }
        write(out, item);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_reads_as_go_prints_it() {
        let json = json!({"b": [1, 2.5, 1e6, true, null], "a": {"k": "v"}});
        assert_eq!(Value::Json(&json).as_text(), "map[a:map[k:v] b:[1 2.5 1e+06 true <nil>]]");
    }
}
