//! What was probably meant by a name that does not exist.

use std::collections::BTreeMap;

use strsim::damerau_levenshtein;

use crate::{SCOPE_LABEL, field::Field};

/// Names from the JSON of Events, and what a condition sees in their place.
const OTHER_NAMES: [(&str, &str); 12] = [
    ("kind", "involvedObject.kind"),
    ("name", "involvedObject.name"),
    ("namespace", "involvedObject.namespace"),
    ("apiVersion", "involvedObject.apiVersion"),
    ("labels", "metadata.labels"),
    ("annotations", "metadata.annotations"),
    ("note", "message"),
    ("reportingController", "reportingComponent"),
    ("deprecatedCount", "count"),
    ("source", "source.component"),
    ("severity", "type"),
    ("level", "type"),
];

/// Names whose values are times, none of which a condition can see.
const TIMES: [&str; 7] = [
    "firstTimestamp",
    "lastTimestamp",
    "eventTime",
    "deprecatedFirstTimestamp",
    "deprecatedLastTimestamp",
    "metadata.creationTimestamp",
    "metadata.deletionTimestamp",
];

/// What to write instead of a name, if that can be told.
pub(crate) fn field(name: &str) -> Option<String> {
    if TIMES.contains(&name) || name == "series.lastObservedTime" {
        return Some("conditions do not see the times of an Event".into());
    }
    for map in ["metadata.labels", "metadata.annotations"] {
        if let Some(key) = name.strip_prefix(map).and_then(|rest| rest.strip_prefix('.')) {
            return Some(format!(
                "all of them are one text, `map[k1:v1 k2:v2]`: `{map} contains \"{key}:…\"`"
            ));
        }
    }
    other_name(name).or_else(|| nearest(name)).map(|field| format!("did you mean `{field}`?"))
}

fn other_name(name: &str) -> Option<String> {
    let known = OTHER_NAMES.iter().find(|(other, _)| *other == name);
    if let Some((_, field)) = known {
        return Some((*field).into());
    }
    for (other, prefix) in [("regarding.", "involvedObject."), ("deprecatedSource.", "source.")] {
        if let Some(member) = name.strip_prefix(other) {
            return Field::resolve(&format!("{prefix}{member}")).map(|field| field.name().into());
        }
    }
    None
}

/// The field whose name differs least, if it differs little.
fn nearest(name: &str) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    let distances = Field::ALL.iter().map(|field| {
        (damerau_levenshtein(&lower, &field.name().to_ascii_lowercase()), field.name())
    });
    let (distance, field) = distances.min()?;
    (distance <= 2 && distance * 3 <= name.len()).then(|| field.into())
}

/// The label that was probably meant to be [`SCOPE_LABEL`], where that one is missing.
pub(crate) fn misspelt_scope(labels: &BTreeMap<String, String>) -> Option<&str> {
    let bare = |label: &str| {
        let name = label.rsplit('/').next().unwrap_or_default();
        name.to_ascii_lowercase().replace(['-', '_', '.'], "")
    };
    let is_near = |label: &str| damerau_levenshtein(&bare(label), &bare(SCOPE_LABEL)) <= 1;
    let missing = !labels.contains_key(SCOPE_LABEL);
    labels.keys().map(String::as_str).find(|label| missing && is_near(label))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_under_another_name_is_noticed() {
        let find = |names: &[&str]| {
            let labels = names.iter().map(|name| ((*name).to_owned(), "cluster".to_owned()));
            misspelt_scope(&labels.collect()).map(str::to_owned)
        };
        for name in ["rule-scope", "kubesphere.io/rulescope", "kubesphere.io/rule_scopes"] {
            assert_eq!(find(&["app", name]).as_deref(), Some(name));
        }
        assert_eq!(find(&["app", "kubesphere.io/workspace"]), None);
        assert_eq!(find(&["rule-scope", SCOPE_LABEL]), None);
    }

    #[test]
    fn the_field_that_was_meant_is_named() {
        let table = [
            ("involvedobject.kind", "involvedObject.kind"),
            ("involvedObject.knd", "involvedObject.kind"),
            ("Reason", "reason"),
            ("kind", "involvedObject.kind"),
            ("note", "message"),
            ("regarding.name", "involvedObject.name"),
            ("metadata.labels.app", "metadata.labels contains \"app:"),
            ("firstTimestamp", "times"),
        ];
        for (name, meant) in table {
            assert!(field(name).is_some_and(|help| help.contains(meant)), "{name}");
        }
        assert_eq!(field("foo"), None);
        assert_eq!(field("x"), None);
    }
}
