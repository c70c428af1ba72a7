//! How large conditions, Rule objects and all that one namespace has of them may be.

use kube_events_core::crd::{ByteSize, RuleLimits};

/// Bounds on conditions, Rule objects and namespaces. What is beyond them is refused when it is compiled; only
/// [`Limits::event_work`] counts when rules are evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of text. Default 16 KiB.
    pub length: usize,
    /// Parentheses and `not`s that are open at one place. Default 10,240.
    pub depth: usize,
    /// Rules in one object. Default 500.
    pub rules: usize,
    /// Bytes that the compiled form of one pattern may take. Default 4 MiB.
    pub pattern_size: usize,
    /// Bytes that the compiled forms of all patterns of one object may take together, or of a
    /// condition that stands alone. Default 16 MiB.
    pub patterns_size: usize,
    /// Rules in all objects of one namespace. Default 10,000.
    pub namespace_rules: usize,
    /// Bytes of the conditions of all objects of one namespace. Default 4 MiB.
    pub namespace_conditions_size: usize,
    /// Bytes that the compiled forms of the patterns of all objects of one namespace may take
    /// together. Default 64 MiB.
    pub namespace_patterns_size: usize,
    /// What the rules of one namespace or workspace may cost one Event: bytes of text times bytes of the
    /// compiled form, for each pattern that is matched, and what takes about as long. What is beyond is
    /// undecided. Default 1 Gi, a fifth of a second in the worst case that we know. Who takes more than a tenth of
    /// the time for long gets a millisecond of it for each Event.
    pub event_work: u64,
}

// === impl Limits ===

impl Limits {
    /// None at all, for texts that were found to be within some before.
    pub const NONE: Self = Self {
        length: usize::MAX,
        depth: usize::MAX,
        rules: usize::MAX,
        pattern_size: usize::MAX,
        patterns_size: usize::MAX,
        namespace_rules: usize::MAX,
        namespace_conditions_size: usize::MAX,
        namespace_patterns_size: usize::MAX,
        event_work: u64::MAX,
    };
}

impl Default for Limits {
    fn default() -> Self {
        RuleLimits::default().into()
    }
}

impl From<RuleLimits> for Limits {
    fn from(limits: RuleLimits) -> Self {
        let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let bytes = |ByteSize(size)| usize::try_from(size).unwrap_or(usize::MAX);
        Self {
            length: bytes(limits.condition_size),
            depth: count(limits.condition_depth),
            rules: count(limits.object_rules),
            pattern_size: bytes(limits.pattern_size),
            patterns_size: bytes(limits.object_patterns_size),
            namespace_rules: count(limits.namespace_rules),
            namespace_conditions_size: bytes(limits.namespace_conditions_size),
            namespace_patterns_size: bytes(limits.namespace_patterns_size),
            event_work: limits.event_work.0,
        }
    }
}
