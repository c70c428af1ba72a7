//! Whether selectors are what an API server takes, found out without one.
//!
//! The grammar is that of `k8s.io/apimachinery`, packages `labels` and `fields`.

use anyhow::{Context as _, bail, ensure};
use kube_events_core::event::Api;

use crate::ExporterConfig;

/// The fields by which an API server selects Events of both APIs.
const FIELDS: [&str; 4] = ["metadata.name", "metadata.namespace", "reason", "type"];

/// Those that only `v1` has.
const CORE_FIELDS: [&str; 9] = [
    "involvedObject.apiVersion",
    "involvedObject.fieldPath",
    "involvedObject.kind",
    "involvedObject.name",
    "involvedObject.namespace",
    "involvedObject.resourceVersion",
    "involvedObject.uid",
    "reportingComponent",
    "source",
];

/// Those that only `events.k8s.io/v1` has.
const EVENTS_FIELDS: [&str; 8] = [
    "regarding.apiVersion",
    "regarding.fieldPath",
    "regarding.kind",
    "regarding.name",
    "regarding.namespace",
    "regarding.resourceVersion",
    "regarding.uid",
    "reportingController",
];

/// The longest name of a label without its prefix, and the longest value.
const MAX_NAME: usize = 63;

/// The longest prefix of a label's name.
const MAX_PREFIX: usize = 253;

/// Checks `labelSelector` and `fieldSelector` as an API server would that is asked by `api`.
///
/// # Errors
/// If it would refuse them; the error begins with the key.
pub fn check_selectors(api: Api, config: &ExporterConfig) -> anyhow::Result<()> {
    labels(config.label_selector.as_deref().unwrap_or_default()).context("labelSelector")?;
    fields(api, config.field_selector.as_deref().unwrap_or_default()).context("fieldSelector")
}

fn labels(selector: &str) -> anyhow::Result<()> {
    if selector.trim_ascii().is_empty() {
        return Ok(());
    }
    let mut depth = 0_usize;
    let terms = selector.split(|c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    });
    for term in terms.map(str::trim_ascii) {
        label(term).with_context(|| format!("`{term}`"))?;
    }
    Ok(())
}

/// One of `key`, `!key`, `key=value`, `key!=value`, `key>number`, `key in (a, b)`.
fn label(term: &str) -> anyhow::Result<()> {
    if let Some(key) = term.strip_prefix('!') {
        return label_key(key.trim_ascii_start());
    }
    let end = term.find(|c: char| c.is_ascii_whitespace() || "=!<>(),".contains(c));
    let (key, rest) = term.split_at(end.unwrap_or(term.len()));
    label_key(key)?;
    let rest = rest.trim_ascii_start();
    if rest.is_empty() {
        return Ok(());
    }
    if let Some(number) = rest.strip_prefix(['<', '>']) {
        let number = number.trim_ascii();
        number.parse::<i64>().context("no whole number")?;
        // Also here it has to be a label's value, so without a sign.
        return label_value(number);
    }
    for operator in ["==", "=", "!="] {
        if let Some(value) = rest.strip_prefix(operator) {
            return label_value(value.trim_ascii());
        }
    }
    let values = rest.strip_prefix("notin").or_else(|| rest.strip_prefix("in"));
    let values = values.and_then(|rest| rest.trim_ascii_start().strip_prefix('('));
    match values.and_then(|rest| rest.strip_suffix(')')) {
        Some(values) => values.split(',').map(str::trim_ascii).try_for_each(label_value),
        None => bail!("`{rest}` is neither a comparison nor `in` or `notin` with a list"),
    }
}

fn label_key(key: &str) -> anyhow::Result<()> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    ensure!(!name.is_empty() && is_name(name), "`{key}` is no label's name");
    ensure!(prefix.is_none_or(is_domain), "`{key}` has a prefix that is no domain");
    Ok(())
}

fn label_value(value: &str) -> anyhow::Result<()> {
    ensure!(is_name(value), "`{value}` is no label's value");
    Ok(())
}

/// Whether it is empty, or letters and digits with `-`, `_` and `.` between them.
fn is_name(text: &str) -> bool {
    text.len() <= MAX_NAME
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && !text.starts_with(['-', '_', '.'])
        && !text.ends_with(['-', '_', '.'])
}

fn is_domain(text: &str) -> bool {
    let is_part = |part: &str| {
        let may_be = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !part.is_empty()
            && part.chars().all(may_be)
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    text.len() <= MAX_PREFIX && text.split('.').all(is_part)
}

fn fields(api: Api, selector: &str) -> anyhow::Result<()> {
    let mut is_escaped = false;
    let terms = selector.split(|c: char| {
        let ends = c == ',' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        ends
    });
    for term in terms.filter(|term| !term.is_empty()) {
        field(api, term).with_context(|| format!("`{term}`"))?;
    }
    Ok(())
}

/// `field=value`, `field==value` or `field!=value`. Blanks count.
fn field(api: Api, term: &str) -> anyhow::Result<()> {
    let Some((field, value)) = term.split_once('=') else { bail!("has no `=`") };
    let (field, value) = match field.strip_suffix('!') {
        Some(field) => (field, value),
        None => (field, value.strip_prefix('=').unwrap_or(value)),
    };
    let own: &[&str] = match api {
        Api::CoreV1 => &CORE_FIELDS,
        Api::EventsV1 => &EVENTS_FIELDS,
    };
    let mut known = FIELDS.iter().chain(own);
    ensure!(known.any(|known| *known == field), "Events of this API are not selected by `{field}`");
    field_value(value)
}

fn field_value(value: &str) -> anyhow::Result<()> {
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                let escaped = chars.next().is_some_and(|c| "\\,=".contains(c));
                ensure!(escaped, "a backslash in a value stands before `\\`, `,` or `=`");
            }
            '=' => bail!("`=` in a value is written `\\=`"),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_that_kubectl_takes_are_taken() {
        for selector in [
            "",
            " ",
            "app",
            "!app",
            "! app",
            "app=web",
            "app == web , tier!=front",
            "app=",
            "in in (in)",
            "app in (web,api),tier notin ( a, b ),x",
            "app in ()",
            "app in(web)",
            "example.com/App_1.b=a.b-c",
            "count>3,count < 4",
        ] {
            labels(selector).unwrap();
        }
        for selector in ["", "type=Warning", "reason!=A,type==B,", r"reason=a\,b\=c\\", "reason="] {
            fields(Api::CoreV1, selector).unwrap();
            fields(Api::EventsV1, selector).unwrap();
        }
        fields(Api::CoreV1, "involvedObject.kind=Pod").unwrap();
        fields(Api::EventsV1, "regarding.kind=Pod").unwrap();
    }

    #[test]
    fn selectors_that_an_api_server_refuses_are_refused() {
        for selector in [
            "!!x",
            "!",
            ",",
            "a,",
            ",a",
            "a b",
            "a=b c",
            "a=b=c",
            "!a=b",
            "a=-",
            "-a",
            "a/b/c",
            "/a",
            "A/b",
            "a..b/c",
            "a in",
            "a in b",
            "a in (b",
            "a in (b))",
            "a in (b c)",
            "a inb (c)",
            "a>b",
            "a>",
            "count < -4",
            "count>+5",
            "a=ü",
            "(a)",
        ] {
            assert!(labels(selector).is_err(), "{selector}");
        }
        for selector in
            ["nofield", "no.such.field=a", " type=a", "type=a=b", r"type=a\b", r"type=\"]
        {
            assert!(fields(Api::CoreV1, selector).is_err(), "{selector}");
        }
        assert!(fields(Api::EventsV1, "involvedObject.kind=Pod").is_err());
        assert!(fields(Api::CoreV1, "regarding.kind=Pod").is_err());
    }

    #[test]
    fn an_error_begins_with_the_key_and_shows_the_term() {
        let config = |key: &str, value: &str| {
            serde_json::from_value(serde_json::json!({ key: value })).unwrap()
        };
        let error = check_selectors(Api::CoreV1, &config("labelSelector", "a,!!x")).unwrap_err();
        assert_eq!(format!("{error:#}"), "labelSelector: `!!x`: `!x` is no label's name");
        let error = check_selectors(Api::CoreV1, &config("fieldSelector", "nofield")).unwrap_err();
        assert_eq!(format!("{error:#}"), "fieldSelector: `nofield`: has no `=`");
    }
}
