//! Groups and flags.

use super::{Flags, Group, MAX_DEPTH, MAX_GROUPS, PatternError, PatternErrorKind, Translator};

impl Translator<'_> {
    /// Reads what follows `(`.
    pub(super) fn open(&mut self) -> Result<(), PatternError> {
        let start = self.at - 1;
        if self.peek(0) != Some('?') {
            return self.push_group(start, self.flags);
        }
        match (self.peek(1), self.peek(2)) {
            (Some('P'), Some('<')) if self.peek(3).is_some() => self.name(start, 3),
            (Some('<'), Some(_)) => self.name(start, 2),
            _ => self.set_flags(start),
        }
    }

    fn push_group(&mut self, opened: usize, inside: Flags) -> Result<(), PatternError> {
        if self.groups.len() > MAX_GROUPS {
            return Err(self.error(PatternErrorKind::TooDeep, opened));
        }
        self.begin();
        let start = self.group().items.last().expect("just begun").start;
        let flags = std::mem::replace(&mut self.flags, inside);
        self.out.push_str("(?:");
        self.groups.push(Group::new(opened, start, flags));
        Ok(())
    }

    /// Reads the name of a group, which ends with `>` and is forgotten.
    fn name(&mut self, start: usize, skip: usize) -> Result<(), PatternError> {
        let from = self.at + skip;
        let length = self.chars[from.min(self.chars.len())..].iter().position(|c| *c == '>');
        let valid = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
        match length {
            Some(length) if length > 0 && self.chars[from..from + length].iter().all(valid) => {
                self.at = from + length + 1;
                self.push_group(start, self.flags)
            }
            length => {
                self.at = length.map_or(self.chars.len(), |length| from + length + 1);
                Err(self.error(PatternErrorKind::InvalidGroupName, start))
            }
        }
    }

    /// Reads `?flags)` or `?flags:`.
    fn set_flags(&mut self, start: usize) -> Result<(), PatternError> {
        self.at += 1;
        let mut flags = self.flags;
        let (mut value, mut seen) = (true, false);
        while let Some(c) = self.peek(0) {
            self.at += 1;
            match c {
                'i' => flags.fold = value,
                'm' => flags.multi_line = value,
                's' => flags.dot_newline = value,
                'U' => flags.ungreedy = value,
                '-' if value => {
                    (value, seen) = (false, false);
                    continue;
                }
                ':' if value || seen => return self.push_group(start, flags),
                ')' if value || seen => {
                    self.flags = flags;
                    return Ok(());
                }
                _ => break,
            }
            seen = true;
        }
        Err(self.error(PatternErrorKind::InvalidGroup, start))
    }

    /// Ends the innermost group.
    pub(super) fn close(&mut self) -> Result<(), PatternError> {
        if self.groups.len() == 1 {
            return Err(self.error(PatternErrorKind::UnopenedGroup, self.at - 1));
        }
        let closed = self.groups.pop().expect("more than one");
        self.flags = closed.flags;
        self.out.push(')');
        let opened = closed.opened;
        let item = closed.into_item();
        if item.depth > MAX_DEPTH {
            return Err(self.error(PatternErrorKind::TooDeep, opened));
        }
        *self.group().items.last_mut().expect("the group is an item of the one around it") = item;
        Ok(())
    }
}
