//! A workload at a rate, into a server.

use std::convert::Infallible;
use std::fmt::Display;
use std::future::{Future, ready};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};

use crate::apiserver::ApiServer;
use crate::oracle::Identity;
use crate::workload::{Step, Workload};

/// Where a workload's Events go.
///
/// [`ApiServer`] is one, without HTTP; for a real cluster, implement it over a client:
/// POST [`EventDraft::to_json`](crate::EventDraft::to_json), PATCH [`EventDraft::to_patch`](crate::EventDraft::to_patch).
pub trait EventTarget {
    /// What can go wrong.
    type Error: Display;

    /// Carries out the steps in order, at least as far as one Event is concerned; answers with
    /// the identity of each state that was written.
    ///
    /// # Errors
    /// A step failed; those before it were carried out.
    fn apply(
        &self,
        steps: &[Step],
    ) -> impl Future<Output = Result<Vec<Identity>, Self::Error>> + Send;
}

impl EventTarget for ApiServer {
    type Error = Infallible;

    fn apply(
        &self,
        steps: &[Step],
    ) -> impl Future<Output = Result<Vec<Identity>, Infallible>> + Send {
        ready(Ok(self.write_events(steps.iter().map(Step::event))))
    }
}

/// How much of a workload is driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// So many steps.
    Steps(usize),
    /// For so long.
    For(Duration),
}

/// Time between two batches of steps.
const TICK: Duration = Duration::from_millis(10);

impl Workload {
    /// Carries steps out at a rate, and passes on the identities that were written, batch by
    /// batch. A target that is too slow lowers the rate; no step is left out.
    ///
    /// # Cancellation
    /// Steps of the batch in flight may have been carried out without being passed on.
    ///
    /// # Errors
    /// The target's.
    pub async fn drive<T: EventTarget>(
        &mut self,
        target: &T,
        per_second: u32,
        extent: Extent,
        mut written: impl FnMut(&[Identity]),
    ) -> Result<usize, T::Error> {
        let start = Instant::now();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut done = 0;
        loop {
            ticks.tick().await;
            let elapsed = start.elapsed();
            let due = due(per_second, elapsed, extent);
            let steps: Vec<Step> = self.by_ref().take(due.saturating_sub(done)).collect();
            if !steps.is_empty() {
                written(&target.apply(&steps).await?);
                done += steps.len();
            }
            let over = match extent {
                Extent::Steps(steps) => done >= steps,
                Extent::For(time) => elapsed >= time,
            };
            if over {
                return Ok(done);
            }
        }
    }
}

/// Steps that should have been carried out by now.
fn due(per_second: u32, elapsed: Duration, extent: Extent) -> usize {
    let time = match extent {
        Extent::Steps(_) => elapsed + TICK,
        Extent::For(time) => (elapsed + TICK).min(time),
    };
    let due = u128::from(per_second) * time.as_micros() / 1_000_000;
    let due = usize::try_from(due).unwrap_or(usize::MAX);
    match extent {
        Extent::Steps(steps) => due.min(steps),
        Extent::For(_) => due,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_driven_workload_keeps_its_rate() {
        let server = ApiServer::start().await.unwrap();
        let start = Instant::now();
        let mut identities = Vec::new();
        let driven = Workload::seeded(1)
            .drive(&server, 1_000, Extent::Steps(500), |batch| identities.extend_from_slice(batch))
            .await
            .unwrap();
        assert_eq!((driven, identities.len()), (500, 500));
        let time = start.elapsed();
        assert!((480..=520).contains(&time.as_millis()), "{time:?}");
    }
}
