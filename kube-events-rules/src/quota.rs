//! What the rules of one namespace take together.

use std::fmt;

use kube_events_core::crd::EventRule;

use crate::limits::Limits;

/// A limit on all rules of one namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Quota {
    /// [`Limits::namespace_rules`].
    Rules,
    /// [`Limits::namespace_conditions_size`].
    Conditions,
    /// [`Limits::namespace_patterns_size`].
    Patterns,
}

/// What rules take.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) rules: usize,
    pub(crate) conditions: usize,
    pub(crate) patterns: usize,
}

// === impl Quota ===

impl Quota {
    /// The setting of a ruler by which it can be changed.
    pub fn setting(self) -> &'static str {
        match self {
            Self::Rules => "limits.namespaceRules",
            Self::Conditions => "limits.namespaceConditionsSize",
            Self::Patterns => "limits.namespacePatternsSize",
        }
    }

    pub(crate) fn of(self, limits: &Limits) -> usize {
        match self {
            Self::Rules => limits.namespace_rules,
            Self::Conditions => limits.namespace_conditions_size,
            Self::Patterns => limits.namespace_patterns_size,
        }
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rules => "rules",
            Self::Conditions => "bytes of conditions",
            Self::Patterns => "bytes of compiled patterns",
        })
    }
}

// === impl Usage ===

impl Usage {
    /// The limit that a further rule would exceed, whatever its patterns take.
    pub(crate) fn exceeded_with(&self, rule: &EventRule, limits: &Limits) -> Option<Quota> {
        if self.rules >= limits.namespace_rules {
            Some(Quota::Rules)
        } else if self.conditions.saturating_add(length(rule)) > limits.namespace_conditions_size {
            Some(Quota::Conditions)
        } else {
            None
        }
    }

    /// Bytes that are left for patterns.
    pub(crate) fn room(&self, limits: &Limits) -> usize {
        limits.namespace_patterns_size.saturating_sub(self.patterns)
    }

    pub(crate) fn add(&mut self, rule: &EventRule, patterns: usize) {
        self.rules += 1;
        self.conditions += length(rule);
        self.patterns += patterns;
    }
}

/// Bytes of the conditions of a rule.
fn length(rule: &EventRule) -> usize {
    let expected = rule.absence.as_ref().map_or(0, |absence| absence.expected.len());
    rule.condition.len() + expected + rule.resolve.as_ref().map_or(0, String::len)
}
