//! Rules of one object that say nothing of their own.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, HashMap},
};

use kube_events_core::crd::{EventRule, RuleType};

use crate::Condition;

/// The rules of one object, to be compared with each other.
///
/// Conditions are compared by the texts of what `and` joins: the one with fewer parts, all of which
/// the other has, is the wider one.
#[derive(Default)]
pub(crate) struct Overlaps<'a> {
    rules: Vec<Entry<'a>>,
    /// How many rules have a part.
    counts: HashMap<u64, usize>,
}

struct Entry<'a> {
    rule: &'a EventRule,
    parts: Vec<u64>,
    /// Few are ever compared.
    consequence: OnceCell<String>,
}

// === impl Overlaps ===

impl<'a> Overlaps<'a> {
    pub(crate) fn add(&mut self, rule: &'a EventRule, condition: &Condition) {
        let parts = condition.conjuncts();
        for part in &parts {
            *self.counts.entry(*part).or_default() += 1;
        }
        self.rules.push(Entry { rule, parts, consequence: OnceCell::new() });
    }

    /// The rules that another one makes useless, each with that one.
    pub(crate) fn unreachable(&self) -> Vec<(&'a EventRule, &'a EventRule)> {
        // A wider rule is found by its rarest part, so that not all are compared with all.
        let mut by_part: HashMap<u64, Vec<usize>> = HashMap::new();
        for (at, Entry { parts, .. }) in self.rules.iter().enumerate() {
            if let Some(rarest) = parts.iter().min_by_key(|part| self.counts[part]) {
                by_part.entry(*rarest).or_default().push(at);
            }
        }
        let mut found = Vec::new();
        for (at, entry) in self.rules.iter().enumerate() {
            let mut candidates = entry.parts.iter().filter_map(|part| by_part.get(part)).flatten();
            let wider = candidates.find(|other| self.covers(**other, at));
            found.extend(wider.map(|other| (entry.rule, self.rules[*other].rule)));
        }
        found
    }

    /// Whether one rule matches whatever another matches, and what follows from it is the same, or
    /// nothing. Of two that are alike, the first one does.
    fn covers(&self, wide: usize, narrow: usize) -> bool {
        let (wider, rule) = (&self.rules[wide], &self.rules[narrow]);
        let alike = wider.parts.len() == rule.parts.len();
        if wide == narrow || wider.parts.len() > rule.parts.len() || alike && wide > narrow {
            return false;
        }
        let kind = wider.rule.r#type.as_ref().map(RuleType::as_str);
        wider.parts.iter().all(|part| rule.parts.binary_search(part).is_ok())
            && (kind == Some("drop") || wider.consequence() == rule.consequence())
    }
}

// === impl Entry ===

impl Entry<'_> {
    /// All of a rule but its name, its condition and its texts, as a text.
    fn consequence(&self) -> &str {
        self.consequence.get_or_init(|| {
            let rule = EventRule {
                name: String::new(),
                condition: String::new(),
                annotations: BTreeMap::new(),
                ..self.rule.clone()
            };
            serde_json::to_string(&rule).expect("texts and numbers are JSON")
        })
    }
}
