//! From signals to the end of a program.

use std::{io, pin::pin};

use futures::{Stream, StreamExt as _, stream::select};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// A signal that asks a process to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Interrupt,
    Terminate,
}

/// How a supervised program came to its end.
#[derive(Debug)]
pub(crate) enum Ended {
    /// By itself, or in order after the first signal.
    Finished(anyhow::Result<()>),
    /// At once, by a second signal.
    Interrupted(Signal),
}

/// The signals that this process gets from now on.
pub(crate) fn signals() -> io::Result<impl Stream<Item = Signal> + Send> {
    let stream = |kind, name| {
        let signal = signal(kind)?;
        io::Result::Ok(
            futures::stream::unfold(signal, move |mut signal| async move {
                signal.recv().await.map(|()| (name, signal))
            })
            .boxed(),
        )
    };
    Ok(select(
        stream(SignalKind::interrupt(), Signal::Interrupt)?,
        stream(SignalKind::terminate(), Signal::Terminate)?,
    ))
}

/// Runs a program: the first signal cancels its token, the second ends it where it stands.
pub(crate) async fn supervise(
    signals: impl Stream<Item = Signal>,
    shutdown: CancellationToken,
    program: impl Future<Output = anyhow::Result<()>>,
) -> Ended {
    let mut signals = pin!(signals.fuse());
    let mut program = pin!(program);
    loop {
        tokio::select! {
            biased;
            ended = &mut program => return Ended::Finished(ended),
            Some(signal) = signals.next() => {
                if shutdown.is_cancelled() {
                    warn!(?signal, "second signal: leaving without waiting");
                    return Ended::Interrupted(signal);
                }
                info!(?signal, "shutting down");
                shutdown.cancel();
            }
        }
    }
}

// === impl Signal ===

impl Signal {
    /// 128 and the signal's number, as shells tell it.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::stream::{iter, pending};

    use super::*;

    #[tokio::test]
    async fn the_first_signal_ends_a_program_in_order() {
        let shutdown = CancellationToken::new();
        let program = {
            let shutdown = shutdown.clone();
            async move {
                shutdown.cancelled().await;
                anyhow::bail!("drained")
            }
        };
        let signals = iter([Signal::Terminate]).chain(pending());
        let Ended::Finished(result) = supervise(signals, shutdown, program).await else {
            panic!("the program was not waited for")
        };
        assert_eq!(result.unwrap_err().to_string(), "drained");
    }

    #[tokio::test]
    async fn the_second_signal_does_not_wait() {
        let signals = iter([Signal::Terminate, Signal::Interrupt]);
        let ended = supervise(signals, CancellationToken::new(), std::future::pending()).await;
        let Ended::Interrupted(signal) = ended else { panic!("it ended by itself") };
        assert_eq!(signal.exit_code(), 130);
    }

    #[tokio::test]
    async fn a_program_may_end_without_any_signal() {
        let ended = supervise(pending(), CancellationToken::new(), async { Ok(()) }).await;
        assert!(matches!(ended, Ended::Finished(Ok(()))));
    }
}
