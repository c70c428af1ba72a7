//! Compiled conditions.
//!
//! A program is a list of steps. Each makes one test and says which step comes next if it passes
//! or fails; the tests alone are the state, so that evaluation needs no stack and no memory.
//!
//! # Undecided tests
//!
//! A test can be true, false or undecided, and `and`, `or` and `not` follow Kleene's three-valued
//! logic. All negations stand at the tests, so what remains is monotone, and two runs decide it:
//! if the condition is true with every undecided test taken for false, it is true; if it is false
//! with every one taken for true, it is false; else it is undecided. The second run is made only
//! where the first one met an undecided test.

use std::sync::Arc;

use serde_json::Value as Json;

use crate::ast::{Ast, Comparison, Joint, NodeId, NodeKind};
use crate::fields::Fields;
use crate::name::Name;
use crate::pattern::Matcher;
use crate::value::Value;
use crate::verdict::{Reason, Verdict};
use crate::walk;

/// An immutable program. Evaluating it always ends: every step leads to one with a lower number.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    steps: Box<[Step]>,
}

#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) test: CompiledTest,
    /// Whether the outcome of the test is turned around.
    pub(crate) inverted: bool,
    pub(crate) pass: Target,
    pub(crate) fail: Target,
}

/// Where a program goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    True,
    False,
    Step(u32),
}

/// A test with its name resolved and its operand prepared.
#[derive(Clone, Debug)]
pub(crate) struct CompiledTest {
    pub(crate) name: Name,
    /// Whether the opposite of the predicate is asked, for a name that is there.
    pub(crate) negated: bool,
    pub(crate) predicate: Predicate,
}

/// What is asked of a value.
#[derive(Clone, Debug)]
pub(crate) enum Predicate {
    Exists,
    /// A name alone: as `= true`, but never with subscripts.
    Holds,
    Text(Comparison, Box<str>),
    Number(Comparison, f64),
    Boolean(bool),
    Contains(Box<str>),
    /// Equal as text to one of these, which are sorted.
    In(Arc<[Box<str>]>),
    Matches(Matcher),
    /// Undecided wherever the name is there.
    Never(Reason),
}

// === impl Program ===

impl Program {
    /// Links tests, given in the order of the tree's nodes, by the tree's logic.
    pub(crate) fn link(ast: &Ast, tests: impl IntoIterator<Item = CompiledTest>) -> Self {
        let mut tests: Vec<_> = tests.into_iter().map(Some).collect();
        let mut next_test = tests.len();
        let mut steps = Vec::with_capacity(tests.len());
        let mut todo = vec![Pending::whole(ast.root())];
        // From the last test to the first, so that every target is known when it is needed.
        while let Some(pending) = todo.pop() {
            let (pass, fail) = pending.targets(&steps);
            match ast.node(pending.node).kind {
                NodeKind::Not(inner) => {
                    todo.push(Pending {
                        node: inner,
                        inverted: !pending.inverted,
                        ..pending.at(pass, fail)
                    });
                }
                NodeKind::Join(joint, left, right) => {
                    todo.push(pending.before(left, joint, pass, fail));
                    todo.push(Pending { node: right, ..pending.at(pass, fail) });
                }
                NodeKind::Test(_) => {
                    next_test -= 1;
                    let test = tests[next_test].take().expect("each test is linked once");
                    steps.push(Step { test, inverted: pending.inverted, pass, fail });
                }
            }
        }
        Self { steps: steps.into() }
    }

    /// The steps; the program begins with the last.
    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Evaluates the program on one view.
    pub(crate) fn evaluate(&self, fields: &(impl Fields + ?Sized)) -> Verdict {
        let mut reason = None;
        if self.run(fields, false, &mut reason) {
            return Verdict::True;
        }
        match reason {
            Some(reason) if self.run(fields, true, &mut None) => Verdict::Undecided(reason),
            _ => Verdict::False,
        }
    }

    /// Runs with every undecided test taken for `undecided`, and keeps the first reason.
    fn run(
        &self,
        fields: &(impl Fields + ?Sized),
        undecided: bool,
        reason: &mut Option<Reason>,
    ) -> bool {
        let mut at = self.steps.len() - 1;
        loop {
            let step = &self.steps[at];
            let passed = match step.test.evaluate(fields) {
                Ok(passed) => passed != step.inverted,
                Err(why) => {
                    reason.get_or_insert(why);
                    undecided
                }
            };
            match if passed { step.pass } else { step.fail } {
                Target::True => return true,
                Target::False => return false,
                Target::Step(next) => at = next as usize,
            }
        }
    }
}

/// A part of the tree that is still to be linked.
#[derive(Clone, Copy)]
struct Pending {
    node: NodeId,
    inverted: bool,
    pass: Later,
    fail: Later,
}

/// A target, or the step that was linked last when the part comes up.
#[derive(Clone, Copy)]
enum Later {
    Known(Target),
    Last,
}

// === impl Pending ===

impl Pending {
    fn whole(node: NodeId) -> Self {
        let (pass, fail) = (Later::Known(Target::True), Later::Known(Target::False));
        Self { node, inverted: false, pass, fail }
    }

    fn targets(&self, steps: &[Step]) -> (Target, Target) {
        (self.pass.target(steps), self.fail.target(steps))
    }

    fn at(self, pass: Target, fail: Target) -> Self {
        Self { pass: Later::Known(pass), fail: Later::Known(fail), ..self }
    }

    /// The left side of a join: it goes on to the right side unless it decides the join.
    fn before(self, left: NodeId, joint: Joint, pass: Target, fail: Target) -> Self {
        let conjunction = (joint == Joint::And) != self.inverted;
        let mut pending = Self { node: left, ..self.at(pass, fail) };
        if conjunction {
            pending.pass = Later::Last;
        } else {
            pending.fail = Later::Last;
        }
        pending
    }
}

impl Later {
    fn target(self, steps: &[Step]) -> Target {
        match self {
            Self::Known(target) => target,
            Self::Last => {
                let last = steps.len().checked_sub(1).expect("the right side was linked before");
                Target::Step(u32::try_from(last).expect("fewer steps than bytes of text"))
            }
        }
    }
}

// === impl CompiledTest ===

impl CompiledTest {
    pub(crate) fn evaluate(&self, fields: &(impl Fields + ?Sized)) -> Result<bool, Reason> {
        let key = &self.name.key;
        if let Some(path) = key.path() {
            let nodes = fields.json().map(|json| path.find_in(json)).unwrap_or_default();
            return self.holds_on_nodes(&nodes);
        }
        if self.name.steps.is_empty() && matches!(self.predicate, Predicate::Exists) {
            return Ok(fields.exists(key) != self.negated);
        }
        let Some(value) = fields.get(key) else { return Ok(false) };
        if self.name.steps.is_empty() {
            return self.holds(&value);
        }
        walk::list(value.as_list(), &self.name.steps, &|value| self.holds_in_list(value))
    }

    fn holds(&self, value: &Value<'_>) -> Result<bool, Reason> {
        Ok(self.predicate.holds(value)? != self.negated)
    }

    /// What a JSONPath finds passes if some node passes; where the opposite is asked, if a node is
    /// there and none of them has what is asked about. `null` is as missing.
    fn holds_on_nodes(&self, nodes: &[&Json]) -> Result<bool, Reason> {
        let mut nodes = nodes.iter().filter(|node| !node.is_null()).peekable();
        if matches!(self.predicate, Predicate::Exists) {
            return Ok(nodes.peek().is_some() != self.negated);
        }
        if nodes.peek().is_none() {
            return Ok(false);
        }
        let decisive = !self.negated;
        let mut undecided = None;
        for node in nodes {
            match self.holds(&Value::Json(node)) {
                Ok(passed) if passed == decisive => return Ok(decisive),
                Ok(_) => {}
                Err(reason) => undecided = Some(reason),
            }
        }
        undecided.map_or(Ok(!decisive), Err)
    }

    /// As [`Self::holds`], for what a subscript leads to, which may be `null`.
    fn holds_in_list(&self, value: &Json) -> Result<bool, Reason> {
        match &self.predicate {
            // A name alone stands for the key as it is written, which no view has.
            Predicate::Holds => Ok(false),
            Predicate::Exists if value.is_null() => Ok(self.negated),
            Predicate::Contains(_) => self.holds(&Value::Json(value)),
            _ if value.is_null() => Ok(false),
            _ => self.holds(&Value::Json(value)),
        }
    }
}

// === impl Predicate ===

impl Predicate {
    /// What it costs for each byte of a text.
    pub(crate) fn work(&self) -> u64 {
        match self {
            Self::Matches(matcher) => matcher.work(),
            Self::Contains(_) => 1,
            _ => 0,
        }
    }

    /// Whether it holds for a value that is there.
    pub(crate) fn holds(&self, value: &Value<'_>) -> Result<bool, Reason> {
        Ok(match self {
            Self::Exists => true,
            Self::Holds => value.as_bool().ok_or(Reason::NotABoolean)?,
            Self::Text(comparison, text) => comparison.holds(&*value.as_text(), &**text),
            Self::Number(comparison, number) => {
                comparison.holds(&value.as_number().ok_or(Reason::NotANumber)?, number)
            }
            Self::Boolean(wanted) => value.as_bool().ok_or(Reason::NotABoolean)? == *wanted,
            Self::Contains(text) => value.as_text().contains(&**text),
            Self::In(texts) => {
                let value = value.as_text();
                texts.binary_search_by(|text| (**text).cmp(&*value)).is_ok()
            }
            Self::Matches(matcher) => matcher.is_match(&value.as_text()),
            Self::Never(reason) => return Err(*reason),
        })
    }

    /// Whether both hold for the same values.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exists, Self::Exists) | (Self::Holds, Self::Holds) => true,
            (Self::Text(a, x), Self::Text(b, y)) => a == b && x == y,
            (Self::Number(a, x), Self::Number(b, y)) => a == b && x.to_bits() == y.to_bits(),
            (Self::Boolean(a), Self::Boolean(b)) => a == b,
            (Self::Contains(a), Self::Contains(b)) => a == b,
            (Self::In(a), Self::In(b)) => a == b,
            (Self::Matches(a), Self::Matches(b)) => a == b,
            (Self::Never(a), Self::Never(b)) => a == b,
            _ => false,
        }
    }
}
