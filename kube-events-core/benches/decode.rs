//! Bytes to Events, on one core.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kube_events_core::event::{Api, Decoder};

#[path = "event/mod.rs"]
mod event;

fn decode(c: &mut Criterion) {
    let decoder = Decoder::new(Api::CoreV1);
    let mut group = c.benchmark_group("decode");
    for (name, text) in [("core", event::core(1)), ("core/cluster", event::core(1))] {
        let decoder =
            if name == "core" { decoder.clone() } else { decoder.clone().cluster("north") };
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("{name} of {} bytes", text.len()), |b| {
            b.iter(|| decoder.decode(black_box(text.as_bytes())).expect("it is an Event"));
        });
    }
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
