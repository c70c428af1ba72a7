//! Something to tell the author of a file of rules.

use std::fmt;

use kube_events_daemon::yaml;
use kube_events_rules::{Problem, ProblemKind, Span};
use serde::Serialize;

use super::document::RuleObject;

/// One thing that is wrong, or probably not meant.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    file: String,
    namespace: Option<String>,
    object: Option<String>,
    rule: Option<String>,
    severity: Severity,
    message: String,
    help: Option<String>,
    /// Of the file, from 1; of a condition the line on which it begins.
    line: Option<u64>,
    /// In bytes of the condition.
    span: Option<Span>,
    /// The message as people read it, with the place drawn where one is known.
    rendered: String,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// A rule does not count.
    Error,
    /// A rule counts, but probably not as it was meant.
    Warning,
}

// === impl Finding ===

impl Finding {
    /// About a rule, or about an object of a file.
    pub(super) fn of_problem(file: &str, object: &RuleObject, problem: &Problem) -> Self {
        let place = problem.rule.as_deref().zip(problem.condition.as_deref());
        let (span, help) = place_and_help(&problem.kind);
        let severity = if problem.is_error() { Severity::Error } else { Severity::Warning };
        Self {
            file: file.to_owned(),
            namespace: Some(problem.namespace.clone()).filter(|it| !it.is_empty()),
            object: Some(problem.object.clone()).filter(|it| !it.is_empty()),
            rule: problem.rule.clone(),
            severity,
            message: problem.kind.to_string(),
            help: help.map(str::to_owned),
            line: place.and_then(|(rule, condition)| object.line_of(rule, condition)),
            span,
            rendered: problem.render(),
        }
    }

    /// About the text of a file.
    pub(super) fn of_text(file: &str, error: &serde_saphyr::Error) -> Self {
        Self {
            line: error.location().map(|location| location.line()),
            help: yaml::suggestion(error),
            rendered: yaml::report(file, error),
            ..Self::error(file, error.without_snippet().to_string())
        }
    }

    /// About a file.
    pub(super) fn error(file: &str, message: String) -> Self {
        Self {
            file: file.to_owned(),
            namespace: None,
            object: None,
            rule: None,
            severity: Severity::Error,
            rendered: format!("error: {message}"),
            message,
            help: None,
            line: None,
            span: None,
        }
    }

    pub(super) fn severity(&self) -> Severity {
        self.severity
    }
}

fn place_and_help(kind: &ProblemKind) -> (Option<Span>, Option<&str>) {
    match kind {
        ProblemKind::Condition(error) | ProblemKind::Clause { error, .. } => {
            (Some(error.span()), error.suggestion())
        }
        ProblemKind::Lint(lint) | ProblemKind::ClauseLint { lint, .. } => {
            (Some(lint.span()), lint.suggestion())
        }
        _ => (None, None),
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        let object = [self.namespace.as_deref(), self.object.as_deref()];
        let object: Vec<_> = object.into_iter().flatten().collect();
        if !object.is_empty() {
            write!(f, ": Rule {}", object.join("/"))?;
        }
        if let Some(rule) = &self.rule {
            write!(f, ": {rule}")?;
        }
        write!(f, "\n{}\n", self.rendered)
    }
}
