//! The operator.

use std::process::ExitCode;

use kube_events_daemon::Threads;
use kube_events_operator::Options;

// musl's own allocator is slow.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let options: Options = kube_events_daemon::parse();
    kube_events_daemon::run(&options.log.clone(), Threads::One, |shutdown| {
        kube_events_operator::run(options, shutdown)
    })
}
