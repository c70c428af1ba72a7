//! A server on the loopback interface, the Kubernetes source, and nothing behind it.
//!
//! The server writes answers that were made before, so what is measured is the client: HTTP, the
//! source and decoding.

use std::{sync::Arc, time::Duration};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use futures::StreamExt;
use kube::{Client, Config};
use kube_events_core::source::{Observed, Start, kubernetes};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};

#[path = "event/mod.rs"]
mod event;

const EVENTS: u64 = 20_000;
const PAGE: u64 = 500;

/// The bodies of a list in pages and of a watch, as they are sent.
struct Bodies {
    pages: Vec<Vec<u8>>,
    watch: Vec<u8>,
}

impl Bodies {
    fn new() -> Self {
        let pages = (0..EVENTS / PAGE).map(|page| list_page(page).into_bytes()).collect();
        let lines = (1..=EVENTS)
            .map(|version| format!("{{\"type\":\"ADDED\",\"object\":{}}}\n", event::core(version)));
        Self { pages, watch: lines.collect::<String>().into_bytes() }
    }

    async fn serve(self: Arc<Self>, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(Arc::clone(&self).answer(stream));
        }
    }

    async fn answer(self: Arc<Self>, stream: TcpStream) -> std::io::Result<()> {
        let mut stream = BufReader::with_capacity(8 << 10, stream);
        loop {
            let mut request = String::new();
            while !request.ends_with("\r\n\r\n") {
                if stream.read_line(&mut request).await? == 0 {
                    return Ok(());
                }
            }
            let probe = br#"{"metadata":{"resourceVersion":"1"},"items":[]}"#;
            if request.contains("watch=true") {
                send(&mut stream, &self.watch).await?;
                std::future::pending::<()>().await;
            } else if request.contains("limit=1&") || request.contains("limit=1 ") {
                send(&mut stream, probe).await?;
            } else {
                let page = request.split_once("continue=").map_or(0, |(_, rest)| {
                    let end = rest.find(['&', ' ']).unwrap_or(rest.len());
                    rest[..end].parse().expect("the token is a page")
                });
                send(&mut stream, &self.pages[page]).await?;
            }
        }
    }
}

/// With a length, and chunks are the kernel's.
async fn send(stream: &mut BufReader<TcpStream>, body: &[u8]) -> std::io::Result<()> {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await
}

fn list_page(page: u64) -> String {
    let next = if (page + 1) * PAGE < EVENTS { (page + 1).to_string() } else { String::new() };
    let first = page * PAGE + 1;
    let items: Vec<_> = (first..first + PAGE).map(event::core).collect();
    format!(
        r#"{{"kind":"EventList","apiVersion":"v1","metadata":{{"resourceVersion":"{EVENTS}","continue":"{next}"}},"items":[{}]}}"#,
        items.join(",")
    )
}

/// Reads all the events of the list, or of the watch.
async fn read(client: Client, start: Start) -> u64 {
    let options = kubernetes::WatchOptions { start, ..Default::default() };
    let mut source = kubernetes::events(client, options);
    let mut count = 0;
    while count < EVENTS {
        match source.next().await {
            Some(Ok(Observed::Event(_))) => count += 1,
            Some(Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    count
}

fn watch(c: &mut Criterion) {
    // The server has a thread of its own.
    let server = Runtime::new().expect("a runtime for the server");
    let listener = server.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
    let address = listener.local_addr().expect("an address");
    server.spawn(Arc::new(Bodies::new()).serve(listener));
    let client = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let client = client.expect("a runtime for the client");

    let connect = || {
        let url = format!("http://{address}").parse().expect("a URL");
        Client::try_from(Config::new(url)).expect("a client")
    };
    let mut group = c.benchmark_group("loopback");
    group.throughput(Throughput::Elements(EVENTS)).sample_size(20);
    group.measurement_time(Duration::from_secs(10));
    for (name, start) in [("list", Start::Held), ("watch", Start::Now)] {
        group.bench_function(name, |b| {
            b.to_async(&client).iter_batched(
                || start.clone(),
                async |start| read(connect(), start).await,
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, watch);
criterion_main!(benches);
