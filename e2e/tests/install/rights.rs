//! What accounts may do: as the API server says, and as docs/operations.md says.

use anyhow::Result;
use e2e::Cluster;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const BOOK: &str = include_str!("../../../docs/operations.md");

/// What `account` (`NAMESPACE:NAME`) may do in a namespace, `VERB RESOURCE.GROUP/PART NAME` each.
pub(crate) fn granted(
    cluster: &Cluster,
    account: &str,
    namespace: &str,
) -> Result<BTreeSet<String>> {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    });
    let path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    let command = format!(
        "kubectl --as=system:serviceaccount:{account} --as-group=system:serviceaccounts \
         --as-group=system:authenticated create --raw {path} -f -"
    );
    let answer: Value = serde_json::from_str(&cluster.shell_with(&command, &review.to_string())?)?;
    let mut rights = BTreeSet::new();
    for rule in answer["status"]["resourceRules"].as_array().into_iter().flatten() {
        let names = match texts(&rule["resourceNames"]) {
            names if names.is_empty() => vec![String::new()],
            names => names,
        };
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                let resource = qualified(&resource, &group);
                for verb in texts(&rule["verbs"]) {
                    rights.extend(names.iter().map(|name| right(&verb, &resource, name)));
                }
            }
        }
    }
    Ok(rights)
}

/// What the book lists for a role, in the same form.
pub(crate) fn listed(role: &str) -> BTreeSet<String> {
    let section = BOOK.split(&format!("\n`{role}`: ")).nth(1).unwrap_or_default();
    let rows = section.lines().skip(4).take_while(|line| line.starts_with("| "));
    let mut rights = BTreeSet::new();
    for row in rows.filter(|row| !row.contains("in a namespaced install")) {
        let cells: Vec<_> = row.split(" | ").collect();
        let (resources, names) = cells[0].split_once(", only ").unwrap_or((cells[0], "``"));
        for resource in quoted(resources) {
            for verb in cells[1].split(", ") {
                rights.extend(quoted(names).map(|name| right(verb, resource, name)));
            }
        }
    }
    rights
}

fn right(verb: &str, resource: &str, name: &str) -> String {
    format!("{verb} {resource} {name}").trim_end().to_owned()
}

fn qualified(resource: &str, group: &str) -> String {
    let dot = if group.is_empty() { "" } else { "." };
    match resource.split_once('/') {
        Some((resource, part)) => format!("{resource}{dot}{group}/{part}"),
        None => format!("{resource}{dot}{group}"),
    }
}

/// What stands between backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn texts(values: &Value) -> Vec<String> {
    let values = values.as_array().into_iter().flatten();
    values.filter_map(|value| value.as_str().map(str::to_owned)).collect()
}
