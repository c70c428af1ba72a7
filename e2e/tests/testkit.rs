//! A real API server does with what is applied what the embedded one does.
#![allow(clippy::unwrap_used, reason = "it is how a test fails")]

#[path = "../../kube-events-testkit/tests/suite/mod.rs"]
mod suite;

use anyhow::Result;
use e2e::{ControlPlane, Part, Settings};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_applied_is_kept_as_on_the_embedded_server() -> Result<()> {
    let Some(assets) = Part::ControlPlane.find() else { return Ok(()) };
    let control_plane = ControlPlane::start(&assets, Settings::default()).await?;
    let client = control_plane.client().await?;
    suite::what_is_no_longer_applied_goes_unless_another_manager_owns_it(&client).await;
    suite::an_update_takes_fields_and_a_forced_apply_takes_them_back(&client).await;
    suite::a_new_label_is_owned_with_the_map_that_holds_it(&client).await;
    suite::the_same_again_writes_nothing(&client).await;
    suite::items_are_merged_by_their_keys(&client).await;
    suite::what_a_type_says_is_one_field_is_owned_as_one(&client).await;
    suite::a_null_takes_a_field_out(&client).await;
    suite::the_status_is_applied_where_it_is_asked_for_alone(&client).await;
    suite::what_cannot_be_applied_is_refused(&client).await;
    suite::what_names_a_uid_is_applied_to_that_object_alone(&client).await;
    suite::what_is_put_with_a_uid_has_to_be_there(&client).await;
    suite::a_version_that_is_never_there_makes_an_apply_create_only(&client).await;
    suite::a_binding_keeps_its_role(&client).await;
    suite::nothing_new_comes_into_a_namespace_that_ends(&client).await;
    control_plane.stop().await
}
