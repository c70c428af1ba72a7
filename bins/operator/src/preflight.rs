//! Which of its rights the operator lacks, found out before it runs into it.

use std::{future::pending, time::Duration};

use futures::{StreamExt as _, stream};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::{Api, Client, api::PostParams};
use kube_events_daemon::Readiness;
use tokio::time::sleep;
use tracing::warn;

use crate::{
    Settings,
    rights::{ELECTION, OPERATOR, Right},
};

/// Requests at a time.
const CONCURRENCY: usize = 8;

/// How often it is asked again while something is missing.
const INTERVAL: Duration = Duration::from_secs(30);

/// How soon when there was no answer.
const RETRY: Duration = Duration::from_secs(5);

/// Tells in `readiness` and in the log what the operator may not do, until nothing is missing.
pub(crate) async fn tell(client: Client, settings: Settings, readiness: Readiness) {
    let mut told = None;
    loop {
        let (missing, pause) = match missing(&client, &settings).await {
            Ok(missing) if missing.is_empty() => break,
            Ok(missing) => {
                let lines = missing.iter().map(|right| format!("a right is missing: {right}"));
                (lines.collect(), INTERVAL)
            }
            Err(error) => (vec![format!("cannot ask for rights: {error}")], RETRY),
        };
        if told.as_ref() != Some(&missing) {
            for line in &missing {
                warn!("{line}");
            }
            readiness.not_ready(missing.join("; "));
            told = Some(missing);
        }
        sleep(pause).await;
    }
    readiness.ready();
    // Dropped, it would no longer be listed.
    pending::<()>().await;
}

/// What the operator may not do, one sentence each: `create deployments.apps: the pods of …`.
///
/// # Errors
///
/// If the API server cannot be asked.
async fn missing(client: &Client, settings: &Settings) -> Result<Vec<String>, kube::Error> {
    let reviews = Api::<SelfSubjectAccessReview>::all(client.clone());
    let answers = stream::iter(wanted(settings)).map(|(attributes, sentence)| {
        let reviews = reviews.clone();
        async move {
            let spec = SelfSubjectAccessReviewSpec {
                resource_attributes: Some(attributes),
                ..SelfSubjectAccessReviewSpec::default()
            };
            let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
            let answer = reviews.create(&PostParams::default(), &review).await?;
            let allowed = answer.status.is_some_and(|status| status.allowed);
            Ok((!allowed).then_some(sentence))
        }
    });
    let answers: Vec<Result<Option<String>, kube::Error>> =
        answers.buffered(CONCURRENCY).collect().await;
    let missing: Result<Vec<_>, _> = answers.into_iter().collect();
    Ok(missing?.into_iter().flatten().collect())
}

/// What the operator needs. Collected, as what borrows rights while it waits could not be spawned.
fn wanted(settings: &Settings) -> Vec<(ResourceAttributes, String)> {
    let own = Some(settings.namespace.clone());
    let scope = settings.namespaced.then(|| settings.namespace.clone());
    OPERATOR
        .needed(settings.namespaced)
        .map(|right| (right, scope.clone()))
        .chain(ELECTION.rights.iter().map(|right| (right, own.clone())))
        .flat_map(|(right, namespace)| questions(right, namespace))
        .collect()
}

fn questions(
    right: &Right,
    namespace: Option<String>,
) -> impl Iterator<Item = (ResourceAttributes, String)> {
    let Right { group, resources, names, verbs, why, .. } = *right;
    let names: Vec<_> = match names {
        [] => vec![None],
        names => names.iter().map(|name| Some((*name).to_owned())).collect(),
    };
    resources.iter().flat_map(move |resource| {
        let (plural, part) = match resource.split_once('/') {
            Some((plural, part)) => (plural, Some(part.to_owned())),
            None => (*resource, None),
        };
        let (names, namespace) = (names.clone(), namespace.clone());
        verbs.iter().flat_map(move |verb| {
            let (namespace, part) = (namespace.clone(), part.clone());
            names.clone().into_iter().map(move |name| {
                let only = name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
                let dot = if group.is_empty() { "" } else { "." };
                let sentence = format!("{verb} {resource}{dot}{group}{only} ({why})");
                let attributes = ResourceAttributes {
                    group: Some(group.to_owned()),
                    resource: Some(plural.to_owned()),
                    subresource: part.clone(),
                    verb: Some((*verb).to_owned()),
                    name,
                    namespace: namespace.clone(),
                    ..ResourceAttributes::default()
                };
                (attributes, sentence)
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `VERB RESOURCE/PART NAME in NAMESPACE` of all that is asked for.
    fn asked(namespaced: bool) -> Vec<String> {
        let settings = Settings { namespaced, ..Settings::default() };
        let line = |(asked, _): (ResourceAttributes, String)| {
            let [verb, resource, part, name, namespace] =
                [asked.verb, asked.resource, asked.subresource, asked.name, asked.namespace]
                    .map(Option::unwrap_or_default);
            format!("{verb} {resource}/{part} {name} in {namespace}")
        };
        wanted(&settings).into_iter().map(line).collect()
    }

    #[test]
    fn rights_are_asked_for_where_they_are_needed() {
        let own = Settings::default().namespace;
        let everywhere = asked(false);
        for line in [
            "patch deployments/  in ".to_owned(),
            "patch rulers/status  in ".to_owned(),
            "bind clusterroles/ kube-events-ruler in ".to_owned(),
            format!("update leases/ kube-events-operator in {own}"),
        ] {
            assert!(everywhere.contains(&line), "{line} is not in {everywhere:#?}");
        }
        let here = format!(" in {own}");
        let elsewhere = asked(true).into_iter().filter(|line| !line.ends_with(&here));
        assert_eq!(elsewhere.collect::<Vec<_>>(), [""; 0]);
    }
}
