//! The ruler.

use std::process::ExitCode;

use kube_events_ruler::Options;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let options: Options = kube_events_daemon::parse();
    kube_events_daemon::run(&options.log.clone(), |shutdown| {
        kube_events_ruler::run(options, shutdown)
    })
}
