//! How far a JSON value reaches.

use memchr::memchr2;

/// Finds the end of a value by its brackets and quotes, while its bytes arrive.
///
/// It does not judge: what is between matching brackets may be anything. So the neighbours of a
/// value that no decoder accepts can be found.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extent {
    depth: usize,
    in_string: bool,
    escaped: bool,
    scanned: usize,
}

// === impl Extent ===

impl Extent {
    /// The length of the value that `bytes` begins with; `None` if it goes on.
    ///
    /// The next call takes the same bytes and more, and looks at what is new. A value that is
    /// neither an array nor an object ends where a comma or a closing bracket stands.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = self.scanned;
        self.scanned = bytes.len();
        while at < bytes.len() {
            // Most of it is text.
            if self.in_string && !self.escaped {
                at += memchr2(b'"', b'\\', &bytes[at..])?;
            }
            if let Some(more) = self.step(bytes[at]) {
                return Some(at + more);
            }
            at += 1;
        }
        None
    }

    /// The bytes so far have been dropped by the caller.
    pub(super) fn forget(&mut self) {
        self.scanned = 0;
    }

    /// Whether the value ends before (0) or behind (1) this byte.
    fn step(&mut self, byte: u8) -> Option<usize> {
        if self.in_string {
            self.in_string = self.escaped || byte != b'"';
            self.escaped = !self.escaped && byte == b'\\';
            return None;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b',' | b'}' | b']' if self.depth == 0 => return Some(0),
            b'}' | b']' => {
                self.depth -= 1;
                return (self.depth == 0).then_some(1);
            }
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_ends_where_its_brackets_close() {
        for (value, rest) in [
            (r#"{"a":[1,{"b":"}\"]"}]}"#, ",{}"),
            (r#"["\\"]"#, "}"),
            (r#""a,\"b""#, ","),
            ("null", "]"),
            ("12 ", "}"),
        ] {
            let text = format!("{value}{rest}");
            assert_eq!(Extent::default().advance(text.as_bytes()), Some(value.len()), "{text}");
            let mut bit_by_bit = Extent::default();
            let end = (0..text.len()).find_map(|end| bit_by_bit.advance(&text.as_bytes()[..end]));
            assert_eq!(end.or_else(|| bit_by_bit.advance(text.as_bytes())), Some(value.len()));
        }
        assert_eq!(Extent::default().advance(br#"{"a":"}"#), None);
    }
}
