//! Delivers Events to a destination of one's own: here a table on standard output.

use async_trait::async_trait;
use kube_events_core::{
    Batch, Event, Pipeline, SendError, Sink,
    pipeline::LaneOptions,
    source::{Start, kubernetes},
};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt as _},
    sync::Mutex,
};

/// Lines of columns, to whatever can be written to.
struct Table<W>(Mutex<W>);

#[async_trait]
impl<W: AsyncWrite + Send + Unpin> Sink<Event> for Table<W> {
    async fn send(&self, batch: &Batch<Event>) -> Result<(), SendError> {
        let mut lines = String::new();
        for event in batch.iter() {
            let object = event.involved_object();
            lines += &[event.namespace(), object.kind, object.name, event.reason()].join("\t");
            lines += "\n";
        }
        // What went wrong may go right later: the pipeline tries again, with the same batch.
        let mut out = self.0.lock().await;
        out.write_all(lines.as_bytes()).await.map_err(SendError::retry)?;
        out.flush().await.map_err(SendError::retry)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    rustls::crypto::ring::default_provider().install_default().expect("there is none yet");
    let client = kube::Client::try_default().await?;
    let open = move |start| {
        let options = kubernetes::WatchOptions { start, ..Default::default() };
        kubernetes::events(client.clone(), options)
    };
    Pipeline::resumable(Start::Held, open)
        .lane("table", Table(Mutex::new(tokio::io::stdout())), LaneOptions::default())
        .run(std::future::pending())
        .await;
    Ok(())
}
