//! Chunks of bytes to lines.

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr;

use crate::event::DecodeError;

/// How much is kept of a line that is too long, to recognise it by.
const KEPT: usize = 1024;

/// Cuts what arrives in chunks at its line feeds.
#[derive(Debug)]
pub(super) struct Lines {
    buffer: BytesMut,
    /// How much of the buffer has no line feed.
    searched: usize,
    limit: usize,
    /// The rest of a line that was too long is on its way.
    skipping: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line without its line feed.
    Whole(Bytes),
    /// The beginning of a line that is longer than the limit.
    TooLong(Bytes),
}

// === impl Lines ===

impl Lines {
    pub(super) fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), searched: 0, limit, skipping: false }
    }

    pub(super) fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// The next complete line.
    pub(super) fn next(&mut self) -> Option<Line> {
        loop {
            let Some(at) = memchr(b'\n', &self.buffer[self.searched..]) else {
                return self.incomplete();
            };
            let line = self.buffer.split_to(self.searched + at).freeze();
            self.buffer.advance(1);
            self.searched = 0;
            if !std::mem::take(&mut self.skipping) {
                return Some(self.measure(line));
            }
        }
    }

    /// What stands behind the last line feed; the buffer is empty then.
    pub(super) fn rest(&mut self) -> Option<Line> {
        self.searched = 0;
        let rest = self.buffer.split().freeze();
        (!std::mem::take(&mut self.skipping) && !rest.is_empty()).then(|| self.measure(rest))
    }

    fn measure(&self, line: Bytes) -> Line {
        if line.len() > self.limit { Line::TooLong(beginning(&line)) } else { Line::Whole(line) }
    }

    fn incomplete(&mut self) -> Option<Line> {
        self.searched = self.buffer.len();
        if self.searched <= self.limit && !self.skipping {
            return None;
        }
        let first = !std::mem::replace(&mut self.skipping, true);
        let line = first.then(|| Line::TooLong(beginning(&self.buffer)));
        self.buffer.clear();
        self.searched = 0;
        line
    }
}

/// What is wrong with a line, or an item, of more bytes than that.
pub(super) fn too_long(limit: usize) -> DecodeError {
    DecodeError { line: 1, column: limit + 1, reason: format!("more than {limit} bytes") }
}

/// Enough of it to recognise it by.
pub(super) fn beginning(line: &[u8]) -> Bytes {
    Bytes::copy_from_slice(&line[..line.len().min(KEPT)])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(chunks: &[&[u8]], limit: usize) -> Vec<Line> {
        let mut lines = Lines::new(limit);
        let mut read = Vec::new();
        for chunk in chunks {
            lines.push(chunk);
            while let Some(line) = lines.next() {
                read.push(line);
            }
        }
        read.extend(lines.rest());
        read
    }

    fn whole(line: &'static str) -> Line {
        Line::Whole(Bytes::from_static(line.as_bytes()))
    }

    #[test]
    fn a_line_that_is_too_long_is_told_once_and_its_neighbours_are_read() {
        for chunks in [&[&b"a\nlonger\nb\n"[..]][..], &[b"a\nlo", b"ng", b"e", b"r\nb\n"]] {
            let lines = read(chunks, 3);
            assert_eq!(lines.len(), 3, "{lines:?}");
            assert_eq!((&lines[0], &lines[2]), (&whole("a"), &whole("b")));
            assert!(matches!(&lines[1], Line::TooLong(_)), "{lines:?}");
        }
    }

    #[test]
    fn an_endless_line_takes_no_more_than_the_limit() {
        let mut lines = Lines::new(1 << 10);
        for n in 0..1 << 10 {
            lines.push(&[b'x'; 1 << 10]);
            assert_eq!(lines.next().is_some(), n == 1);
        }
        assert!(lines.buffer.capacity() <= 4 << 10);
        assert_eq!(lines.rest(), None);
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_the_chunks(text in "[ab\n]{0,40}", size in 1_usize..9) {
            let chunks: Vec<_> = text.as_bytes().chunks(size).collect();
            let mut expected: Vec<_> = text.split('\n').collect();
            if expected.last() == Some(&"") {
                expected.pop();
            }
            let expected: Vec<_> =
                expected.into_iter().map(|line| Line::Whole(Bytes::copy_from_slice(line.as_bytes()))).collect();
            prop_assert_eq!(read(&chunks, 64), expected);
        }
    }
}
