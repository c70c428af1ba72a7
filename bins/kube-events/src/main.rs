//! The kube-events command line.

use std::process::ExitCode;

use clap::Parser as _;

// musl's own allocator is slow.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    kube_events::Cli::parse().run()
}
