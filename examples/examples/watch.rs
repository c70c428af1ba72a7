//! Prints the Events that the cluster holds, and then those that come.

use futures::StreamExt;
use kube_events_core::source::{Observed, kubernetes};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    rustls::crypto::ring::default_provider().install_default().expect("there is none yet");
    let client = kube::Client::try_default().await?;
    let mut events = kubernetes::events(client, kubernetes::WatchOptions::default());
    while let Some(observed) = events.next().await {
        match observed {
            Ok(Observed::Event(event)) => println!("{} {}", event.reason(), event.message()),
            Ok(Observed::Gap(gap)) => eprintln!("{gap}"),
            Ok(_) => {}
            Err(error) => eprintln!("{error}; going on"),
        }
    }
    Ok(())
}
