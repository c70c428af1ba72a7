//! Many conditions as one program.
//!
//! Three things make it cheap to evaluate many conditions on one Event:
//!
//! - **Most are never looked at.** Each condition is filed under something that has to hold for it to be
//!   true ([`Access`]): a field that equals a text, a text that a field contains, a number that a field
//!   exceeds. What an Event holds is looked up once, and only the conditions filed under that are run.
//! - **No question is asked twice.** Equal tests of all conditions are one test, whose answer is kept while
//!   one Event is evaluated.
//! - **Texts are searched together.** What conditions look for in one field is found in one pass over it.
//!
//! What it says of a condition is what [`Condition::evaluate`] says, which walks one condition at a time.

mod access;
mod builder;
mod needles;
mod scratch;
mod test;

use std::{
    ops::Range,
    time::{Duration, Instant},
};

pub(crate) use self::builder::Builder;
use self::{
    access::{Equalities, Ranges},
    needles::Needles,
    scratch::Scratch,
    test::{Answer, Asked, Test},
};
use crate::{fields::Fields, verdict::Reason, verdict::Verdict, work::Fuel};

/// Conditions, compiled together. They are known by the order in which they were added.
#[derive(Debug, Default)]
pub(crate) struct Index {
    tests: Box<[Test]>,
    /// The steps of all conditions, one condition after the other.
    steps: Box<[Step]>,
    /// Where the steps of each condition end, and those of the next begin.
    ends: Box<[u32]>,
    /// Conditions that nothing has to hold for.
    always: Box<[u32]>,
    equalities: Box<[Equalities]>,
    ranges: Box<[Ranges]>,
    needles: Box<[Needles]>,
}

/// One test of a condition, and where the condition goes on.
#[derive(Clone, Copy, Debug)]
struct Step {
    test: u32,
    /// Whether the operator is a negative one, such as `not in`: a missing name fails it as well.
    negated: bool,
    /// Whether the outcome is turned around, as by a `not` before the test.
    inverted: bool,
    pass: Target,
    fail: Target,
}

/// A step among those of all conditions, or an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Target(u32);

// === impl Target ===

impl Target {
    const TRUE: Self = Self(u32::MAX);
    const FALSE: Self = Self(u32::MAX - 1);
}

// === impl Index ===

impl Index {
    /// Evaluates the conditions, and tells of each that is true or undecided, in no order.
    pub(crate) fn evaluate(
        &self,
        fields: &(impl Fields + ?Sized),
        fuel: &mut Fuel,
        mut found: impl FnMut(usize, Verdict),
    ) {
        self.look(fields, fuel, |scratch, condition| match self.run(condition, fields, scratch) {
            Verdict::False => {}
            verdict => found(condition as usize, verdict),
        });
    }

    /// Evaluates the conditions, and tells of each that it looks at, in no order, how long that took.
    pub(crate) fn evaluate_timed(
        &self,
        fields: &(impl Fields + ?Sized),
        fuel: &mut Fuel,
        mut looked_at: impl FnMut(usize, Verdict, Duration),
    ) {
        // To look at a clock takes about as long as to evaluate a condition.
        let clock = Instant::now().elapsed();
        self.look(fields, fuel, |scratch, condition| {
            let start = Instant::now();
            let verdict = self.run(condition, fields, scratch);
            looked_at(condition as usize, verdict, start.elapsed().saturating_sub(clock));
        });
    }

    /// Finds the conditions that may be true or undecided, each once.
    fn look(
        &self,
        fields: &(impl Fields + ?Sized),
        fuel: &mut Fuel,
        mut look_at: impl FnMut(&mut Scratch, u32),
    ) {
        scratch::with(self.tests.len(), self.ends.len(), self.needles.len(), fuel, |scratch| {
            for condition in &self.always {
                look_at(scratch, *condition);
            }
            for equalities in &self.equalities {
                for condition in equalities.find(fields) {
                    if scratch.is_first_look(*condition) {
                        look_at(scratch, *condition);
                    }
                }
            }
            for ranges in &self.ranges {
                for condition in ranges.find(fields) {
                    if scratch.is_first_look(condition) {
                        look_at(scratch, condition);
                    }
                }
            }
            for (place, needles) in self.needles.iter().enumerate() {
                if !needles.lead_anywhere() {
                    continue;
                }
                self.search(place, fields, scratch);
                for needle in 0..scratch.found(place).len() {
                    let needle = scratch.found(place)[needle];
                    for condition in needles.conditions(needle) {
                        if scratch.is_first_look(*condition) {
                            look_at(scratch, *condition);
                        }
                    }
                }
                if scratch.is_cut(place) {
                    for condition in needles.all_conditions() {
                        if scratch.is_first_look(*condition) {
                            look_at(scratch, *condition);
                        }
                    }
                }
            }
        });
    }

    fn run(
        &self,
        condition: u32,
        fields: &(impl Fields + ?Sized),
        scratch: &mut Scratch,
    ) -> Verdict {
        let mut reason = None;
        if self.walk(condition, fields, scratch, false, &mut reason) {
            return Verdict::True;
        }
        match reason {
            // Negations stand at the tests alone, so two runs decide; see the module `program`.
            Some(reason) if self.walk(condition, fields, scratch, true, &mut None) => {
                Verdict::Undecided(reason)
            }
            _ => Verdict::False,
        }
    }

    /// Runs with every undecided test taken for `undecided`, and keeps the first reason.
    fn walk(
        &self,
        condition: u32,
        fields: &(impl Fields + ?Sized),
        scratch: &mut Scratch,
        undecided: bool,
        reason: &mut Option<Reason>,
    ) -> bool {
        let mut at = self.ends[condition as usize] - 1;
        loop {
            let step = &self.steps[at as usize];
            let passed = match self.ask(step.test, fields, scratch) {
                Answer::Missing => step.inverted,
                Answer::No => step.negated != step.inverted,
                Answer::Yes => step.negated == step.inverted,
                Answer::Undecided(why) => {
                    reason.get_or_insert(why);
                    undecided
                }
            };
            match if passed { step.pass } else { step.fail } {
                Target::TRUE => return true,
                Target::FALSE => return false,
                Target(next) => at = next,
            }
        }
    }

    /// The answer to a test, found once for each Event.
    fn ask(&self, test: u32, fields: &(impl Fields + ?Sized), scratch: &mut Scratch) -> Answer {
        if let Some(answer) = scratch.answer(test) {
            return answer;
        }
        let answer = match &self.tests[test as usize] {
            Test::Alone(test) => test.answer(fields, &mut scratch.fuel),
            Test::Searched(needles) => {
                self.search(*needles as usize, fields, scratch);
                // A search leaves the answer to every test whose text it found.
                let otherwise = scratch.missing(*needles as usize);
                scratch.answer(test).unwrap_or(otherwise)
            }
            Test::Guarded { needed, test } => self.guarded(needed, test, fields, scratch),
        };
        scratch.keep(test, answer);
        answer
    }

    /// A pattern is matched only where one of the texts is that every match has in it.
    fn guarded(
        &self,
        needed: &[u32],
        test: &Asked,
        fields: &(impl Fields + ?Sized),
        scratch: &mut Scratch,
    ) -> Answer {
        let mut answer = Answer::No;
        for needed in needed {
            match self.ask(*needed, fields, scratch) {
                Answer::Yes => return test.answer(fields, &mut scratch.fuel),
                other => answer = other,
            }
        }
        answer
    }

    /// Looks for all texts that conditions look for in one field.
    fn search(&self, place: usize, fields: &(impl Fields + ?Sized), scratch: &mut Scratch) {
        if scratch.begin_search(place) {
            self.needles[place].search(fields, place, scratch);
        }
    }
}

/// The place of something among others of its kind, or a range of them.
fn place(at: usize) -> u32 {
    u32::try_from(at).expect("conditions are limited in number and length")
}

/// A part of a list that is shared with others.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    start: u32,
    end: u32,
}

impl Part {
    fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Adds items to the list, and says which part they are.
    fn push<T>(list: &mut Vec<T>, items: impl IntoIterator<Item = T>) -> Self {
        let start = place(list.len());
        list.extend(items);
        Self { start, end: place(list.len()) }
    }
}
