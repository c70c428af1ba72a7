//! Texts with gaps between them, which is what most patterns of `like` are.

use regex_syntax::hir::{Class, Hir, HirKind, Repetition};

/// Pieces that follow one another, with anything but the end of a line between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wildcard {
    /// Whether the first piece is at the start of the text.
    from_start: bool,
    pieces: Box<[Piece]>,
    /// Whether the last piece is at the end of the text.
    to_end: bool,
    /// The longest of all texts.
    needle: String,
}

/// Texts with exactly one character, which ends no line, between each and the next.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece {
    texts: Box<[Box<str>]>,
}

/// The most bytes of a piece that has single characters in it. To look for one takes time for each of its bytes
/// at each place of a text, where a regular expression would go over the text once.
const MOST_BYTES: usize = 64;

// === impl Wildcard ===

impl Wildcard {
    /// What the parts of a pattern between its anchors come down to, if they are texts and gaps.
    pub(super) fn of(from_start: bool, parts: &[&Hir], to_end: bool) -> Option<Self> {
        let mut pieces = vec![vec![String::new()]];
        for part in parts {
            let piece = pieces.last_mut()?;
            match part.kind() {
                HirKind::Literal(literal) => {
                    piece.last_mut()?.push_str(std::str::from_utf8(&literal.0).ok()?);
                }
                HirKind::Repetition(Repetition { min: min @ 0..=1, max: None, sub, .. })
                    if is_dot(sub) =>
                {
                    piece.extend((*min == 1).then(String::new));
                    pieces.push(vec![String::new()]);
                }
                _ if is_dot(part) => piece.push(String::new()),
                _ => return None,
            }
        }
        let needle = pieces.iter().flatten().max_by_key(|text| text.len())?.clone();
        let pieces: Option<Box<_>> = pieces.into_iter().map(Piece::new).collect();
        Some(Self { from_start, pieces: pieces?, to_end, needle })
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        // What ends a line is in no match, so each line is a text of its own.
        let mut lines = text.split('\n');
        let Some(mut line) = lines.next() else { return false };
        let mut is_first = true;
        loop {
            let next = lines.next();
            let is_apart = self.from_start && !is_first || self.to_end && next.is_some();
            if !is_apart && self.is_in(line) {
                return true;
            }
            let Some(next) = next else { return false };
            (line, is_first) = (next, false);
        }
    }

    /// A text that is in everything that matches.
    pub(crate) fn needle(&self) -> &String {
        &self.needle
    }

    fn is_in(&self, mut line: &str) -> bool {
        let mut pieces = &*self.pieces;
        if self.from_start {
            let Some((first, others)) = pieces.split_first() else { return false };
            let Some(rest) = first.strip_from(line) else { return false };
            if others.is_empty() {
                return !self.to_end || rest.is_empty();
            }
            (line, pieces) = (rest, others);
        }
        if self.to_end {
            let Some((last, others)) = pieces.split_last() else { return false };
            let Some(rest) = last.strip_off(line) else { return false };
            (line, pieces) = (rest, others);
        }
        // The first place of each leaves the most for those that follow.
        pieces.iter().all(|piece| piece.find(line).map(|rest| line = rest).is_some())
    }
}

// === impl Piece ===

impl Piece {
    fn new(texts: Vec<String>) -> Option<Self> {
        let bytes: usize = texts.iter().map(|text| text.len() + 1).sum();
        let ends_a_line = texts.iter().any(|text| text.contains('\n'));
        let is_fit = !ends_a_line && (texts.len() == 1 || bytes <= MOST_BYTES);
        is_fit.then(|| Self { texts: texts.into_iter().map(String::into_boxed_str).collect() })
    }

    /// What follows in a line that begins with the piece.
    fn strip_from<'a>(&self, line: &'a str) -> Option<&'a str> {
        let (first, others) = self.texts.split_first()?;
        let rest = line.strip_prefix(&**first)?;
        others.iter().try_fold(rest, |rest, text| skip(rest)?.strip_prefix(&**text))
    }

    /// What comes before it in a line that ends with the piece.
    fn strip_off<'a>(&self, line: &'a str) -> Option<&'a str> {
        let (last, others) = self.texts.split_last()?;
        let rest = line.strip_suffix(&**last)?;
        let mut others = others.iter().rev();
        others.try_fold(rest, |rest, text| {
            let mut chars = rest.chars();
            chars.next_back()?;
            chars.as_str().strip_suffix(&**text)
        })
    }

    /// What follows the first place of the piece in a line.
    fn find<'a>(&self, line: &'a str) -> Option<&'a str> {
        if let [text] = &*self.texts {
            let at = line.find(&**text)?;
            return Some(&line[at + text.len()..]);
        }
        let mut starts = line.char_indices().map(|(at, _)| at).chain([line.len()]);
        starts.find_map(|at| self.strip_from(&line[at..]))
    }
}

/// Whether it is `.`, which is any character but the end of a line.
fn is_dot(part: &Hir) -> bool {
    let HirKind::Class(Class::Unicode(class)) = part.kind() else { return false };
    let [before, after] = class.ranges() else { return false };
    [(before.start(), before.end()), (after.start(), after.end())]
        == [('\0', '\t'), ('\x0b', char::MAX)]
}

fn skip(text: &str) -> Option<&str> {
    let mut chars = text.chars();
    chars.next()?;
    Some(chars.as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::pattern::{Matcher, Pattern, build, literal, literal::Plain, translate};

    /// The translated form, and what it comes down to.
    fn matcher(pattern: &str) -> (String, Matcher) {
        let translated = translate(&Pattern::like(pattern, 0).chars).ok().unwrap();
        let parsed = literal::parse(&translated).unwrap();
        let engine = || build(&parsed, 1 << 20).map(|regex| (regex, 1 << 20)).map_err(drop);
        (translated.clone(), Matcher::new(&parsed, translated, engine).unwrap())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn it_matches_what_the_pattern_matches(
            pattern in r"\^?[abé*?]{1,8}(\.\+[ab])?\$?",
            text in "[abé\n]{0,12}",
        ) {
            let (translated, matcher) = matcher(&pattern);
            prop_assert!(matches!(matcher, Matcher::Plain(_)));
            let regex = regex::Regex::new(&translated).unwrap();
            prop_assert_eq!(matcher.is_match(&text), regex.is_match(&text));
        }
    }

    #[test]
    fn what_is_too_long_to_be_looked_for_place_by_place_is_left_to_the_engine() {
        let is_plain =
            |pattern: &str| matches!(matcher(pattern).1, Matcher::Plain(Plain::Wildcard(_)));
        assert!(is_plain(&"aaaaaaaaa*".repeat(100)));
        assert!(is_plain("web-?-*-?"));
        assert!(!is_plain(&format!("{0}?{0}", "a".repeat(40))));
    }
}
