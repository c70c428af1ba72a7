//! The parts of a program, and which of them is not ready.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The parts of a program, and which of them is not ready and why.
///
/// A part either says of itself how it is ([`Health::part`]) or is asked whenever somebody wants to
/// know ([`Health::check`]). It belongs to the whole as long as its handle lives. A program without
/// parts is ready.
///
/// ```
/// use kube_events_daemon::Health;
///
/// let health = Health::default();
/// let watch = health.part("watch");
/// assert_eq!(health.to_string(), "[-] watch: starting\n");
/// watch.ready();
/// assert!(health.is_ready());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Health {
    parts: Arc<Mutex<Parts>>,
}

/// How a part says whether it is ready. It is not, until it says so. Dropping it takes the part out
/// of the whole.
#[derive(Debug)]
pub struct Readiness(Registration);

/// A part that is asked. Dropping it takes the part out of the whole.
#[derive(Debug)]
#[must_use = "dropping it takes the part out"]
pub struct Check {
    _registration: Registration,
}

#[derive(Debug, Default)]
struct Parts {
    next: u64,
    parts: BTreeMap<(String, u64), Part>,
}

#[derive(Clone)]
enum Part {
    Ready,
    NotReady(String),
    Asked(Arc<Ask>),
}

type Ask = dyn Fn() -> Result<(), String> + Send + Sync;

#[derive(Debug)]
struct Registration {
    health: Health,
    key: (String, u64),
}

// === impl Health ===

impl Health {
    /// Adds a part that says of itself how it is. It begins as not ready: `starting`.
    pub fn part(&self, name: impl Into<String>) -> Readiness {
        Readiness(self.add(name.into(), Part::NotReady("starting".to_owned())))
    }

    /// Adds a part that is asked: `Err` says why it is not ready. The answer must come at once.
    pub fn check(
        &self,
        name: impl Into<String>,
        ask: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) -> Check {
        Check { _registration: self.add(name.into(), Part::Asked(Arc::new(ask))) }
    }

    /// Whether all parts are ready.
    pub fn is_ready(&self) -> bool {
        self.states().iter().all(|(_, state)| state.is_ok())
    }

    /// Every part by name, in alphabetical order: `Err` says why it is not ready.
    pub fn states(&self) -> Vec<(String, Result<(), String>)> {
        // Questions are asked after the lock is released: an answer may need it.
        let parts: Vec<_> = {
            let parts = self.lock();
            parts.parts.iter().map(|((name, _), part)| (name.clone(), part.clone())).collect()
        };
        parts.into_iter().map(|(name, part)| (name, part.state())).collect()
    }

    fn add(&self, name: String, part: Part) -> Registration {
        let mut parts = self.lock();
        parts.next += 1;
        let key = (name, parts.next);
        parts.parts.insert(key.clone(), part);
        Registration { health: self.clone(), key }
    }

    fn lock(&self) -> MutexGuard<'_, Parts> {
        // The map is whole between any two statements, so a panic elsewhere does not spoil it.
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Health {
    /// One line a part: `[+] name`, or `[-] name: why`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, state) in self.states() {
            match state {
                Ok(()) => writeln!(f, "[+] {name}")?,
                Err(why) => writeln!(f, "[-] {name}: {why}")?,
            }
        }
        Ok(())
    }
}

// === impl Readiness ===

impl Readiness {
    /// The part does its work.
    pub fn ready(&self) {
        self.0.set(Part::Ready);
    }

    /// The part cannot do its work, for the reason given.
    pub fn not_ready(&self, why: impl fmt::Display) {
        self.0.set(Part::NotReady(why.to_string()));
    }
}

// === impl Part ===

impl Part {
    fn state(&self) -> Result<(), String> {
        match self {
            Self::Ready => Ok(()),
            Self::NotReady(why) => Err(why.clone()),
            Self::Asked(ask) => ask(),
        }
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("Ready"),
            Self::NotReady(why) => f.debug_tuple("NotReady").field(why).finish(),
            Self::Asked(_) => f.write_str("Asked"),
        }
    }
}

// === impl Registration ===

impl Registration {
    fn set(&self, part: Part) {
        self.health.lock().parts.insert(self.key.clone(), part);
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.health.lock().parts.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_not_ready_until_it_says_so() {
        let health = Health::default();
        assert!(health.is_ready());
        let watch = health.part("watch");
        assert!(!health.is_ready());
        watch.ready();
        assert!(health.is_ready());
        watch.not_ready("connection refused");
        assert_eq!(health.to_string(), "[-] watch: connection refused\n");
    }

    #[test]
    fn a_part_that_is_asked_answers_each_time() {
        let health = Health::default();
        let answer = Arc::new(Mutex::new(Err("503".to_owned())));
        let _lane = health.check("lane/archive", {
            let answer = Arc::clone(&answer);
            move || answer.lock().unwrap().clone()
        });
        assert_eq!(health.to_string(), "[-] lane/archive: 503\n");
        *answer.lock().unwrap() = Ok(());
        assert_eq!(health.to_string(), "[+] lane/archive\n");
    }

    #[test]
    fn a_part_that_is_gone_does_not_count() {
        let health = Health::default();
        let old = health.part("lane/archive");
        let new = health.part("lane/archive");
        new.ready();
        assert!(!health.is_ready());
        drop(old);
        assert_eq!(health.to_string(), "[+] lane/archive\n");
    }
}
