//! Waiting for something in another process, which no virtual clock can speed up.

use anyhow::{Result, bail};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const POLL: Duration = Duration::from_millis(50);

/// Asks `probe` every 50 ms until it gives a value.
///
/// # Errors
/// The first error of `probe`; or that `what` did not come about within `limit`.
pub async fn until<T>(
    what: &str,
    limit: Duration,
    mut probe: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(value) = probe().await? {
            return Ok(value);
        }
        if Instant::now() >= end {
            bail!("waited {limit:?} in vain: {what}");
        }
        sleep(POLL).await;
    }
}
