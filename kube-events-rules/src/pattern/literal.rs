//! What of a pattern is plain text: all of it, or a part that every match has in it.

use regex_syntax::hir::{Hir, HirKind, Look};

use super::wildcard::Wildcard;

/// A pattern that asks no more than a comparison of texts does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Plain {
    Equals(String),
    StartsWith(String),
    EndsWith(String),
    Contains(String),
    Wildcard(Wildcard),
}

impl Plain {
    pub(super) fn is_match(&self, text: &str) -> bool {
        match self {
            Self::Equals(other) => text == other,
            Self::StartsWith(start) => text.starts_with(start),
            Self::EndsWith(end) => text.ends_with(end),
            Self::Contains(part) => text.contains(part),
            Self::Wildcard(wildcard) => wildcard.is_match(text),
        }
    }
}

/// The most texts of which a pattern is said to need one.
const MOST_NEEDLES: usize = 16;

/// The comparison that a pattern comes down to, if it is one.
pub(super) fn plain(hir: &Hir) -> Option<Plain> {
    let mut parts = parts(hir);
    let from_start = is_anchor(parts.first(), Look::Start);
    parts.drain(..usize::from(from_start));
    let to_end = is_anchor(parts.last(), Look::End);
    parts.truncate(parts.len() - usize::from(to_end));
    // Where a match may begin or end anywhere, what can be nothing says nothing.
    while !to_end && parts.last().is_some_and(|part| can_be_nothing(part)) {
        parts.pop();
    }
    let idle = parts.iter().take_while(|part| !from_start && can_be_nothing(part)).count();
    let parts = &parts[idle..];
    let text: Option<Vec<&[u8]>> = parts.iter().map(|part| literal(part)).collect();
    let Some(text) = text else {
        return Wildcard::of(from_start, parts, to_end).map(Plain::Wildcard);
    };
    let text = String::from_utf8(text.concat()).ok()?;
    Some(match (from_start, to_end) {
        (true, true) => Plain::Equals(text),
        (true, false) => Plain::StartsWith(text),
        (false, true) => Plain::EndsWith(text),
        (false, false) => Plain::Contains(text),
    })
}

/// Texts of which one at least is in everything that a pattern matches; none if there are no such
/// texts, or too many.
pub(super) fn needles(hir: &Hir) -> Vec<String> {
    needles_of(hir).unwrap_or_default()
}

/// Reads a translated pattern.
pub(super) fn parse(translated: &str) -> Option<Hir> {
    regex_syntax::ParserBuilder::new().nest_limit(u32::MAX).build().parse(translated).ok()
}

/// What follows one after the other, however it is grouped.
fn parts(hir: &Hir) -> Vec<&Hir> {
    match hir.kind() {
        HirKind::Concat(parts) => parts.iter().flat_map(self::parts).collect(),
        HirKind::Capture(group) => parts(&group.sub),
        HirKind::Empty => Vec::new(),
        _ => vec![hir],
    }
}

fn is_anchor(part: Option<&&Hir>, look: Look) -> bool {
    part.is_some_and(|part| *part.kind() == HirKind::Look(look))
}

fn can_be_nothing(part: &Hir) -> bool {
    let properties = part.properties();
    properties.minimum_len() == Some(0) && properties.look_set().is_empty()
}

fn literal(part: &Hir) -> Option<&[u8]> {
    match part.kind() {
        HirKind::Literal(literal) => Some(&literal.0),
        _ => None,
    }
}

fn needles_of(hir: &Hir) -> Option<Vec<String>> {
    match hir.kind() {
        HirKind::Literal(literal) => Some(vec![String::from_utf8(literal.0.to_vec()).ok()?]),
        HirKind::Capture(group) => needles_of(&group.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => needles_of(&repetition.sub),
        HirKind::Alternation(alternatives) => {
            let needles: Option<Vec<_>> = alternatives.iter().map(needles_of).collect();
            Some(needles?.concat()).filter(|needles| needles.len() <= MOST_NEEDLES)
        }
        HirKind::Concat(parts) => parts.iter().filter_map(needles_of).max_by_key(|needles| {
            // The longer the shortest of them, the less of what is no match has one.
            needles.iter().map(String::len).min()
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;
    use crate::pattern::Pattern;

    fn translated(pattern: &Pattern) -> String {
        super::super::translate(&pattern.chars).map_err(|error| error.kind).unwrap()
    }

    fn plain(translated: &str) -> Option<Plain> {
        super::plain(&parse(translated).unwrap())
    }

    fn needles(translated: &str) -> Vec<String> {
        super::needles(&parse(translated).unwrap())
    }

    #[test]
    fn a_pattern_of_plain_text_is_recognised() {
        let table = [
            ("back-off", Some(Plain::Contains("back-off".into()))),
            ("*back*", Some(Plain::Contains("back".into()))),
            ("^web-*", Some(Plain::StartsWith("web-".into()))),
            ("*-web$", Some(Plain::EndsWith("-web".into()))),
            ("^web$", Some(Plain::Equals("web".into()))),
            ("(a)(b(c))", Some(Plain::Contains("abc".into()))),
            (r"a\.b", Some(Plain::Contains("a.b".into()))),
            ("*", Some(Plain::Contains(String::new()))),
            ("[Aa]b", None),
            ("a{2}?b", None),
            ("a|b", None),
        ];
        for (text, expected) in table {
            assert_eq!(plain(&translated(&Pattern::like(text, 0))), expected, "{text}");
        }
    }

    #[test]
    fn what_is_recognised_matches_what_the_pattern_matches() {
        let texts = ["", "web", "web-1", "my-web", "a\nweb", "web\n", "abc", "x"];
        for pattern in ["web", "^web", "web$", "^web$", "*web*", "^", "$", "", "x?", "b?web(a)?"] {
            let translated = translated(&Pattern::like(pattern, 0));
            let (regex, plain) = (Regex::new(&translated).unwrap(), plain(&translated));
            let Some(plain) = plain else { continue };
            for text in texts {
                let found = plain.is_match(text);
                assert_eq!(found, regex.is_match(text), "{pattern} {text:?}");
            }
        }
    }

    #[test]
    fn needles_are_in_every_match() {
        let table: &[(&str, &[&str])] = &[
            (r"exit code: [1-9]\d*", &["exit code: "]),
            ("(OOM|Killed)", &["OOM", "Killed"]),
            ("a.*(bcd|efg)+.*h", &["bcd", "efg"]),
            (r"\d+", &[]),
            ("(foo)?", &[]),
            ("foo|[0-9]", &[]),
            ("(?i)foo", &[]),
        ];
        for (text, expected) in table {
            assert_eq!(needles(&translated(&Pattern::regex(text, 0))), *expected, "{text}");
        }
    }
}
