//! Which Events are evaluated with a clock in hand.

use std::cell::Cell;

/// Of so many Events that a thread evaluates, one is timed. A prime, so that Events which come in batches of one size,
/// or in turn, are not timed at the same place each time.
pub(crate) const ONE_OF: u32 = 1021;

thread_local! {
    static EVALUATED: Cell<u32> = const { Cell::new(0) };
}

/// Whether the next Event is to be timed. The first of a thread, which finds nothing prepared, is not.
pub(crate) fn is_due() -> bool {
    let count = EVALUATED.get() + 1;
    let due = count == ONE_OF;
    EVALUATED.set(if due { 0 } else { count });
    due
}
