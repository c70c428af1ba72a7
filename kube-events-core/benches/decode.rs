//! Bytes to Events, on one core.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kube_events_core::event::{Api, Decoder};

#[path = "event/mod.rs"]
mod event;

fn decode(c: &mut Criterion) {
    let text = event::core(1);
    let plain = Decoder::new(Api::CoreV1);
    let named = plain.clone().cluster("north");
    let mut group = c.benchmark_group(format!("decode {} bytes", text.len()));
    group.throughput(Throughput::Elements(1));
    group.bench_function("an object by itself", |b| {
        b.iter(|| plain.decode(black_box(text.as_bytes())).expect("it is an Event"));
    });
    group.bench_function("in a list or a watch", |b| {
        b.iter(|| plain.decode_prefix(black_box(&text)).expect("it is an Event"));
    });
    group.bench_function("with the cluster's name", |b| {
        b.iter(|| named.decode_prefix(black_box(&text)).expect("it is an Event"));
    });
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
