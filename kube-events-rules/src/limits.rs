//! How large a condition may be.

/// Bounds on one condition. Text beyond them is refused when it is compiled, never when it is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of text. Default 16 KiB.
    pub length: usize,
    /// Parentheses and `not`s that are open at one place. Default 10,240.
    pub depth: usize,
    /// Bytes that the compiled form of one pattern may take. Default 4 MiB.
    pub pattern_size: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { length: 16 << 10, depth: 10 << 10, pattern_size: 4 << 20 }
    }
}
