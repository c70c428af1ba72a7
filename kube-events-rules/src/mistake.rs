//! What people probably meant by a text that is no condition.

use crate::error::{Error, ErrorKind, Expected, Shown};
use crate::lexer::{self, Token, TokenKind, Word};
use crate::span::Span;

/// The error for a character that no token begins with.
pub(crate) fn at_character(source: &str, at: usize) -> Error {
    let rest = &source[at..];
    let first = rest.chars().next().expect("called at a character");
    let (length, help) = character_help(source, at, first);
    let span = Span::new(at, at + length.max(first.len_utf8()));
    Error::new(ErrorKind::UnexpectedCharacter(Shown(first)), span).maybe_help(help)
}

/// How many bytes belong to the mistake, and what to write instead.
fn character_help(source: &str, at: usize, first: char) -> (usize, Option<String>) {
    let (before, rest) = source.split_at(at);
    let glued = before.chars().next_back().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    let (length, help): (usize, String) = match first {
        '&' => (run(rest, '&'), "did you mean `and`?".into()),
        '|' => (run(rest, '|'), "did you mean `or`?".into()),
        '`' if quoted(rest, first).is_some() => {
            let inside = quoted(rest, first).unwrap_or_default();
            let help = format!(
                "strings stand in double or single quotes (names stand without any): `\"{inside}\"`"
            );
            (inside.len() + 2, help)
        }
        '`' | '“' | '”' | '„' | '‘' | '’' | '«' | '»' | '＂' | '＇' => {
            (0, "strings stand in plain quotes: `\"…\"` or `'…'`".into())
        }
        '-' if glued => (1, hyphen_help(before, rest)),
        '.' if glued && rest[1..].starts_with('.') => (0, "names have single dots".into()),
        '.' if glued && before.ends_with(|c: char| c.is_ascii_digit()) => {
            (0, "a number ends with a digit: write `5` or `5.0` for `5.`".into())
        }
        '.' if glued => (0, "a name goes on after its dot; remove the dot or name a member".into()),
        '.' | '+' | '-' if rest[1..].starts_with(|c: char| c.is_ascii_digit() || c == '.') => {
            (0, "a number is written as digits, with `-` before and `.` between: `0.5`".into())
        }
        '.' => (0, "remove it; dots only stand in names and numbers".into()),
        '+' => (0, "nothing is added up in a condition; join tests with `and` or `or`".into()),
        '%' => (0, "remove it; `%` only stands in strings".into()),
        '\\' => (0, "remove it; backslashes only stand in strings".into()),
        ';' => (0, "join two tests with `and` or `or`".into()),
        '#' => (rest.len(), "a condition has no comments".into()),
        '/' if rest.starts_with("//") => (rest.len(), "a condition has no comments".into()),
        '/' if rest.starts_with("/*") => (comment(rest), "a condition has no comments".into()),
        '$' => (0, "a name stands alone, without `$`; a JSONPath begins with `$.` or `$[`".into()),
        '@' if glued => (0, "names have no `@`".into()),
        '@' => (0, "a list is `@` and its name: `reason in @noisy`".into()),
        '{' | '}' => (0, "groups and lists stand in parentheses: `(` and `)`".into()),
        '[' if glued => {
            let help = "a subscript is `[*]`, `[7]`, `[1:5]`, `[:5]`, `[1:]` or, of labels and \
                        annotations, `[\"name\"]`, without blanks";
            (0, help.into())
        }
        '[' | ']' => (0, "lists stand in parentheses: `in (\"A\", \"B\")`".into()),
        '~' => (0, "to search with a pattern, write `like` or `regex`".into()),
        '*' | '?' => (0, "wildcards stand in a string after `like`: `name like \"web-*\"`".into()),
        ':' => (0, "to compare, write `=`".into()),
        '（' | '）' | '，' | '＝' | '！' | '＞' | '＜' => {
            (0, "write the plain ASCII character instead".into())
        }
        c if c.is_ascii_control() || !c.is_ascii() && !c.is_alphanumeric() => {
            (0, "only plain blanks, tabs and line ends may stand between words".into())
        }
        c if c.is_alphabetic() => (0, "names are ASCII letters, digits, `_` and dots".into()),
        _ => return (0, None),
    };
    (length, Some(help))
}

fn run(text: &str, c: char) -> usize {
    text.len() - text.trim_start_matches(c).len()
}

fn comment(text: &str) -> usize {
    text.find("*/").map_or(text.len(), |end| end + 2)
}

fn quoted(text: &str, quote: char) -> Option<&str> {
    text[quote.len_utf8()..].split_once(quote).map(|(inside, _)| inside)
}

fn hyphen_help(before: &str, rest: &str) -> String {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "$_.[]:*".contains(c);
    let start = before.len() - before.chars().rev().take_while(|c| is_name(*c)).count();
    let end = rest.find(|c| !is_name(c) && c != '-' && c != '/').unwrap_or(rest.len());
    let name = format!("{}{}", &before[start..], &rest[..end]);
    for map in ["metadata.labels", "metadata.annotations"] {
        if let Some(key) = name.strip_prefix(map).and_then(|rest| rest.strip_prefix('.')) {
            return format!("names have no `-`; write `{map}[\"{key}\"]`");
        }
    }
    if name.starts_with('$') {
        return "in a JSONPath, quote what has a `-`: `$['a-b']`".into();
    }
    "names have no `-`".into()
}

/// Adds what the token before an unreadable character says about it.
pub(crate) fn after(error: Error, source: &str, before: Token) -> Error {
    let rest = &source[error.span().start..];
    match before.kind {
        TokenKind::Compare(comparison) if rest.starts_with('~') => {
            let word = if comparison.as_str() == "!=" { "not regex" } else { "regex" };
            error.help(format!("did you mean `{word}`?"))
        }
        TokenKind::Number if rest.starts_with('%') => error.help("a number has no unit"),
        TokenKind::Number if rest.starts_with(':') => error.help("quote it: numbers have no `:`"),
        _ => error,
    }
}

/// The error for a token that may not stand where it stands.
pub(crate) fn at_token(
    source: &str,
    token: Token,
    expected: Expected,
    next: Option<Token>,
) -> Error {
    let place = Place { source, token, next };
    let kind = ErrorKind::Unexpected { expected, found: place.found() };
    if let Some((span, help)) = place.misread_name(expected) {
        let found = format!("`{}`", span.of(source));
        let kind = ErrorKind::Unexpected { expected: Expected::Test, found };
        return Error::new(kind, span).help(help);
    }
    let help = match expected {
        Expected::Test => place.instead_of_test(),
        Expected::Joint | Expected::JointOrClose => Some(place.instead_of_joint()),
        Expected::ListStart => Some(place.instead_of_list()),
        Expected::ListNext => Some(place.in_list()),
        _ => place.instead_of_value(expected),
    };
    Error::new(kind, token.span).maybe_help(help)
}

/// An unexpected token with its neighbours.
struct Place<'a> {
    source: &'a str,
    token: Token,
    next: Option<Token>,
}

impl Place<'_> {
    fn text(&self) -> &str {
        self.token.span.of(self.source)
    }

    fn found(&self) -> String {
        match self.token.kind {
            TokenKind::End => "the end of the condition".into(),
            TokenKind::Text if self.text().len() > 40 => "a string".into(),
            _ => format!("`{}`", self.text()),
        }
    }

    fn is_name(&self) -> bool {
        matches!(self.token.kind, TokenKind::Name)
    }

    /// The text before the token, without the blanks at its end.
    fn before(&self) -> &str {
        self.source[..self.token.span.start].trim_end()
    }

    /// The word that ends right before the token, as far as it is a name.
    fn word_before(&self) -> &str {
        let before = self.before();
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        let length = before.chars().rev().take_while(|c| is_name(*c)).count();
        &before[before.len() - length..]
    }

    /// Whether a name that was read as a whole test was meant as `not`.
    fn misread_name(&self, expected: Expected) -> Option<(Span, String)> {
        let word = self.word_before();
        let joint = matches!(expected, Expected::Joint | Expected::JointOrClose);
        let starts_test = self.is_name() || self.token.kind == TokenKind::Open;
        if !joint || !starts_test || !word.eq_ignore_ascii_case("not") {
            return None;
        }
        let end = self.before().len();
        Some((Span::new(end - word.len(), end), "did you mean `not`?".into()))
    }

    fn instead_of_test(&self) -> Option<String> {
        Some(match self.token.kind {
            TokenKind::Text | TokenKind::Number | TokenKind::Boolean(_) => match self.next {
                Some(Token { kind: TokenKind::Compare(_) | TokenKind::Word(..), .. }) => {
                    "the name comes first: `reason = \"BackOff\"`".into()
                }
                _ => "a value alone is no test; compare it with a field".into(),
            },
            TokenKind::And | TokenKind::Or => {
                format!("`{}` needs a test on both sides; remove it or add one", self.text())
            }
            TokenKind::Word(Word::Exists, _) => "the name comes first: `reason exists`".into(),
            TokenKind::Word(..) | TokenKind::Compare(_) => {
                format!("a name is missing before `{}`", self.text())
            }
            TokenKind::Close => "a test is missing before `)`".into(),
            TokenKind::Comma => "join tests with `and` or `or`".into(),
            TokenKind::End => "a test is missing at the end".into(),
            _ => return None,
        })
    }

    fn instead_of_joint(&self) -> String {
        let before = self.word_before();
        let last_is_name = lexer::name_length(before) == before.len() && !before.is_empty();
        let after_name = last_is_name && !ends_with_exists(self.before());
        let glued = self.before().len() == self.token.span.start;
        match self.token.kind {
            TokenKind::Name if glued && before.ends_with(|c: char| c.is_ascii_digit()) => {
                "a number is digits with an optional point, a duration `1h30m`: no exponent, \
                 hexadecimal or other unit"
                    .into()
            }
            TokenKind::Name => name_instead_of_joint(self.text(), after_name),
            TokenKind::Not => match self.next {
                Some(Token { kind: TokenKind::Word(word, false), .. }) => {
                    format!("write `not {}` with exactly one blank", word.as_str())
                }
                _ => "join two tests with `and` or `or`".into(),
            },
            TokenKind::Text | TokenKind::Number | TokenKind::Duration | TokenKind::Boolean(_)
                if after_name =>
            {
                match glued_operator(before) {
                    Some(word) => format!("a blank is missing before `{word}`"),
                    None => format!("an operator is missing: `{before} = {}`", self.text()),
                }
            }
            TokenKind::Text if glued => "a quote inside of a string is written `\\\"`".into(),
            TokenKind::Compare(_) | TokenKind::Word(..) => {
                "one test ends before this; join the next one with `and` or `or`".into()
            }
            TokenKind::Comma => {
                "join tests with `and` or `or`; for several values, use `in`".into()
            }
            _ => "join two tests with `and` or `or`".into(),
        }
    }

    fn instead_of_list(&self) -> String {
        match self.token.kind {
            TokenKind::Text | TokenKind::Number => format!("did you mean `in ({})`?", self.text()),
            TokenKind::End => "a list is missing at the end".into(),
            TokenKind::Name | TokenKind::Boolean(_) => {
                format!("did you mean `in (\"{}\")`?", self.text())
            }
            _ => "a list is missing: `in (\"A\", \"B\")` or `in @name`".into(),
        }
    }

    fn in_list(&self) -> String {
        match self.token.kind {
            TokenKind::End => "close the list with `)`".into(),
            TokenKind::Text | TokenKind::Number => "separate the values by commas".into(),
            TokenKind::Name if self.before().len() == self.token.span.start => {
                "a number is digits with an optional point; quote anything else".into()
            }
            _ => "a list is closed by `)` before the condition goes on".into(),
        }
    }

    fn instead_of_value(&self, expected: Expected) -> Option<String> {
        let before = self.before();
        let ended_by = |text: &str| before.ends_with(text);
        Some(match self.token.kind {
            TokenKind::Compare(comparison) => match (before.as_bytes().last(), comparison.as_str())
            {
                (Some(b'='), "=") if ended_by(">=") || ended_by("<=") => "remove one `=`".into(),
                (Some(b'='), "=") if ended_by("!=") => "did you mean `!=`?".into(),
                (Some(b'='), "=" | "==") => "did you mean a single `=`?".into(),
                (Some(b'='), ">") => "did you mean `>=`?".into(),
                (Some(b'='), "<") => "did you mean `<=`?".into(),
                (Some(b'<'), ">") | (Some(b'>'), "<") => "did you mean `!=`?".into(),
                _ => "one operator stands between a name and a value".into(),
            },
            TokenKind::End | TokenKind::Close if expected == Expected::Time => {
                "name a time: `age(lastTimestamp) < 10m`; `age < 10m` is that of the last one"
                    .into()
            }
            TokenKind::Comma | TokenKind::Close if ended_by(",") => "remove the comma".into(),
            TokenKind::Comma if ended_by("(") => "remove the comma".into(),
            TokenKind::Close if ended_by("(") => "a list has one value at least".into(),
            TokenKind::Name if is_number_word(self.text()) => {
                "a number is written as digits".into()
            }
            TokenKind::Name | TokenKind::Boolean(_) => {
                format!("values stand in quotes: `\"{}\"`", self.text())
            }
            TokenKind::Number if expected == Expected::Text => {
                format!("quote it: `\"{}\"`", self.text())
            }
            TokenKind::Open => "only a list after `in` stands in parentheses".into(),
            TokenKind::Word(..) | TokenKind::And | TokenKind::Or | TokenKind::Not => {
                format!("a value is missing before `{}`", self.text())
            }
            TokenKind::Duration if expected == Expected::Time => {
                "the duration comes after it: `age(lastTimestamp) < 10m`".into()
            }
            TokenKind::Duration => format!("quote it if it is a text: `\"{}\"`", self.text()),
            TokenKind::List => "a list stands after `in` or `not in`".into(),
            TokenKind::End | TokenKind::Close => "a value is missing".into(),
            _ => return None,
        })
    }
}

fn ends_with_exists(text: &str) -> bool {
    text.ends_with("exists")
}

fn is_number_word(text: &str) -> bool {
    ["inf", "infinity", "nan"].iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// The operator at the end of a name, where a blank was forgotten.
fn glued_operator(name: &str) -> Option<&'static str> {
    Word::ALL.iter().map(|word| word.as_str()).find(|word| {
        name.strip_suffix(word).is_some_and(|rest| !rest.is_empty() && !rest.ends_with('.'))
    })
}

/// The operator that differs least from a word, if by one letter or two that are swapped.
fn near_operator(word: &str) -> Option<&'static str> {
    let known = ["contains", "like", "regex", "exists", "icontains", "ilike", "iequals"];
    known.into_iter().find(|known| {
        word.len() > 2 && strsim::damerau_levenshtein(word, known) == 1
            || word.len() > 5 && strsim::damerau_levenshtein(word, known) == 2
    })
}

fn name_instead_of_joint(text: &str, after_name: bool) -> String {
    let lower = text.to_ascii_lowercase();
    let meant = match lower.as_str() {
        "and" | "or" => Some(lower.as_str()),
        "contains" | "in" | "like" | "regex" | "exists" | "icontains" | "ilike" | "iequals"
            if after_name =>
        {
            Some(lower.as_str())
        }
        "regexp" | "matches" | "match" if after_name => Some("regex"),
        "exist" if after_name => Some("exists"),
        "contain" | "has" | "includes" if after_name => Some("contains"),
        "is" | "eq" | "equals" if after_name => Some("="),
        "equalsignorecase" | "iexact" | "ieq" if after_name => Some("iequals"),
        "ne" if after_name => Some("!="),
        "gt" if after_name => Some(">"),
        "lt" if after_name => Some("<"),
        "ge" | "gte" if after_name => Some(">="),
        "le" | "lte" if after_name => Some("<="),
        "notin" if after_name => Some("not in"),
        "notlike" if after_name => Some("not like"),
        "notregex" if after_name => Some("not regex"),
        "notcontains" if after_name => Some("not contains"),
        "notexists" if after_name => Some("not exists"),
        _ => None,
    };
    if let Some(meant) = meant {
        return format!("did you mean `{meant}`?");
    }
    if let Some(near) = near_operator(&lower).filter(|_| after_name) {
        return format!("did you mean `{near}`?");
    }
    let elsewhere = match lower.as_str() {
        "between" => Some("write both ends: `count >= 1 and count <= 9`"),
        "startswith" | "starts_with" | "starts" | "hasprefix" | "beginswith" => {
            Some("a beginning is a pattern: `like \"^web-*\"`")
        }
        "endswith" | "ends_with" | "ends" | "hassuffix" => {
            Some("an end is a pattern: `like \"*-web$\"`")
        }
        _ => None,
    };
    if let Some(help) = elsewhere.filter(|_| after_name) {
        return help.into();
    }
    for joint in ["and", "or"] {
        if let Some(rest) = text.strip_prefix(joint).filter(|rest| rest.len() > 2) {
            return format!("did you mean `{joint} {rest}`?");
        }
    }
    "join two tests with `and` or `or`".into()
}
