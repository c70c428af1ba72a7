//! The Kubernetes source does on a real API server what it does on the embedded one.
#![allow(clippy::unwrap_used, reason = "it is how a test fails")]

#[path = "../../kube-events-core/tests/suite/mod.rs"]
mod suite;

use std::time::Duration;

use anyhow::Result;
use e2e::{ControlPlane, Part, Settings};
use suite::Harness;
use tokio::sync::Mutex;

struct Real(Mutex<ControlPlane>);

impl Harness for Real {
    async fn restart(&self) {
        self.0.lock().await.restart_api_server().await.unwrap();
    }

    async fn forget_history(&self) {
        self.0.lock().await.compact().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_source_promises_holds_on_a_real_server() -> Result<()> {
    let Some(assets) = Part::ControlPlane.find() else { return Ok(()) };
    let control_plane = ControlPlane::start(&assets, Settings::default()).await?;
    let client = control_plane.client().await?;
    suite::what_is_held_and_what_follows_is_given_once(client.clone()).await;
    suite::what_is_deleted_is_not_given(client.clone()).await;
    suite::a_start_from_now_gives_what_follows(client.clone()).await;
    suite::a_stored_position_is_gone_on_from(client.clone()).await;
    suite::both_apis_give_the_same(client.clone()).await;
    suite::namespaces_and_selectors_are_kept_to(client).await;
    control_plane.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn it_holds_when_history_is_cut_off_and_the_server_restarts() -> Result<()> {
    let Some(assets) = Part::ControlPlane.find() else { return Ok(()) };
    let real = Real(Mutex::new(ControlPlane::start(&assets, Settings::default()).await?));
    let client = real.0.lock().await.client().await?;
    suite::an_expired_position_is_gone_on_from_by_a_list(client.clone(), &real).await;
    suite::a_list_that_outlives_its_snapshot_is_finished(client.clone(), &real).await;
    suite::a_restart_of_the_server_loses_and_repeats_nothing(client, &real).await;
    real.0.into_inner().stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn it_holds_when_the_time_of_events_is_over() -> Result<()> {
    let Some(assets) = Part::ControlPlane.find() else { return Ok(()) };
    // The least that etcd gives.
    let settings = Settings { event_ttl: Duration::from_secs(2), ..Settings::default() };
    let control_plane = ControlPlane::start(&assets, settings).await?;
    suite::what_expires_is_not_given(control_plane.client().await?).await;
    control_plane.stop().await
}
