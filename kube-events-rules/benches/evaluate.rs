//! What rules cost an Event that is decoded already, and what it costs to compile them.

use std::{
    cell::Cell,
    hint::black_box,
    sync::{Arc, RwLock},
};

use criterion::{
    BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main,
    measurement::WallTime,
};
use jiff::{SignedDuration, Timestamp};
use kube_events_core::{Event, crd::RuleSpec};
use kube_events_rules::{
    Condition, RuleSet, Subject,
    state::{State, StateOptions},
};
use regex::RegexSetBuilder;

mod common;

/// One Event after the other, as often as it is asked for.
fn in_turn<'a>(events: &'a [Event]) -> impl Fn() -> &'a Event {
    let at = Cell::new(0);
    move || {
        at.set((at.get() + 1) % events.len());
        &events[at.get()]
    }
}

fn evaluate(c: &mut Criterion) {
    let events = common::events();
    let mut group = c.benchmark_group("evaluate");
    group.throughput(Throughput::Elements(1));
    let mut run = |name: &str, rules: &RuleSet| {
        let matched = events.iter().filter(|event| !rules.evaluate(event).matched().is_empty());
        println!("evaluate/{name}: {} of {} Events match a rule", matched.count(), events.len());
        let event = in_turn(&events);
        group.bench_function(name, |b| {
            b.iter(|| black_box(rules.evaluate(event()).matched().len()));
        });
    };
    run("default", &common::defaults());
    for rules in [100, 1_000, 10_000] {
        run(&rules.to_string(), &common::compiled(&common::mixed(rules)));
    }
    run("all_regex_1000", &common::compiled(&common::regexes(1_000)));
    for (name, spec) in [
        ("reference_default", kube_events_rules::default_rules()),
        ("reference_1000", common::mixed(1_000)),
        ("reference_10000", common::mixed(10_000)),
    ] {
        let rules = parsed(&spec);
        let event = in_turn(&events);
        group.bench_function(name, |b| b.iter(|| black_box(walk(&rules, event()))));
    }
}

/// One thousand patterns by the index of texts, beside all of them in one engine: on messages that come again and again,
/// and on such that are new.
fn regex_set(c: &mut Criterion) {
    let rules = common::compiled(&common::regexes(1_000));
    let mut builder = RegexSetBuilder::new((0..1_000).map(common::pattern));
    let set = builder.size_limit(usize::MAX).build().expect("each is a pattern");
    let mut group = c.benchmark_group("patterns");
    group.throughput(Throughput::Elements(1));
    for (name, events) in [("again", common::events()), ("new", common::unlike())] {
        let by_set = |event: &Event| set.matches(event.message()).iter().count();
        let by_index = |event: &Event| rules.evaluate(event).matched().len();
        assert!(events.iter().all(|event| by_set(event) == by_index(event)), "they agree");
        let event = in_turn(&events);
        group.bench_function(format!("index/{name}"), |b| b.iter(|| by_index(event())));
        group.bench_function(format!("regex_set/{name}"), |b| b.iter(|| by_set(event())));
    }
}

/// The plain evaluator: each condition for itself, one after the other.
fn walk(conditions: &[Condition], event: &Event) -> usize {
    let subject = Subject::new(event);
    conditions.iter().filter(|condition| condition.evaluate(&subject).matches()).count()
}

fn parsed(spec: &RuleSpec) -> Vec<Condition> {
    let texts = spec.rules.iter().filter(|rule| rule.enable);
    texts.map(|rule| Condition::parse(&rule.condition).expect("a condition")).collect()
}

fn compile(c: &mut Criterion) {
    let objects = common::objects(&common::mixed(10_000));
    let mut group = c.benchmark_group("compile");
    group.sample_size(10);
    group.bench_function("10000", |b| {
        b.iter_with_large_drop(|| common::compiled_all(&objects));
    });
}

/// What an evaluation costs while sets of 10,000 rules take each other's place.
fn swap(c: &mut Criterion) {
    let events = common::events();
    let sets = [common::compiled(&common::mixed(10_000)), common::compiled(&common::mixed(10_000))];
    let current = Arc::new(RwLock::new(sets[0].clone()));
    let event = in_turn(&events);
    let turn = Cell::new(0);
    c.bench_function("swap/10000", |b| {
        b.iter(|| {
            turn.set(turn.get() + 1);
            *current.write().expect("nobody panics") = sets[turn.get() % 2].clone();
            let rules = current.read().expect("nobody panics").clone();
            black_box(rules.evaluate(event()).matched().len())
        });
    });
    adopt(c);
}

/// For how long rules with state cannot be evaluated when 10,000 of them take each other's place, each with a group.
fn adopt(c: &mut Criterion) {
    let now = Timestamp::UNIX_EPOCH;
    let spec = common::counting(10_000);
    let first = common::compiled(&spec);
    let sets = [common::following(&first, &spec), first];
    let mut state = State::new(StateOptions { bytes: usize::MAX, ..StateOptions::default() });
    state.adopt(&sets[1], now);
    let event = &common::events()[0];
    state.observe(&sets[1].evaluate_at(event, now), now);
    assert_eq!(state.statistics().groups, 10_000);
    let mut turn = 0;
    c.bench_function("swap/adopt_10000", |b| {
        b.iter(|| {
            turn += 1;
            state.adopt(&sets[turn % 2], now)
        });
    });
    assert_eq!(state.statistics().groups, 10_000, "all of them went on");
}

/// What an Event of one namespace costs beside a tenant whose rules are as costly as can be.
fn hostile(c: &mut Criterion) {
    let own = common::mixed(1_000);
    let event = event_of("shop-7");
    let mut group = c.benchmark_group("hostile");
    group.throughput(Throughput::Elements(1));
    for (name, others) in [("without", None), ("with", Some(common::worst(10_000)))] {
        let rules = common::tenants(("shop-7", &own), others.as_ref().map(|spec| ("shop-8", spec)));
        group.bench_function(name, |b| {
            b.iter(|| black_box(rules.evaluate(black_box(&event)).matched().len()));
        });
    }
    // And a tenant's own Events, with a text that its patterns like least: a first one, and those that come all the time.
    let rules = common::bounded(("shop-8", &common::thrashing(10_000)));
    let event = common::thrashed("shop-8");
    group.bench_function("own", |b| {
        b.iter(|| {
            black_box(rules.evaluate_at(black_box(&event), Timestamp::UNIX_EPOCH).undecided())
        });
    });
    group.bench_function("own_for_long", |b| {
        b.iter(|| black_box(rules.evaluate(black_box(&event)).undecided()));
    });
    for (name, late) in [("counted", 0), ("counted_late", 30)] {
        counted(&mut group, name, late);
    }
}

/// What an Event costs of which 500 rules of its namespace count hundreds, so many seconds after others.
fn counted(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, late: i64) {
    let rules = common::bounded(("shop-8", &common::counting(500)));
    let mut state = State::new(StateOptions { bytes: usize::MAX, ..StateOptions::default() });
    let now = Timestamp::from_second(1_800_000_000).expect("it is one");
    state.adopt(&rules, now);
    let number = Cell::new(0);
    let mut observe = |event: &Event| {
        let outcome = rules.evaluate_at(event, now);
        black_box(state.observe(&outcome, now).alerts.len())
    };
    let event = |late: i64| {
        number.set(number.get() + 1);
        common::counted("shop-8", number.get(), now - SignedDuration::from_secs(late))
    };
    for _ in 0..1024 {
        observe(&event(0));
    }
    group.bench_function(name, |b| {
        b.iter_batched(|| event(late), |event| observe(&event), BatchSize::SmallInput);
    });
}

fn event_of(namespace: &str) -> Event {
    let mut events = common::events().into_iter();
    let of = |event: &Event| event.involved_object().namespace == namespace;
    events.find(of).expect("each namespace has some")
}

criterion_group!(benches, evaluate, regex_set, compile, swap, hostile);
criterion_main!(benches);
