//! A tree to a program: what can be known from the text alone is found here.

use crate::ast::{Ast, Case, Check, Comparison, Literal, Spanned, Test};
use crate::error::{Error, ErrorKind};
use crate::limits::Limits;
use crate::lint::{Lint, LintKind, MAX_LINTS};
use crate::lists::{self, Lists};
use crate::name::{Name, Pick, Place, Step};
use crate::pattern::{Matcher, Pattern};
use crate::program::{CompiledTest, Predicate, Program};
use crate::quoted;
use crate::span::Span;
use crate::style;
use crate::suggest;
use crate::verdict::Reason;
use crate::{duration, number, program};

/// What a condition is compiled with.
pub(crate) struct Context<'a> {
    pub(crate) source: &'a str,
    pub(crate) limits: &'a Limits,
    pub(crate) lists: &'a Lists,
}

/// Compiles a tree, and adds lints about its names and values. Takes from `room` the bytes of its
/// patterns.
pub(crate) fn compile(
    ast: &Ast,
    context: &Context<'_>,
    room: &mut usize,
    lints: &mut Vec<Lint>,
) -> Result<Program, Error> {
    let tests: Result<Vec<_>, _> = ast
        .tests()
        .map(|(test, span)| Checker { test, span, context, room, lints }.compile())
        .collect();
    Ok(program::Program::link(ast, tests?))
}

/// One test on its way to a compiled one.
struct Checker<'a> {
    test: &'a Test,
    span: Span,
    context: &'a Context<'a>,
    room: &'a mut usize,
    lints: &'a mut Vec<Lint>,
}

// === impl Checker ===

impl Checker<'_> {
    fn compile(mut self) -> Result<CompiledTest, Error> {
        let name = self.name()?;
        self.subscripts(&name)?;
        let predicate = self.predicate(&name)?;
        self.lint(&name, &predicate);
        let negated = self.test.negated || self.is_unequal_boolean();
        Ok(match predicate {
            // Of what a JSONPath finds, none may be equal.
            Predicate::Text(Comparison::NotEqual, text) if name.key.path().is_some() => {
                let predicate = Predicate::Text(Comparison::Equal, text);
                CompiledTest { name, negated: true, predicate }
            }
            Predicate::Number(Comparison::NotEqual, number) if name.key.path().is_some() => {
                let predicate = Predicate::Number(Comparison::Equal, number);
                CompiledTest { name, negated: true, predicate }
            }
            predicate => CompiledTest { name, negated, predicate },
        })
    }

    fn name(&self) -> Result<Name, Error> {
        let Spanned { value, span } = &self.test.name;
        let duration = matches!(self.test.check, Check::Compare(_, Literal::Duration(_)));
        let name = if value == "age" && duration {
            Name::of_event_age()
        } else {
            Name::resolve(value, *span)?
        };
        let is_age = matches!(name.key.place(), Place::Age(_));
        if is_age && !duration && !matches!(self.test.check, Check::Exists) {
            return Err(Error::new(ErrorKind::AgeNeedsDuration, self.span)
                .help(format!("a duration is written `30s`, `10m` or `1h30m`: `{value} < 10m`")));
        }
        if let (false, Check::Compare(comparison, Literal::Duration(duration))) =
            (is_age, &self.test.check)
        {
            let error = Error::new(ErrorKind::DurationNeedsAge, duration.span);
            let (comparison, duration) = (comparison.as_str(), &duration.value);
            return Err(match suggest::time(value) {
                Some(time) => {
                    error.help(format!("did you mean `age({time}) {comparison} {duration}`?"))
                }
                None => error.help(format!("quote it if it is a text: `\"{duration}\"`")),
            });
        }
        Ok(name)
    }

    fn is_unequal_boolean(&self) -> bool {
        matches!(self.test.check, Check::Compare(Comparison::NotEqual, Literal::Boolean(_)))
    }

    fn subscripts(&mut self, name: &Name) -> Result<(), Error> {
        let ends_with_subscript = matches!(name.steps.last(), Some(Step::Pick(_)));
        if ends_with_subscript && !matches!(self.test.check, Check::Contains(Case::Exact, _)) {
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
            Check::Compare(comparison, Literal::Duration(text)) => {
                Predicate::Number(*comparison, duration::seconds(&text.value))
            }
            Check::Compare(_, Literal::Boolean(boolean)) => Predicate::Boolean(boolean.value),
            Check::Contains(Case::Exact, literal) => Predicate::Contains(literal.as_text().into()),
            Check::Contains(Case::Ignored, literal) => {
                let pattern = Pattern::literal(literal.as_text(), self.span, ["", ""]);
                self.pattern(name, &pattern)?
            }
            Check::EqualFold(literal) => {
                let pattern = Pattern::literal(literal.as_text(), self.span, [r"\A", r"\z"]);
                self.pattern(name, &pattern)?
            }
            Check::In(values) => Predicate::In(lists::sorted(values.iter().map(Literal::as_text))),
            Check::InList(list) => Predicate::In(self.list(list)?),
            Check::Like(case, text) => {
                let mut pattern = Pattern::like(&text.value, 0);
                if *case == Case::Ignored {
                    pattern.ignore_case();
                }
                self.written_pattern(name, &pattern, text.span)?
            }
            Check::Regex(text) => {
                self.written_pattern(name, &Pattern::regex(&text.value, 0), text.span)?
            }
        })
    }

    fn list(&self, list: &Spanned<String>) -> Result<std::sync::Arc<[Box<str>]>, Error> {
        let lists = self.context.lists;
        lists.get(&list.value).ok_or_else(|| {
            let error = Error::new(ErrorKind::UnknownList(list.value.clone()), list.span);
            match suggest::nearest(&list.value, lists.names()) {
                Some(near) => {
                    error.help(format!("did you mean `@{near}`?")).replacement(format!("@{near}"))
                }
                None => error.help(format!(
                    "name it in the object: `lists: {{{}: [\"A\", \"B\"]}}`",
                    list.value
                )),
            }
        })
    }

    /// A pattern that stands in the condition, `inside` quotes, whose places are those of its text.
    fn written_pattern(
        &mut self,
        name: &Name,
        pattern: &Pattern,
        inside: Span,
    ) -> Result<Predicate, Error> {
        let Context { limits, source, .. } = *self.context;
        let compiled = pattern.compile(limits, self.room);
        self.compiled(
            name,
            compiled.map_err(|error| {
                let place = quoted::place(source, inside, error.span());
                error.at(place)
            }),
        )
    }

    fn pattern(&mut self, name: &Name, pattern: &Pattern) -> Result<Predicate, Error> {
        let compiled = pattern.compile(self.context.limits, self.room);
        self.compiled(name, compiled)
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

    fn compiled(
        &mut self,
        name: &Name,
        compiled: Result<Matcher, Error>,
    ) -> Result<Predicate, Error> {
        match compiled {
            Ok(matcher) => Ok(Predicate::Matches(matcher)),
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
            Place::Field(field) => {
                self.lint_field(field, predicate);
                self.lint_pattern();
            }
            Place::Member(_) | Place::Age(_) | Place::Path => self.lint_pattern(),
            Place::Group(_) if name.steps.is_empty() && matches!(predicate, Predicate::Exists) => {}
            _ => {
                let lint = Lint::new(LintKind::UnknownField, place);
                self.lints.push(match suggest::field(&self.test.name.value) {
                    Some((help, Some(name))) => lint.help(help).replacement(name),
                    Some((help, None)) => lint.help(help),
                    None => lint,
                });
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

    /// Patterns that are more, or less, than they look.
    fn lint_pattern(&mut self) {
        let lint = match &self.test.check {
            Check::Like(_, text) => {
                let help = style::unanchored(&text.value);
                help.map(|help| Lint::new(LintKind::UnanchoredLike, self.span).help(help))
            }
            Check::Regex(text) => style::literal(&text.value).map(|literal| {
                let plain = literal.test(self.test).to_string();
                let lint = Lint::new(LintKind::LiteralRegex, self.span);
                lint.help(format!("write `{plain}`")).replacement(plain)
            }),
            _ => None,
        };
        self.lints.extend(lint);
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
    matches!(name.key.place(), Place::Group(_) | Place::Nowhere)
}

fn is_reversed(step: &Step) -> bool {
    matches!(step, Step::Pick(Pick::Range(from, Some(to))) if from > to)
}
