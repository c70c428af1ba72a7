//! Label and field selectors.

use serde_json::Value;

use super::encode;
use super::resource::{Form, Resource};
use super::status::Status;

/// What a list or watch asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<Requirement>,
    v1: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    Exists,
    Missing,
    In(Vec<String>),
    NotIn(Vec<String>),
}

impl Test {
    fn holds(&self, value: Option<&str>) -> bool {
        match self {
            Self::Exists => value.is_some(),
            Self::Missing => value.is_none(),
            Self::In(values) => value.is_some_and(|v| values.iter().any(|w| w == v)),
            Self::NotIn(values) => !value.is_some_and(|v| values.iter().any(|w| w == v)),
        }
    }
}

impl Selector {
    pub(crate) fn parse(
        resource: &Resource,
        labels: Option<&str>,
        fields: Option<&str>,
    ) -> Result<Self, Status> {
        let labels = split(labels.unwrap_or("")).map(label).collect::<Result<_, _>>()?;
        let fields = split(fields.unwrap_or(""))
            .map(|term| field(resource, term))
            .collect::<Result<_, _>>()?;
        Ok(Self { labels, fields, v1: resource.form == Form::EventsV1 })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether an object's stored text fits.
    pub(crate) fn matches(&self, body: &[u8]) -> bool {
        if self.is_empty() {
            return true;
        }
        let mut object: Value =
            serde_json::from_slice(body).expect("stored objects are JSON objects");
        if self.v1 {
            encode::event_to_v1(&mut object);
        }
        self.labels.iter().all(|r| r.test.holds(object["metadata"]["labels"][&r.key].as_str()))
            && self.fields.iter().all(|r| r.test.holds(Some(field_value(&object, &r.key))))
    }
}

fn field_value<'a>(object: &'a Value, path: &str) -> &'a str {
    let found = match path {
        "source" => &object["source"]["component"],
        _ => path.split('.').fold(object, |value, key| &value[key]),
    };
    found.as_str().unwrap_or("")
}

/// Terms between commas, where a comma within parentheses is part of a term.
fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_i32;
    text.split(move |c: char| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    })
    .map(str::trim)
    .filter(|term| !term.is_empty())
}

fn field(resource: &Resource, term: &str) -> Result<Requirement, Status> {
    let requirement = equality(term).ok_or_else(|| {
        Status::bad_request(format!("invalid selector: '{term}'; can't understand '{term}'"))
    })?;
    let key = requirement.key.as_str();
    let known =
        matches!(key, "metadata.name" | "metadata.namespace") || resource.selectable.contains(&key);
    match known {
        true => Ok(requirement),
        false if resource.is_event() => {
            Err(Status::bad_request(format!("field label not supported: {key}")))
        }
        false => Err(Status::bad_request(format!(
            "\"{key}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
        ))),
    }
}

fn label(term: &str) -> Result<Requirement, Status> {
    let found = equality(term).or_else(|| set(term)).or_else(|| Some(presence(term)));
    found.filter(|r| is_label_key(&r.key)).ok_or_else(|| {
        Status::bad_request(format!(
            "unable to parse requirement: found '{term}', expected: identifier"
        ))
    })
}

fn equality(term: &str) -> Option<Requirement> {
    let (key, value, equal) = if let Some((key, value)) = term.split_once("!=") {
        (key, value, false)
    } else {
        let (key, value) = term.split_once("==").or_else(|| term.split_once('='))?;
        (key, value, true)
    };
    let values = vec![value.trim().to_owned()];
    let test = if equal { Test::In(values) } else { Test::NotIn(values) };
    Some(Requirement { key: key.trim().to_owned(), test })
}

fn set(term: &str) -> Option<Requirement> {
    let (head, values) = term.strip_suffix(')')?.split_once('(')?;
    let values = values.split(',').map(|value| value.trim().to_owned()).collect();
    let head = head.trim();
    let (key, test) = match head.strip_suffix(" notin") {
        Some(key) => (key, Test::NotIn(values)),
        None => (head.strip_suffix(" in")?, Test::In(values)),
    };
    Some(Requirement { key: key.trim().to_owned(), test })
}

fn presence(term: &str) -> Requirement {
    match term.strip_prefix('!') {
        Some(key) => Requirement { key: key.trim().to_owned(), test: Test::Missing },
        None => Requirement { key: term.to_owned(), test: Test::Exists },
    }
}

fn is_label_key(key: &str) -> bool {
    !key.is_empty()
        && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/'))
}

#[cfg(test)]
mod tests {
    use super::super::resource::RESOURCES;
    use super::*;

    fn events() -> &'static Resource {
        RESOURCES.iter().find(|r| r.is_event()).unwrap()
    }

    #[test]
    fn label_terms_select_as_the_documentation_says() {
        let body = br#"{"metadata":{"labels":{"app":"web","tier":"front"}}}"#;
        for (text, fits) in [
            ("app=web", true),
            ("app==web,tier=front", true),
            ("app!=web", false),
            ("other!=x", true),
            ("app in (api, web)", true),
            ("app notin (api,web)", false),
            ("app", true),
            ("!app", false),
            ("!gone,app in (web),tier", true),
        ] {
            let selector = Selector::parse(events(), Some(text), None).unwrap();
            assert_eq!(selector.matches(body), fits, "{text}");
        }
    }

    #[test]
    fn field_terms_reach_the_event() {
        let body = br#"{"metadata":{"name":"a"},"involvedObject":{"kind":"Pod"},"source":{"component":"kubelet"},"type":"Warning"}"#;
        for (text, fits) in [
            ("involvedObject.kind=Pod", true),
            ("involvedObject.kind=Pod,type!=Normal", true),
            ("source=kubelet", true),
            ("metadata.name=b", false),
            ("reason=", true),
        ] {
            let selector = Selector::parse(events(), None, Some(text)).unwrap();
            assert_eq!(selector.matches(body), fits, "{text}");
        }
    }

    #[test]
    fn a_selector_that_cannot_be_read_is_a_bad_request() {
        assert_eq!(Selector::parse(events(), None, Some("foo=bar")).unwrap_err().code(), 400);
        assert_eq!(Selector::parse(events(), Some("!!=a"), None).unwrap_err().code(), 400);
    }
}
