//! What was found and what became of it, for people and for programs.

use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::found::{Found, State};

/// What was found and what became of it.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) dry_run: bool,
    pub(super) found: Vec<Found>,
}

// === impl Report ===

impl Report {
    /// Whether something is left that should not be.
    pub(super) fn is_bad(&self) -> bool {
        self.found.iter().any(Found::is_left)
    }

    /// A line for each object.
    pub(super) fn table(&self) -> String {
        if self.found.is_empty() {
            return "nothing of the Go project is left\n".to_owned();
        }
        let rows = self.found.iter().map(|it| {
            let what = match reason(&it.state) {
                Some(reason) => format!("{}: {reason}", it.what),
                None => it.what.clone(),
            };
            [state(&it.state).to_owned(), it.resource.kind.clone(), it.place(), what]
        });
        let rows: Vec<_> = rows.collect();
        let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
        let [state, kind, place] = [width(0), width(1), width(2)];
        let line =
            |[s, k, p, what]: &[String; 4]| format!("{s:state$}  {k:kind$}  {p:place$}  {what}\n");
        rows.iter().map(line).collect::<String>() + &self.summary()
    }

    fn summary(&self) -> String {
        let count = |of: fn(&Found) -> bool| self.found.iter().filter(|it| of(it)).count();
        let left = count(Found::is_left);
        let (done, what) = if self.dry_run {
            (count(|it| it.state == State::Delete), "would be deleted")
        } else {
            (count(|it| it.state == State::Deleted), "deleted")
        };
        let again = if left > 0 { "; run this again for the rest" } else { "" };
        format!("\n{done} {what}, {left} left to do{again}\n")
    }

    /// An array of objects, each with its state and the reason of it.
    pub(super) fn json(&self) -> anyhow::Result<String> {
        let objects: Vec<_> = self.found.iter().map(object).collect();
        Ok(serde_json::to_string_pretty(&objects)? + "\n")
    }
}

fn object(it: &Found) -> Value {
    json!({
        "apiVersion": it.resource.api_version,
        "kind": it.resource.kind,
        "namespace": it.object.namespace(),
        "name": it.object.name_any(),
        "what": it.what,
        "state": state(&it.state),
        "reason": reason(&it.state),
    })
}

fn state(state: &State) -> &'static str {
    match state {
        State::Keep => "kept",
        State::Delete => "to delete",
        State::Wait { .. } => "waits",
        State::Deleted => "deleted",
        State::Failed { .. } => "failed",
    }
}

fn reason(state: &State) -> Option<&str> {
    match state {
        State::Wait { reason, .. } | State::Failed { reason } => Some(reason),
        State::Keep | State::Delete | State::Deleted => None,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::{core::v1::Secret, rbac::v1::ClusterRole};
    use kube::core::ApiResource;

    use super::*;

    fn secret() -> Found {
        let metadata = json!({"metadata": {"namespace": "logging", "name": "admission"}});
        let object = serde_json::from_value(metadata).unwrap();
        Found::new(ApiResource::erase::<Secret>(&()), object).unneeded("a certificate")
    }

    fn role() -> Found {
        let object = serde_json::from_value(json!({"metadata": {"name": "shop-alerts"}})).unwrap();
        Found::new(ApiResource::erase::<ClusterRole>(&()), object).unneeded("rights")
    }

    fn report(found: &[Found]) -> Report {
        Report { dry_run: false, found: found.to_vec() }
    }

    #[test]
    fn people_read_what_became_of_each_and_why() {
        let failed = Found { state: State::Failed { reason: "forbidden".into() }, ..secret() };
        let deleted = Found { state: State::Deleted, ..role() };
        let report =
            report(&[secret().kept("somebody's"), secret().waiting("a pod"), failed, deleted]);
        let expected = "\
kept     Secret       logging/admission  somebody's
waits    Secret       logging/admission  a certificate: a pod
failed   Secret       logging/admission  a certificate: forbidden
deleted  ClusterRole  shop-alerts        rights

1 deleted, 2 left to do; run this again for the rest
";
        assert_eq!(report.table(), expected);
    }

    #[test]
    fn a_dry_run_says_what_would_be() {
        let report = Report { dry_run: true, ..report(&[role()]) };
        let expected = "\
to delete  ClusterRole  shop-alerts  rights

1 would be deleted, 0 left to do
";
        assert_eq!(report.table(), expected);
        assert!(!report.is_bad());
    }

    #[test]
    fn programs_read_an_array() {
        let json = report(&[secret().waiting("a pod")]).json().unwrap();
        let expected = json!([{
            "apiVersion": "v1", "kind": "Secret", "namespace": "logging", "name": "admission",
            "what": "a certificate", "state": "waits", "reason": "a pod",
        }]);
        assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), expected);
    }

    #[test]
    fn what_waits_or_failed_is_bad_and_what_is_kept_is_not() {
        assert!(report(&[secret().waiting("a pod")]).is_bad());
        let failed = Found { state: State::Failed { reason: "forbidden".into() }, ..secret() };
        assert!(report(&[failed]).is_bad());
        let deleted = Found { state: State::Deleted, ..role() };
        assert!(!report(&[deleted, secret().kept("somebody's").waiting("a pod")]).is_bad());
        assert_eq!(report(&[]).table(), "nothing of the Go project is left\n");
    }
}
