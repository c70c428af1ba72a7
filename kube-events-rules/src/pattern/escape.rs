//! What follows a backslash.

use super::{PatternError, PatternErrorKind, Translator, class};

impl Translator<'_> {
    /// Reads an escape outside of classes; the backslash is at `start`.
    pub(super) fn escape(&mut self, start: usize) -> Result<(), PatternError> {
        match self.peek(0) {
            Some('A') => self.take(r"\A"),
            Some('z') => self.take(r"\z"),
            Some('b') => self.take(r"(?-u:\b)"),
            Some('B') => self.take(r"(?-u:\B)"),
            Some('Q') => self.quoted(),
            _ => {
                if let Some(set) = self.shorthand(start)? {
                    self.begin();
                    let fold = self.flags.fold;
                    class::write_alone(&mut self.out, &set, fold);
                } else {
                    let code = self.escaped(start)?;
                    self.code_point(code);
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, assertion: &str) {
        self.at += 1;
        self.assertion(assertion);
    }

    /// Writes a code point, which may be a surrogate: no text has one.
    fn code_point(&mut self, code: u32) {
        match char::from_u32(code) {
            Some(c) => self.literal(c),
            None => self.assertion(class::NOTHING),
        }
    }

    /// Reads literal text up to `\E` or the end.
    fn quoted(&mut self) {
        self.at += 1;
        while let Some(c) = self.peek(0) {
            if c == '\\' && self.peek(1) == Some('E') {
                self.at += 2;
                return;
            }
            self.at += 1;
            self.literal(c);
        }
    }

    /// Reads an escape that stands for one code point; the backslash is at `start`.
    pub(super) fn escaped(&mut self, start: usize) -> Result<u32, PatternError> {
        self.at = start + 1;
        let Some(c) = self.peek(0) else {
            return Err(self.error(PatternErrorKind::TrailingBackslash, start));
        };
        self.at += 1;
        let code = match c {
            '0' => Some(self.octal(c)),
            '1'..='7' if self.peek(0).is_some_and(|c| c.is_digit(8)) => Some(self.octal(c)),
            'x' => self.hexadecimal(),
            'a' => Some(0x07),
            'f' => Some(0x0c),
            'n' => Some(0x0a),
            'r' => Some(0x0d),
            't' => Some(0x09),
            'v' => Some(0x0b),
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(u32::from(c)),
            _ => None,
        };
        code.ok_or_else(|| self.error(PatternErrorKind::InvalidEscape, start))
    }

    /// Reads up to two more octal digits.
    fn octal(&mut self, first: char) -> u32 {
        let mut code = first.to_digit(8).expect("called at an octal digit");
        for _ in 0..2 {
            let Some(digit) = self.peek(0).and_then(|c| c.to_digit(8)) else { break };
            code = code * 8 + digit;
            self.at += 1;
        }
        code
    }

    /// Reads `41` or `{1F680}`.
    fn hexadecimal(&mut self) -> Option<u32> {
        if self.peek(0) != Some('{') {
            let [high, low] = [self.next_hex()?, self.next_hex()?];
            return Some(high * 16 + low);
        }
        self.at += 1;
        let mut code = None;
        while self.peek(0) != Some('}') {
            code = Some(code.unwrap_or(0) * 16 + self.next_hex()?);
            code.filter(|code| *code <= u32::from(char::MAX))?;
        }
        self.at += 1;
        code
    }

    fn next_hex(&mut self) -> Option<u32> {
        let digit = self.peek(0)?.to_digit(16);
        self.at += 1;
        digit
    }
}
