//! The pipeline from a scripted source to recording sinks, in virtual time.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{Stream, StreamExt, stream};
use kube_events_core::{
    Batch, Event, Gap, Pipeline, ResourceVersion, SendError, Sink,
    checkpoint::{MemoryStore, Store},
    gap::GapReason,
    pipeline::LaneOptions,
    sink_fn,
    source::{Observed, SourceError, Start},
};
use tokio::time::Instant;

type Observation = Result<Observed, SourceError>;

fn event(n: u64) -> Event {
    let text = format!(
        r#"{{"metadata":{{"uid":"{n}","resourceVersion":"{n}"}},"message":"{}"}}"#,
        "x".repeat(500)
    );
    Event::decode(text.as_bytes()).unwrap()
}

/// What a watch after `from` gives: each Event, and the progress that it makes.
fn watch(from: u64, to: u64) -> impl Stream<Item = Observation> + Send {
    stream::iter(from + 1..=to).flat_map(|n| {
        stream::iter([
            Ok(Observed::Event(event(n))),
            Ok(Observed::Progress(ResourceVersion::from(n.to_string()))),
        ])
    })
}

fn after(start: &Start) -> u64 {
    match start {
        Start::After { resource_version, .. } => resource_version.as_str().parse().unwrap(),
        _ => 0,
    }
}

#[derive(Clone, Default)]
struct Recorder {
    got: Arc<Mutex<Vec<u64>>>,
    down: Arc<AtomicBool>,
}

impl Recorder {
    fn sink(&self) -> impl Sink<Event> + use<> {
        let this = self.clone();
        sink_fn(move |batch: Batch<Event>| {
            let this = this.clone();
            async move {
                if this.down.load(Ordering::Relaxed) {
                    return Err(SendError::retry("down"));
                }
                let uids = batch.iter().map(|event| event.uid().parse::<u64>().unwrap());
                this.got.lock().unwrap().extend(uids);
                Ok(())
            }
        })
    }

    fn got(&self) -> Vec<u64> {
        self.got.lock().unwrap().clone()
    }
}

fn options() -> LaneOptions {
    LaneOptions { max_events: 7, ..LaneOptions::default() }
}

fn all(to: u64) -> Vec<u64> {
    (1..=to).collect()
}

#[tokio::test(start_paused = true)]
async fn every_lane_gets_every_event_in_order() {
    let (a, b) = (Recorder::default(), Recorder::default());
    let report = Pipeline::new(watch(0, 100))
        .lane("a", a.sink(), options())
        .lane("b", b.sink(), options())
        .run(std::future::pending())
        .await;
    assert_eq!((a.got(), b.got()), (all(100), all(100)));
    assert!(report.lanes.iter().all(|lane| lane.delivered == 100 && lane.pending == 0));
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_is_down_gets_everything_when_it_is_back_and_holds_up_nobody() {
    const LAST: u32 = 50_000;
    let (dead, alive) = (Recorder::default(), Recorder::default());
    dead.down.store(true, Ordering::Relaxed);
    let pipeline = Pipeline::resumable(Start::Held, |start| {
        watch(after(&start), LAST.into()).chain(stream::pending())
    })
    .lane("dead", dead.sink(), LaneOptions::default())
    .lane("alive", alive.sink(), LaneOptions::default());
    let handle = pipeline.handle();
    let start = Instant::now();
    let watching = alive.clone();
    let shutdown = async {
        while watching.got().len() < LAST as usize {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        let lanes = handle.lanes();
        assert_eq!(lanes[0].failing.as_deref(), Some("not delivered: down"));
        assert_eq!((lanes[0].lag, lanes[1].lag), (LAST.into(), 0));
        dead.down.store(false, Ordering::Relaxed);
        while dead.got().len() < LAST as usize {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    pipeline.run(shutdown).await;
    assert_eq!(alive.got(), all(LAST.into()));
    assert_eq!(dead.got(), all(LAST.into()));
    assert!(handle.lanes()[0].retries > 0);
}

/// A history that ends between marks is opened again at the last one, and tells again what the sink has.
#[tokio::test(start_paused = true)]
async fn a_history_that_ends_between_marks_repeats_nothing_and_loses_nothing() {
    const LAST: u32 = 40_000;
    let (slow, quick) = (Recorder::default(), Recorder::default());
    slow.down.store(true, Ordering::Relaxed);
    let opened = Arc::new(AtomicU64::new(0));
    let openings = Arc::clone(&opened);
    let pipeline = Pipeline::resumable(Start::Held, move |start| {
        let from = after(&start);
        match openings.fetch_add(1, Ordering::Relaxed) {
            // No progress is told: nine Events that the next one tells again.
            1..=3 => {
                stream::iter(from + 1..=from + 9).map(|n| Ok(Observed::Event(event(n)))).boxed()
            }
            _ => watch(from, LAST.into()).chain(stream::pending()).boxed(),
        }
    })
    .lane("slow", slow.sink(), options())
    .lane("quick", quick.sink(), options());
    let shutdown = async {
        while quick.got().len() < LAST as usize {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        slow.down.store(false, Ordering::Relaxed);
        while slow.got().last() != Some(&LAST.into()) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    pipeline.run(shutdown).await;
    assert_eq!(opened.load(Ordering::Relaxed), 5, "the history was opened again");
    assert_eq!(slow.got(), all(LAST.into()));
}

#[tokio::test(start_paused = true)]
async fn a_restart_repeats_nothing_and_loses_nothing() {
    let store = Arc::new(MemoryStore::default());
    let (a, b) = (Recorder::default(), Recorder::default());
    for last in [30, 60] {
        let run = move |start: Start| watch(after(&start), last);
        Pipeline::resumable(Start::Held, run)
            .lane("a", a.sink(), options())
            .lane("b", b.sink(), options())
            .checkpoint(Arc::clone(&store))
            .run(std::future::pending())
            .await;
        b.down.store(last == 60, Ordering::Relaxed);
    }
    assert_eq!((a.got(), b.got()), (all(60), all(60)));
    let checkpoint = store.load().await.unwrap();
    assert_eq!(checkpoint.lanes["a"].resource_version, "60".into());
}

#[tokio::test(start_paused = true)]
async fn lanes_that_stand_at_different_places_resume_each_at_its_own() {
    let store = Arc::new(MemoryStore::default());
    let (a, b) = (Recorder::default(), Recorder::default());
    b.down.store(true, Ordering::Relaxed);
    for last in [30, 60] {
        Pipeline::resumable(Start::Held, move |start| watch(after(&start), last))
            .lane("a", a.sink(), options())
            .lane("b", b.sink(), options())
            .grace(Duration::from_secs(1))
            .checkpoint(Arc::clone(&store))
            .run(std::future::pending())
            .await;
        b.down.store(false, Ordering::Relaxed);
    }
    assert_eq!((a.got(), b.got()), (all(60), all(60)));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_delivers_what_was_read_and_no_longer_than_the_grace() {
    let (alive, dead) = (Recorder::default(), Recorder::default());
    dead.down.store(true, Ordering::Relaxed);
    let start = Instant::now();
    let report = Pipeline::new(watch(0, 20).chain(stream::pending()))
        .lane("alive", alive.sink(), options())
        .lane("dead", dead.sink(), options())
        .grace(Duration::from_secs(5))
        .run(tokio::time::sleep(Duration::from_secs(1)))
        .await;
    assert_eq!(start.elapsed(), Duration::from_secs(6));
    assert_eq!(alive.got(), all(20));
    assert_eq!((report.lanes[1].delivered, report.lanes[1].pending), (0, 20));
}

#[tokio::test(start_paused = true)]
async fn a_refused_event_is_counted_and_the_others_go_on() {
    let sink = sink_fn(|batch: Batch<Event>| async move {
        match batch.iter().position(|event| event.uid() == "5") {
            Some(at) => Err(SendError::reject(vec![at], "bad")),
            None => Ok(()),
        }
    });
    let pipeline = Pipeline::new(watch(0, 20)).lane("a", sink, options());
    let handle = pipeline.handle();
    let report = pipeline.run(std::future::pending()).await;
    assert_eq!((report.lanes[0].delivered, report.lanes[0].rejected), (19, 1));
    assert_eq!(handle.lanes()[0].last_error.as_deref(), Some("1 refused: bad"));
}

#[tokio::test(start_paused = true)]
async fn an_event_alone_is_sent_at_once_and_those_that_follow_go_together() {
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let start = Instant::now();
    let record = Arc::clone(&sizes);
    let sink = sink_fn(move |batch: Batch<Event>| {
        record.lock().unwrap().push((start.elapsed(), batch.len()));
        async { Ok(()) }
    });
    let source = watch(0, 4).then(|observed| async {
        if matches!(observed, Ok(Observed::Event(_))) {
            tokio::time::sleep(Duration::from_millis(4)).await;
        }
        observed
    });
    Pipeline::new(source).lane("a", sink, LaneOptions::default()).run(std::future::pending()).await;
    let ms = Duration::from_millis;
    assert_eq!(*sizes.lock().unwrap(), [(ms(4), 1), (ms(19), 3)]);
}

#[tokio::test(start_paused = true)]
async fn a_list_moves_no_position_before_it_is_complete() {
    let store = Arc::new(MemoryStore::default());
    let list = stream::iter((1..=20).map(|n| Ok(Observed::Event(event(n)))));
    let a = Recorder::default();
    Pipeline::new(list)
        .lane("a", a.sink(), options())
        .checkpoint(Arc::clone(&store))
        .run(std::future::pending())
        .await;
    assert_eq!(a.got().len(), 20);
    assert!(store.load().await.unwrap().lanes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_a_lane_that_is_behind() {
    let (dead, alive) = (Recorder::default(), Recorder::default());
    let pipeline = Pipeline::resumable(Start::Held, |start| {
        watch(after(&start), 30_000).chain(stream::pending())
    })
    .lane("slow", slow(&dead), LaneOptions::default())
    .lane("alive", alive.sink(), LaneOptions::default());
    let start = Instant::now();
    pipeline.run(tokio::time::sleep(Duration::from_secs(30))).await;
    assert!(start.elapsed() <= Duration::from_secs(51), "{:?}", start.elapsed());
    assert_eq!(alive.got(), all(30_000));
}

/// A sink that takes five seconds for each batch.
fn slow(recorder: &Recorder) -> impl Sink<Event> + use<> {
    let sink = Arc::new(recorder.sink());
    sink_fn(move |batch: Batch<Event>| {
        let sink = Arc::clone(&sink);
        async move {
            tokio::time::sleep(Duration::from_secs(5)).await;
            sink.send(&batch).await
        }
    })
}

#[tokio::test(start_paused = true)]
async fn after_versions_went_back_nothing_is_taken_for_old() {
    let store = Arc::new(MemoryStore::default());
    let a = Recorder::default();
    let first = Pipeline::resumable(Start::Held, move |start| watch(after(&start), 100));
    first
        .lane("a", a.sink(), options())
        .checkpoint(Arc::clone(&store))
        .run(std::future::pending())
        .await;
    let second = Pipeline::resumable(Start::Held, move |_| {
        let gap = Gap {
            reason: GapReason::WentBack,
            from: Some("100".into()),
            to: Some("40".into()),
            since: None,
            until: "2026-01-02T03:04:05Z".parse().unwrap(),
        };
        stream::iter([Ok(Observed::Gap(gap))]).chain(watch(40, 50))
    });
    second
        .lane("a", a.sink(), options())
        .checkpoint(Arc::clone(&store))
        .run(std::future::pending())
        .await;
    assert_eq!(a.got()[100..], (41..=50).collect::<Vec<_>>());
    assert_eq!(store.load().await.unwrap().lanes["a"].resource_version, "50".into());
}
