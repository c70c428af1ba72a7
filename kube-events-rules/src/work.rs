//! What one Event may cost the rules of one tenant.
//!
//! Each pattern and each path is bounded, but a tenant may have ten thousand of them, and write Events with texts
//! that none of them likes. All tenants' Events go the same way, so what one takes, all others wait for. So the
//! costly tests that rules of a namespace or a workspace make on one Event have [`Fuel`]; what is beyond is
//! undecided. Whoever has taken much time lately gets little more than what any rule needs.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Costly tests on one Event: bytes of text times bytes of compiled pattern, or as much as takes about as long.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fuel {
    left: u64,
    /// What is left when it is time to look at the clock.
    watched: u64,
    /// Since when the clock is looked at.
    since: Option<Instant>,
}

/// The time that one tenant has taken beyond what is free.
#[derive(Debug, Default)]
pub(crate) struct Account {
    most: u64,
    /// When it will be paid off, since the process began to count.
    paid_off: AtomicU64,
}

/// When a debt will be paid off.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Debt(u64);

/// So much there is for each Event of everybody. In the worst case it takes about a millisecond.
const FREE_WORK: u64 = 4 << 20;
/// So much time of each Event is nobody's debt.
const FREE_TIME: Duration = Duration::from_millis(1);
/// A debt is paid off in so many times the time that it is of: a tenant has a tenth of the time.
const SHARE: u32 = 10;
/// Who has more debt than this, in time to pay it off, has to do with what is free.
const CREDIT: Duration = Duration::from_secs(10);

/// What any test costs.
pub(crate) const ASKED: u64 = 128;
/// What it costs to look at a byte of JSON by a path, as bytes of a pattern.
pub(crate) const PATH: u64 = 64;
/// What it costs to find one of many texts at some place.
pub(crate) const FOUND: u64 = 32;

static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

// === impl Debt ===

impl Debt {
    pub(crate) fn is_owed(self) -> bool {
        self.0 > nanoseconds(BEGIN.elapsed())
    }
}

// === impl Fuel ===

impl Fuel {
    pub(crate) const UNLIMITED: Self = Self { left: u64::MAX, watched: 0, since: None };

    const fn new(most: u64) -> Self {
        Self { left: most, watched: most.saturating_sub(FREE_WORK), since: None }
    }

    /// Takes what a test costs; false if it is not there.
    pub(crate) fn take(&mut self, work: u64) -> bool {
        let Some(left) = self.left.checked_sub(work) else { return false };
        self.left = left;
        if left < self.watched && self.since.is_none() {
            self.since = Some(Instant::now());
        }
        true
    }
}

// === impl Account ===

impl Account {
    /// The account of a tenant whose rules may cost so much for one Event, with the debt of another one.
    pub(crate) fn new(most: u64, debt: Option<Debt>) -> Self {
        let Debt(paid_off) = debt.unwrap_or_default();
        Self { most, paid_off: AtomicU64::new(paid_off) }
    }

    /// What is still to be paid off, if anything is.
    pub(crate) fn debt(&self) -> Option<Debt> {
        let paid_off = self.paid_off.load(Ordering::Relaxed);
        (paid_off > 0).then_some(Debt(paid_off))
    }

    /// The fuel for an Event, whatever was before.
    pub(crate) fn full(&self) -> Fuel {
        Fuel::new(self.most)
    }

    /// The fuel for an Event at this moment.
    pub(crate) fn fuel(&self) -> Fuel {
        let debt = self.paid_off.load(Ordering::Relaxed);
        // To look at the clock costs more than most Events do.
        if debt > 0 && debt > nanoseconds(BEGIN.elapsed() + CREDIT) {
            return Fuel::new(self.most.min(FREE_WORK));
        }
        self.full()
    }

    /// Writes down what the Event took.
    pub(crate) fn charge(&self, fuel: Fuel) {
        let Some(since) = fuel.since else { return };
        self.owe(since.elapsed(), BEGIN.elapsed());
    }

    fn owe(&self, time: Duration, now: Duration) {
        let owed = time.saturating_sub(FREE_TIME);
        if owed.is_zero() {
            return;
        }
        let (owed, now) = (nanoseconds(owed.saturating_mul(SHARE)), nanoseconds(now));
        let later = |paid_off: u64| Some(paid_off.max(now).saturating_add(owed));
        _ = self.paid_off.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_much_time_gets_what_is_free() {
        let account = Account::new(1 << 30, None);
        assert_eq!(account.fuel().left, 1 << 30);
        account.owe(FREE_TIME, BEGIN.elapsed());
        assert_eq!(account.paid_off.load(Ordering::Relaxed), 0, "nobody's debt");
        account.owe(Duration::from_millis(900), BEGIN.elapsed());
        assert_eq!(account.fuel().left, 1 << 30, "within the credit");
        account.owe(Duration::from_secs(1), BEGIN.elapsed());
        assert_eq!(account.fuel().left, FREE_WORK);
        assert_eq!(account.full().left, 1 << 30);
        assert_eq!(Account::new(1 << 30, account.debt()).fuel().left, FREE_WORK, "it stays");
        let paid_off = account.paid_off.load(Ordering::Relaxed);
        assert!(paid_off < nanoseconds(BEGIN.elapsed() + 2 * CREDIT), "and is out of it in time");
    }

    #[test]
    fn the_clock_is_looked_at_beyond_what_is_free() {
        let mut fuel = Account::new(1 << 30, None).fuel();
        assert!(fuel.take(FREE_WORK));
        assert!(fuel.since.is_none());
        assert!(fuel.take(1));
        assert!(fuel.since.is_some());
        assert!(!fuel.take(1 << 30));
        assert!(fuel.take((1 << 30) - FREE_WORK - 1), "all the rest");
        assert!(!fuel.take(1));
    }
}
