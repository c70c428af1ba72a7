//! What is known of the Event that is being evaluated.
//!
//! It is kept for each thread, so that evaluation allocates nothing once it has seen a set of this size.
//! What belongs to another Event, or another set, is told by its epoch, so nothing has to be cleared.

use std::cell::Cell;

use super::test::Answer;
use crate::{verdict::Reason, work::Fuel};

#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// Counts evaluations; never 0 in one.
    epoch: u64,
    /// The answer to each test, and the epoch that it is of.
    answers: Vec<(u64, Option<Answer>)>,
    /// The epoch in which each condition was looked at last.
    looked_at: Vec<u64>,
    searches: Vec<Search>,
    /// What is left for costly tests.
    pub(super) fuel: Fuel,
}

/// What was found in one field.
#[derive(Debug, Default)]
struct Search {
    epoch: u64,
    /// The field is not there.
    is_missing: bool,
    /// It was not searched to the end.
    is_cut: bool,
    /// Texts that lead to conditions.
    found: Vec<u32>,
}

thread_local! {
    static SCRATCH: Cell<Scratch> = const { Cell::new(Scratch::new()) };
}

/// Evaluates with what this thread has to write on.
pub(super) fn with(
    tests: usize,
    conditions: usize,
    searches: usize,
    fuel: &mut Fuel,
    evaluate: impl FnOnce(&mut Scratch),
) {
    // Taken out: a view of an Event may evaluate conditions itself.
    let mut scratch = SCRATCH.take();
    scratch.begin(tests, conditions, searches);
    scratch.fuel = *fuel;
    evaluate(&mut scratch);
    *fuel = scratch.fuel;
    SCRATCH.set(scratch);
}

// === impl Scratch ===

impl Scratch {
    const fn new() -> Self {
        Self {
            epoch: 0,
            answers: Vec::new(),
            looked_at: Vec::new(),
            searches: Vec::new(),
            fuel: Fuel::UNLIMITED,
        }
    }

    fn begin(&mut self, tests: usize, conditions: usize, searches: usize) {
        self.epoch += 1;
        if self.answers.len() < tests {
            self.answers.resize(tests, (0, None));
        }
        if self.looked_at.len() < conditions {
            self.looked_at.resize(conditions, 0);
        }
        if self.searches.len() < searches {
            self.searches.resize_with(searches, Search::default);
        }
    }

    pub(super) fn answer(&self, test: u32) -> Option<Answer> {
        let (epoch, answer) = self.answers[test as usize];
        answer.filter(|_| epoch == self.epoch)
    }

    pub(super) fn keep(&mut self, test: u32, answer: Answer) {
        self.answers[test as usize] = (self.epoch, Some(answer));
    }

    pub(super) fn is_first_look(&mut self, condition: u32) -> bool {
        std::mem::replace(&mut self.looked_at[condition as usize], self.epoch) != self.epoch
    }

    /// False if the field was searched already.
    pub(super) fn begin_search(&mut self, place: usize) -> bool {
        let search = &mut self.searches[place];
        let is_first = std::mem::replace(&mut search.epoch, self.epoch) != self.epoch;
        if is_first {
            search.found.clear();
            search.is_missing = false;
            search.is_cut = false;
        }
        is_first
    }

    pub(super) fn end_without_field(&mut self, place: usize) {
        self.searches[place].is_missing = true;
    }

    /// Ends a search before all was found, as it costs too much.
    pub(super) fn cut_search(&mut self, place: usize) {
        self.searches[place].is_cut = true;
    }

    pub(super) fn is_cut(&self, place: usize) -> bool {
        self.searches[place].is_cut
    }

    pub(super) fn add_found(&mut self, place: usize, needle: u32) {
        self.searches[place].found.push(needle);
    }

    pub(super) fn found(&self, place: usize) -> &[u32] {
        &self.searches[place].found
    }

    /// What a test on a searched field answers if its text was not found.
    pub(super) fn missing(&self, place: usize) -> Answer {
        match &self.searches[place] {
            Search { is_missing: true, .. } => Answer::Missing,
            Search { is_cut: true, .. } => Answer::Undecided(Reason::TooCostly),
            _ => Answer::No,
        }
    }
}
