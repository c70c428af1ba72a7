//! What 10,000 rules take of memory: `cargo bench --package kube-events-rules --bench memory`.

use std::{alloc::System, hint::black_box};

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

mod common;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const RULES: usize = 10_000;

fn main() {
    let (objects, events) = (common::objects(&common::mixed(RULES)), common::events());
    let region = Region::new(ALLOCATOR);
    let rules = black_box(common::compiled_all(&objects));
    println!("memory/{RULES}: {} bytes a rule", held(&region) / RULES);
    for event in &events {
        black_box(rules.evaluate(event));
    }
    println!("memory/{RULES}, evaluated: {} bytes a rule", held(&region) / RULES);
}

/// Bytes that were allocated since and not freed.
fn held(region: &Region<'_, System>) -> usize {
    let change = region.change();
    change.bytes_allocated - change.bytes_deallocated
}
