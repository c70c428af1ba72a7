//! A tree to a program: what can be known from the text alone is found here.

use regex::Regex;

use crate::ast::{Ast, Check, Comparison, Literal, Spanned, Test};
use crate::error::{Error, ErrorKind};
use crate::limits::Limits;
use crate::lint::{Lint, LintKind, MAX_LINTS};
use crate::name::{Name, Pick, Place, Step};
use crate::pattern::Pattern;
use crate::program::{CompiledTest, Predicate, Program};
use crate::span::Span;
use crate::suggest;
use crate::verdict::Reason;
use crate::{number, program};

/// Compiles a tree, and adds lints about its names and values. Takes from `room` the bytes of its
/// patterns.
pub(crate) fn compile(
    ast: &Ast,
    limits: &Limits,
    room: &mut usize,
    lints: &mut Vec<Lint>,
) -> Result<Program, Error> {
    let tests: Result<Vec<_>, _> = ast
        .tests()
        .map(|(test, span)| Checker { test, span, limits, room, lints }.compile())
        .collect();
    Ok(program::Program::link(ast, tests?))
}

/// One test on its way to a compiled one.
struct Checker<'a> {
    test: &'a Test,
    span: Span,
    limits: &'a Limits,
    room: &'a mut usize,
    lints: &'a mut Vec<Lint>,
}

// === impl Checker ===

impl Checker<'_> {
    fn compile(mut self) -> Result<CompiledTest, Error> {
        let name = Name::new(&self.test.name.value);
        self.subscripts(&name)?;
        let predicate = self.predicate(&name)?;
        self.lint(&name, &predicate);
        let negated = self.test.negated || self.is_unequal_boolean();
        Ok(CompiledTest { name, negated, predicate })
    }

    fn is_unequal_boolean(&self) -> bool {
        matches!(self.test.check, Check::Compare(Comparison::NotEqual, Literal::Boolean(_)))
    }

    fn subscripts(&mut self, name: &Name) -> Result<(), Error> {
        let ends_with_subscript = matches!(name.steps.last(), Some(Step::Pick(_)));
        if ends_with_subscript && !matches!(self.test.check, Check::Contains(_)) {
            let shown = &self.test.name.value;
            let help = format!("search the elements: `{shown} contains \"…\"`");
            return Err(Error::new(ErrorKind::ListNeedsContains, self.span).help(help));
        }
        Ok(())
    }

    fn predicate(&mut self, name: &Name) -> Result<Predicate, Error> {
        Ok(match &self.test.check {
            Check::Holds => Predicate::Holds,
            Check::Exists => Predicate::Exists,
            Check::Compare(comparison, Literal::Text(text)) => {
                Predicate::Text(*comparison, text.value.as_str().into())
            }
            Check::Compare(comparison, Literal::Number(number)) => {
                self.number(name, *comparison, number)?
            }
            Check::Compare(_, Literal::Boolean(boolean)) => Predicate::Boolean(boolean.value),
            Check::Contains(literal) => Predicate::Contains(literal.as_text().into()),
            Check::In(values) => in_list(values),
            Check::Like(text) => {
                let pattern = Pattern::like(&text.value, text.span.start);
                let compiled = pattern.compile(self.limits, self.room);
                self.pattern(name, compiled)?
            }
            Check::Regex(text) => {
                let pattern = Pattern::regex(&text.value, text.span.start);
                let compiled = pattern.compile(self.limits, self.room);
                self.pattern(name, compiled)?
            }
        })
    }

    fn number(
        &mut self,
        name: &Name,
        comparison: Comparison,
        literal: &Spanned<String>,
    ) -> Result<Predicate, Error> {
        if let Some(number) = number::parse(&literal.value) {
            return Ok(Predicate::Number(comparison, number));
        }
        if is_unreachable(name) {
            self.lints.push(Lint::new(LintKind::NumberTooLarge, literal.span));
            return Ok(Predicate::Never(Reason::NumberTooLarge));
        }
        Err(Error::new(ErrorKind::NumberTooLarge, literal.span))
    }

    fn pattern(&mut self, name: &Name, compiled: Result<Regex, Error>) -> Result<Predicate, Error> {
        match compiled {
            Ok(regex) => Ok(Predicate::Matches(regex)),
            Err(error) if is_unreachable(name) => {
                let lint = Lint::new(LintKind::InvalidPattern, error.span());
                self.lints.push(lint.help(error.to_string()));
                Ok(Predicate::Never(Reason::InvalidPattern))
            }
            Err(error) => Err(error),
        }
    }

    fn lint(&mut self, name: &Name, predicate: &Predicate) {
        // Those of the parser come before, and not more than these are shown.
        if self.lints.len() >= 2 * MAX_LINTS {
            return;
        }
        let place = self.test.name.span;
        if name.steps.iter().any(is_reversed) {
            self.lints.push(Lint::new(LintKind::ReversedRange, place));
        }
        match name.key.place() {
            Place::Field(_) if !name.steps.is_empty() => {
                self.lints.push(Lint::new(LintKind::NoLists, place));
            }
            Place::Field(field) => self.lint_field(field, predicate),
            Place::Group(_) if name.steps.is_empty() && matches!(predicate, Predicate::Exists) => {}
            _ => {
                let lint = Lint::new(LintKind::UnknownField, place);
                let help = suggest::field(&self.test.name.value);
                self.lints.push(help.map_or(lint.clone(), |help| lint.help(help)));
            }
        }
    }

    fn lint_field(&mut self, field: crate::Field, predicate: &Predicate) {
        let kind = match predicate {
            Predicate::Number(..) | Predicate::Boolean(_) | Predicate::Holds
                if field.is_collection() =>
            {
                LintKind::NeverThisType
            }
            Predicate::Holds if !field.is_number() => LintKind::NameAlone,
            Predicate::In(_) if field.is_number() => {
                let Some(span) = self.number_as_text() else { return };
                self.lints.push(Lint::new(LintKind::NumberAsText, span));
                return;
            }
            _ => return,
        };
        self.lints.push(Lint::new(kind, self.span));
    }

    /// An item of the list that no number's text form is equal to.
    fn number_as_text(&self) -> Option<Span> {
        let Check::In(values) = &self.test.check else { return None };
        values.iter().find_map(|value| match value {
            Literal::Number(literal) => {
                let number = number::parse(&literal.value)?;
                let mut text = String::new();
                number::write(&mut text, number);
                (text != literal.value).then_some(literal.span)
            }
            _ => None,
        })
    }
}

/// Whether no Event has a value under this name, so that no test on it is ever made.
fn is_unreachable(name: &Name) -> bool {
    !matches!(name.key.place(), Place::Field(_))
}

fn is_reversed(step: &Step) -> bool {
    matches!(step, Step::Pick(Pick::Range(from, Some(to))) if from > to)
}

fn in_list(values: &[Literal]) -> Predicate {
    let mut texts: Vec<Box<str>> = values.iter().map(|value| value.as_text().into()).collect();
    texts.sort_unstable();
    texts.dedup();
    Predicate::In(texts.into())
}
