//! Sinks that are not part of a build.
#![cfg(not(all(
    feature = "stdout",
    feature = "file",
    feature = "webhook",
    feature = "alertmanager"
)))]

use kube_events_core::crd::sinks::RulerSinks;
use kube_events_sinks::{Context, SinkConfig};

#[tokio::test]
async fn a_sink_that_is_not_in_the_build_is_told_with_its_feature() {
    for (present, feature, field, yaml) in [
        (cfg!(feature = "stdout"), "stdout", "stdout", "stdout: {type: alert}"),
        (cfg!(feature = "file"), "file", "files[0]", "files: [{type: alert, path: /x}]"),
        (
            cfg!(feature = "webhook"),
            "webhook",
            "webhooks[0]",
            "webhooks: [{type: notification, url: 'http://a'}]",
        ),
        (
            cfg!(feature = "alertmanager"),
            "alertmanager",
            "alertmanager",
            "alertmanager: {namespace: n, name: s}",
        ),
    ] {
        let sinks: RulerSinks = serde_saphyr::from_str(&format!("{yaml}\n"))
            .unwrap_or_else(|error| panic!("{yaml}: {error}"));
        let result = sinks.build(&Context::default()).map(drop).map_err(|error| error.to_string());
        let expected = format!(
            "sinks.{field}: not in this build of kube-events-sinks, which lacks the feature `{feature}`"
        );
        assert_eq!(result, if present { Ok(()) } else { Err(expected) });
    }
}
