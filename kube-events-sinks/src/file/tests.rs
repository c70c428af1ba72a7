use std::{fs, io::Read};

use flate2::read::GzDecoder;
use kube_events_core::{
    Alert, Event, Notification,
    contract::{Clause, Contract, Delivery, Sample},
};
use serde_json::Value;
use tempfile::TempDir;

use super::*;

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn batch(n: usize) -> Vec<Event> {
    vec![Event::sample(n)]
}

fn state(dir: &TempDir, change: impl FnOnce(&mut FileOptions)) -> State {
    let mut options = FileOptions::new(dir.path().join("events.json"));
    change(&mut options);
    State { options, tail: None, buffer: BytesMut::new() }
}

fn names(dir: &TempDir) -> Vec<String> {
    let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(name).collect();
    names.sort();
    names
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_323_045 + seconds)
}

async fn keeps_the_contract<T: Sample + Encode>() {
    let contract = Contract::<T, _, _>::new(
        async || {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir(dir.path().join("log")).unwrap();
            (File::new(FileOptions::new(dir.path().join("log/events.json"))), dir)
        },
        async |dir: &TempDir| vec![Delivery::accepted(lines(&dir.path().join("log/events.json")))],
    );
    let moved = |dir: &TempDir, from: &str, to: &str| {
        fs::rename(dir.path().join(from), dir.path().join(to)).unwrap();
    };
    let contract = contract
        .failing(move |dir| moved(dir, "log", "away"), move |dir| moved(dir, "away", "log"));
    let report = contract.run().await;
    let skipped = [Clause::Refusal, Clause::Key];
    assert_eq!(report.skipped, skipped, "a file refuses nothing and is given no keys");
}

#[tokio::test]
async fn a_file_of_events_keeps_the_contract() {
    keeps_the_contract::<Event>().await;
}

#[tokio::test]
async fn a_file_of_notifications_keeps_the_contract() {
    keeps_the_contract::<Notification>().await;
}

#[tokio::test]
async fn a_file_of_alerts_keeps_the_contract() {
    keeps_the_contract::<Alert>().await;
}

/// A pipe that nobody reads stands for a volume that hangs.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_file_that_hangs_is_written_once_however_often_it_is_tried() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let sink = File::new(FileOptions::new(&path));
    let batch = Batch::new((0..1000).map(Event::sample).collect::<Vec<_>>()).unwrap();
    assert!(batch.size() > 1 << 17, "more than a pipe holds");
    for _ in 0..3 {
        let tried = tokio::time::timeout(Duration::from_millis(20), sink.send(&batch)).await;
        tried.unwrap_err();
    }
    let pipe = fs::File::open(&path).unwrap();
    let reader = std::thread::spawn(move || io::read_to_string(pipe).unwrap().lines().count());
    sink.send(&batch).await.unwrap();
    Sink::<Event>::close(&sink).await.unwrap();
    drop(sink);
    assert_eq!(reader.join().unwrap(), 1000);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_can_be_tried_again() {
    let sink = File::new(FileOptions::new("/dev/full"));
    let error = sink.send(&Batch::new(batch(1)).unwrap()).await.unwrap_err();
    assert!(error.is_retry(), "{error:?}");
}

#[test]
fn a_file_is_rotated_before_it_is_too_long() {
    let dir = tempfile::tempdir().unwrap();
    let size = Event::sample(0).json().len() as u64 + 1;
    let mut state = state(&dir, |options| options.max_size = Some(2 * size));
    for n in 0..5 {
        state.write(&batch(n), at(n as u64)).unwrap();
    }
    assert_eq!(
        names(&dir),
        ["events-20260102T030407.000Z.json", "events-20260102T030409.000Z.json", "events.json"]
    );
    let ids: Vec<_> = names(&dir).iter().map(|name| lines(&dir.path().join(name)).len()).collect();
    assert_eq!(ids, [2, 2, 1]);
}

#[test]
fn a_batch_larger_than_a_file_is_written_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = state(&dir, |options| options.max_size = Some(10));
    state.write(&batch(0), at(0)).unwrap();
    state.write(&[Event::sample(1), Event::sample(2)], at(1)).unwrap();
    assert_eq!(names(&dir), ["events-20260102T030406.000Z.json", "events.json"]);
    assert_eq!(lines(&dir.path().join("events.json")).len(), 2);
}

#[test]
fn a_file_is_rotated_when_it_is_old() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = state(&dir, |options| options.max_age = Some(Duration::from_secs(3600)));
    let now = SystemTime::now();
    state.write(&batch(0), now).unwrap();
    state.write(&batch(1), now + Duration::from_secs(3500)).unwrap();
    assert_eq!(names(&dir), ["events.json"]);
    state.write(&batch(2), now + Duration::from_secs(3700)).unwrap();
    assert_eq!(names(&dir).len(), 2);
    assert_eq!(lines(&dir.path().join("events.json")), [Event::sample(2).value().clone()]);
}

#[test]
fn files_rotated_at_one_moment_have_different_names() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = state(&dir, |options| options.max_size = Some(1));
    for n in 0..3 {
        state.write(&batch(n), at(0)).unwrap();
    }
    assert_eq!(
        names(&dir),
        ["events-20260102T030405.000Z-1.json", "events-20260102T030405.000Z.json", "events.json"]
    );
}

#[test]
fn rotated_files_are_compressed_and_the_oldest_go() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = state(&dir, |options| {
        options.max_size = Some(1);
        options.max_files = NonZeroU32::new(2);
        options.compress = true;
    });
    for name in ["events-other.json", "events-20260102T030400.000Z.json.gz.tmp"] {
        fs::write(dir.path().join(name), "x").unwrap();
    }
    for n in 0..4 {
        let rotation = state.write(&batch(n), at(n as u64)).unwrap();
        rotation.unwrap().tidy();
    }
    assert_eq!(
        names(&dir),
        [
            "events-20260102T030407.000Z.json.gz",
            "events-20260102T030408.000Z.json.gz",
            "events-other.json",
            "events.json",
        ]
    );
    let packed = fs::File::open(dir.path().join("events-20260102T030408.000Z.json.gz")).unwrap();
    let mut text = String::new();
    GzDecoder::new(packed).read_to_string(&mut text).unwrap();
    assert_eq!(text, format!("{}\n", Event::sample(2).json()));
}

#[test]
fn a_file_that_somebody_took_away_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = state(&dir, |_| {});
    state.write(&batch(0), at(0)).unwrap();
    fs::rename(dir.path().join("events.json"), dir.path().join("taken.json")).unwrap();
    state.write(&batch(1), at(1)).unwrap();
    assert_eq!(lines(&dir.path().join("taken.json")), [Event::sample(0).value().clone()]);
    assert_eq!(lines(&dir.path().join("events.json")), [Event::sample(1).value().clone()]);
}

#[test]
fn a_restart_goes_on_with_the_file() {
    let dir = tempfile::tempdir().unwrap();
    state(&dir, |_| {}).write(&batch(0), at(0)).unwrap();
    let path = dir.path().join("events.json");
    let mut text = fs::read(&path).unwrap();
    text.extend(b"{\"half\":");
    fs::write(&path, text).unwrap();
    state(&dir, |_| {}).write(&batch(1), at(1)).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let [first, second] = [0, 1].map(Event::sample);
    let expected = [first.json(), "{\"half\":", second.json()];
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
}
