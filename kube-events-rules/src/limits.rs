//! How large conditions and Rule objects may be.

use kube_events_core::crd::{MAX_CONDITION, MAX_RULES};

/// Bounds on one Rule object and its conditions. What is beyond them is refused when it is compiled,
/// never when it is evaluated.
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
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            length: MAX_CONDITION,
            depth: 10 << 10,
            rules: MAX_RULES,
            pattern_size: 4 << 20,
            patterns_size: 16 << 20,
        }
    }
}
