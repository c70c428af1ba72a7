//! Something to tell the author of a file of rules.

use std::fmt;

use kube_events_daemon::yaml;
use kube_events_rules::{Problem, ProblemKind, Span};
use serde::Serialize;

use super::{
    document::RuleObject,
    files::File,
    scalar::{Position, Scalar},
};

/// One thing that is wrong, or probably not meant.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    file: String,
    namespace: Option<String>,
    object: Option<String>,
    rule: Option<String>,
    level: Severity,
    /// A name from a closed set; of a warning that by which it can be allowed.
    code: &'static str,
    message: String,
    help: Option<String>,
    /// Of the file, from 1; where it is not known on which of its lines, that where the condition begins.
    line: Option<u64>,
    /// In characters, from 1.
    column: Option<usize>,
    /// The place after the last character.
    end: Option<Position>,
    /// In bytes of the condition.
    span: Option<Span>,
    /// What can stand from there to the end instead, in the condition.
    replacement: Option<String>,
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
    pub(super) fn of_problem(file: &File, object: &RuleObject, problem: &Problem) -> Self {
        let written = problem.rule.as_deref().zip(problem.condition.as_deref());
        let begin = written.and_then(|(rule, condition)| object.place_of(rule, condition));
        let Details { span, help, replacement } = Details::of(&problem.kind);
        let range = span.and_then(|span| {
            let (text, condition) = (file.text().ok()?, problem.condition.as_deref()?);
            let scalar = Scalar::find(text, begin?, condition)?;
            let range = scalar.range(span.start..span.end)?;
            Some((Position::of(text, range.start), Position::of(text, range.end)))
        });
        let line = range.and_then(|(start, _)| u64::try_from(start.line).ok());
        Self {
            file: file.name.clone(),
            namespace: Some(problem.namespace.clone()).filter(|it| !it.is_empty()),
            object: Some(problem.object.clone()).filter(|it| !it.is_empty()),
            rule: problem.rule.clone(),
            level: if problem.is_error() { Severity::Error } else { Severity::Warning },
            code: problem.kind.name(),
            message: problem.kind.to_string(),
            help: help.map(str::to_owned),
            line: line.or(begin.map(|begin| begin.line())),
            column: range.map(|(start, _)| start.column),
            end: range.map(|(_, end)| end),
            span,
            replacement: replacement.map(str::to_owned),
            rendered: problem.render(),
        }
    }

    /// About the text of a file.
    pub(super) fn of_text(file: &str, error: &serde_saphyr::Error) -> Self {
        Self {
            line: error.location().map(|location| location.line()),
            help: yaml::suggestion(error),
            rendered: yaml::report(file, error),
            code: "invalid-yaml",
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
            level: Severity::Error,
            code: "invalid-file",
            rendered: format!("error: {message}"),
            message,
            help: None,
            line: None,
            column: None,
            end: None,
            span: None,
            replacement: None,
        }
    }

    /// True if a rule does not count because of it.
    pub(super) fn is_error(&self) -> bool {
        self.level == Severity::Error
    }

    pub(super) fn severity(&self) -> Severity {
        self.level
    }

    pub(super) fn code(&self) -> &'static str {
        self.code
    }
}

/// What only problems of a condition have.
#[derive(Default)]
struct Details<'a> {
    span: Option<Span>,
    help: Option<&'a str>,
    replacement: Option<&'a str>,
}

impl<'a> Details<'a> {
    fn of(kind: &'a ProblemKind) -> Self {
        match kind {
            ProblemKind::Condition(error) | ProblemKind::Clause { error, .. } => Self {
                span: Some(error.span()),
                help: error.suggestion(),
                replacement: error.fix(),
            },
            ProblemKind::Lint(lint) | ProblemKind::ClauseLint { lint, .. } => {
                Self { span: Some(lint.span()), help: lint.suggestion(), replacement: lint.fix() }
            }
            _ => Self::default(),
        }
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
