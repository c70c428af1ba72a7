//! Where the parts of a string stand in the YAML that it was read from.

use std::ops::Range;

use serde_saphyr::Location;

/// The text of a YAML or JSON file, one string of it, and where each of its characters is written.
#[derive(Debug)]
pub(super) struct Scalar<'a> {
    text: &'a str,
    style: Style,
    /// The offset in the file of each byte of the value, and of its end.
    offsets: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// Without quotes, or a block after `|` or `>`.
    Plain,
    Single,
    Double,
}

/// A place as editors count: lines and characters, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub(super) struct Position {
    pub(super) line: usize,
    pub(super) column: usize,
}

// === impl Scalar ===

impl<'a> Scalar<'a> {
    /// Finds the characters of `value`, which was read at `place`. `None` if it is written in a way
    /// that is not understood.
    pub(super) fn find(text: &'a str, place: Location, value: &str) -> Option<Self> {
        let mut at = offset(text, place)?;
        let style = match text[at..].chars().next()? {
            '"' => Style::Double,
            '\'' => Style::Single,
            '|' | '>' => {
                at += text[at..].find('\n')?;
                Style::Plain
            }
            _ => Style::Plain,
        };
        at += usize::from(style != Style::Plain);
        let mut offsets = Vec::with_capacity(value.len() + 1);
        let mut chars = value.chars().peekable();
        while let Some(c) = chars.next() {
            if !is_blank(c) {
                at += blanks(&text[at..]);
            }
            let length = length(&text[at..], c, style)?;
            offsets.extend(std::iter::repeat_n(at, c.len_utf8()));
            at += length;
            if c == '\n' && style == Style::Plain {
                // What the next line has more than its indentation is part of the value.
                let mut rest = chars.clone();
                let own = std::iter::from_fn(|| rest.next_if_eq(&' ')).count();
                let spaces = text[at..].len() - text[at..].trim_start_matches(' ').len();
                at += spaces.saturating_sub(own);
            }
        }
        offsets.push(at);
        Some(Self { text, style, offsets })
    }

    /// Where a part of the value is written.
    pub(super) fn range(&self, part: Range<usize>) -> Option<Range<usize>> {
        let start = *self.offsets.get(part.start)?;
        // The end of what is before it, not the start of what comes after a fold.
        let end = match part.end.checked_sub(1).filter(|_| part.end > part.start) {
            Some(last) => {
                let last = *self.offsets.get(last)?;
                last + self.width(last)
            }
            None => start,
        };
        Some(start..end)
    }

    /// The length of the character that is written at an offset.
    fn width(&self, at: usize) -> usize {
        let rest = &self.text[at..];
        match self.style {
            Style::Double => escape(rest).map_or_else(|| first(rest), |(_, length)| length),
            Style::Single if rest.starts_with("''") => 2,
            _ => first(rest),
        }
    }

    /// The file with another text in the place of a part of the value.
    pub(super) fn replaced(&self, part: Range<usize>, with: &str) -> Option<String> {
        let Range { start, end } = self.range(part)?;
        let with = match self.style {
            Style::Plain => with.to_owned(),
            Style::Single => with.replace('\'', "''"),
            Style::Double => with.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n"),
        };
        Some(format!("{}{with}{}", &self.text[..start], &self.text[end..]))
    }
}

impl Position {
    /// The place of an offset in a text.
    pub(super) fn of(text: &str, offset: usize) -> Self {
        let before = &text[..offset];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.matches('\n').count() + 1;
        Self { line, column: before[line_start..].chars().count() + 1 }
    }
}

fn offset(text: &str, place: Location) -> Option<usize> {
    let line = usize::try_from(place.line()).ok()?.checked_sub(1)?;
    let column = usize::try_from(place.column()).ok()?.checked_sub(1)?;
    let start = match line {
        0 => 0,
        line => text.match_indices('\n').nth(line - 1)?.0 + 1,
    };
    let within = text[start..].char_indices().map(|(at, _)| at).nth(column)?;
    Some(start + within)
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

/// The length of the blanks and line ends that a text begins with.
fn blanks(text: &str) -> usize {
    text.len() - text.trim_start_matches(is_blank).len()
}

fn first(text: &str) -> usize {
    text.chars().next().map_or(0, char::len_utf8)
}

/// The length of what stands for `c` at the beginning of a text, if it does.
fn length(text: &str, c: char, style: Style) -> Option<usize> {
    let Some(written) = text.chars().next() else {
        // The line end that a block has even where the file does not.
        return (c == '\n').then_some(0);
    };
    match (style, escape(text)) {
        (Style::Double, Some((meant, length))) => return (meant == c).then_some(length),
        (Style::Single, _) if c == '\'' => return text.starts_with("''").then_some(2),
        _ => {}
    }
    match (c, written) {
        _ if c == written => Some(written.len_utf8()),
        // A folded line end, or blanks before one.
        (' ', '\n' | '\r') => Some(blanks(text)),
        ('\n', ' ' | '\t' | '\r') => text.find('\n').map(|end| end + 1),
        _ => None,
    }
}

/// The escape that a text in double quotes begins with, and its length.
fn escape(text: &str) -> Option<(char, usize)> {
    let mut chars = text.strip_prefix('\\')?.chars();
    let hex = |digits: usize| {
        let code = u32::from_str_radix(text.get(2..2 + digits)?, 16).ok()?;
        Some((char::from_u32(code)?, digits + 2))
    };
    match chars.next()? {
        'n' => Some(('\n', 2)),
        't' => Some(('\t', 2)),
        'r' => Some(('\r', 2)),
        'x' => hex(2),
        'u' => hex(4),
        'U' => hex(8),
        c @ ('"' | '\\' | '/' | ' ') => Some((c, 2)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_saphyr::Spanned;

    use super::*;

    #[derive(Deserialize)]
    struct Object {
        a: Spanned<String>,
    }

    #[test]
    fn each_character_is_found_in_every_style() {
        for text in [
            "a: x = y and z",
            "b: 1\na:   'x = ''y'' and z' # no",
            "{\"b\": 1, \"a\": \"x = \\\"y\\\" \\u00e9 and z\"}",
            "a: |\n  x = y\n    and z\n  or u\nb: 1",
            "a: |-\n    x\n\n    z",
            "a: >\n  x = y\n  and z\n\n  or u\n",
            "a: x = y\n  and z\nb: 1",
            "# é\na: é = \u{1f680} and z",
        ] {
            let a = serde_saphyr::from_str::<Object>(text).unwrap().a;
            let scalar = Scalar::find(text, a.referenced, &a.value);
            let scalar = scalar.unwrap_or_else(|| panic!("{text:?} is not understood"));
            for (at, c) in a.value.char_indices().filter(|(_, c)| !is_blank(*c)) {
                let range = scalar.range(at..at + c.len_utf8()).unwrap();
                let written = &text[range];
                let escaped = written.starts_with('\\') || written == "''";
                assert!(written == c.to_string() || escaped, "{text:?}: {c} is {written}");
            }
            let at = a.value.find('z').unwrap();
            let changed = scalar.replaced(at..at + 1, "\"'\\").unwrap();
            let again = serde_saphyr::from_str::<Object>(&changed).unwrap().a.value;
            assert_eq!(again, a.value.replace('z', "\"'\\"), "{changed}");
        }
    }

    #[test]
    fn a_position_counts_characters() {
        assert_eq!(Position::of("é\nöx", 5), Position { line: 2, column: 2 });
    }
}
