//! Events from an API server: a list, and then a watch, for ever.
//!
//! # Flow
//!
//! ```text
//!  Start::Held ──▶ List ─▶ Items ─┬─▶ (next page) List
//!                                 └─▶ Watch ─▶ Lines ─┬─▶ (ended in order) Watch
//!  Start::After ─▶ Probe ─────────────▲               ├─▶ (broke) Wait ─▶ Probe
//!  Start::Now ───▶ Probe ─────────────┘               └─▶ (410) Probe ─▶ List of what is newer
//! ```
//!
//! - A **list** goes in pages and gives each item as soon as its bytes are there, so no page is
//!   ever held as a whole. A page that breaks off is asked for again, and what it had given is not
//!   given twice. When the snapshot of a list expires between two pages (410), the rest is listed
//!   as of now, with the `continue` of that answer, and the watch leaves out what that has shown.
//! - A **watch** begins at the version of the list, or at a stored one without any list. `DELETED`
//!   is an Event's time being over and is not given; like `BOOKMARK`, it counts as progress. A line
//!   that is cut off by the end of the connection is not an Event; the next watch repeats it whole.
//! - After a **410** to a watch, as status or as frame, what is newer than the position is listed.
//!   The server keeps its history for some minutes only, so that happens on a quiet cluster though
//!   nothing was missed. A [gap](crate::Gap) is told only if more time than [`event_ttl`] has
//!   passed since the position was known to be complete, or if it is not known when that was.
//! - A **probe** asks which version is current. It comes before a stored position is used, after a
//!   connection broke, and after a watch in which nothing came: a server whose versions are behind
//!   the position (its etcd was restored from a backup) would let such a watch wait in silence. Then
//!   a gap is told, and everything is listed.
//!
//! # Half-open connections
//!
//! Events have no bookmarks, so silence is no sign of death, and keep-alives end at the next proxy.
//! But a watch has an end: the server is asked for [`watch_duration`] (one minute, spread by a
//! sixth), and a watch that has neither gone on nor ended 15 s after that is dead: 85 s at most.
//! Going on costs one request a minute and loses nothing.
//!
//! # Quiet clusters
//!
//! While nothing happens the position grows old, and it cannot be moved forward by a guess: that a
//! watch ended in order does not prove that it had given everything up to a version read elsewhere.
//! So it is left to expire, and the list that follows, from which all that is not newer is left out,
//! moves it: every 5 to 10 minutes, and only while not one Event matches. With a selector that
//! matches rarely on a busy cluster this is a list that the server reads through for nothing; there
//! it is better to watch everything and to select afterwards.
//!
//! # Guarantees
//!
//! - What is newer than the start and held by the server is given once, and the states of one Event
//!   in their order. Exceptions, which repeat states with the same [`EventKey`](crate::EventKey): a
//!   server that lost its list's snapshot and offers no way to go on; versions that went back.
//! - [`Observed::Progress`] never comes before what it speaks of. It comes after a list, after each
//!   piece of a watch, and each time that a watch ended in order, also if nothing came.
//! - Memory: what arrived in one piece, and one item or line of at most [`max_line`] bytes.
//! - The stream never ends. Errors are given to be logged and counted, and after a wait (half a
//!   second to half a minute, longer after 401, 403 and 404, or as `Retry-After` says) it goes on.
//!   With [`kube::Config::default_retry`] set, the client itself waits first and hides some of
//!   them; switch it off for a client that serves only this.
//!
//! # Several namespaces
//!
//! Each has its own list and watch; a right in each is enough. Progress is the least of theirs, so
//! after a restart the busy ones repeat what lies between it and their own position: up to ten
//! minutes, if another is quiet.
//!
//! [`event_ttl`]: WatchOptions::event_ttl
//! [`watch_duration`]: WatchOptions::watch_duration
//! [`max_line`]: WatchOptions::max_line

mod api;
mod backoff;
mod clock;
mod extent;
mod frame;
mod merge;
mod overlap;
mod page;
mod state;

use std::{num::NonZeroU32, time::Duration};

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use kube::Client;

use self::{api::Scope, merge::merge, state::Source};
use super::{MAX_LINE, Observed, SourceError, Start};
use crate::event::Api;

/// What to watch, and where to begin.
#[derive(Clone, Debug)]
pub struct WatchOptions {
    /// Which of the two APIs is asked; both show the same Events. Default `core/v1`.
    pub api: Api,
    /// The namespaces; all if there is none, which is the default.
    pub namespaces: Vec<String>,
    /// Only Events with these labels, as `kubectl --selector` takes it.
    pub label_selector: Option<String>,
    /// Only Events with these fields, as `kubectl --field-selector` takes it.
    pub field_selector: Option<String>,
    /// Where to begin. Default [`Start::Held`].
    pub start: Start,
    /// The name of the cluster, which is written into each Event that has none.
    pub cluster: Option<String>,
    /// How many Events are asked for in one page of a list. Default 500.
    pub page_size: NonZeroU32,
    /// How long the API server keeps Events (its `--event-ttl`). Default one hour.
    pub event_ttl: Duration,
    /// How long one watch is to go on, a sixth more or less; a dead connection is found 15 s later.
    /// Default one minute; at most 290 s.
    pub watch_duration: Duration,
    /// The longest line, or item of a list, that is decoded, in bytes. Default [`MAX_LINE`].
    pub max_line: usize,
}

/// The Events of a cluster, for as long as the stream is polled; it never ends by itself.
///
/// See the [module](self) for what can be relied on.
///
/// # Panics
/// When polled outside of a tokio runtime with time and, as the client needs it, I/O.
///
/// ```no_run
/// use futures::StreamExt;
/// use kube_events_core::source::{Observed, Start, kubernetes};
///
/// # async fn watch(client: kube::Client) {
/// let options = kubernetes::WatchOptions { start: Start::Now, ..Default::default() };
/// let mut events = kubernetes::events(client, options);
/// while let Some(observed) = events.next().await {
///     match observed {
///         Ok(Observed::Event(event)) => println!("{} {}", event.reason(), event.message()),
///         Ok(_) => {}
///         Err(error) => eprintln!("{error}; going on"),
///     }
/// }
/// # }
/// ```
pub fn events(
    client: Client,
    options: WatchOptions,
) -> BoxStream<'static, Result<Observed, SourceError>> {
    let namespaces = options.namespaces.clone();
    let part = move |namespace: Option<&str>| {
        let scope = Scope::new(client.clone(), namespace, &options);
        let (source, state) = Source::new(scope, &options);
        observe(source, state)
    };
    match &namespaces[..] {
        [] => part(None),
        [one] => part(Some(one)),
        several => merge(several.iter().map(|name| part(Some(name))).collect()).boxed(),
    }
}

fn observe(
    source: Source,
    state: state::State,
) -> BoxStream<'static, Result<Observed, SourceError>> {
    let pieces = stream::unfold((source, state), |(mut source, state)| async {
        let (output, state) = source.next(state).await;
        Some((stream::iter(output), (source, state)))
    });
    pieces.flatten().boxed()
}

// === impl WatchOptions ===

impl Default for WatchOptions {
    fn default() -> Self {
        Self {
            api: Api::default(),
            namespaces: Vec::new(),
            label_selector: None,
            field_selector: None,
            start: Start::default(),
            cluster: None,
            page_size: NonZeroU32::new(500).expect("it is not zero"),
            event_ttl: Duration::from_secs(3600),
            watch_duration: Duration::from_secs(60),
            max_line: MAX_LINE,
        }
    }
}
