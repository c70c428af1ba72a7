//! Patterns: Go's dialect of regular expressions, translated for the `regex` crate.
//!
//! Both engines descend from RE2, but their syntaxes differ in many small ways: what `\d`, `\s`,
//! `\b` and `$` mean, which escapes exist, what a class may hold, which repetitions are allowed.
//! So a pattern is read by the rules of Go's [`regexp/syntax`](https://pkg.go.dev/regexp/syntax)
//! and written anew in a form that leaves nothing to defaults: every atom carries its own flags,
//! classes are lists of code points, groups do not capture.

mod class;
mod escape;
mod group;
mod literal;
mod matcher;
mod unicode;
mod wildcard;

use regex_automata::{
    meta::{BuildError, Regex},
    nfa::thompson::WhichCaptures,
};
use regex_syntax::hir::Hir;

use self::error::PatternError;
pub use self::error::PatternErrorKind;
pub(crate) use self::{literal::Plain, matcher::Matcher};
use crate::error::{Error, ErrorKind};
use crate::limits::Limits;
use crate::span::Span;

mod error {
    /// Why a pattern is not of the Go dialect.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
    #[non_exhaustive]
    pub enum PatternErrorKind {
        /// A backslash at the end.
        #[error("a backslash at the end escapes nothing")]
        TrailingBackslash,
        /// A backslash before a character that it gives no meaning.
        #[error("unknown escape sequence")]
        InvalidEscape,
        /// `[` without `]`.
        #[error("this class is never closed by `]`")]
        UnclosedClass,
        /// `[z-a]`, `[[:foo:]]` or `\p{Foo}`.
        #[error("invalid range or unknown class of characters")]
        InvalidRange,
        /// `(` without `)`.
        #[error("this group is never closed by `)`")]
        UnclosedGroup,
        /// `)` without `(`.
        #[error("this `)` closes no group")]
        UnopenedGroup,
        /// `(?…` of a form that does not exist here.
        #[error("unknown kind of group; there is no look-around, and the flags are `imsU`")]
        InvalidGroup,
        /// `(?P<…>` with a bad name.
        #[error("invalid name of a group")]
        InvalidGroupName,
        /// `*` with nothing before it.
        #[error("there is nothing to repeat here")]
        NothingToRepeat,
        /// `a**`.
        #[error("a repetition cannot be repeated; use a group")]
        NestedRepetition,
        /// `a{2,1}`, or more than 1000, also multiplied over nested repetitions.
        #[error("invalid count of repetitions; the most is 1000, nested ones multiplied")]
        InvalidCount,
        /// More nested groups, or levels of what matters in them, than are allowed.
        #[error("groups and repetitions nest too deeply")]
        TooDeep,
        /// Accepted by the Go dialect, but not known to this engine.
        #[error("this class of characters is not supported")]
        Unsupported,
    }

    /// An error at a range of characters of the pattern.
    #[derive(Debug)]
    pub(super) struct PatternError {
        pub(super) kind: PatternErrorKind,
        pub(super) start: usize,
        pub(super) end: usize,
    }
}

/// Groups that may be open at one place of a pattern, as in Go.
const MAX_GROUPS: usize = 1000;

/// Levels of repetition, alternation and concatenation in a pattern. The engine compiles them
/// recursively, and a debug build needs more than 4 KiB of stack for each.
const MAX_DEPTH: u32 = 100;

/// The most that a repetition may repeat.
const MAX_COUNT: u32 = 1000;

/// A pattern's characters, each with its place in the condition.
///
/// What `like` adds has the place of the wildcard that it stands for.
pub(crate) struct Pattern {
    chars: Vec<char>,
    spans: Vec<Span>,
    end: usize,
}

// === impl Pattern ===

impl Pattern {
    /// The pattern of `regex`: the text itself.
    pub(crate) fn regex(text: &str, start: usize) -> Self {
        let mut pattern = Self::empty(start + text.len());
        for (at, c) in text.char_indices() {
            pattern.push(c, Span::new(start + at, start + at + c.len_utf8()));
        }
        pattern
    }

    /// The pattern of `like`: `?` is any character, a run of `*` is any text, and the rest is a
    /// regular expression as it stands.
    pub(crate) fn like(text: &str, start: usize) -> Self {
        let mut pattern = Self::empty(start + text.len());
        let mut chars = text.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            let mut span = Span::new(start + at, start + at + c.len_utf8());
            match c {
                '?' => pattern.push('.', span),
                '*' => {
                    while chars.next_if(|(_, c)| *c == '*').is_some() {
                        span.end += 1;
                    }
                    "(.*)".chars().for_each(|c| pattern.push(c, span));
                }
                _ => pattern.push(c, span),
            }
        }
        pattern
    }

    /// The pattern that finds a text whatever its case, between two that match nothing by
    /// themselves. All of it has one place.
    pub(crate) fn literal(text: &str, place: Span, [before, after]: [&str; 2]) -> Self {
        let mut pattern = Self::empty(place.end);
        before.chars().for_each(|c| pattern.push(c, place));
        for c in text.chars() {
            if c.is_ascii_punctuation() {
                pattern.push('\\', place);
            }
            pattern.push(c, place);
        }
        after.chars().for_each(|c| pattern.push(c, place));
        pattern.ignore_case();
        pattern
    }

    /// Makes upper and lower case the same in all of the pattern.
    pub(crate) fn ignore_case(&mut self) {
        let place = self.spans.first().map_or(self.end, |span| span.start);
        self.chars.splice(0..0, "(?i)".chars());
        self.spans.splice(0..0, [Span::new(place, place); 4]);
    }

    fn empty(end: usize) -> Self {
        Self { chars: Vec::new(), spans: Vec::new(), end }
    }

    fn push(&mut self, c: char, span: Span) {
        self.chars.push(c);
        self.spans.push(span);
    }

    /// Compiles the pattern, within the size that the limits allow, and in `room`, the bytes that
    /// are left for it and those after it.
    pub(crate) fn compile(&self, limits: &Limits, room: &mut usize) -> Result<Matcher, Error> {
        let translated = translate(&self.chars).map_err(|error| self.error(&error))?;
        let most = limits.pattern_size.min(*room);
        // A text takes memory too, though it needs no engine.
        if most < SMALLEST.min(limits.pattern_size) {
            let limit = limits.patterns_size;
            return Err(Error::new(ErrorKind::PatternsTooLarge { limit }, self.span()));
        }
        // The engine does not tell how large a pattern has become, only that it is too large.
        let mut size = SMALLEST.min(most);
        let unsupported =
            || Error::new(ErrorKind::Pattern(PatternErrorKind::Unsupported), self.span());
        let parsed = literal::parse(&translated).ok_or_else(unsupported)?;
        let matcher = Matcher::new(&parsed, translated, || {
            loop {
                match build(&parsed, size) {
                    Err(error) if error.size_limit().is_some() && size < most => {
                        size = most.min(size * 2);
                    }
                    built => {
                        let built = built.map(|regex| (regex, size));
                        return built.map_err(|error| self.refused(&error, limits, most));
                    }
                }
            }
        })?;
        *room -= size;
        Ok(matcher)
    }

    fn error(&self, error: &PatternError) -> Error {
        let at = |i: usize| self.spans.get(i).map_or(self.end, |span| span.start);
        let start = at(error.start);
        let end = match error.end.checked_sub(1).and_then(|last| self.spans.get(last)) {
            Some(span) => span.end,
            None => self.end,
        };
        Error::new(ErrorKind::Pattern(error.kind), Span::new(start, end.max(start)))
    }

    fn refused(&self, error: &BuildError, limits: &Limits, most: usize) -> Error {
        let kind = match error.size_limit() {
            Some(_) if most < limits.pattern_size => {
                ErrorKind::PatternsTooLarge { limit: limits.patterns_size }
            }
            Some(_) => ErrorKind::PatternTooLarge { limit: limits.pattern_size },
            None => ErrorKind::Pattern(PatternErrorKind::Unsupported),
        };
        Error::new(kind, self.span())
    }

    fn span(&self) -> Span {
        let start = self.spans.first().map_or(self.end, |span| span.start);
        Span::new(start, self.end)
    }
}

/// The least that a pattern is said to take, in bytes.
const SMALLEST: usize = 4 << 10;

/// What a pattern may take for its work, which is per thread: enough for those that people write.
fn scratch(size: usize) -> usize {
    (size * 4).max(64 << 10)
}

/// The engine of `regex`, without what only who asks for the place of a match needs, and without a search for texts
/// of its own: patterns run only where the texts are that they need.
#[expect(clippy::result_large_err, reason = "it is the engine's own, and looked at at once")]
fn build(parsed: &Hir, size: usize) -> Result<Regex, BuildError> {
    let config = Regex::config()
        .nfa_size_limit(Some(size))
        .hybrid_cache_capacity(scratch(size))
        .which_captures(WhichCaptures::None)
        .auto_prefilter(false)
        .onepass(false)
        .dfa(false);
    Regex::builder().configure(config).build_from_hir(parsed)
}

/// Writes a pattern of the Go dialect in the syntax of the `regex` crate.
fn translate(chars: &[char]) -> Result<String, PatternError> {
    let mut translator = Translator::new(chars);
    while translator.at < chars.len() {
        let repeated = translator.item()?;
        translator.repeated = repeated;
    }
    translator.finish()
}

/// The flags that a group can set.
#[derive(Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "four independent flags, as in the syntax")]
struct Flags {
    fold: bool,
    multi_line: bool,
    dot_newline: bool,
    ungreedy: bool,
}

/// A group that is being read.
struct Group {
    /// Where its opening parenthesis is in the pattern.
    opened: usize,
    /// Where its translation starts.
    start: usize,
    /// The flags that hold again after it.
    flags: Flags,
    /// The items of the alternative that is being read.
    items: Vec<Item>,
    /// The largest weight of an item in the alternatives before.
    weight: u32,
    /// The most levels in one of the alternatives before.
    depth: u32,
    /// Whether there is more than one alternative.
    alternatives: bool,
}

impl Group {
    fn new(opened: usize, start: usize, flags: Flags) -> Self {
        let items = Vec::new();
        Self { opened, start, flags, items, weight: 1, depth: 0, alternatives: false }
    }

    /// Ends an alternative, whose items can no longer be repeated.
    fn settle(&mut self) {
        let concatenation = u32::from(self.items.len() > 1);
        for item in self.items.drain(..) {
            self.weight = self.weight.max(item.weight);
            self.depth = self.depth.max(item.depth + concatenation);
        }
    }

    /// The group as an item of the one around it.
    fn into_item(mut self) -> Item {
        self.settle();
        let depth = self.depth + u32::from(self.alternatives);
        Item { start: self.start, weight: self.weight, depth }
    }
}

/// Something that can be repeated.
#[derive(Clone, Copy)]
struct Item {
    /// Where its translation starts.
    start: usize,
    /// The product of the counts of repetitions nested in it.
    weight: u32,
    /// The levels nested in it.
    depth: u32,
}

struct Translator<'a> {
    chars: &'a [char],
    at: usize,
    out: String,
    flags: Flags,
    groups: Vec<Group>,
    /// Where the repetition began that was read just before, if one was.
    repeated: Option<usize>,
}

// === impl Translator ===

impl<'a> Translator<'a> {
    fn new(chars: &'a [char]) -> Self {
        let flags = Flags::default();
        let whole = Group::new(0, 0, flags);
        Self { chars, at: 0, out: String::new(), flags, groups: vec![whole], repeated: None }
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn error(&self, kind: PatternErrorKind, start: usize) -> PatternError {
        PatternError { kind, start, end: self.at }
    }

    fn group(&mut self) -> &mut Group {
        self.groups.last_mut().expect("the whole pattern is a group that stays")
    }

    /// Reads one item; tells where it began if it is a repetition.
    fn item(&mut self) -> Result<Option<usize>, PatternError> {
        let start = self.at;
        let first = self.chars[start];
        self.at += 1;
        match first {
            '(' => self.open()?,
            ')' => self.close()?,
            '|' => self.alternative(),
            '^' => self.assertion(if self.flags.multi_line { "(?m:^)" } else { r"\A" }),
            '$' => self.assertion(if self.flags.multi_line { "(?m:$)" } else { r"\z" }),
            '.' => self.assertion(if self.flags.dot_newline { "(?s:.)" } else { r"[^\n]" }),
            '[' => self.class(start)?,
            '*' => return self.repeat(start, 0, None),
            '+' => return self.repeat(start, 1, None),
            '?' => return self.repeat(start, 0, Some(1)),
            '{' => match self.count(start)? {
                Some((least, most)) => return self.repeat(start, least, most),
                None => self.literal('{'),
            },
            '\\' => self.escape(start)?,
            c => self.literal(c),
        }
        Ok(None)
    }

    /// Starts an item: what is written from here on can be repeated.
    fn begin(&mut self) {
        let start = self.out.len();
        self.group().items.push(Item { start, weight: 1, depth: 0 });
    }

    fn assertion(&mut self, text: &str) {
        self.begin();
        self.out.push_str(text);
    }

    fn literal(&mut self, c: char) {
        self.begin();
        if self.flags.fold && (c.is_ascii_alphabetic() || !c.is_ascii()) {
            self.out.push_str("(?i:");
            class::write_char(&mut self.out, c);
            self.out.push(')');
        } else {
            class::write_char(&mut self.out, c);
        }
    }

    fn alternative(&mut self) {
        let group = self.group();
        group.settle();
        group.alternatives = true;
        self.out.push('|');
    }

    /// Reads `n}`, `n,}` or `n,m}` after the brace at `start`. `None` if it is a plain brace.
    fn count(&mut self, start: usize) -> Result<Option<(u32, Option<u32>)>, PatternError> {
        let Some((least, mut at)) = self.digits(start + 1) else { return Ok(None) };
        let mut most = Some(least);
        if self.chars.get(at) == Some(&',') {
            at += 1;
            most = None;
            if self.chars.get(at) != Some(&'}') {
                let Some((number, after)) = self.digits(at) else { return Ok(None) };
                (most, at) = (Some(number), after);
            }
        }
        if self.chars.get(at) != Some(&'}') {
            return Ok(None);
        }
        self.at = at + 1;
        let reversed = most.is_some_and(|most| most < least);
        if least > MAX_COUNT || most.is_some_and(|most| most > MAX_COUNT) || reversed {
            return Err(self.error(PatternErrorKind::InvalidCount, start));
        }
        Ok(Some((least, most)))
    }

    /// Reads a decimal without leading zeros; numbers that are far too large stay so.
    fn digits(&self, start: usize) -> Option<(u32, usize)> {
        let digits = self.chars[start..].iter().take_while(|c| c.is_ascii_digit());
        let (mut number, mut length) = (0u32, 0);
        for digit in digits {
            number = number.saturating_mul(10).saturating_add(u32::from(*digit) - u32::from('0'));
            length += 1;
        }
        let leading_zero = length > 1 && self.chars[start] == '0';
        (length > 0 && !leading_zero).then_some((number, start + length))
    }

    /// Repeats the item before, from `least` to `most` times.
    fn repeat(
        &mut self,
        start: usize,
        least: u32,
        most: Option<u32>,
    ) -> Result<Option<usize>, PatternError> {
        let lazy = self.peek(0) == Some('?');
        self.at += usize::from(lazy);
        if let Some(before) = self.repeated {
            return Err(self.error(PatternErrorKind::NestedRepetition, before));
        }
        let Some(item) = self.group().items.pop() else {
            return Err(self.error(PatternErrorKind::NothingToRepeat, start));
        };
        let weight = self.weight(start, item, least, most)?;
        self.out.insert_str(item.start, "(?:");
        self.out.push(')');
        self.out.push_str(&quantifier(least, most));
        if lazy != self.flags.ungreedy {
            self.out.push('?');
        }
        let depth = item.depth + 1;
        if depth > MAX_DEPTH {
            return Err(self.error(PatternErrorKind::TooDeep, start));
        }
        self.group().items.push(Item { start: item.start, weight, depth });
        Ok(Some(start))
    }

    /// The product of counts after one more repetition.
    ///
    /// `*`, `+` and `?` do not count, nor does what is nested in `{0}`.
    fn weight(
        &self,
        start: usize,
        item: Item,
        least: u32,
        most: Option<u32>,
    ) -> Result<u32, PatternError> {
        if self.chars[start] != '{' {
            return Ok(item.weight);
        }
        let count = most.unwrap_or(least);
        if most == Some(0) {
            return Ok(1);
        }
        let weight = item.weight * count.max(1);
        if weight > MAX_COUNT && (least >= 2 || most.is_some_and(|most| most >= 2)) {
            return Err(self.error(PatternErrorKind::InvalidCount, start));
        }
        Ok(weight)
    }

    fn finish(mut self) -> Result<String, PatternError> {
        if self.groups.len() > 1 {
            let opened = self.group().opened;
            let kind = PatternErrorKind::UnclosedGroup;
            return Err(PatternError { kind, start: opened, end: opened + 1 });
        }
        Ok(self.out)
    }
}

fn quantifier(least: u32, most: Option<u32>) -> String {
    match (least, most) {
        (0, None) => "*".into(),
        (1, None) => "+".into(),
        (0, Some(1)) => "?".into(),
        (least, None) => format!("{{{least},}}"),
        (least, Some(most)) => format!("{{{least},{most}}}"),
    }
}
