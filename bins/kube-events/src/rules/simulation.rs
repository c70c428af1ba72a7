//! Rules on Events of the past, with the clock that the Events have.

use std::time::Duration;

use jiff::Timestamp;
use kube_events_core::Event;
use kube_events_rules::{
    Effects, Kind, Rule, RuleSet,
    state::{State, StateOptions},
};

/// Rules, what they remember, and what time it is for them.
#[derive(Debug)]
pub(super) struct Simulation<'a> {
    rules: &'a RuleSet,
    state: State,
}

/// What follows at one moment.
#[derive(Debug)]
pub(super) struct Moment<'a> {
    pub(super) at: Timestamp,
    /// The Event, unless it follows from time alone.
    pub(super) event: Option<&'a Event>,
    /// The rules that matched it.
    pub(super) matched: Vec<&'a Rule>,
    pub(super) effects: Effects,
}

// === impl Simulation ===

impl<'a> Simulation<'a> {
    /// Rules that have seen nothing yet.
    pub(super) fn new(rules: &'a RuleSet, begin: Timestamp) -> Self {
        // That something still fires is no news here: it is told once a day, not once a minute.
        let refresh = Duration::from_secs(24 * 3600);
        let mut state = State::new(StateOptions { refresh, ..StateOptions::default() });
        state.adopt(rules, begin);
        Self { rules, state }
    }

    /// Lets time pass until `to`, and tells each moment at which something follows from that.
    pub(super) fn advance(&mut self, to: Timestamp, mut tell: impl FnMut(Moment<'a>)) {
        while let Some(due) = self.state.next_due().filter(|due| *due <= to) {
            self.tick(due, &mut tell);
        }
        self.tick(to, &mut tell);
    }

    /// Lets time pass until nothing more can follow.
    pub(super) fn finish(&mut self, mut tell: impl FnMut(Moment<'a>)) {
        while let Some(due) = self.state.next_due() {
            self.tick(due, &mut tell);
        }
    }

    fn tick(&mut self, at: Timestamp, tell: &mut impl FnMut(Moment<'a>)) {
        let effects = self.state.advance(at);
        if !effects.is_empty() {
            tell(Moment { at, event: None, matched: Vec::new(), effects });
        }
    }

    /// Takes in an Event that comes at this time. What was due before has to be told before:
    /// [`Simulation::advance`].
    pub(super) fn take(&mut self, event: &'a Event, at: Timestamp) -> Moment<'a> {
        let outcome = self.rules.evaluate_at(event, at);
        let mut effects = outcome.effects();
        effects.extend(self.state.observe(&outcome, at));
        Moment { at, event: Some(event), matched: outcome.matched(), effects }
    }
}

// === impl Moment ===

impl<'a> Moment<'a> {
    /// The rules that hid the Event from others.
    pub(super) fn drops(&self) -> impl Iterator<Item = &'a Rule> {
        self.matched.iter().copied().filter(|rule| rule.kind() == Kind::Drop)
    }
}
