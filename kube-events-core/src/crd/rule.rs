//! `Rule`: conditions on Events and what follows from them.

#![cfg_attr(
    feature = "crd",
    allow(clippy::duplicated_attributes, reason = "several columns have the same type")
)]

use std::{collections::BTreeMap, convert::Infallible, fmt, str::FromStr};

#[cfg(feature = "crd")]
use kube::CustomResource;
#[cfg(feature = "crd")]
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[cfg(feature = "crd")]
use super::duration;
use super::null_is_empty;

/// Conditions on Events, and the notifications and alerts that follow from them.
///
/// The label `kubesphere.io/rule-scope` of the object says how far its rules reach.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(CustomResource, JsonSchema))]
#[cfg_attr(
    feature = "crd",
    kube(
        group = "events.kubesphere.io",
        version = "v1alpha1",
        kind = "Rule",
        doc = "Rules for Events: which of them give notifications or alerts.",
        plural = "rules",
        shortname = "er",
        category = "kube-events",
        namespaced,
        derive = "PartialEq",
        status = "crate::crd::RuleStatus",
        printcolumn(
            name = "Scope",
            type_ = "string",
            json_path = r".metadata.labels.kubesphere\.io/rule-scope"
        ),
        printcolumn(
            name = "Accepted",
            type_ = "string",
            json_path = r#".status.conditions[?(@.type=="Accepted")].status"#
        ),
        printcolumn(
            name = "Programmed",
            type_ = "string",
            json_path = r#".status.conditions[?(@.type=="Programmed")].status"#
        ),
        printcolumn(
            name = "Message",
            type_ = "string",
            json_path = r#".status.conditions[?(@.type=="Accepted")].message"#,
            priority = 1
        ),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    )
)]
#[serde(rename_all = "camelCase")]
pub struct RuleSpec {
    /// The rules, each on its own: none sees another.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "crd", schemars(length(max = 500)))]
    pub rules: Vec<EventRule>,
    /// Lists of texts that the conditions of this object share: `reason in @noisy`.
    #[serde(
        default,
        deserialize_with = "null_is_empty",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    #[cfg_attr(feature = "crd", schemars(schema_with = "lists_schema"))]
    pub lists: BTreeMap<String, Vec<String>>,
}

/// At most 32 lists of at most 1,000 texts of at most 256 characters.
#[cfg(feature = "crd")]
fn lists_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": {
            "type": "array",
            "maxItems": 1000,
            "items": { "type": "string", "maxLength": 256 },
        },
    })
}

/// One rule: a condition on an Event, and what follows when it holds.
///
/// With one of `threshold`, `absence`, `repeatInterval`, `keepFiringFor` and `resolve` a rule remembers
/// what it has seen, for each group of Events on its own. Durations are texts such as `10m`, which are
/// read when the rule is compiled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(JsonSchema))]
#[cfg_attr(
    feature = "crd",
    schemars(extend("x-kubernetes-validations" = [{"rule": "(has(self.type) && self.type == 'route') == has(self.sinks)", "message": "sinks belongs to type route, which needs it"}, {"rule": "!(has(self.threshold) || has(self.absence) || has(self.repeatInterval)) || (has(self.type) && self.type in ['notification', 'alert'])", "message": "threshold, absence and repeatInterval belong to the types notification and alert"}, {"rule": "!(has(self.keepFiringFor) || has(self.resolve)) || (has(self.type) && self.type == 'alert')", "message": "keepFiringFor and resolve belong to type alert"}, {"rule": "!(has(self.threshold) && has(self.absence))", "message": "threshold cannot be set beside absence"}, {"rule": "!has(self.groupBy) || has(self.threshold) || has(self.absence) || has(self.repeatInterval) || has(self.keepFiringFor) || has(self.resolve)", "message": "groupBy needs one of threshold, absence, repeatInterval, keepFiringFor and resolve"}]))
)]
#[serde(rename_all = "camelCase", default)]
pub struct EventRule {
    /// The name of the rule; an alert carries it as `alertname`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The condition, for example `type="Warning" and reason="FailedMount" and count>3`.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[cfg_attr(feature = "crd", schemars(length(max = 16384), extend("x-kubernetes-validations" = super::schema::condition())))]
    pub condition: String,
    /// Labels of what follows, for example `severity: warning`.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "crd", schemars(extend("maxProperties" = EventRule::MAX_MEMBERS)))]
    pub labels: BTreeMap<String, String>,
    /// Annotations of what follows, with fields of the Event: `{{ message }}`, or `%message`.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "crd", schemars(extend("maxProperties" = EventRule::MAX_MEMBERS)))]
    pub annotations: BTreeMap<String, String>,
    /// Whether the rule counts. Default: `false`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(feature = "crd", schemars(extend("default" = false)))]
    pub enable: bool,
    /// What follows: `notification` or `alert`; or `drop`, with which no other rule of the same scope
    /// sees the Event, or `route`, with which what they give goes to `sinks` only. A rule of no such
    /// type never fires.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(with = "Option<String>"))]
    pub r#type: Option<RuleType>,
    /// How serious it is: the label `severity`, unless `labels` has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(length(max = 256)))]
    pub severity: Option<String>,
    /// Fires only when it happens so often.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<Threshold>,
    /// Fires only when something else does not follow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absence: Option<Absence>,
    /// What Events have in common that are counted, awaited and resolved together: names of fields as
    /// in conditions, or `owner`, the workload of a pod; without any, the involved object.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(
        feature = "crd",
        schemars(length(min = 1, max = 8), inner(length(min = 1, max = 256)))
    )]
    pub group_by: Vec<String>,
    /// How long a group is quiet after it has fired, such as `1h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(schema_with = "duration::needed"))]
    pub repeat_interval: Option<String>,
    /// How long an alert fires on after its last Event, such as `5m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(schema_with = "duration::needed"))]
    pub keep_firing_for: Option<String>,
    /// The condition of an Event that ends the alert of its group, such as `reason="Started"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "crd", schemars(length(min = 1, max = 16384)))]
    pub resolve: Option<String>,
    /// The names of the sinks that a `route` leads to.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(
        feature = "crd",
        schemars(length(min = 1, max = 32), inner(length(min = 1, max = 253)))
    )]
    pub sinks: Vec<String>,
}

impl EventRule {
    /// The most labels, and the most annotations, that a rule may have.
    pub const MAX_MEMBERS: usize = 64;
}

/// So many occurrences within a time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Threshold {
    /// The number of occurrences; an Event may stand for several.
    #[cfg_attr(feature = "crd", schemars(range(min = 1, max = 1_000_000)))]
    pub count: i64,
    /// The time within which they happen, such as `10m`.
    #[cfg_attr(feature = "crd", schemars(schema_with = "duration::needed"))]
    pub within: String,
}

/// Something that is expected after an Event, and does not come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Absence {
    /// The condition of the Event that is expected in the same group, such as `reason="Pulled"`.
    #[cfg_attr(feature = "crd", schemars(length(min = 1, max = 16384)))]
    pub expected: String,
    /// The time within which it is expected, such as `2m`.
    #[cfg_attr(feature = "crd", schemars(schema_with = "duration::needed"))]
    pub within: String,
}

/// What follows when a rule's condition holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RuleType {
    /// A notification: the event, and the rules that it matched.
    Notification,
    /// An alert, in the form that Alertmanager takes.
    Alert,
    /// Other rules of the same scope do not see the Event.
    Drop,
    /// What other rules of the same scope give goes to some sinks only.
    Route,
    /// Any other text. The API server has always taken it, so it is kept; nothing follows.
    Other(String),
}

// === impl RuleType ===

impl RuleType {
    /// The word in a rule.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Notification => "notification",
            Self::Alert => "alert",
            Self::Drop => "drop",
            Self::Route => "route",
            Self::Other(other) => other,
        }
    }
}

impl fmt::Display for RuleType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RuleType {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "notification" => Self::Notification,
            "alert" => Self::Alert,
            "drop" => Self::Drop,
            "route" => Self::Route,
            other => Self::Other(other.to_owned()),
        })
    }
}

impl Serialize for RuleType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for RuleType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|never: Infallible| match never {})
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json, to_value};

    use super::*;

    #[test]
    fn a_rule_is_off_unless_it_says_otherwise() {
        let rule: EventRule = from_value(json!({"name": "a", "condition": "count>3"})).unwrap();
        assert!(!rule.enable);
        assert_eq!(rule.r#type, None);
    }

    #[test]
    fn a_key_without_a_value_sets_nothing() {
        let spec: RuleSpec =
            from_value(json!({"rules": [{"labels": null, "type": null}]})).unwrap();
        assert_eq!(spec.rules, [EventRule::default()]);
        assert_eq!(from_value::<RuleSpec>(json!({"rules": null})).unwrap(), RuleSpec::default());
    }

    #[test]
    fn what_a_rule_remembers_is_read_and_written_as_people_write_it() {
        let rule = json!({
            "name": "CrashLoop", "condition": "reason=\"BackOff\"", "enable": true, "type": "alert",
            "severity": "warning", "threshold": {"count": 5, "within": "10m"}, "groupBy": ["owner"],
            "repeatInterval": "1h", "keepFiringFor": "5m", "resolve": "reason=\"Started\"",
        });
        let read: EventRule = from_value(rule.clone()).unwrap();
        assert_eq!(read.threshold, Some(Threshold { count: 5, within: "10m".into() }));
        assert_eq!(to_value(&read).unwrap(), rule);
    }

    #[test]
    fn a_type_that_nobody_knows_is_kept_as_it_was_written() {
        let rule: EventRule = from_value(json!({"type": "page"})).unwrap();
        assert_eq!(rule.r#type, Some(RuleType::Other("page".into())));
        assert_eq!(to_value(&rule).unwrap(), json!({"type": "page"}));
    }
}
