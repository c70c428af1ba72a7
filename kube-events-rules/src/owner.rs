//! The workload that an Event is about.

use kube_events_core::Event;
use serde_json::Value;

/// The name of the workload that owns the involved object: of pods, `ReplicaSet`s and jobs that of what
/// made them, of everything else its own.
///
/// Owner references count, where an Event carries any; else the name tells: controllers name their
/// pods by rule.
pub(crate) fn owner(event: &Event) -> String {
    let object = event.involved_object();
    let (kind, name) = match referenced(event) {
        Some((kind, name)) => (kind, name),
        None if object.kind == "Pod" => return of_pod(object.name).to_owned(),
        None => (object.kind, object.name),
    };
    match kind {
        "ReplicaSet" => without_hash(name).unwrap_or(name),
        "Job" => without_time(name).unwrap_or(name),
        _ => name,
    }
    .to_owned()
}

/// The controller among the Event's owner references, else the first of them.
fn referenced(event: &Event) -> Option<(&str, &str)> {
    // Only then is the JSON parsed.
    if !event.json().contains("\"ownerReferences\"") {
        return None;
    }
    let references = event.value().pointer("/metadata/ownerReferences")?.as_array()?;
    let is_controller = |reference: &&Value| reference["controller"] == true;
    let reference = references.iter().find(is_controller).or_else(|| references.first())?;
    Some((reference["kind"].as_str()?, reference["name"].as_str()?))
}

fn of_pod(name: &str) -> &str {
    if let Some(set) = name.rsplit_once('-').filter(|(_, end)| is_digits(end)) {
        return set.0;
    }
    match without_random(name) {
        None => name,
        Some(owner) => without_time(owner).or_else(|| without_hash(owner)).unwrap_or(owner),
    }
}

/// `web-7d9f8c6b5-x2x4z` without the five characters of its pod.
fn without_random(name: &str) -> Option<&str> {
    let (owner, end) = name.rsplit_once('-')?;
    (end.len() == 5 && is_safe(end)).then_some(owner)
}

/// `web-7d9f8c6b5` without the hash of its template.
fn without_hash(name: &str) -> Option<&str> {
    let (owner, end) = name.rsplit_once('-')?;
    ((6..=10).contains(&end.len()) && is_safe(end)).then_some(owner)
}

/// `backup-29012345` without the minute that its run was due.
fn without_time(name: &str) -> Option<&str> {
    let (owner, end) = name.rsplit_once('-')?;
    ((8..=11).contains(&end.len()) && is_digits(end)).then_some(owner)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Kubernetes draws the ends of names from these, which spell no words.
fn is_safe(text: &str) -> bool {
    text.bytes().all(|byte| b"bcdfghjklmnpqrstvwxz2456789".contains(&byte))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn owner_of(value: &Value) -> String {
        owner(&Event::decode(value.to_string().as_bytes()).unwrap())
    }

    #[test]
    fn names_tell_the_workload() {
        for (kind, name, expected) in [
            ("Pod", "web-7d9f8c6b5-x2x4z", "web"),
            ("Pod", "shop-web-5d4b9c-x2x4z", "shop-web"),
            ("Pod", "db-0", "db"),
            ("Pod", "my-db-12", "my-db"),
            ("Pod", "fluent-bit-9xk2p", "fluent-bit"),
            ("Pod", "backup-29012345-zx7kq", "backup"),
            ("Pod", "migrate-zx7kq", "migrate"),
            ("Pod", "nginx", "nginx"),
            ("Pod", "my-proxy", "my-proxy"),
            ("ReplicaSet", "web-7d9f8c6b5", "web"),
            ("Job", "backup-29012345", "backup"),
            ("Job", "migrate", "migrate"),
            ("Deployment", "web-7d9f8c6b5", "web-7d9f8c6b5"),
            ("Node", "node-1", "node-1"),
        ] {
            let event = json!({"involvedObject": {"kind": kind, "name": name}});
            assert_eq!(owner_of(&event), expected, "{kind} {name}");
        }
    }

    #[test]
    fn owner_references_come_before_names() {
        let reference = |kind: &str, name: &str, controller: bool| json!({"kind": kind, "name": name, "controller": controller});
        let event = json!({"involvedObject": {"kind": "Pod", "name": "odd-name"}, "metadata": {"ownerReferences": [
            reference("Node", "n1", false), reference("ReplicaSet", "web-7d9f8c6b5", true)]}});
        assert_eq!(owner_of(&event), "web");
    }
}
