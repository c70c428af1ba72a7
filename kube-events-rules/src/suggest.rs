//! What was probably meant by a name that does not exist.

use std::collections::BTreeMap;

use strsim::damerau_levenshtein;

use crate::{SCOPE_LABEL, field::Field, name::Moment};

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

/// What to write instead of a name, if that can be told, and the name if it is one.
pub(crate) fn field(name: &str) -> Option<(String, Option<String>)> {
    if let Some(time) = time(name) {
        let path = path_of(name);
        return Some((
            format!("`age({time}) < 10m` asks how long ago it was, `{path}` for its text"),
            None,
        ));
    }
    for map in ["metadata.labels", "metadata.annotations"] {
        let member = name.strip_prefix(map).and_then(|rest| rest.strip_prefix('.'));
        if let Some(key) = member.filter(|key| !key.contains('[')) {
            let meant = format!("{map}[\"{key}\"]");
            return Some((format!("write `{meant}`"), Some(meant)));
        }
    }
    if name == "age" {
        return Some(("an age is compared with a duration: `age < 10m`".into(), None));
    }
    if let Some(field) = other_name(name).or_else(|| nearest_field(name)) {
        return Some((format!("did you mean `{field}`?"), Some(field)));
    }
    // Whatever else the JSON of an Event has.
    let group = name.split(['.', '[']).next().unwrap_or_default();
    let in_json = ["metadata", "involvedObject", "related", "series", "source"].contains(&group);
    (in_json && name != group)
        .then(|| (format!("a JSONPath may find it: `{}`", path_of(name)), None))
}

fn path_of(name: &str) -> String {
    format!("$.{}", name.trim_end_matches('.'))
}

/// The time of an Event that a name stands for, as `age(…)` takes it.
pub(crate) fn time(name: &str) -> Option<&'static str> {
    let name = name.trim_start_matches("$.");
    let short = name.strip_prefix("deprecated").unwrap_or(name);
    let lower = short.to_ascii_lowercase();
    Moment::NAMED.into_iter().map(Moment::name).find(|time| {
        let bare = time.rsplit('.').next().unwrap_or_default();
        [*time, bare]
            .iter()
            .any(|time| damerau_levenshtein(&lower, &time.to_ascii_lowercase()) <= 1)
    })
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

fn nearest_field(name: &str) -> Option<String> {
    nearest(name, Field::ALL.iter().map(|field| field.name())).map(str::to_owned)
}

/// The one of some names that differs least from another, if it differs little: what was probably meant.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_ascii_lowercase();
    let distances =
        known.map(|known| (damerau_levenshtein(&lower, &known.to_ascii_lowercase()), known));
    let (distance, nearest) = distances.min()?;
    (distance <= 2 && distance * 3 <= name.len()).then_some(nearest)
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
            ("metadata.labels.app", "metadata.labels[\"app\"]"),
            ("firstTimestamp", "age(firstTimestamp) < 10m"),
            ("lasttimestamp", "age(lastTimestamp) < 10m"),
            ("deprecatedLastTimestamp", "age(lastTimestamp) < 10m"),
            ("metadata.deletionTimestamp", "$.metadata.deletionTimestamp"),
            ("ocurrences", "occurrences"),
        ];
        for (name, meant) in table {
            assert!(field(name).is_some_and(|(help, _)| help.contains(meant)), "{name}");
        }
        assert_eq!(field("foo"), None);
        assert_eq!(field("x"), None);
    }
}
