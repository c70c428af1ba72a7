//! `rules check --fix`: what is safe to rewrite, rewritten in the file.

use std::fmt;

use kube_events_rules::{Condition, Limits};

use super::{
    document::{Document, RuleObject, Written},
    scalar::{Position, Scalar},
};

/// One condition that was rewritten.
#[derive(Debug)]
pub(super) struct Fix {
    line: usize,
    title: String,
    rule: String,
    lints: Vec<&'static str>,
    before: String,
    after: String,
}

/// Rewrites what is safe in the text of a file, and leaves all else of it as it is, byte by byte.
///
/// What is not understood is left alone: a change counts only if the new text, read again, differs
/// in nothing but that condition.
pub(super) fn fix(text: &mut String, is_allowed: impl Fn(&str) -> bool) -> Vec<Fix> {
    let mut fixes = Vec::new();
    for at in 0..conditions(text).map_or(0, |all| all.len()) {
        fixes.extend(condition(text, at, &is_allowed));
    }
    fixes
}

/// Rewrites one condition until nothing is left to rewrite.
fn condition(text: &mut String, at: usize, is_allowed: &impl Fn(&str) -> bool) -> Option<Fix> {
    let mut fix: Option<Fix> = None;
    while let Some((changed, next)) = step(text, at, is_allowed) {
        *text = changed;
        match &mut fix {
            Some(fix) => {
                fix.lints.extend(next.lints);
                fix.after = next.after;
            }
            None => fix = Some(next),
        }
    }
    fix
}

/// The text with one lint less.
fn step(text: &str, at: usize, is_allowed: &impl Fn(&str) -> bool) -> Option<(String, Fix)> {
    let documents = documents(text)?;
    let (object, written) = all(&documents).into_iter().nth(at)?;
    let condition = written.condition;
    let parsed = Condition::parse_with(condition, &Limits::default(), &object.lists()).ok()?;
    let scalar = Scalar::find(text, written.place, condition)?;
    parsed.lints().iter().find_map(|lint| {
        let (name, span) = (lint.kind().name(), lint.span());
        let with = lint.fix().filter(|_| !is_allowed(name) && !object.allows(name))?;
        let changed = scalar.replaced(span.start..span.end, with)?;
        let after = format!("{}{with}{}", &condition[..span.start], &condition[span.end..]);
        let start = scalar.range(0..0)?.start;
        differs_only(text, &changed, at, &after).then(|| {
            let fix = Fix {
                line: Position::of(text, start).line,
                title: object.title(),
                rule: written.rule.to_owned(),
                lints: vec![name],
                before: condition.to_owned(),
                after,
            };
            (changed, fix)
        })
    })
}

fn documents(text: &str) -> Option<Vec<Document>> {
    serde_saphyr::from_multiple(text).ok()
}

fn all(documents: &[Document]) -> Vec<(&RuleObject, Written<'_>)> {
    let objects = documents.iter().flat_map(Document::objects);
    objects.flat_map(|object| object.conditions().map(move |written| (object, written))).collect()
}

fn conditions(text: &str) -> Option<Vec<String>> {
    let documents = documents(text)?;
    Some(all(&documents).iter().map(|(_, written)| written.condition.to_owned()).collect())
}

/// Whether two texts are the same YAML, but for one condition.
fn differs_only(before: &str, after: &str, at: usize, condition: &str) -> bool {
    let (Some(mut expected), Some(found)) = (conditions(before), conditions(after)) else {
        return false;
    };
    condition.clone_into(&mut expected[at]);
    expected == found
}

// === impl Fix ===

impl fmt::Display for Fix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, title, rule, lints, .. } = self;
        write!(f, "{line}: {title}{rule}: {}", lints.join(", "))?;
        for (sign, text) in [('-', &self.before), ('+', &self.after)] {
            for line in text.lines() {
                write!(f, "\n{sign} {line}")?;
            }
        }
        Ok(())
    }
}
