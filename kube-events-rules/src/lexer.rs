//! Text to tokens.
//!
//! The longest token wins, and a keyword wins over a name of the same length. `not in`,
//! `not like`, … with exactly one blank are single tokens, except where the second word goes on
//! as a name: `not involvedObject` is `not` and `involvedObject`.

use crate::ast::Comparison;
use crate::error::{Error, ErrorKind};
use crate::mistake;
use crate::span::Span;

/// A token and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Name,
    Number,
    Text,
    Boolean(bool),
    And,
    Or,
    Not,
    Compare(Comparison),
    /// A word that is an operator, and whether `not` belongs to it.
    Word(Word, bool),
    Open,
    Close,
    Comma,
    End,
}

/// An operator that is a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    Contains,
    In,
    Like,
    Regex,
    Exists,
}

pub(crate) struct Lexer<'a> {
    source: &'a str,
    at: usize,
}

impl Word {
    pub(crate) const ALL: [Self; 5] =
        [Self::Contains, Self::In, Self::Like, Self::Regex, Self::Exists];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Contains => "contains",
            Self::In => "in",
            Self::Like => "like",
            Self::Regex => "regex",
            Self::Exists => "exists",
        }
    }

    fn resolve(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|word| word.as_str() == text)
    }
}

// === impl Lexer ===

impl<'a> Lexer<'a> {
    pub(crate) fn new(source: &'a str) -> Self {
        Self { source, at: 0 }
    }

    /// Reads the next token; at the end of the text, always [`TokenKind::End`].
    pub(crate) fn next(&mut self) -> Result<Token, Error> {
        self.at = self.source.len() - self.rest().trim_start_matches([' ', '\t', '\r', '\n']).len();
        let start = self.at;
        let (kind, length) = self.longest()?;
        self.at += length;
        Ok(Token { kind, span: Span::new(start, self.at) })
    }

    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    fn longest(&self) -> Result<(TokenKind, usize), Error> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return Ok((TokenKind::End, 0));
        };
        let token = match first {
            '(' => (TokenKind::Open, 1),
            ')' => (TokenKind::Close, 1),
            ',' => (TokenKind::Comma, 1),
            '=' => (TokenKind::Compare(Comparison::Equal), 1),
            '!' if rest.starts_with("!=") => (TokenKind::Compare(Comparison::NotEqual), 2),
            '!' => (TokenKind::Not, 1),
            '>' if rest.starts_with(">=") => (TokenKind::Compare(Comparison::GreaterOrEqual), 2),
            '>' => (TokenKind::Compare(Comparison::Greater), 1),
            '<' if rest.starts_with("<=") => (TokenKind::Compare(Comparison::LessOrEqual), 2),
            '<' => (TokenKind::Compare(Comparison::Less), 1),
            '"' => return self.text(rest),
            'a'..='z' | 'A'..='Z' | '_' => word(rest),
            _ => match number(rest) {
                0 => return Err(mistake::at_character(self.source, self.at)),
                length => (TokenKind::Number, length),
            },
        };
        Ok(token)
    }

    fn text(&self, rest: &str) -> Result<(TokenKind, usize), Error> {
        let length = text_length(rest).ok_or_else(|| {
            let span = Span::new(self.at, self.at + rest.len());
            Error::new(ErrorKind::UnterminatedString, span)
                .help("a string ends at the next `\"` that has no `\\` before it")
        })?;
        Ok((TokenKind::Text, length))
    }
}

/// The length of the string that `text` begins with: to the first unescaped quote or, if there is
/// none, to the last escaped one.
pub(crate) fn text_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut last_escaped = None;
    let mut at = 1;
    while at < bytes.len() {
        match (bytes[at], bytes.get(at + 1)) {
            (b'"', _) => return Some(at + 1),
            (b'\\', Some(b'"')) => {
                at += 2;
                last_escaped = Some(at);
            }
            (b'\\', Some(b'\\')) => at += 2,
            _ => at += 1,
        }
    }
    last_escaped
}

/// A name, a keyword or a boolean.
fn word(rest: &str) -> (TokenKind, usize) {
    let length = name_length(rest);
    let kind = match &rest[..length] {
        "and" => TokenKind::And,
        "or" => TokenKind::Or,
        "not" => return negation(rest),
        "true" | "True" | "TRUE" => TokenKind::Boolean(true),
        "false" | "False" | "FALSE" => TokenKind::Boolean(false),
        text => Word::resolve(text).map_or(TokenKind::Name, |word| TokenKind::Word(word, false)),
    };
    (kind, length)
}

/// `not`, or `not` with the operator after it.
fn negation(rest: &str) -> (TokenKind, usize) {
    let operator = rest[3..].strip_prefix(' ').and_then(|rest| {
        let length = name_length(rest);
        Word::resolve(&rest[..length])
    });
    match operator {
        Some(word) => (TokenKind::Word(word, true), 4 + word.as_str().len()),
        None => (TokenKind::Not, 3),
    }
}

/// The length of the name that `text` begins with, 0 if it begins with none.
pub(crate) fn name_length(text: &str) -> usize {
    let mut length = part_length(text);
    if length == 0 {
        return 0;
    }
    let first = length;
    while let Some(rest) = text[length..].strip_prefix('.') {
        let dotted = length > first;
        let rest = if dotted { rest.strip_prefix('.').unwrap_or(rest) } else { rest };
        let part = part_length(rest);
        if part == 0 {
            return length + usize::from(dotted);
        }
        length = text.len() - rest.len() + part;
    }
    length
}

/// A letter or `_`, then letters, digits and `_`, then perhaps a subscript.
fn part_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    if !bytes.first().is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_') {
        return 0;
    }
    let word = bytes.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
    word + subscript_length(&text[word..])
}

/// `[*]`, `[7]`, `[1:5]`, `[:5]`, `[1:]` or `[:]`.
fn subscript_length(text: &str) -> usize {
    let Some((inside, _)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) else {
        return 0;
    };
    let (from, to) = inside.split_once(':').unwrap_or((inside, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let well_formed = inside == "*" || !inside.is_empty() && digits(from) && digits(to);
    if well_formed { inside.len() + 2 } else { 0 }
}

/// The length of the number that `text` begins with, 0 if it begins with none.
fn number(text: &str) -> usize {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let sign = usize::from(text.starts_with('-'));
    let whole = digits(&text[sign..]);
    if whole == 0 {
        return 0;
    }
    let fraction = text[sign + whole..].strip_prefix('.').map_or(0, digits);
    sign + whole + if fraction == 0 { 0 } else { fraction + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(source: &str) -> Vec<&str> {
        let mut lexer = Lexer::new(source);
        std::iter::from_fn(|| {
            let token = lexer.next().unwrap();
            (token.kind != TokenKind::End).then(|| token.span.of(source))
        })
        .collect()
    }

    #[test]
    fn the_longest_token_wins() {
        let table: &[(&str, &[&str])] = &[
            ("count>3and type", &["count", ">", "3", "and", "type"]),
            ("android", &["android"]),
            ("a.b..c.d.", &["a.b..c.d."]),
            ("a[1:].b[*]", &["a[1:].b[*]"]),
            ("not in(", &["not in", "("]),
            ("not  in(", &["not", "in", "("]),
            ("not involvedObject", &["not", "involvedObject"]),
            ("not in.x", &["not", "in.x"]),
            ("not in[0]", &["not", "in[0]"]),
            ("not regexes", &["not", "regexes"]),
            ("-5.5", &["-5.5"]),
            ("a!=-1", &["a", "!=", "-1"]),
        ];
        for (source, expected) in table {
            assert_eq!(tokens(source), *expected, "{source}");
        }
    }

    #[test]
    fn a_string_ends_at_the_first_unescaped_quote_or_else_at_the_last_escaped_one() {
        let table: &[(&str, &[&str])] = &[
            (r#""a\"b" "c""#, &[r#""a\"b""#, r#""c""#]),
            (r#""\""#, &[r#""\""#]),
            (r#""x\"y\""#, &[r#""x\"y\""#]),
            (r#""\\""#, &[r#""\\""#]),
            ("\"a\nb\"", &["\"a\nb\""]),
        ];
        for (source, expected) in table {
            assert_eq!(tokens(source), *expected, "{source}");
        }
    }
}
