//! Occurrences in time.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

/// Occurrences of the recent past.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    /// In the order of their ends.
    runs: VecDeque<Run>,
    /// The occurrences of all.
    total: u64,
    /// The longest time from the beginning to the end of one, so far.
    longest: SignedDuration,
}

/// Occurrences that are evenly spread: the last of them at `end`, none at `after` or before.
///
/// Of several occurrences an Event tells how many there were, and not when each of them was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) after: Timestamp,
    pub(super) end: Timestamp,
    pub(super) count: u64,
}

/// The most runs that are told apart; beyond it the two oldest become one.
const MAX_RUNS: usize = 1024;

/// How exactly it is known when a window has too few, in nanoseconds.
const PRECISION: i128 = 1_000_000;

// === impl Run ===

impl Run {
    /// How many of them had happened at a time.
    fn until(&self, time: Timestamp) -> u64 {
        if time >= self.end {
            return self.count;
        }
        if time <= self.after {
            return 0;
        }
        let (passed, length) = (nanos(self.after, time), nanos(self.after, self.end));
        u64::try_from(passed * i128::from(self.count) / length).unwrap_or(self.count)
    }
}

// === impl Window ===

impl Window {
    /// How often [`Window::below`] looks at all runs, at most, for the longest duration that there is.
    pub(super) const LOOKS: usize = 35;

    pub(super) fn add(&mut self, run: Run) {
        let place = self.runs.partition_point(|other| other.end <= run.end);
        self.total = self.total.saturating_add(run.count);
        self.stretch(&run);
        self.runs.insert(place, run);
        if self.runs.len() > MAX_RUNS
            && let (Some(oldest), Some(next)) = (self.runs.pop_front(), self.runs.front_mut())
        {
            next.after = next.after.min(oldest.after);
            next.count = next.count.saturating_add(oldest.count);
            let next = *next;
            self.stretch(&next);
        }
    }

    fn stretch(&mut self, run: &Run) {
        self.longest = self.longest.max(run.end.duration_since(run.after));
    }

    /// Forgets what happened at this time and before, and nothing later.
    pub(super) fn forget(&mut self, until: Timestamp) {
        let over = self.runs.partition_point(|run| run.end <= until);
        let gone = self.runs.drain(..over).map(|run| run.count).fold(0, u64::saturating_add);
        self.total = self.total.saturating_sub(gone);
        if self.runs.is_empty() {
            self.clear();
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn len(&self) -> usize {
        self.runs.len()
    }

    /// How many happened after one time and not after the other.
    pub(super) fn count(&self, after: Timestamp, until: Timestamp) -> u64 {
        self.since(after).saturating_sub(self.since(until))
    }

    /// How many happened after a time: all but those before, or one by one, whichever is the shorter way.
    fn since(&self, time: Timestamp) -> u64 {
        // Of what ends later than this all happened after the time.
        let straddling = later(time, self.longest);
        let over = self.runs.partition_point(|run| run.end <= time);
        let begun = self.runs.partition_point(|run| run.end <= straddling);
        if begun < self.runs.len() - over {
            let before = self.runs.range(..begun).map(|run| run.until(time));
            self.total.saturating_sub(before.fold(0, u64::saturating_add))
        } else {
            let left = |run: &Run| run.count.saturating_sub(run.until(time));
            self.runs.range(over..).map(left).fold(0, u64::saturating_add)
        }
    }

    /// From when on fewer than `count` are within `within`, of which that many are at `now`, if
    /// nothing more happens. `may_look` is asked whether so many runs may be looked at, where occurrences are
    /// spread over a time; if not, it is taken for the end of that time.
    pub(super) fn below(
        &self,
        count: u64,
        within: SignedDuration,
        now: Timestamp,
        may_look: impl FnOnce(usize) -> bool,
    ) -> Timestamp {
        let begin = earlier(now, within);
        let mut left = 0_u64;
        let enough = self.runs.iter().rev().find(|run| {
            left = left.saturating_add(run.count.saturating_sub(run.until(begin)));
            left >= count
        });
        // When all of this run is over, only later ones are left.
        let end = enough.map_or(now, |run| run.end);
        let (mut enough, mut too_few) = (0, nanos(begin, end));
        let nearly = too_few - PRECISION;
        if nearly <= 0
            || self.since(at(begin, nearly)) >= count
            || !may_look(self.runs.len() * Self::LOOKS)
        {
            return later(end, within);
        }
        while too_few - enough > PRECISION {
            let middle = enough + (too_few - enough) / 2;
            if self.since(at(begin, middle)) >= count {
                enough = middle;
            } else {
                too_few = middle;
            }
        }
        later(at(begin, too_few), within)
    }
}

/// Nanoseconds from one time to another.
fn nanos(from: Timestamp, to: Timestamp) -> i128 {
    to.as_nanosecond() - from.as_nanosecond()
}

fn at(base: Timestamp, nanos: i128) -> Timestamp {
    Timestamp::from_nanosecond(base.as_nanosecond() + nanos).unwrap_or(base)
}

/// The time so much later, or the last that there is.
pub(super) fn later(time: Timestamp, length: SignedDuration) -> Timestamp {
    time.checked_add(length).unwrap_or(Timestamp::MAX)
}

/// The time so much earlier, or the first that there is.
pub(super) fn earlier(time: Timestamp, length: SignedDuration) -> Timestamp {
    time.checked_sub(length).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn run(after: i64, end: i64, count: u64) -> Run {
        Run { after: second(after), end: second(end), count }
    }

    #[test]
    fn a_run_is_spread_evenly() {
        let mut window = Window::default();
        window.add(run(0, 100, 10));
        for (after, until, count) in
            [(0, 100, 10), (0, 99, 9), (10, 100, 9), (9, 10, 1), (55, 65, 1), (100, 200, 0)]
        {
            assert_eq!(window.count(second(after), second(until)), count, "({after}, {until}]");
        }
        window.add(run(100, 100, 1));
        assert_eq!(window.count(second(90), second(100)), 2);
        assert_eq!(window.count(second(100), second(200)), 0);
    }

    #[test]
    fn it_is_known_when_there_are_too_few() {
        let mut window = Window::default();
        for end in [10, 20, 30] {
            window.add(run(end, end, 1));
        }
        let within = SignedDuration::from_secs(60);
        for (count, expected) in [(1, 90), (2, 80), (3, 70)] {
            let below = window.below(count, within, second(30), |_| false);
            let off = below.duration_since(second(expected)).abs();
            assert!(off <= SignedDuration::from_millis(1), "{count}: {below}");
        }
    }

    #[test]
    fn runs_beyond_the_bound_are_joined() {
        let mut window = Window::default();
        let runs = i64::try_from(MAX_RUNS).unwrap() + 10;
        (0..runs).for_each(|end| window.add(run(end, end, 1)));
        assert_eq!(window.len(), MAX_RUNS);
        assert_eq!(window.count(second(-1), second(runs)), runs.unsigned_abs());
        window.forget(second(runs - 2));
        assert_eq!(window.count(second(-1), second(runs)), 1);
    }
}
