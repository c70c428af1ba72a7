//! Texts with fields of the Event in them.

use crate::{error::Error, expression::Expressions, fields::Fields, name::Key, name::Place};

/// A text in which fields of the Event stand, in one of two forms.
///
/// With `{{ }}` in it, what stands between them is an expression: a field, filters, a choice. Names
/// are those of conditions; `metadata.labels["app"]` and the times of an Event are there, too, and
/// `event` is all of its JSON. A name that Events do not have is an error when the text is read.
///
/// Without, `%` and the name of a field stand for the field's value: `%message`. The name is the
/// longest one after the `%` that is a field's name; so the dot that ends a sentence is text again.
/// A name that is no field's is empty. `%%` stands for `%`; a `%` before anything else is text.
///
/// What an Event does not have is empty in both.
///
/// ```
/// use kube_events_rules::{JsonEvent, Template};
///
/// let event = serde_json::json!({"involvedObject": {"name": "web"}, "message": "Back-off"});
/// let event = JsonEvent::new(&event);
///
/// let template = Template::parse("{{ involvedObject.name | upper }}: {{ message }}")?;
/// assert_eq!(template.render(&event), Ok("WEB: Back-off".to_owned()));
/// let template = Template::parse("%involvedObject.name: %message. (100%)")?;
/// assert_eq!(template.render(&event), Ok("web: Back-off. (100%)".to_owned()));
/// # Ok::<_, kube_events_rules::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Template(Form);

#[derive(Clone, Debug)]
enum Form {
    Percent(Box<[Part]>),
    Expressions(Box<Expressions>),
}

/// Why a template has no text for an Event, such as a text that became too long.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RenderError(pub(crate) String);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Key),
    /// No field of Events has this name.
    Unknown(String),
}

// === impl Template ===

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// If it has `{{ }}`, and what stands between them is wrong.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.contains("{{") {
            return Expressions::parse(text).map(|it| Self(Form::Expressions(Box::new(it))));
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('%') {
            push_text(&mut parts, before);
            rest = match after.strip_prefix('%') {
                Some(after) => {
                    push_text(&mut parts, "%");
                    after
                }
                None => field(&mut parts, after),
            };
        }
        push_text(&mut parts, rest);
        Ok(Self(Form::Percent(parts.into())))
    }

    /// Fills in the fields of one Event.
    ///
    /// # Errors
    /// If an expression cannot be evaluated on this Event. The form with `%` always can.
    pub fn render(&self, event: &(impl Fields + ?Sized)) -> Result<String, RenderError> {
        self.render_within(event, usize::MAX)
    }

    /// The same, with no more bytes than this.
    pub(crate) fn render_within(
        &self,
        event: &(impl Fields + ?Sized),
        room: usize,
    ) -> Result<String, RenderError> {
        let beyond = || {
            let why = "the rules of its namespace or workspace fill in too much at this moment";
            RenderError(why.to_owned())
        };
        if room == 0 {
            return Err(beyond());
        }
        let parts = match &self.0 {
            Form::Percent(parts) => parts,
            Form::Expressions(expressions) => {
                let text = expressions.render(event)?;
                return if text.len() > room { Err(beyond()) } else { Ok(text) };
            }
        };
        let mut out = String::new();
        for part in parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Field(key) => {
                    if let Some(value) = event.get(key) {
                        out.push_str(&value.as_text());
                    }
                }
                Part::Unknown(_) => {}
            }
            if out.len() > room {
                return Err(beyond());
            }
        }
        Ok(out)
    }

    /// The names after `%` that no field has; they are always empty.
    pub fn unknown(&self) -> impl Iterator<Item = &str> {
        let parts = match &self.0 {
            Form::Percent(parts) => &**parts,
            Form::Expressions(_) => &[],
        };
        parts.iter().filter_map(|part| match part {
            Part::Unknown(name) => Some(name.as_str()),
            _ => None,
        })
    }
}

fn push_text(parts: &mut Vec<Part>, text: &str) {
    match parts.last_mut() {
        _ if text.is_empty() => {}
        Some(Part::Text(last)) => last.push_str(text),
        _ => parts.push(Part::Text(text.to_owned())),
    }
}

/// Reads the name that `text` begins with, and gives what follows it.
fn field<'a>(parts: &mut Vec<Part>, text: &'a str) -> &'a str {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    let run = &text[..text.find(|c| !is_name(c)).unwrap_or(text.len())];
    let longest = std::iter::successors(Some(run), |run| Some(run.rsplit_once('.')?.0));
    for name in longest {
        let key = Key::new(name);
        if matches!(key.place(), Place::Field(_)) {
            parts.push(Part::Field(key));
            return &text[name.len()..];
        }
    }
    let mut name = run.trim_end_matches('.');
    if name.is_empty() || name.starts_with('.') {
        name = "";
        push_text(parts, "%");
    } else {
        parts.push(Part::Unknown(name.to_owned()));
    }
    &text[name.len()..]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::JsonEvent;

    #[test]
    fn each_form_is_filled_in() {
        let event = json!({"message": "m%reason", "count": 1_000_000, "involvedObject": {"name": "web-1"},
            "metadata": {"labels": {"b": "2", "a": "1"}}});
        for (template, expected) in [
            ("%message", "m%reason"),
            ("%message.", "m%reason."),
            ("a %involvedObject.name-x", "a web-1-x"),
            ("%involvedObject.name.first", "web-1.first"),
            ("%involvedObject.name..", "web-1.."),
            ("%count times", "1e+06 times"),
            ("%metadata.labels", "map[a:1 b:2]"),
            ("%reason|%related.name|%nothing.here.|%messages", "||.|"),
            ("100%, 5 % of %%count, %%%count, %", "100%, 5 % of %count, %1e+06, %"),
            ("%.x", "%.x"),
            ("%消息 %message消息", "%消息 m%reason消息"),
            ("", ""),
        ] {
            let rendered =
                Template::parse(template).unwrap().render(&JsonEvent::new(&event)).unwrap();
            assert_eq!(rendered, expected, "{template}");
        }
    }

    #[test]
    fn a_name_that_no_field_has_is_told() {
        let template =
            Template::parse("%message %nothing.here. %involvedObject %related.kind").unwrap();
        assert_eq!(template.unknown().collect::<Vec<_>>(), ["nothing.here", "involvedObject"]);
    }
}
