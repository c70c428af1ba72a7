//! Chains that are true, or false, of every Event.
//!
//! Only what can be told from tests on one field is looked at: equal texts, lists of texts, ranges of
//! numbers, and a test beside its opposite. A chain of `or` is true of everything if the opposites of
//! its tests can never hold together.

use std::{cmp::Ordering, collections::HashMap};

use crate::ast::{Ast, Check, Comparison, Joint, Literal, NodeId, NodeKind, Test};
use crate::field::Field;
use crate::lint::{Lint, LintKind};
use crate::number;
use crate::span::Span;

/// Adds a lint for each chain that no Event, or every Event, satisfies.
pub(crate) fn lint(ast: &Ast, lints: &mut Vec<Lint>) {
    for (joint, items) in ast.chains() {
        let mut names: HashMap<&str, Vec<Atom<'_>>> = HashMap::new();
        for atom in items.iter().filter_map(|item| Atom::of(ast, *item)) {
            names.entry(&atom.test.name.value).or_default().push(atom);
        }
        let mut found: Vec<_> = names
            .into_values()
            .filter(|atoms| atoms.len() > 1)
            .filter_map(|atoms| conflict(joint, &atoms))
            .collect();
        found.sort_by_key(|lint| lint.span().start);
        lints.extend(found);
    }
    for (test, span) in ast.tests() {
        if matches!(test.check, Check::Exists) && test.negated && is_always_there(test) {
            let lint = Lint::new(LintKind::AlwaysFalse, span);
            lints
                .push(lint.help(format!("every Event has it; write `{} = \"\"`", test.name.value)));
        }
    }
}

/// A test of a chain, or its opposite.
#[derive(Clone, Copy)]
struct Atom<'a> {
    test: &'a Test,
    span: Span,
    /// Whether it must hold, rather than not hold.
    holds: bool,
}

// === impl Atom ===

impl<'a> Atom<'a> {
    fn of(ast: &'a Ast, id: NodeId) -> Option<Self> {
        let node = ast.node(id);
        match &node.kind {
            NodeKind::Test(test) => Some(Self { test, span: node.span, holds: true }),
            NodeKind::Not(inner) => match &ast.node(*inner).kind {
                NodeKind::Test(test) => Some(Self { test, span: node.span, holds: false }),
                _ => None,
            },
            NodeKind::Join(..) => None,
        }
    }

    /// What is asked, whether the opposite of it, and whether it must hold.
    fn claim(&self) -> Claim {
        let plain = Test { negated: false, ..self.test.clone() };
        Claim { text: plain.to_string(), negated: self.test.negated, holds: self.holds }
    }
}

/// A test of a chain in a form that can be looked up.
#[derive(PartialEq, Eq, Hash)]
struct Claim {
    text: String,
    negated: bool,
    holds: bool,
}

/// Every Event has a value for it.
fn is_always_there(test: &Test) -> bool {
    Field::resolve(&test.name.value).is_some_and(Field::is_always_there)
}

fn conflict(joint: Joint, atoms: &[Atom<'_>]) -> Option<Lint> {
    let mut known = Known::default();
    let mut claims: HashMap<Claim, Span> = HashMap::new();
    for (at, atom) in atoms.iter().enumerate() {
        let claim = atom.claim();
        let by_logic = Claim { text: claim.text.clone(), holds: !claim.holds, ..claim };
        let by_operator = Claim { text: claim.text.clone(), negated: !claim.negated, ..claim };
        // Both operators are false where the field is missing.
        let differs = atom.holds && (joint == Joint::And || is_always_there(atom.test));
        let opposite =
            claims.get(&by_logic).or_else(|| claims.get(&by_operator).filter(|_| differs));
        let impossible = known.learn(atom, joint == Joint::And) && at > 0;
        let other = opposite.copied().or_else(|| impossible.then(|| atoms[at - 1].span));
        claims.insert(claim, atom.span);
        if let Some(other) = other {
            let span = other.to(atom.span);
            return Some(match joint {
                Joint::And => Lint::new(LintKind::AlwaysFalse, span)
                    .help("no Event passes all of these tests; did you mean `or`?"),
                Joint::Or => Lint::new(LintKind::AlwaysTrue, span)
                    .help("every Event passes one of these tests; did you mean `and`?"),
            });
        }
    }
    None
}

/// What tests on one field leave possible.
#[derive(Default)]
struct Known<'a> {
    /// The only texts that it may be.
    texts: Option<Vec<&'a str>>,
    /// Texts that it may not be.
    others: Vec<&'a str>,
    least: Option<Bound>,
    most: Option<Bound>,
}

/// The end of a range, and whether it is outside of it.
#[derive(Clone, Copy)]
struct Bound {
    number: f64,
    open: bool,
}

// === impl Known ===

impl<'a> Known<'a> {
    /// Takes a test into account, or its opposite; true if nothing is left. The opposite of a test
    /// says something about the field only where it is always there.
    fn learn(&mut self, atom: &Atom<'a>, holds: bool) -> bool {
        let positive = atom.holds == holds;
        let name = &atom.test.name.value;
        if name.starts_with('$') || !positive && !is_always_there(atom.test) {
            return false;
        }
        match &atom.test.check {
            Check::Compare(comparison, Literal::Text(text)) => {
                let equal = match comparison {
                    Comparison::Equal => positive,
                    Comparison::NotEqual => !positive,
                    _ => return false,
                };
                self.texts(&[&text.value], equal)
            }
            Check::In(values) => {
                let values: Vec<_> = values.iter().map(Literal::as_text).collect();
                self.texts(&values, positive != atom.test.negated)
            }
            Check::Compare(comparison, Literal::Number(number)) => {
                let is_number = Field::resolve(name).is_some_and(Field::is_number);
                match number::parse(&number.value) {
                    Some(number) if positive => self.number(*comparison, number),
                    Some(number) if is_number => self.number(comparison.opposite(), number),
                    _ => false,
                }
            }
            Check::Compare(comparison, Literal::Duration(duration)) if positive => {
                self.number(*comparison, crate::duration::seconds(&duration.value))
            }
            _ => false,
        }
    }

    fn texts(&mut self, values: &[&'a str], equal: bool) -> bool {
        if equal {
            let allowed = |value: &&str| match &self.texts {
                Some(texts) => texts.contains(value),
                None => true,
            };
            self.texts = Some(values.iter().copied().filter(allowed).collect());
        } else {
            self.others.extend(values);
        }
        let Some(texts) = &self.texts else { return false };
        texts.iter().all(|text| self.others.contains(text))
    }

    fn number(&mut self, comparison: Comparison, number: f64) -> bool {
        let bound = |open| Some(Bound { number, open });
        let (least, most) = match comparison {
            Comparison::Equal => (bound(false), bound(false)),
            Comparison::NotEqual => (None, None),
            Comparison::Greater => (bound(true), None),
            Comparison::GreaterOrEqual => (bound(false), None),
            Comparison::Less => (None, bound(true)),
            Comparison::LessOrEqual => (None, bound(false)),
        };
        let tighter =
            |new: &Bound, old: Bound, less: Ordering| match new.number.total_cmp(&old.number) {
                Ordering::Equal => new.open,
                order => order == less,
            };
        if let Some(new) =
            least.filter(|new| self.least.is_none_or(|old| tighter(new, old, Ordering::Greater)))
        {
            self.least = Some(new);
        }
        if let Some(new) =
            most.filter(|new| self.most.is_none_or(|old| tighter(new, old, Ordering::Less)))
        {
            self.most = Some(new);
        }
        match (self.least, self.most) {
            (Some(least), Some(most)) => match least.number.total_cmp(&most.number) {
                Ordering::Greater => true,
                Ordering::Equal => least.open || most.open,
                Ordering::Less => false,
            },
            _ => false,
        }
    }
}
