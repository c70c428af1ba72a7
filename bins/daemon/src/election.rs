//! Of several that could act one does: leader election by a Lease, as Kubernetes' own controllers do it.

use std::{convert::Infallible, time::Duration};

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, OwnerReference},
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use kube_events_core::error::chain;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout, timeout_at},
};
use tracing::{info, warn};

/// How long a leader that says nothing more is waited for, unless another time is asked for.
const DURATION: Duration = Duration::from_secs(15);

/// The annotation of a Lease that says where its holder is reached.
const ADDRESS: &str = "events.kubesphere.io/address";

/// A candidate for a Lease.
#[derive(Debug)]
pub struct Candidate {
    leases: Api<Lease>,
    name: String,
    identity: String,
    times: Times,
    address: Option<String>,
    owner: Option<OwnerReference>,
    leader: watch::Sender<Option<String>>,
}

/// How long everything takes.
#[derive(Clone, Copy, Debug)]
struct Times {
    /// How long a leader that says nothing more is waited for.
    duration: Duration,
    /// How often a leader says that it is there, and how long it waits for an answer. If there is none,
    /// it can say so once more before it gives up.
    renew: Duration,
    /// When a leader that cannot say so gives up: before another takes over, who may have seen the last
    /// renewal as much earlier as its answer took.
    give_up: Duration,
    /// How often the others look, and a leader tries again.
    retry: Duration,
}

/// What was last seen of somebody else's Lease, and since when: clocks of others are not asked.
struct Seen {
    version: Option<String>,
    since: Instant,
}

/// A conflict means that another one was faster.
fn won(written: Result<Lease, kube::Error>) -> Result<Option<Lease>, kube::Error> {
    match written {
        Ok(lease) => Ok(Some(lease)),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
        Err(error) => Err(error),
    }
}

// === impl Times ===

impl Times {
    fn of(duration: Duration) -> Self {
        let part = |fifteenths| duration * fifteenths / 15;
        Self { duration, renew: part(3), give_up: part(9), retry: part(2) }
    }
}

// === impl Candidate ===

impl Candidate {
    /// A candidate for the Lease of this name, whether or not it is there.
    pub fn new(client: &Client, namespace: &str, name: impl Into<String>) -> Self {
        let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "candidate".to_owned());
        let started = Timestamp::now().as_nanosecond();
        let identity = format!("{host}_{}_{started}", std::process::id());
        Self {
            leases: Api::namespaced(client.clone(), namespace),
            name: name.into(),
            identity,
            times: Times::of(DURATION),
            address: None,
            owner: None,
            leader: watch::Sender::new(None),
        }
    }

    /// Has a leader that says nothing more waited for so long, in whole seconds. Default: 15 s.
    #[must_use]
    pub fn duration(self, duration: Duration) -> Self {
        Self { times: Times::of(duration), ..self }
    }

    /// Tells the other candidates where this one is reached when it leads.
    #[must_use]
    pub fn address(self, address: String) -> Self {
        Self { address: Some(address), ..self }
    }

    /// Has the Lease go when this object goes, if it is this candidate that creates it.
    #[must_use]
    pub fn owner(self, owner: OwnerReference) -> Self {
        Self { owner: Some(owner), ..self }
    }

    /// Where another one that leads is reached, as far as this one knows.
    pub fn leader(&self) -> watch::Receiver<Option<String>> {
        self.leader.subscribe()
    }

    /// Waits until this one leads.
    pub async fn lead(&self) -> Lease {
        let mut seen: Option<Seen> = None;
        info!(lease = self.name, "waiting to lead");
        loop {
            match timeout(self.times.renew, self.attempt(&mut seen)).await {
                Ok(Ok(Some(lease))) => {
                    info!(lease = self.name, identity = self.identity, "leading");
                    self.leader.send_replace(None);
                    return lease;
                }
                Ok(Ok(None)) => {}
                Ok(Err(error)) => {
                    warn!(error = chain(&error), lease = self.name, "cannot get the lease");
                }
                Err(_) => warn!(lease = self.name, "no answer to the question for the lease"),
            }
            sleep(self.times.retry).await;
        }
    }

    async fn attempt(&self, seen: &mut Option<Seen>) -> Result<Option<Lease>, kube::Error> {
        let Some(lease) = self.leases.get_opt(&self.name).await? else {
            return won(self.write(None).await);
        };
        let version = lease.metadata.resource_version.clone();
        let spec = lease.spec.as_ref();
        let holder = spec.and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default();
        if holder.is_empty() {
            self.leader.send_replace(None);
        } else if holder != self.identity {
            match seen {
                Some(seen) if seen.version == version => {
                    let patience = spec.and_then(|spec| spec.lease_duration_seconds);
                    let patience = patience.and_then(|seconds| u64::try_from(seconds).ok());
                    if seen.since.elapsed()
                        < patience.map_or(self.times.duration, Duration::from_secs)
                    {
                        return Ok(None);
                    }
                }
                _ => {
                    *seen = Some(Seen { version, since: Instant::now() });
                    self.follow(&lease);
                    return Ok(None);
                }
            }
            self.leader.send_replace(None);
        }
        won(self.write(Some(&lease)).await)
    }

    /// Writes that this one leads: in place of what the Lease held, or as a new one.
    async fn write(&self, held: Option<&Lease>) -> Result<Lease, kube::Error> {
        let (next, params) = (self.lease(held), PostParams::default());
        match held {
            Some(_) => self.leases.replace(&self.name, &params, &next).await,
            None => self.leases.create(&params, &next).await,
        }
    }

    /// Notes where another one that leads is reached.
    fn follow(&self, lease: &Lease) {
        let address = lease.metadata.annotations.as_ref().and_then(|all| all.get(ADDRESS));
        self.leader.send_if_modified(|known| {
            let is_news = known.as_ref() != address;
            *known = address.cloned();
            is_news
        });
    }

    /// The Lease as this one writes it, in place of `held`.
    fn lease(&self, held: Option<&Lease>) -> Lease {
        let spec = held.and_then(|lease| lease.spec.clone()).unwrap_or_default();
        let now = MicroTime(Timestamp::now());
        let is_ours = spec.holder_identity.as_deref() == Some(&self.identity);
        let acquired = spec.acquire_time.filter(|_| is_ours).unwrap_or_else(|| now.clone());
        let transitions =
            spec.lease_transitions.unwrap_or(0) + i32::from(!is_ours && held.is_some());
        Lease {
            metadata: self.metadata(held),
            spec: Some(LeaseSpec {
                holder_identity: Some(self.identity.clone()),
                lease_duration_seconds: i32::try_from(self.times.duration.as_secs()).ok(),
                acquire_time: Some(acquired),
                renew_time: Some(now),
                lease_transitions: Some(transitions),
                ..LeaseSpec::default()
            }),
        }
    }

    /// What others wrote into the Lease's metadata, with this one's address, and its owner if it is new.
    fn metadata(&self, held: Option<&Lease>) -> ObjectMeta {
        let mut metadata = held.map(|lease| lease.metadata.clone()).unwrap_or_default();
        metadata.name = Some(self.name.clone());
        metadata.managed_fields = None;
        let annotations = metadata.annotations.get_or_insert_default();
        annotations.remove(ADDRESS);
        annotations.extend(self.address.clone().map(|address| (ADDRESS.to_owned(), address)));
        // Who changes owners has to have more rights in some clusters: only a new Lease gets one.
        if held.is_none() {
            metadata.owner_references = self.owner.clone().map(|owner| vec![owner]);
        }
        metadata
    }

    /// Says again and again that this one leads; ends only when it no longer does. Each time `renewed` is
    /// told until when it does for certain, whatever comes: nobody else leads before.
    ///
    /// # Errors
    ///
    /// Always: another one leads, or the API server could not be told in time.
    pub async fn hold(
        &self,
        mut lease: Lease,
        renewed: impl Fn(Instant),
    ) -> anyhow::Result<Infallible> {
        let give_up = self.times.give_up;
        loop {
            let until = Instant::now() + give_up;
            renewed(until);
            let next = timeout_at(until, self.renew(&lease)).await;
            lease = next.with_context(|| {
                format!("the lease {} could not be renewed for {give_up:?}", self.name)
            })??;
        }
    }

    /// Says once more that this one leads, in a new Lease if somebody deleted it; tries until the API server
    /// has taken it.
    ///
    /// # Errors
    ///
    /// If another one leads.
    async fn renew(&self, held: &Lease) -> anyhow::Result<Lease> {
        let mut held = Some(held.clone());
        let mut pause = self.times.renew;
        loop {
            sleep(std::mem::replace(&mut pause, self.times.retry)).await;
            let renewal = self.write(held.as_ref());
            match timeout(self.times.renew, renewal).await {
                Ok(Ok(renewed)) => return Ok(renewed),
                Ok(Err(kube::Error::Api(status))) if status.code == 409 => {
                    let Ok(now) = self.leases.get_opt(&self.name).await else { continue };
                    if let Some(now) = &now {
                        let holder = now.spec.as_ref().and_then(|it| it.holder_identity.as_deref());
                        if holder != Some(&self.identity) {
                            let holder = holder.unwrap_or_default();
                            bail!("the lease {} was lost to {holder}", self.name);
                        }
                    } else if held.is_some() {
                        warn!(lease = self.name, "the lease was deleted and is made anew");
                        pause = Duration::ZERO;
                    }
                    held = now;
                }
                Ok(Err(error)) => {
                    warn!(error = chain(&error), lease = self.name, "cannot renew the lease");
                }
                Err(_) => {
                    warn!(lease = self.name, "no answer to the renewal of the lease");
                    pause = Duration::ZERO;
                }
            }
        }
    }

    /// Lets another one lead at once.
    ///
    /// # Errors
    ///
    /// Those of the API server, and if there is no answer.
    pub async fn release(&self) -> anyhow::Result<()> {
        let released = timeout(self.times.renew, self.let_go()).await;
        released.with_context(|| format!("the lease {} could not be released", self.name))?
    }

    async fn let_go(&self) -> anyhow::Result<()> {
        let mut lease = self.leases.get(&self.name).await.context("cannot read the lease")?;
        let Some(spec) = lease.spec.as_mut() else { return Ok(()) };
        if spec.holder_identity.as_deref() != Some(&self.identity) {
            return Ok(());
        }
        spec.holder_identity = None;
        spec.renew_time = Some(MicroTime(Timestamp::now()));
        lease.metadata.annotations.iter_mut().for_each(|all| drop(all.remove(ADDRESS)));
        self.leases.replace(&self.name, &PostParams::default(), &lease).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use kube::Config;
    use kube_events_testkit::{ApiServer, Fault};
    use serde_json::json;

    use super::*;

    async fn cluster() -> (ApiServer, Client) {
        drop(rustls::crypto::ring::default_provider().install_default());
        let server = ApiServer::builder().start().await.unwrap();
        server.create_namespace("logging");
        let client = Client::try_from(Config::new(server.url().parse().unwrap())).unwrap();
        (server, client)
    }

    #[tokio::test]
    async fn what_others_write_into_the_metadata_stays() {
        let (server, client) = cluster().await;
        let [one, other] = ["one", "other"].map(|name| {
            let metadata = json!({"name": name, "namespace": "logging"});
            let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata});
            let owner = server.create(object).unwrap();
            OwnerReference {
                api_version: "v1".to_owned(),
                kind: "ConfigMap".to_owned(),
                name: name.to_owned(),
                uid: owner["metadata"]["uid"].as_str().unwrap().to_owned(),
                ..OwnerReference::default()
            }
        });
        let [first, second] = ["10.0.0.1:80", "10.0.0.2:80"].map(|address| {
            let candidate = Candidate::new(&client, "logging", "lease");
            candidate.address(address.to_owned()).owner(one.clone())
        });
        first.lead().await;
        let [mut lease] = server.list("Lease").unwrap().try_into().unwrap();
        assert_eq!(lease["metadata"]["ownerReferences"], json!([one]));
        lease["metadata"]["labels"] = json!({"team": "sre"});
        lease["metadata"]["annotations"]["by"] = json!("somebody");
        lease["metadata"]["ownerReferences"] = json!([one, other]);
        server.update(lease).unwrap();
        first.release().await.unwrap();
        second.lead().await;
        let [lease] = server.list("Lease").unwrap().try_into().unwrap();
        let metadata = &lease["metadata"];
        let annotations = json!({ADDRESS: "10.0.0.2:80", "by": "somebody"});
        assert_eq!(metadata["annotations"], annotations);
        assert_eq!(metadata["labels"], json!({"team": "sre"}));
        assert_eq!(metadata["ownerReferences"].as_array().unwrap().len(), 2);
    }

    #[tokio::test]
    async fn who_has_no_right_to_change_owners_can_lead() {
        let (server, client) = cluster().await;
        let owner = OwnerReference { uid: "gone".to_owned(), ..OwnerReference::default() };
        let first = Candidate::new(&client, "logging", "lease");
        first.lead().await;
        first.release().await.unwrap();
        Candidate::new(&client, "logging", "lease").owner(owner).lead().await;
        let [lease] = server.list("Lease").unwrap().try_into().unwrap();
        assert_eq!(lease["metadata"].get("ownerReferences"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_whose_lease_was_deleted_makes_a_new_one() {
        let (server, client) = cluster().await;
        let candidate = Candidate::new(&client, "logging", "lease");
        let lease = candidate.lead().await;
        let [held] = server.list("Lease").unwrap().try_into().unwrap();
        server.delete("Lease", "logging", "lease").unwrap();
        let renewed = candidate.renew(&lease).await.unwrap();
        let [made] = server.list("Lease").unwrap().try_into().unwrap();
        assert_ne!(made["metadata"]["uid"], held["metadata"]["uid"]);
        assert_eq!(renewed.metadata.uid.as_deref(), made["metadata"]["uid"].as_str());
        // Of two that do so at a time only one still leads.
        server.delete("Lease", "logging", "lease").unwrap();
        Candidate::new(&client, "logging", "lease").lead().await;
        assert!(candidate.renew(&renewed).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_not_answered_asks_again() {
        let (server, client) = cluster().await;
        let candidate = Candidate::new(&client, "logging", "lease");
        let minute = Duration::from_secs(60);
        server.inject(Fault::silence().path("/leases/"));
        timeout(minute, candidate.lead()).await.expect("it leads");
        server.inject(Fault::silence().path("/leases/"));
        let released = timeout(minute, candidate.release()).await.expect("it ends");
        assert!(released.is_err());
    }
}
