//! How much rules may ask for, in custom resources and configuration files.

#[cfg(feature = "crd")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ByteSize,
    defaults::{
        CONDITION_DEPTH, CONDITION_SIZE, EVENT_WORK, GROUPS_SIZE, NAMESPACE_CONDITIONS_SIZE,
        NAMESPACE_PATTERNS_SIZE, NAMESPACE_RULES, OBJECT_PATTERNS_SIZE, OBJECT_RULES, PATTERN_SIZE,
        RULE_GROUPS,
    },
};

/// What one rule, one Rule object and all Rules of one namespace may ask for. What is beyond is
/// refused and told, and the rules that counted before go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RuleLimits {
    /// Bytes of one condition. Default: `16Ki`, the most that an object can have.
    pub condition_size: ByteSize,
    /// Parentheses and `not`s of a condition that are open at one place. Default: 10240.
    #[cfg_attr(feature = "crd", schemars(with = "i32", range(min = 1, max = 10_240)))]
    pub condition_depth: u32,
    /// Bytes of the compiled form of one pattern. Default: `4Mi`.
    pub pattern_size: ByteSize,
    /// Bytes of the compiled forms of all patterns of one Rule object. Default: `16Mi`.
    pub object_patterns_size: ByteSize,
    /// Rules of one Rule object. Default: 500, the most that it can have.
    #[cfg_attr(feature = "crd", schemars(with = "i32", range(min = 1, max = 500)))]
    pub object_rules: u32,
    /// Rules of one namespace. Default: 10000.
    #[cfg_attr(feature = "crd", schemars(with = "i32", range(min = 1, max = 1_000_000)))]
    pub namespace_rules: u32,
    /// Bytes of all conditions of one namespace. Default: `4Mi`.
    pub namespace_conditions_size: ByteSize,
    /// Bytes of the compiled forms of all patterns of one namespace. Default: `64Mi`.
    pub namespace_patterns_size: ByteSize,
    /// What the rules of one namespace or workspace may cost one Event, in steps: bytes of text times
    /// bytes of the compiled form for each pattern that is matched, and what other tests look at. What is
    /// beyond is undecided. Default: `1Gi`.
    pub event_work: ByteSize,
    /// Groups that one rule with state remembers. Default: 10000.
    #[cfg_attr(feature = "crd", schemars(with = "i32", range(min = 1, max = 1_000_000)))]
    pub rule_groups: u32,
    /// Bytes that all groups of all rules take, about. Default: `64Mi`.
    pub groups_size: ByteSize,
    /// Rule objects whose figures are among the ruler's metrics, eight series each. Default: 0.
    #[cfg_attr(feature = "crd", schemars(with = "i32", range(min = 0, max = 10_000)))]
    pub measured_objects: u32,
}

// === impl RuleLimits ===

impl Default for RuleLimits {
    fn default() -> Self {
        Self {
            condition_size: CONDITION_SIZE,
            condition_depth: CONDITION_DEPTH,
            pattern_size: PATTERN_SIZE,
            object_patterns_size: OBJECT_PATTERNS_SIZE,
            object_rules: OBJECT_RULES,
            namespace_rules: NAMESPACE_RULES,
            namespace_conditions_size: NAMESPACE_CONDITIONS_SIZE,
            namespace_patterns_size: NAMESPACE_PATTERNS_SIZE,
            event_work: EVENT_WORK,
            rule_groups: RULE_GROUPS,
            groups_size: GROUPS_SIZE,
            measured_objects: 0,
        }
    }
}
