//! Classes of characters.

use std::fmt::Write as _;

use super::{PatternError, PatternErrorKind, Translator, unicode};

/// A class that no character is in.
pub(super) const NOTHING: &str = r"[^\x{0}-\x{10FFFF}]";

/// A set of characters that has a name of its own, ready to stand in a class or alone.
pub(super) struct Set {
    /// The inside of a class.
    items: String,
    negated: bool,
}

impl Set {
    pub(super) fn new(items: impl Into<String>, negated: bool) -> Self {
        Self { items: items.into(), negated }
    }
}

/// The names of POSIX classes: their members.
const POSIX: [(&str, &str); 14] = [
    ("alnum", "0-9A-Za-z"),
    ("alpha", "A-Za-z"),
    ("ascii", r"\x00-\x7F"),
    ("blank", r"\t\x20"),
    ("cntrl", r"\x00-\x1F\x7F"),
    ("digit", "0-9"),
    ("graph", r"\x21-\x7E"),
    ("lower", "a-z"),
    ("print", r"\x20-\x7E"),
    ("punct", r"\x21-\x2F\x3A-\x40\x5B-\x60\x7B-\x7E"),
    ("space", r"\t\n\x0B\x0C\r\x20"),
    ("upper", "A-Z"),
    ("word", "0-9A-Za-z_"),
    ("xdigit", "0-9A-Fa-f"),
];

impl Translator<'_> {
    /// Reads a class; its bracket is at `start`.
    pub(super) fn class(&mut self, start: usize) -> Result<(), PatternError> {
        self.begin();
        let negated = self.peek(0) == Some('^');
        self.at += usize::from(negated);
        let mut items = String::new();
        let mut first = true;
        while first || self.peek(0) != Some(']') {
            first = false;
            match self.set()? {
                Some(set) => write_nested(&mut items, &set),
                None => self.range(start, &mut items)?,
            }
        }
        self.at += 1;
        write_alone(&mut self.out, &Set::new(items, negated), self.flags.fold);
        Ok(())
    }

    /// Reads `[:alpha:]`, `\d` or `\pL` if one begins here.
    fn set(&mut self) -> Result<Option<Set>, PatternError> {
        let start = self.at;
        match (self.peek(0), self.peek(1)) {
            (Some('['), Some(':')) => self.posix(start),
            (Some('\\'), _) => {
                self.at += 1;
                let set = self.shorthand(start)?;
                if set.is_none() {
                    self.at = start;
                }
                Ok(set)
            }
            _ => Ok(None),
        }
    }

    fn posix(&mut self, start: usize) -> Result<Option<Set>, PatternError> {
        let rest = &self.chars[start + 2..];
        let Some(length) = rest.windows(2).position(|pair| pair == [':', ']']) else {
            return Ok(None);
        };
        let name: String = rest[..length].iter().collect();
        self.at = start + 2 + length + 2;
        let (name, negated) = name.strip_prefix('^').map_or((&*name, false), |name| (name, true));
        match POSIX.iter().find(|(known, _)| *known == name) {
            Some((_, items)) => Ok(Some(Set::new(*items, negated))),
            None => Err(self.error(PatternErrorKind::InvalidRange, start)),
        }
    }

    /// Reads the rest of `\d`, `\pL`, … if the backslash at `start` begins one.
    pub(super) fn shorthand(&mut self, start: usize) -> Result<Option<Set>, PatternError> {
        let Some(letter) = self.peek(0) else { return Ok(None) };
        let items = match letter.to_ascii_lowercase() {
            'd' => "0-9",
            's' => r"\t\n\x0C\r\x20",
            'w' => "0-9A-Za-z_",
            'p' => return self.property(start, letter == 'P').map(Some),
            _ => return Ok(None),
        };
        self.at += 1;
        Ok(Some(Set::new(items, letter.is_ascii_uppercase())))
    }

    /// Reads the rest of `\pL` or `\p{Greek}`.
    fn property(&mut self, start: usize, mut negated: bool) -> Result<Set, PatternError> {
        self.at += 1;
        let name: String = if self.peek(0) == Some('{') {
            let length = self.chars[self.at..].iter().position(|c| *c == '}');
            let from = self.at + 1;
            self.at = length.map_or(self.chars.len(), |length| self.at + length + 1);
            let to = if length.is_some() { self.at - 1 } else { from };
            self.chars[from.min(to)..to].iter().collect()
        } else {
            let name = self.peek(0);
            self.at += usize::from(name.is_some());
            name.into_iter().collect()
        };
        let name = name.strip_prefix('^').map_or(&*name, |name| {
            negated = !negated;
            name
        });
        match unicode::class(name) {
            Some(items) => Ok(Set::new(items, negated)),
            None => Err(self.error(PatternErrorKind::InvalidRange, start)),
        }
    }

    /// Reads a character or a range of them, in the class that began at `class`.
    fn range(&mut self, class: usize, items: &mut String) -> Result<(), PatternError> {
        let start = self.at;
        let low = self.member(class)?;
        let mut high = low;
        if self.peek(0) == Some('-') && self.peek(1).is_some_and(|c| c != ']') {
            self.at += 1;
            high = self.member(class)?;
        }
        if high < low {
            return Err(self.error(PatternErrorKind::InvalidRange, start));
        }
        write_range(items, low, high);
        Ok(())
    }

    fn member(&mut self, class: usize) -> Result<u32, PatternError> {
        match self.peek(0) {
            Some('\\') => self.escaped(self.at),
            Some(c) => {
                self.at += 1;
                Ok(u32::from(c))
            }
            None => Err(self.error(PatternErrorKind::UnclosedClass, class)),
        }
    }
}

/// Writes one character so that nothing else can be meant.
pub(super) fn write_char(out: &mut String, c: char) {
    if c.is_ascii_alphanumeric() {
        out.push(c);
    } else {
        write!(out, r"\x{{{:X}}}", u32::from(c)).expect("strings take any text");
    }
}

/// Writes a range of code points without the surrogates, which no text has.
fn write_range(items: &mut String, low: u32, high: u32) {
    for (low, high) in [(low, high.min(0xd7ff)), (low.max(0xe000), high)] {
        if let (Some(low), Some(high)) = (char::from_u32(low), char::from_u32(high))
            && low <= high
        {
            write_char(items, low);
            items.push('-');
            write_char(items, high);
        }
    }
}

/// Writes a set as a part of a class.
///
/// In Go each negated set is folded by itself before it is negated. Here the class around it is
/// folded once more, which changes nothing: the complement of a closed set is closed as well.
fn write_nested(items: &mut String, set: &Set) {
    if set.negated {
        write_brackets(items, set);
    } else {
        items.push_str(&set.items);
    }
}

/// Writes a set as an atom.
pub(super) fn write_alone(out: &mut String, set: &Set, fold: bool) {
    if fold {
        out.push_str("(?i:");
    }
    write_brackets(out, set);
    if fold {
        out.push(')');
    }
}

fn write_brackets(out: &mut String, set: &Set) {
    if set.items.is_empty() {
        out.push_str(if set.negated { r"[\x{0}-\x{10FFFF}]" } else { NOTHING });
        return;
    }
    out.push_str(if set.negated { "[^" } else { "[" });
    out.push_str(&set.items);
    out.push(']');
}
