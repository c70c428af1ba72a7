//! Text to tokens.
//!
//! The longest token wins, and a keyword wins over a name of the same length. `not in`,
//! `not like`, … with exactly one blank are single tokens, except where the second word goes on
//! as a name: `not involvedObject` is `not` and `involvedObject`.
//!
//! What later versions added are tokens only where the first version had none, so that no text that
//! was a condition reads differently: `AND`, `NOT` and `icontains` are names here, and the parser
//! takes them for more where a name could not stand.

use crate::ast::Comparison;
use crate::duration;
use crate::error::{Error, ErrorKind};
use crate::mistake;
use crate::quoted;
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
    /// A string in either kind of quotes.
    Text,
    Boolean(bool),
    /// A number with units of time.
    Duration,
    /// `@` and the name of a list.
    List,
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

#[derive(Clone)]
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
            '=' if rest.starts_with("==") => (TokenKind::Compare(Comparison::Equal), 2),
            '=' => (TokenKind::Compare(Comparison::Equal), 1),
            '&' if rest.starts_with("&&") => (TokenKind::And, 2),
            '|' if rest.starts_with("||") => (TokenKind::Or, 2),
            '!' if rest.starts_with("!=") => (TokenKind::Compare(Comparison::NotEqual), 2),
            '!' => (TokenKind::Not, 1),
            '>' if rest.starts_with(">=") => (TokenKind::Compare(Comparison::GreaterOrEqual), 2),
            '>' => (TokenKind::Compare(Comparison::Greater), 1),
            '<' if rest.starts_with("<=") => (TokenKind::Compare(Comparison::LessOrEqual), 2),
            '<' => (TokenKind::Compare(Comparison::Less), 1),
            '"' => return self.text(rest),
            '\'' => return self.escaped_text(rest),
            '$' if path_length(rest) > 1 => (TokenKind::Name, path_length(rest)),
            '@' if list_length(rest) > 1 => (TokenKind::List, list_length(rest)),
            'a'..='z' | 'A'..='Z' | '_' => word(rest),
            _ => match (duration::length(rest), number(rest)) {
                (0, 0) => return Err(mistake::at_character(self.source, self.at)),
                (0, length) => (TokenKind::Number, length),
                (length, _) => (TokenKind::Duration, length),
            },
        };
        Ok(token)
    }

    fn escaped_text(&self, rest: &str) -> Result<(TokenKind, usize), Error> {
        let length = quoted::length(rest).ok_or_else(|| {
            let span = Span::new(self.at, self.at + rest.len());
            Error::new(ErrorKind::UnterminatedString, span)
                .help("a string ends at the next `'` that has no `\\` before it")
        })?;
        Ok((TokenKind::Text, length))
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
    let member = member_length(&rest[length..]);
    if member > 0 {
        return (TokenKind::Name, length + member);
    }
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

/// The length of the quoted member that `text` begins with, 0 if it begins with none: `["app"]`,
/// `['app']`. Nothing is unescaped in it.
pub(crate) fn member_length(text: &str) -> usize {
    let quoted = |quote| {
        let inside = text.strip_prefix('[')?.strip_prefix(quote)?;
        let (key, rest) = inside.split_once(quote)?;
        let whole = !key.is_empty() && !key.contains(['\n', '\\']) && rest.starts_with(']');
        whole.then_some(key.len() + 4)
    };
    quoted('"').or_else(|| quoted('\'')).unwrap_or(0)
}

/// The length of the JSONPath that `text` begins with: `$`, then members and brackets. Blanks stand
/// in brackets only.
fn path_length(text: &str) -> usize {
    let mut length = 1;
    loop {
        let rest = &text[length..];
        let step = match rest.chars().next() {
            Some('.') => dotted_length(rest),
            Some('[') => bracket_length(rest),
            _ => 0,
        };
        if step == 0 {
            return length;
        }
        length += step;
    }
}

/// `.name`, `..name`, `.*`, `..*`, or the two dots before a bracket.
fn dotted_length(text: &str) -> usize {
    let dots = text.len() - text.trim_start_matches('.').len();
    let rest = &text[dots.min(2)..];
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii();
    let name = match rest.find(|c| !is_name(c)).unwrap_or(rest.len()) {
        0 => usize::from(rest.starts_with('*')),
        name => name,
    };
    match (dots, name) {
        (2, 0) if rest.starts_with('[') => 2,
        (1 | 2, 1..) => dots + name,
        _ => 0,
    }
}

/// From `[` to the `]` that closes it; 0 if none does.
fn bracket_length(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (Some(_), '\\') => drop(chars.next()),
            (Some(open), _) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    0
}

/// The length of `@` and the name of a list: letters, digits, `_` and, between them, `-`.
fn list_length(text: &str) -> usize {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let name = &text[1..];
    let name = &name[..name.find(|c| !is_name(c)).unwrap_or(name.len())];
    1 + name.trim_end_matches('-').len()
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
            ("a==-1", &["a", "==", "-1"]),
            ("a&&b||c", &["a", "&&", "b", "||", "c"]),
            ("age>1h30m and", &["age", ">", "1h30m", "and"]),
            ("3m5 3and", &["3", "m5", "3", "and"]),
            ("a.b[\"x/y.z\"]='c'", &["a.b[\"x/y.z\"]", "=", "'c'"]),
            ("in @a-b)", &["in", "@a-b", ")"]),
            ("$.a[?@.b == ']'].c..d = 1", &["$.a[?@.b == ']'].c..d", "=", "1"]),
            ("$['a b'][*]>1", &["$['a b'][*]", ">", "1"]),
            ("$..['a'] like", &["$..['a']", "like"]),
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
            (r"'a\'b' 'c'", &[r"'a\'b'", "'c'"]),
            (r"'\\' 'x'", &[r"'\\'", "'x'"]),
        ];
        for (source, expected) in table {
            assert_eq!(tokens(source), *expected, "{source}");
        }
    }
}
