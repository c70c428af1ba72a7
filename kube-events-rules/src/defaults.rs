//! The rules that come with the project.

use kube_events_core::crd::RuleSpec;
use serde::Deserialize;

/// The usual rules, as the text of a `Rule` object in YAML, ready for `kubectl apply`.
///
/// Names, types and conditions are those that dashboards know from the Go project. Every alert has
/// the annotations `message` (that of the Event), `summary` (English) and `summaryCn` (Chinese).
pub const DEFAULT_RULES: &str = include_str!("../data/default-rules.yaml");

/// What counts of the object when its rules are used without a cluster.
#[derive(Deserialize)]
struct Object {
    spec: RuleSpec,
}

/// The rules of [`DEFAULT_RULES`], in its order. They are meant for the scope of the whole cluster.
pub fn default_rules() -> RuleSpec {
    let object: Object =
        serde_saphyr::from_str(DEFAULT_RULES).expect("the text is fixed when the crate is built");
    object.spec
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use kube_events_core::crd::RuleType;
    use serde_json::Value;

    use super::*;
    use crate::{Condition, RuleSet, SCOPE_LABEL, Scope};

    const CORPUS: &str = include_str!("../tests/corpus/rules-v1alpha1.jsonl");

    /// Name and condition of each rule as the Go engine was given them.
    fn recorded() -> BTreeSet<(String, String)> {
        let cases = CORPUS.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let rules = cases.filter(|case| case["area"] == "default-rules").map(|case| {
            let name = case["note"].as_str().unwrap().strip_prefix("rule ").unwrap();
            (name.to_owned(), case["expr"].as_str().unwrap().to_owned())
        });
        rules.collect()
    }

    #[test]
    fn every_condition_compiles_even_of_a_rule_that_is_off() {
        let rules = default_rules().rules;
        assert_eq!(rules.len(), 96);
        for rule in rules {
            let condition = Condition::parse(&rule.condition);
            let condition = condition.unwrap_or_else(|error| panic!("{}: {error}", rule.name));
            assert!(condition.lints().is_empty(), "{}", rule.name);
        }
    }

    #[test]
    fn a_rule_set_has_nothing_to_say_against_them() {
        let mut rules = RuleSet::builder();
        rules.add("rules", "defaults", &Scope::Cluster, &default_rules());
        let rules = rules.build();
        assert!(rules.problems().is_empty(), "{:?}", rules.problems());
        assert_eq!(rules.rules().count(), 95, "all but one are on");
    }

    #[test]
    fn names_and_conditions_are_those_that_were_recorded() {
        let rules = default_rules().rules.into_iter();
        let rules: BTreeSet<_> = rules.map(|rule| (rule.name, rule.condition)).collect();
        assert_eq!(rules, recorded());
    }

    #[test]
    fn normal_events_are_told_and_warnings_raise_an_alert() {
        for rule in default_rules().rules {
            let expected = match rule.condition.split_once(" and ") {
                Some((r#"type="Normal""#, _)) => RuleType::Notification,
                Some((r#"type="Warning""#, _)) => RuleType::Alert,
                _ => panic!("{} takes Events of any type", rule.name),
            };
            assert_eq!(rule.r#type, Some(expected), "{}", rule.name);
        }
    }

    #[test]
    fn every_alert_is_explained_in_both_languages() {
        let mut summaries = BTreeMap::new();
        let alerts = default_rules().rules.into_iter();
        for rule in alerts.filter(|rule| rule.r#type == Some(RuleType::Alert)) {
            let keys: Vec<_> = rule.annotations.keys().map(String::as_str).collect();
            assert_eq!(keys, ["message", "summary", "summaryCn"], "{}", rule.name);
            assert_eq!(rule.annotations["message"], "%message", "{}", rule.name);
            assert_eq!(rule.labels["severity"], "warning", "{}", rule.name);
            assert!(rule.annotations["summary"].is_ascii(), "{}", rule.name);
            assert!(rule.annotations["summaryCn"].contains(is_chinese), "{}", rule.name);
            for key in ["summary", "summaryCn"] {
                let text = &rule.annotations[key];
                assert!(!text.is_empty() && !text.contains('%'), "{}", rule.name);
                let other = summaries.insert(text.clone(), rule.name.clone());
                assert_eq!(other, None, "two rules say the same as {}", rule.name);
            }
        }
        assert_eq!(summaries.len(), 2 * 63);
    }

    fn is_chinese(letter: char) -> bool {
        ('\u{4e00}'..='\u{9fff}').contains(&letter)
    }

    #[test]
    fn the_text_is_an_object_for_the_whole_cluster() {
        let object: Value = serde_saphyr::from_str(DEFAULT_RULES).unwrap();
        assert_eq!(object["apiVersion"], "events.kubesphere.io/v1alpha1");
        assert_eq!(object["kind"], "Rule");
        assert_eq!(object["metadata"]["name"], "cluster-rules-default");
        assert_eq!(object["metadata"]["namespace"], "kubesphere-logging-system");
        assert_eq!(object["metadata"]["labels"][SCOPE_LABEL], "cluster");
    }
}
