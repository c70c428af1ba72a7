//! What the operating system says of changes in a folder.

use std::{path::Path, time::Duration};

use futures::{Stream, StreamExt as _, stream};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tracing::warn;

/// The time that a writer gets to finish; a file is written in several steps.
const SETTLE: Duration = Duration::from_millis(100);

/// Tells that something changed in the folder of a file.
///
/// The folder is watched, not the file: files are replaced, and a `ConfigMap`'s change is the swap of
/// a link beside them. Where nothing can be watched the stream is silent.
pub(super) fn changes(file: &Path) -> impl Stream<Item = ()> + use<> {
    // One place is enough: what happens before somebody looks is seen by that look.
    let (sender, mut receiver) = mpsc::channel(1);
    let watcher = watch(file, sender.clone())
        .inspect_err(|error| warn!(%error, "changes of the configuration are seen by polls only"));
    stream::poll_fn(move |context| {
        // Both live as long as the stream: without a sender it would end.
        let _alive = (&watcher, &sender);
        receiver.poll_recv(context)
    })
    .then(|()| tokio::time::sleep(SETTLE))
}

fn watch(file: &Path, sender: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading the file is an event too, and must not lead to the next look.
        if event.is_ok_and(|event| !event.kind.is_access()) {
            // Full means that a look is due already.
            sender.try_send(()).ok();
        }
    })?;
    watcher.watch(folder, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}
