//! An exporter inside a program: Events go to standard output and to a file, each on a lane of its
//! own, and a restart goes on where the last run ended.
//!
//! The folder that is given as the argument, or else the current one, holds `events.json` and
//! `checkpoint.json`.

use std::{env, path::PathBuf, time::Duration};

use kube_events_core::{
    Pipeline,
    checkpoint::FileStore,
    crd::sinks::StdoutFormat,
    pipeline::{Handle, LaneOptions},
    source::{Start, kubernetes},
};
use kube_events_sinks::{
    file::{File, FileOptions},
    stdout::Stdout,
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    rustls::crypto::ring::default_provider().install_default().expect("there is none yet");
    let folder = PathBuf::from(env::args_os().nth(1).unwrap_or_else(|| ".".into()));
    let client = kube::Client::try_default().await?;

    let open = move |start| {
        let options = kubernetes::WatchOptions { start, ..Default::default() };
        kubernetes::events(client.clone(), options)
    };
    let archive = File::new(FileOptions::new(folder.join("events.json")));
    let pipeline = Pipeline::resumable(Start::Held, open)
        .lane("stdout", Stdout::new(StdoutFormat::Auto)?, LaneOptions::default())
        .lane("archive", archive, LaneOptions::default())
        .checkpoint(FileStore::new(folder.join("checkpoint.json")));

    // Whoever embeds a pipeline looks at it while it runs, here every ten seconds.
    let watching = tokio::spawn(tell(pipeline.handle()));
    let interrupted = async { tokio::signal::ctrl_c().await.expect("it can be listened for") };
    let report = pipeline.run(interrupted).await;
    watching.abort();
    for lane in report.lanes {
        eprintln!("{}: {} delivered, {} pending", lane.name, lane.delivered, lane.pending);
    }
    Ok(())
}

async fn tell(pipeline: Handle) {
    let mut ticks = tokio::time::interval(Duration::from_secs(10));
    loop {
        ticks.tick().await;
        for lane in pipeline.lanes() {
            let trouble = lane.failing.unwrap_or_else(|| "well".to_owned());
            eprintln!(
                "{}: {} delivered, {} waiting, {trouble}",
                lane.name, lane.delivered, lane.lag
            );
        }
    }
}
