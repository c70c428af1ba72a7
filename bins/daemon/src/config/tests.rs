use std::{fs, os::unix::fs::symlink};

use prometheus_client::{encoding::text::encode, registry::Registry};
use serde::Deserialize;
use tempfile::{TempDir, tempdir};
use tokio::{join, time::timeout};

use futures::{FutureExt as _, future::ready};

use super::*;

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Settings {
    cluster: Option<String>,
    lanes: Vec<String>,
}

type Names = mpsc::UnboundedReceiver<String>;

/// A file in a folder of its own, whose cluster names are told as they come into force. `bad` does not
/// until there is a file `allowed` beside it.
struct Fixture {
    folder: TempDir,
    registry: Registry,
    metrics: ConfigMetrics,
}

impl Fixture {
    fn new(text: &str) -> Self {
        let folder = tempdir().unwrap();
        let mut registry = Registry::default();
        let metrics = ConfigMetrics::register(&mut registry);
        let this = Self { folder, registry, metrics };
        this.write(text);
        this
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("config.yaml")
    }

    fn write(&self, text: &str) {
        fs::write(self.path(), text).unwrap();
    }

    async fn open(
        &self,
    ) -> Result<(ConfigFile<Settings, impl FnMut(Settings) -> Applied>, Names), ConfigError> {
        let (applied, names) = mpsc::unbounded_channel();
        let allowed = self.folder.path().join("allowed");
        let apply = move |settings: Settings| {
            let (applied, allowed) = (applied.clone(), allowed.exists());
            async move {
                let cluster = settings.cluster.unwrap_or_default();
                anyhow::ensure!(cluster != "bad" || allowed, "the cluster is bad");
                applied.send(cluster)?;
                Ok(())
            }
            .boxed()
        };
        Ok((ConfigFile::open(self.path(), self.metrics.clone(), apply).await?, names))
    }

    /// The value of a metric.
    fn metric(&self, name: &str) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).unwrap();
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
            .unwrap_or_else(|| panic!("no {name} in {text}"))
            .to_owned()
    }

    fn failures(&self) -> String {
        self.metric("kube_events_config_reload_failures_total")
    }
}

fn looks(count: usize) -> impl Stream<Item = Trigger> {
    stream::iter((0..count).map(|_| Trigger::Look))
}

fn drain(applied: &mut Names) -> Vec<String> {
    std::iter::from_fn(|| applied.try_recv().ok()).collect()
}

#[tokio::test]
async fn settings_come_into_force_when_a_file_is_opened() {
    let fixture = Fixture::new("cluster: a\n");
    let (_file, mut applied) = fixture.open().await.unwrap();
    assert_eq!(drain(&mut applied), ["a"]);
    assert_eq!(fixture.metric("kube_events_config_last_reload_successful"), "1");
    let time = fixture.metric("kube_events_config_last_reload_success_timestamp_seconds");
    assert!(time.parse::<f64>().unwrap() > 1.7e9, "{time}");
}

#[tokio::test]
async fn a_first_file_that_is_wrong_is_an_error() {
    let fixture = Fixture::new("clutser: a\n");
    let error = fixture.open().await.map(|_| ()).unwrap_err();
    let (path, error) = (fixture.path(), error.to_string());
    assert!(error.contains(&format!("{}:1:1", path.display())), "{error}");
    assert!(error.contains("did you mean `cluster`?"), "{error}");
    let missing = ConfigFile::open("/nowhere/c.yaml", ConfigMetrics::default(), |_: Settings| {
        ready(Ok(())).boxed()
    });
    assert!(matches!(missing.await.map(|_| ()).unwrap_err(), ConfigError::Read { .. }));
}

#[tokio::test]
async fn a_change_is_applied_once() {
    let fixture = Fixture::new("cluster: a\n");
    let (mut file, mut applied) = fixture.open().await.unwrap();
    fixture.write("cluster: b\n");
    file.follow(looks(3)).await;
    assert_eq!(drain(&mut applied), ["a", "b"]);
}

#[tokio::test]
async fn a_wrong_file_is_counted_once_and_replaces_nothing() {
    let fixture = Fixture::new("cluster: a\n");
    let (mut file, mut applied) = fixture.open().await.unwrap();
    for wrong in ["clutser: b\n", "cluster: [\n", "cluster: bad\n", "cluster: a\ncluster: b\n", ""]
    {
        let before: u64 = fixture.failures().parse().unwrap();
        fixture.write(wrong);
        file.follow(looks(2)).await;
        assert_eq!(fixture.failures(), (before + 1).to_string(), "{wrong:?}");
        assert_eq!(fixture.metric("kube_events_config_last_reload_successful"), "0");
    }
    assert_eq!(drain(&mut applied), ["a"]);
    fixture.write("cluster: c\n");
    file.follow(looks(1)).await;
    assert_eq!(drain(&mut applied), ["c"]);
    assert_eq!(fixture.metric("kube_events_config_last_reload_successful"), "1");
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_used_comes_into_force_when_it_can() {
    let fixture = Fixture::new("cluster: a\n");
    let (mut file, mut applied) = fixture.open().await.unwrap();
    fixture.write("cluster: bad\n");
    file.follow(looks(2)).await;
    assert_eq!(fixture.failures(), "1");
    fs::write(fixture.folder.path().join("allowed"), "").unwrap();
    file.follow(looks(2)).await;
    assert_eq!(drain(&mut applied), ["a"], "not at once");
    tokio::time::advance(POLL).await;
    file.follow(looks(2)).await;
    assert_eq!(drain(&mut applied), ["bad"]);
    assert_eq!(fixture.metric("kube_events_config_last_reload_successful"), "1");
    assert_eq!(fixture.failures(), "1");
}

#[tokio::test(start_paused = true)]
async fn an_empty_file_is_refused_also_after_one_that_was() {
    let fixture = Fixture::new("cluster: a\n");
    let (mut file, mut applied) = fixture.open().await.unwrap();
    for text in ["cluster: bad\n", ""] {
        fixture.write(text);
        file.follow(looks(1)).await;
        tokio::time::advance(POLL).await;
    }
    file.follow(looks(2)).await;
    assert_eq!(drain(&mut applied), ["a"]);
    assert_eq!(fixture.failures(), "2");
}

#[tokio::test]
async fn a_file_that_vanishes_is_counted_once_and_may_come_back() {
    let fixture = Fixture::new("cluster: a\n");
    let (mut file, mut applied) = fixture.open().await.unwrap();
    fs::remove_file(fixture.path()).unwrap();
    file.follow(looks(2)).await;
    assert_eq!(fixture.failures(), "1");
    fixture.write("cluster: b\n");
    file.follow(looks(1)).await;
    assert_eq!(drain(&mut applied), ["a", "b"]);
}

#[tokio::test]
async fn who_asks_hears_what_is_wrong_and_where() {
    let fixture = Fixture::new("cluster: a\n");
    let (mut file, mut applied) = fixture.open().await.unwrap();
    let ask = |file: ReloadHandle| async move { file.reload().await };
    let handle = file.handle();
    let shutdown = tokio_util::sync::CancellationToken::new();
    let asking = async {
        ask(handle.clone()).await.unwrap();
        fixture.write("cluster: b\nlanse: []\n");
        let error = ask(handle.clone()).await.unwrap_err().to_string();
        for part in ["config.yaml is not valid", "unknown field `lanse`", "2:1", "^"] {
            assert!(error.contains(part), "no {part:?} in {error}");
        }
        fixture.write("cluster: bad\n");
        let error = ask(handle.clone()).await.unwrap_err().to_string();
        assert!(error.ends_with("cannot be used: the cluster is bad"), "{error}");
        shutdown.cancel();
    };
    // The file is opened again by every request, changed or not.
    let (_, mut requests) = mpsc::channel(1);
    std::mem::swap(&mut requests, &mut file.requests);
    let asked = stream::poll_fn(|context| requests.poll_recv(context)).map(Trigger::Asked);
    join!(file.follow(asked.take_until(shutdown.cancelled())), asking);
    assert_eq!(drain(&mut applied), ["a", "a"]);
}

#[tokio::test]
async fn nobody_answers_when_nobody_watches() {
    let fixture = Fixture::new("");
    let (file, _applied) = fixture.open().await.unwrap();
    let handle = file.handle();
    file.watch(std::future::ready(())).await;
    assert!(matches!(handle.reload().await, Err(ReloadError::ShuttingDown)));
}

/// The way in which kubelet updates a mounted `ConfigMap`: `config.yaml` → `..data/config.yaml`, and
/// `..data` is a link that is replaced by a rename.
#[tokio::test]
async fn the_swap_of_a_config_map_is_noticed() {
    let fixture = Fixture::new("");
    let folder = fixture.folder.path();
    let version = |name: &str, text: &str| {
        fs::create_dir(folder.join(name)).unwrap();
        fs::write(folder.join(name).join("config.yaml"), text).unwrap();
        symlink(name, folder.join("..data_tmp")).unwrap();
        fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    };
    version("..1", "cluster: a\n");
    fs::remove_file(fixture.path()).unwrap();
    symlink("..data/config.yaml", fixture.path()).unwrap();

    let (file, mut applied) = fixture.open().await.unwrap();
    assert_eq!(applied.recv().await.as_deref(), Some("a"));
    let shutdown = tokio_util::sync::CancellationToken::new();
    let swapping = async {
        version("..2", "cluster: b\n");
        // Less than a poll takes, so it was the folder's news.
        let name = timeout(POLL / 2, applied.recv()).await;
        shutdown.cancel();
        assert_eq!(name.unwrap().as_deref(), Some("b"));
    };
    join!(file.watch(shutdown.cancelled()), swapping);
}

#[tokio::test(start_paused = true)]
async fn polls_go_on_forever() {
    let start = Instant::now();
    assert_eq!(polls().take(3).count().await, 3);
    assert_eq!(start.elapsed(), POLL * 3);
}

#[test]
fn a_document_without_settings_sets_nothing() {
    for text in ["", "\n", "---\n", "# nothing\n---\n  # here\n", "{}", "lanes: []"] {
        assert_eq!(
            parse::<Settings>("config.yaml", text.as_bytes()).unwrap(),
            Settings::default(),
            "{text:?}"
        );
    }
}
