//! Strings in single quotes, in which escapes mean something, and how any string is written.

use std::fmt;

use crate::error::{Error, ErrorKind};
use crate::lexer;
use crate::span::Span;

/// The length of the string that `text` begins with: to the first unescaped quote.
pub(crate) fn length(text: &str) -> Option<usize> {
    let mut bytes = text.bytes().enumerate().skip(1);
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\'' => return Some(at + 1),
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
    None
}

/// The characters of what stands between the quotes, which begins at `start`, each with its place.
pub(crate) fn chars(inside: &str, start: usize) -> Result<Vec<(char, Span)>, Error> {
    let mut chars = Vec::with_capacity(inside.len());
    let mut at = 0;
    while let Some(first) = inside[at..].chars().next() {
        let rest = &inside[at..];
        let (c, length) = match first {
            '\\' => escape(rest).map_err(|(kind, length, help)| {
                let place = start + at;
                Error::new(kind, Span::new(place, place + length)).help(help)
            })?,
            c => (c, c.len_utf8()),
        };
        chars.push((c, Span::new(start + at, start + at + length)));
        at += length;
    }
    Ok(chars)
}

/// What an escape stands for and how long it is, or what is wrong with it.
fn escape(text: &str) -> Result<(char, usize), (ErrorKind, usize, String)> {
    let letter = text[1..].chars().next().expect("a string does not end with half an escape");
    let c = match letter {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        '\\' | '\'' | '"' => letter,
        'u' => return code_point(text),
        _ => {
            let help = format!(
                "for a backslash write `\\\\`, or put the string in double quotes, where nothing \
                 is unescaped: `\"\\{letter}\"`"
            );
            return Err((ErrorKind::UnknownEscape, 1 + letter.len_utf8(), help));
        }
    };
    Ok((c, 2))
}

/// `\u{1f680}`
fn code_point(text: &str) -> Result<(char, usize), (ErrorKind, usize, String)> {
    let digits = text[2..].strip_prefix('{').and_then(|rest| rest.split_once('}'));
    let digits = digits.map(|(digits, _)| digits);
    let is_hex = |digits: &&str| {
        (1..=6).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit())
    };
    let found = digits.filter(is_hex).and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let help = || "a code point is written `\\u{1f680}`".to_owned();
    let c = found.and_then(char::from_u32).ok_or_else(|| (ErrorKind::UnknownEscape, 2, help()))?;
    Ok((c, digits.map_or(0, str::len) + 4))
}

/// Where a part of a string's value is written. `inside` is where all of it is.
pub(crate) fn place(source: &str, inside: Span, part: Span) -> Span {
    if !source[..inside.start].ends_with('\'') {
        return Span::new(inside.start + part.start, inside.start + part.end);
    }
    let chars = chars(inside.of(source), inside.start).unwrap_or_default();
    let mut at = 0;
    let (mut start, mut end) = (inside.end, inside.start);
    for (c, span) in chars {
        if at <= part.start && part.start < at + c.len_utf8() {
            start = span.start;
        }
        if at < part.end {
            end = span.end;
        }
        at += c.len_utf8();
    }
    Span::new(start, end.max(start))
}

/// A string as it is written in a condition: in double quotes if it can be, else in single ones.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0;
        if !text.contains(['"', '\\']) {
            return write!(f, "\"{text}\"");
        }
        // After an odd number of backslashes the first quote is escaped and then dropped with the
        // second, as all quotes at the ends are.
        let backslashes = text.bytes().rev().take_while(|b| *b == b'\\').count();
        let end = if backslashes % 2 == 1 { "\"\"" } else { "\"" };
        let plain = format!("\"{text}{end}");
        let reads_back =
            lexer::text_length(&plain) == Some(plain.len()) && plain.trim_matches('"') == text;
        if reads_back { f.write_str(&plain) } else { single(f, text) }
    }
}

fn single(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("'")?;
    for c in text.chars() {
        match c {
            '\'' | '\\' => write!(f, "\\{c}")?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("'")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(inside: &str) -> Result<String, Error> {
        Ok(chars(inside, 1)?.into_iter().map(|(c, _)| c).collect())
    }

    #[test]
    fn escapes_are_what_they_stand_for() {
        let table = [
            ("", ""),
            (r"a\n\t\r", "a\n\t\r"),
            (r#"\\ \' \" ""#, "\\ ' \" \""),
            (r"\u{e9}\u{1F680}", "é🚀"),
        ];
        for (inside, expected) in table {
            assert_eq!(value(inside).as_deref(), Ok(expected), "{inside}");
        }
    }

    #[test]
    fn an_escape_that_means_nothing_is_refused_where_it_is() {
        let table = [
            (r"a\d", 2, 4),
            (r"\u0041", 1, 3),
            (r"\u{d800}", 1, 3),
            (r"\u{}", 1, 3),
            (r"\é", 1, 4),
        ];
        for (inside, start, end) in table {
            let error = value(inside).unwrap_err();
            assert_eq!(
                (error.kind(), error.span()),
                (&ErrorKind::UnknownEscape, Span::new(start, end)),
                "{inside}"
            );
        }
    }

    #[test]
    fn a_string_is_written_so_that_it_reads_back() {
        for (text, written) in [
            ("a", "\"a\""),
            (r"\d", r#""\d""#),
            (r"a\", r#""a\"""#),
            (r"a\\", r#""a\\""#),
            (r#"a\"b"#, r#""a\"b""#),
            (r#"a"b"#, r#"'a"b'"#),
            (r#""a"#, r#"'"a'"#),
            (r#"\'""#, r#"'\\\'"'"#),
        ] {
            assert_eq!(Quoted(text).to_string(), written);
        }
    }
}
