//! Server-side apply, as on a real server.

use kube::{Client, Config};
use kube_events_testkit::ApiServer;

use crate::suite;

async fn start() -> (ApiServer, Client) {
    drop(rustls::crypto::ring::default_provider().install_default());
    let server = ApiServer::start().await.unwrap();
    let client = Client::try_from(Config::new(server.url().parse().unwrap())).unwrap();
    (server, client)
}

#[tokio::test]
async fn what_is_no_longer_applied_goes_unless_another_manager_owns_it() {
    let (_server, client) = start().await;
    suite::what_is_no_longer_applied_goes_unless_another_manager_owns_it(&client).await;
}

#[tokio::test]
async fn an_update_takes_fields_and_a_forced_apply_takes_them_back() {
    let (_server, client) = start().await;
    suite::an_update_takes_fields_and_a_forced_apply_takes_them_back(&client).await;
}

#[tokio::test]
async fn a_new_label_is_owned_with_the_map_that_holds_it() {
    let (_server, client) = start().await;
    suite::a_new_label_is_owned_with_the_map_that_holds_it(&client).await;
}

#[tokio::test]
async fn the_same_again_writes_nothing() {
    let (_server, client) = start().await;
    suite::the_same_again_writes_nothing(&client).await;
}

#[tokio::test]
async fn items_are_merged_by_their_keys() {
    let (_server, client) = start().await;
    suite::items_are_merged_by_their_keys(&client).await;
}

#[tokio::test]
async fn what_a_type_says_is_one_field_is_owned_as_one() {
    let (_server, client) = start().await;
    suite::what_a_type_says_is_one_field_is_owned_as_one(&client).await;
}

#[tokio::test]
async fn a_null_takes_a_field_out() {
    let (_server, client) = start().await;
    suite::a_null_takes_a_field_out(&client).await;
}

#[tokio::test]
async fn the_status_is_applied_where_it_is_asked_for_alone() {
    let (_server, client) = start().await;
    suite::the_status_is_applied_where_it_is_asked_for_alone(&client).await;
}

#[tokio::test]
async fn what_cannot_be_applied_is_refused() {
    let (_server, client) = start().await;
    suite::what_cannot_be_applied_is_refused(&client).await;
}

#[tokio::test]
async fn what_names_a_uid_is_applied_to_that_object_alone() {
    let (_server, client) = start().await;
    suite::what_names_a_uid_is_applied_to_that_object_alone(&client).await;
}

#[tokio::test]
async fn a_version_that_is_never_there_makes_an_apply_create_only() {
    let (_server, client) = start().await;
    suite::a_version_that_is_never_there_makes_an_apply_create_only(&client).await;
}

#[tokio::test]
async fn a_binding_keeps_its_role() {
    let (_server, client) = start().await;
    suite::a_binding_keeps_its_role(&client).await;
}

#[tokio::test]
async fn what_is_put_with_a_uid_has_to_be_there() {
    let (_server, client) = start().await;
    suite::what_is_put_with_a_uid_has_to_be_there(&client).await;
}

#[tokio::test]
async fn nothing_new_comes_into_a_namespace_that_ends() {
    let (_server, client) = start().await;
    suite::nothing_new_comes_into_a_namespace_that_ends(&client).await;
}
