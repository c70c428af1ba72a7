//! The frame of a daemon's `main`.

use std::process::ExitCode;

use anyhow::Context as _;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

use crate::{
    LogOptions,
    shutdown::{Ended, signals, supervise},
};

/// How many threads a program's tasks share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// No work is handed from thread to thread, for programs that move bytes.
    One,
    /// One for each core, for programs that compute.
    PerCore,
}

/// Runs a program to its end and says how the process is to exit.
///
/// The program gets a runtime, logs, a TLS provider, and a token. SIGTERM and SIGINT cancel the
/// token, and the program is waited for; a second signal leaves at once.
///
/// | end | exit code |
/// |---|---|
/// | `Ok` | 0 |
/// | `Err`, which is printed to standard error with its causes | 1 |
/// | a second SIGINT or SIGTERM | 130 or 143 |
pub fn run<F, P>(log: &LogOptions, threads: Threads, program: F) -> ExitCode
where
    F: FnOnce(CancellationToken) -> P,
    P: Future<Output = anyhow::Result<()>>,
{
    match start(log, threads).map(|runtime| drive(runtime, program)) {
        Ok(Ended::Finished(Ok(()))) => ExitCode::SUCCESS,
        Ok(Ended::Interrupted(signal)) => ExitCode::from(signal.exit_code()),
        Ok(Ended::Finished(Err(error))) | Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(log: &LogOptions, threads: Threads) -> anyhow::Result<Runtime> {
    log.init()?;
    // An error means that there is one already, which is as good.
    drop(rustls::crypto::ring::default_provider().install_default());
    let mut builder = match threads {
        Threads::One => Builder::new_current_thread(),
        Threads::PerCore => Builder::new_multi_thread(),
    };
    builder.enable_all().build().context("cannot start the runtime")
}

fn drive<F, P>(runtime: Runtime, program: F) -> Ended
where
    F: FnOnce(CancellationToken) -> P,
    P: Future<Output = anyhow::Result<()>>,
{
    let ended = runtime.block_on(async {
        match signals() {
            Ok(signals) => {
                let shutdown = CancellationToken::new();
                supervise(signals, shutdown.clone(), program(shutdown)).await
            }
            Err(error) => Ended::Finished(Err(error).context("cannot listen for signals")),
        }
    });
    runtime.shutdown_background();
    ended
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_has_a_runtime_with_timers_and_its_own_end() {
        let runtime = Runtime::new().unwrap();
        let ended = drive(runtime, |shutdown| async move {
            shutdown.cancel();
            tokio::time::timeout(std::time::Duration::MAX, shutdown.cancelled()).await?;
            Ok(())
        });
        assert!(matches!(ended, Ended::Finished(Ok(()))), "{ended:?}");
    }
}
