//! A condition, from text to verdict.

use std::fmt;

use crate::ast::{Ast, Joint};
use crate::check::{self, Context};
use crate::error::Error;
use crate::fields::Fields;
use crate::limits::Limits;
use crate::lint::{Lint, MAX_LINTS};
use crate::lists::Lists;
use crate::logic;
use crate::parser;
use crate::program::Program;
use crate::verdict::Verdict;

/// A compiled condition of a rule: immutable, and total when it is evaluated.
///
/// `Display` writes it in a canonical form with every parenthesis that a reader may need; parsing
/// that form gives a condition that prints and means the same.
///
/// ```
/// use kube_events_rules::{Condition, JsonEvent, Verdict};
///
/// let condition = Condition::parse(r#"reason = "BackOff" and count > 3"#)?;
/// let event = serde_json::json!({"reason": "BackOff", "count": 27});
/// assert_eq!(condition.evaluate(&JsonEvent::new(&event)), Verdict::True);
/// # Ok::<_, kube_events_rules::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Condition {
    ast: Ast,
    program: Program,
    lints: Vec<Lint>,
}

impl Condition {
    /// Compiles a text within the default [`Limits`].
    ///
    /// # Errors
    /// If the text is no condition, or if one of its tests could never be made.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::parse_within(text, &Limits::default())
    }

    /// Compiles a text within the given limits.
    ///
    /// # Errors
    /// As [`Condition::parse`].
    pub fn parse_within(text: &str, limits: &Limits) -> Result<Self, Error> {
        Self::parse_with(text, limits, &Lists::default())
    }

    /// Compiles a text that may name lists: `reason in @noisy`.
    ///
    /// # Errors
    /// As [`Condition::parse`], and if it names a list that is not there.
    pub fn parse_with(text: &str, limits: &Limits, lists: &Lists) -> Result<Self, Error> {
        Self::parse_in(text, limits, lists, &mut limits.patterns_size.clone())
    }

    /// Compiles a text, and takes from `room` the bytes of its patterns.
    pub(crate) fn parse_in(
        text: &str,
        limits: &Limits,
        lists: &Lists,
        room: &mut usize,
    ) -> Result<Self, Error> {
        let (ast, mut lints) = parser::parse(text, limits)?;
        let context = Context { source: text, limits, lists };
        let program = check::compile(&ast, &context, room, &mut lints)?;
        logic::lint(&ast, &mut lints);
        lints.sort_by_key(|lint| lint.span().start);
        lints.truncate(MAX_LINTS);
        lints.shrink_to_fit();
        Ok(Self { ast, program, lints })
    }

    /// Evaluates the condition. Allocates nothing where every test is on a text of the Event.
    pub fn evaluate(&self, fields: &(impl Fields + ?Sized)) -> Verdict {
        self.program.evaluate(fields)
    }

    /// Hashes of the canonical texts of the parts that `and` joins, sorted, each once. A condition that
    /// has all those of another is true of no Event of which the other is not.
    pub(crate) fn conjuncts(&self) -> Vec<u64> {
        let parts = self.ast.chain(self.ast.root(), Joint::And, |_| {});
        let mut hashes: Vec<_> = parts.into_iter().map(|part| self.ast.hash(part)).collect();
        hashes.sort_unstable();
        hashes.dedup();
        hashes
    }

    pub(crate) fn ast(&self) -> &Ast {
        &self.ast
    }

    pub(crate) fn program(&self) -> &Program {
        &self.program
    }

    /// What in the text is probably not what was meant, in the order of the text; no more than 20.
    pub fn lints(&self) -> &[Lint] {
        &self.lints
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ast.fmt(f)
    }
}
