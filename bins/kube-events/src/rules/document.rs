//! One document of a file of rules.

use std::{collections::BTreeMap, fmt};

use kube_events_core::crd::{Absence, EventRule, GROUP, RuleSpec, RuleType, Threshold, VERSION};
use kube_events_rules::{ALLOW_LINTS, Builder, Lists, Object, Scope};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, Visitor},
};
use serde_saphyr::{Location, Spanned};

/// What a document holds.
///
/// What the API server would silently leave out of a Rule, above all a key that is spelt wrongly,
/// is an error here.
#[derive(Debug)]
pub(super) enum Document {
    /// A Rule object.
    Rule(RuleObject),
    /// A Rule object that does not say so, as the items of a `RuleList`.
    Untyped(RuleObject),
    /// The rules of an object without it: `rules: […]`.
    Bare(RuleObject),
    /// A `List` or `RuleList`.
    List(Vec<Document>),
    /// An object of another kind.
    Other,
}

/// The parts of a Rule object that matter.
#[derive(Debug)]
pub(super) struct RuleObject {
    metadata: Metadata,
    rules: Vec<WrittenRule>,
    lists: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Metadata {
    name: Option<String>,
    namespace: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
}

/// The namespaces that matter to a Rule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Namespaces<'a> {
    /// That of a Rule that names none.
    pub(super) default: &'a str,
    /// The only one whose Rules may reach beyond it.
    pub(super) rules: &'a str,
}

/// A rule, and where its condition is written.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct WrittenRule {
    name: String,
    condition: Option<Spanned<String>>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    enable: bool,
    r#type: Option<RuleType>,
    severity: Option<String>,
    threshold: Option<WrittenThreshold>,
    absence: Option<WrittenAbsence>,
    group_by: Option<Vec<String>>,
    repeat_interval: Option<String>,
    keep_firing_for: Option<String>,
    resolve: Option<String>,
    sinks: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenThreshold {
    count: i64,
    within: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenAbsence {
    expected: String,
    within: String,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WrittenSpec {
    rules: Option<Vec<WrittenRule>>,
    lists: Option<BTreeMap<String, Vec<String>>>,
}

/// What was read of a document so far.
#[derive(Default)]
struct Parts {
    api_version: Option<String>,
    kind: Option<String>,
    metadata: Option<Metadata>,
    spec: Option<WrittenSpec>,
    rules: Option<Vec<WrittenRule>>,
    lists: Option<BTreeMap<String, Vec<String>>>,
    items: Option<Vec<Document>>,
    /// A key that no Rule has, of an object that did not say yet what it is.
    stray: Option<String>,
}

const KEYS: &[&str] = &["apiVersion", "kind", "metadata", "spec"];

// === impl Document ===

impl Document {
    /// The objects in it that have rules.
    pub(super) fn objects(&self) -> Vec<&RuleObject> {
        match self {
            Self::Rule(object) | Self::Untyped(object) | Self::Bare(object) => vec![object],
            Self::List(items) => items.iter().flat_map(Self::objects).collect(),
            Self::Other => Vec::new(),
        }
    }
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(DocumentVisitor)
    }
}

struct DocumentVisitor;

impl<'de> Visitor<'de> for DocumentVisitor {
    type Value = Document;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a Rule object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Document, A::Error> {
        let mut parts = Parts::default();
        while let Some(key) = map.next_key::<String>()? {
            parts.read(key, &mut map)?;
        }
        parts.finish()
    }
}

// === impl Parts ===

impl Parts {
    fn read<'de, A: MapAccess<'de>>(&mut self, key: String, map: &mut A) -> Result<(), A::Error> {
        match &*key {
            "apiVersion" => self.api_version = map.next_value()?,
            "kind" => self.kind = map.next_value()?,
            _ if self.is_foreign() => skip(map)?,
            "metadata" => self.metadata = map.next_value()?,
            "spec" => self.spec = map.next_value()?,
            "rules" if self.kind.is_none() => self.rules = map.next_value()?,
            "lists" if self.kind.is_none() => self.lists = map.next_value()?,
            "items" if self.kind.as_deref() != Some("Rule") => self.items = map.next_value()?,
            "status" => skip(map)?,
            _ if self.kind.is_none() => {
                self.stray = Some(key);
                skip(map)?;
            }
            _ => return Err(A::Error::unknown_field(&key, KEYS)),
        }
        Ok(())
    }

    /// True once it is known that the object is none of ours.
    fn is_foreign(&self) -> bool {
        match (self.kind.as_deref(), &self.api_version) {
            (None | Some("List"), _) | (Some("Rule" | "RuleList"), None) => false,
            (Some("Rule" | "RuleList"), Some(version)) => group(version) != GROUP,
            _ => true,
        }
    }

    fn finish<E: serde::de::Error>(self) -> Result<Document, E> {
        if self.is_foreign() {
            return Ok(Document::Other);
        }
        self.check_version()?;
        if let Some(stray) = self.stray {
            return Err(E::unknown_field(&stray, KEYS));
        }
        let is_rule = self.kind.as_deref() == Some("Rule");
        if let Some(items) = self.items {
            return Ok(Document::List(items));
        }
        let bare = self.spec.is_none();
        let spec = self.spec.unwrap_or(WrittenSpec { rules: self.rules, lists: self.lists });
        let object = RuleObject {
            metadata: self.metadata.unwrap_or_default(),
            rules: spec.rules.unwrap_or_default(),
            lists: spec.lists.unwrap_or_default(),
        };
        match self.kind {
            Some(_) if is_rule => Ok(Document::Rule(object)),
            Some(_) => Ok(Document::List(Vec::new())),
            None if !bare => Ok(Document::Untyped(object)),
            None if !object.rules.is_empty() => Ok(Document::Bare(object)),
            None => Err(E::custom("there is neither a Rule object nor a list of `rules` here")),
        }
    }

    fn check_version<E: serde::de::Error>(&self) -> Result<(), E> {
        match (self.kind.as_deref(), self.api_version.as_deref()) {
            (Some("Rule"), None) => {
                Err(E::custom(format!("a Rule needs `apiVersion: {GROUP}/{VERSION}`")))
            }
            (Some("Rule"), Some(version)) if version != format!("{GROUP}/{VERSION}") => {
                Err(E::custom(format!("there are no Rules of {version}: use {GROUP}/{VERSION}")))
            }
            _ => Ok(()),
        }
    }
}

/// Reads a value for which nobody asks.
fn skip<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value().map(|IgnoredAny| ())
}

fn group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

// === impl RuleObject ===

impl RuleObject {
    /// Adds the rules in the scope that the object claims.
    pub(super) fn add_to(&self, rules: &mut Builder, namespaces: Namespaces<'_>) {
        let Metadata { name, namespace, labels, annotations } = &self.metadata;
        let none = const { &BTreeMap::new() };
        let object = Object {
            namespace: namespace.as_deref().unwrap_or(namespaces.default),
            name: name.as_deref().unwrap_or_default(),
            labels: labels.as_ref().unwrap_or(none),
            annotations: annotations.as_ref().unwrap_or(none),
        };
        rules.add_object(&object, namespaces.rules, &self.spec());
    }

    /// Adds the rules as those of no object, which see every Event.
    pub(super) fn add_bare_to(&self, rules: &mut Builder) {
        rules.add("", "", &Scope::Cluster, &self.spec());
    }

    /// How many rules there are.
    pub(super) fn len(&self) -> usize {
        self.rules.len()
    }

    /// The names of those that are not enabled.
    pub(super) fn disabled(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().filter(|rule| !rule.enable).map(|rule| rule.name.as_str())
    }

    fn spec(&self) -> RuleSpec {
        let rules = self.rules.iter().map(WrittenRule::rule).collect();
        RuleSpec { rules, lists: self.lists.clone() }
    }

    /// Where the condition of a rule begins.
    pub(super) fn place_of(&self, rule: &str, condition: &str) -> Option<Location> {
        let written = |it: &&Written<'_>| it.rule == rule && it.condition == condition;
        self.conditions().find(|it| written(&it)).map(|it| it.place)
    }

    /// All conditions, in the order of the text.
    pub(super) fn conditions(&self) -> impl Iterator<Item = Written<'_>> {
        self.rules.iter().filter_map(|rule| {
            let condition = rule.condition.as_ref()?;
            let place = condition.referenced;
            Some(Written { rule: &rule.name, condition: &condition.value, place })
        })
    }

    /// The lists that its conditions share.
    pub(super) fn lists(&self) -> Lists {
        Lists::from(&self.lists)
    }

    /// Whether its annotation says that a lint is not to be told.
    pub(super) fn allows(&self, lint: &str) -> bool {
        let annotations = self.metadata.annotations.as_ref();
        let allowed = annotations.and_then(|it| it.get(ALLOW_LINTS)).map_or("", String::as_str);
        allowed.split(',').any(|name| name.trim() == lint)
    }

    /// What people call it.
    pub(super) fn title(&self) -> String {
        let Metadata { name, namespace, .. } = &self.metadata;
        let parts: Vec<_> = [namespace, name].into_iter().flatten().map(String::as_str).collect();
        if parts.is_empty() { String::new() } else { format!("Rule {}: ", parts.join("/")) }
    }
}

/// A condition, and where it stands in its file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written<'a> {
    pub(super) rule: &'a str,
    pub(super) condition: &'a str,
    pub(super) place: Location,
}

// === impl WrittenThreshold ===

impl WrittenThreshold {
    fn threshold(&self) -> Threshold {
        Threshold { count: self.count, within: self.within.clone() }
    }
}

// === impl WrittenAbsence ===

impl WrittenAbsence {
    fn absence(&self) -> Absence {
        Absence { expected: self.expected.clone(), within: self.within.clone() }
    }
}

// === impl WrittenRule ===

impl WrittenRule {
    fn rule(&self) -> EventRule {
        EventRule {
            name: self.name.clone(),
            condition: self.condition.as_ref().map(|it| it.value.clone()).unwrap_or_default(),
            labels: self.labels.clone().unwrap_or_default(),
            annotations: self.annotations.clone().unwrap_or_default(),
            enable: self.enable,
            r#type: self.r#type.clone(),
            severity: self.severity.clone(),
            threshold: self.threshold.as_ref().map(WrittenThreshold::threshold),
            absence: self.absence.as_ref().map(WrittenAbsence::absence),
            group_by: self.group_by.clone().unwrap_or_default(),
            repeat_interval: self.repeat_interval.clone(),
            keep_firing_for: self.keep_firing_for.clone(),
            resolve: self.resolve.clone(),
            sinks: self.sinks.clone().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Document, String> {
        serde_saphyr::from_str(text).map_err(|error| error.to_string())
    }

    const HEAD: &str = "apiVersion: events.kubesphere.io/v1alpha1\nkind: Rule\n";

    #[test]
    fn a_rule_object_is_read_with_the_lines_of_its_conditions() {
        let text = "metadata: {name: a, namespace: b, labels: {c: d}, uid: e}\n\
                    spec: {rules: [{name: x,\n condition: count>3, enable: true, type: alert}]}\n\
                    status: {conditions: []}";
        let Ok(Document::Rule(object)) = parse(&format!("{HEAD}{text}")) else { panic!() };
        assert_eq!(object.metadata.namespace.as_deref(), Some("b"));
        assert_eq!(object.spec().rules[0].r#type, Some(RuleType::Alert));
        assert_eq!(object.place_of("x", "count>3").map(|place| place.line()), Some(5));
        assert_eq!(object.place_of("x", "count>4"), None);
    }

    #[test]
    fn a_list_holds_objects_of_any_kind_wherever_it_says_so() {
        let text = format!(
            "apiVersion: v1\nitems: [{{spec: {{rules: []}}}}, \
             {{data: {{a: b}}, kind: Secret, spec: 5}}, {{{}}}]\nkind: List",
            HEAD.trim_end().replace('\n', ", ")
        );
        let Ok(Document::List(items)) = parse(&text) else { panic!("{:?}", parse(&text)) };
        let [Document::Untyped(_), Document::Other, Document::Rule(_)] = &*items else {
            panic!("{items:?}")
        };
    }

    #[test]
    fn other_objects_are_left_alone() {
        for text in [
            "kind: ClusterRole\nrules: [{verbs: [get]}]",
            "apiVersion: example.com/v1\nkind: Rule\nspec: 7",
            "data: {a: b}\nkind: ConfigMap",
        ] {
            assert!(matches!(parse(text), Ok(Document::Other)), "{text}");
        }
    }

    #[test]
    fn the_rules_of_an_object_stand_for_it() {
        let Ok(Document::Bare(object)) = parse("rules: [{name: x}]") else { panic!() };
        assert_eq!(object.rules.len(), 1);
    }

    #[test]
    fn what_no_rule_has_is_an_error() {
        let rule = format!("{HEAD}spec: {{rules: [{{name: x, conditon: a}}]}}");
        let of = |setting: &str| format!("rules: [{{name: x, {setting}}}]");
        for (text, expected) in [
            (of("threshold: {count: 2, within: 1m, groupBy: [a]}"), "unknown field `groupBy`"),
            (of("absence: {expected: a, within: 1m, foo: 1}"), "unknown field `foo`"),
            (rule, "unknown field `conditon`"),
            (format!("{HEAD}sepc: {{}}"), "unknown field `sepc`"),
            (format!("{HEAD}spec: {{rule: []}}"), "unknown field `rule`"),
            (format!("{HEAD}rules: []"), "unknown field `rules`"),
            ("sepc: {}".into(), "unknown field `sepc`"),
            ("{}".into(), "neither a Rule object nor"),
            ("kind: Rule".into(), "needs `apiVersion: events.kubesphere.io/v1alpha1`"),
            (HEAD.replace("alpha1", "beta1"), "no Rules of events.kubesphere.io/v1beta1"),
            ("[1]".into(), "expected mapping"),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
