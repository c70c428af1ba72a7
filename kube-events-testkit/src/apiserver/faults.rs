//! Trouble on demand.

use bytes::Bytes;
use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

use super::call::{Call, Verb};
use super::status::Status;

/// What happens to a request.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Action {
    /// The connection is closed without an answer.
    Drop,
    /// The request is held back, then handled as usual.
    Delay(Duration),
    /// The connection stays open and no answer ever comes: a half-open connection.
    Silence,
    /// The request is carried out, and its client ends before it hears so: nothing more that comes
    /// with the same `User-Agent` is carried out or answered.
    Die,
    /// An answer with this status, whatever was asked.
    Answer(Status),
    /// A list with a `continue` token gets a 410 whose token goes on with what there is now.
    ExpireContinue,
    /// The watch is accepted; trouble comes after this many lines.
    Watch {
        /// Lines that still arrive whole.
        after_lines: usize,
        /// What comes then.
        fault: WatchFault,
    },
}

/// What happens to a running watch.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum WatchFault {
    /// The response ends in order, as at its timeout.
    Close,
    /// The connection breaks.
    Abort,
    /// The next line breaks off in the middle, and the connection with it.
    Truncate,
    /// These bytes and a line break come between two lines; the watch goes on.
    Garbage(Bytes),
    /// A last frame of type `ERROR` with this status, then the end.
    Error(Status),
    /// Nothing comes any more, and the connection stays open.
    Silence,
}

/// A rule: which requests, how many of them, and what happens to them.
///
/// ```
/// use kube_events_testkit::{Fault, Status, Verb};
/// use std::time::Duration;
///
/// let busy = Status::of(429).with_retry_after(Duration::from_secs(1));
/// let fault = Fault::answer(busy).on(Verb::List).path("/events").times(2);
/// ```
#[derive(Debug, Clone)]
pub struct Fault {
    verb: Option<Verb>,
    writes: bool,
    client: String,
    user: String,
    path: String,
    skip: usize,
    times: usize,
    action: Action,
}

impl Fault {
    /// A rule for the next request, whichever it is.
    pub fn new(action: Action) -> Self {
        let [client, user, path] = [const { String::new() }; 3];
        Self { verb: None, writes: false, client, user, path, skip: 0, times: 1, action }
    }

    /// The connection is dropped.
    pub fn drop_connection() -> Self {
        Self::new(Action::Drop)
    }

    /// The request waits first.
    pub fn delay(time: Duration) -> Self {
        Self::new(Action::Delay(time))
    }

    /// No answer comes.
    pub fn silence() -> Self {
        Self::new(Action::Silence)
    }

    /// The client ends right after its request was carried out, until
    /// [`clear_faults`](crate::ApiServer::clear_faults) says that a new one may come.
    /// [`wait_for_death`](crate::ApiServer::wait_for_death) tells when.
    ///
    /// ```
    /// use kube_events_testkit::Fault;
    ///
    /// // Right after the third write of a controller:
    /// let crash = Fault::die().client("my-controller").on_writes().skip(2);
    /// ```
    pub fn die() -> Self {
        Self::new(Action::Die)
    }

    /// The answer is `status`.
    pub fn answer(status: Status) -> Self {
        Self::new(Action::Answer(status))
    }

    /// A list's next page has expired.
    pub fn expire_continue() -> Self {
        Self { verb: Some(Verb::List), ..Self::new(Action::ExpireContinue) }
    }

    /// A watch runs into trouble after so many lines.
    pub fn watch(after_lines: usize, fault: WatchFault) -> Self {
        Self { verb: Some(Verb::Watch), ..Self::new(Action::Watch { after_lines, fault }) }
    }

    /// Only requests of this kind.
    #[must_use]
    pub fn on(self, verb: Verb) -> Self {
        Self { verb: Some(verb), ..self }
    }

    /// Only requests that ask for a change.
    #[must_use]
    pub fn on_writes(self) -> Self {
        Self { writes: true, ..self }
    }

    /// Only requests whose `User-Agent` contains `part`.
    #[must_use]
    pub fn client(self, part: impl Into<String>) -> Self {
        Self { client: part.into(), ..self }
    }

    /// Only requests of this user; see [`kubeconfig_of`](crate::ApiServer::kubeconfig_of).
    #[must_use]
    pub fn user(self, name: impl Into<String>) -> Self {
        Self { user: name.into(), ..self }
    }

    /// Only requests whose path contains `part`.
    #[must_use]
    pub fn path(self, part: impl Into<String>) -> Self {
        Self { path: part.into(), ..self }
    }

    /// Lets so many matching requests pass first.
    #[must_use]
    pub fn skip(self, requests: usize) -> Self {
        Self { skip: requests, ..self }
    }

    /// How many requests are hit; one by default.
    #[must_use]
    pub fn times(self, times: usize) -> Self {
        Self { times, ..self }
    }

    /// Hits every matching request until [`clear_faults`](crate::ApiServer::clear_faults).
    #[must_use]
    pub fn always(self) -> Self {
        self.times(usize::MAX)
    }

    fn concerns(&self, call: &Call, (client, user): (&str, &str), path: &str) -> bool {
        let expires =
            !matches!(self.action, Action::ExpireContinue) || call.param("continue").is_some();
        let verb = self.verb.is_none_or(|verb| verb == call.verb);
        let verb = verb && (call.verb.is_write() || !self.writes);
        let user = self.user.is_empty() || self.user == user;
        expires && verb && user && client.contains(&self.client) && path.contains(&self.path)
    }
}

/// The rules in force, oldest first, and whom they killed.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    rules: Mutex<Vec<Fault>>,
    dead: Mutex<HashSet<String>>,
    deaths: watch::Sender<usize>,
}

impl Faults {
    pub(crate) fn add(&self, fault: Fault) {
        if fault.times > 0 {
            self.lock().push(fault);
        }
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
        self.dead().clear();
        self.deaths.send_replace(0);
    }

    /// From now on nothing more is done for this client.
    pub(crate) fn end(&self, client: &str) {
        self.dead().insert(client.to_owned());
    }

    pub(crate) fn is_dead(&self, client: &str) -> bool {
        self.dead().contains(client)
    }

    /// The last request of a dead client has been carried out.
    pub(crate) fn tell_death(&self) {
        self.deaths.send_modify(|deaths| *deaths += 1);
    }

    pub(crate) async fn wait_for_death(&self) {
        let mut deaths = self.deaths.subscribe();
        deaths.wait_for(|deaths| *deaths > 0).await.expect("the sender is here");
    }

    /// What happens to a request of a client and a user; uses up the rule.
    pub(crate) fn strike(&self, call: &Call, from: (&str, &str), path: &str) -> Option<Action> {
        let mut rules = self.lock();
        let mut hit = None;
        for rule in rules.iter_mut().filter(|rule| rule.concerns(call, from, path)) {
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            if rule.times != usize::MAX {
                rule.times -= 1;
            }
            hit = Some(rule.action.clone());
            break;
        }
        rules.retain(|rule| rule.times > 0);
        hit
    }

    fn dead(&self) -> MutexGuard<'_, HashSet<String>> {
        self.dead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Fault>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Method, Uri};

    fn strike(faults: &Faults, uri: &'static str) -> bool {
        let uri = Uri::from_static(uri);
        faults.strike(&Call::parse(&Method::GET, &uri), ("test", "me"), uri.path()).is_some()
    }

    #[test]
    fn a_rule_hits_what_it_names_as_often_as_it_says() {
        let faults = Faults::default();
        faults.add(Fault::silence().on(Verb::List).path("/events").skip(1).times(2));
        let hits = ["/api/v1/events"; 5].map(|uri| strike(&faults, uri));
        assert_eq!(hits, [false, true, true, false, false]);
        faults.add(Fault::silence().times(0));
        faults.add(Fault::silence().on(Verb::Watch));
        assert!(!strike(&faults, "/api/v1/events"));
        assert!(strike(&faults, "/api/v1/events?watch=1"));
        faults.add(Fault::silence().client("somebody else"));
        faults.add(Fault::silence().user("somebody"));
        faults.add(Fault::silence().on_writes());
        assert!(!strike(&faults, "/api/v1/events"));
        faults.add(Fault::silence().user("me"));
        assert!(strike(&faults, "/api/v1/events"));
    }
}
