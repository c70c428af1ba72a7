//! A controller that is woken by Events that a rule finds.

use std::future::ready;

use futures::StreamExt;
use kube_events_core::{
    event::ObjectReference,
    source::{Observed, kubernetes},
};
use kube_events_rules::{Condition, Subject, Verdict};

const TROUBLE: &str = r#"type = "Warning" and reason in ("BackOff", "Unhealthy") and count >= 3"#;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    rustls::crypto::ring::default_provider().install_default().expect("there is none yet");
    let client = kube::Client::try_default().await?;

    let condition = Condition::parse(TROUBLE)?;
    let events = kubernetes::events(client, kubernetes::WatchOptions::default());
    let mut troubled = events.filter_map(|observed| {
        ready(match observed {
            Ok(Observed::Event(event)) => {
                let verdict = condition.evaluate(&Subject::new(&event));
                (verdict == Verdict::True).then_some(event)
            }
            _ => None,
        })
    });
    while let Some(event) = troubled.next().await {
        reconcile(event.involved_object());
    }
    Ok(())
}

/// Stands for what a controller does about an object: read it, and bring it where it should be.
fn reconcile(object: ObjectReference<'_>) {
    println!("reconcile {} {}/{}", object.kind, object.namespace, object.name);
}
