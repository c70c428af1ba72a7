//! The end of a file, where whole lines are added.

use std::{fs::Metadata, io, time::SystemTime};

/// What a [`Tail`] needs of a file.
pub(super) trait Storage {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    fn cut(&mut self, len: u64) -> io::Result<()>;
    fn sync(&mut self) -> io::Result<()>;
    /// The length and the last byte.
    fn end(&mut self) -> io::Result<(u64, Option<u8>)>;
}

/// A file of whole lines.
pub(super) struct Tail<F> {
    file: F,
    /// What is good of the file.
    len: u64,
    /// Something may stand behind what is good.
    dirty: bool,
    begun: SystemTime,
}

// === impl Tail ===

impl<F: Storage> Tail<F> {
    /// Goes on with a file, after the end of a line that broke off.
    pub(super) fn begin(mut file: F, begun: SystemTime) -> io::Result<Self> {
        let (len, last) = file.end()?;
        let mut tail = Self { file, len, dirty: false, begun };
        if last.is_some_and(|last| last != b'\n') {
            tail.append(b"\n")?;
        }
        Ok(tail)
    }

    /// Adds lines: all of them, or after an error none.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.dirty {
            self.file.cut(self.len)?;
        }
        self.dirty = true;
        if let Err(error) = self.file.append(lines) {
            // If that fails too, it is tried again before the next lines.
            self.dirty = self.file.cut(self.len).is_err();
            return Err(error);
        }
        self.dirty = false;
        self.len += lines.len() as u64;
        Ok(())
    }

    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.file.sync()
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn begun(&self) -> SystemTime {
        self.begun
    }

    pub(super) fn file(&self) -> &F {
        &self.file
    }
}

/// True if both are of one file.
#[cfg(unix)]
pub(super) fn same(ours: &Metadata, theirs: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino())
}

#[cfg(not(unix))]
pub(super) fn same(_: &Metadata, _: &Metadata) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with little room, whose files can for a while not even be cut.
    #[derive(Default)]
    struct Disk {
        bytes: Vec<u8>,
        room: usize,
        stuck: bool,
    }

    impl Storage for Disk {
        fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
            let n = bytes.len().min(self.room - self.bytes.len());
            self.bytes.extend(&bytes[..n]);
            if n == bytes.len() { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
        }

        fn cut(&mut self, len: u64) -> io::Result<()> {
            if self.stuck {
                return Err(io::ErrorKind::Other.into());
            }
            self.bytes.truncate(usize::try_from(len).unwrap());
            Ok(())
        }

        fn sync(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn end(&mut self) -> io::Result<(u64, Option<u8>)> {
            Ok((self.bytes.len() as u64, self.bytes.last().copied()))
        }
    }

    fn tail(bytes: &[u8], room: usize) -> Tail<Disk> {
        let disk = Disk { bytes: bytes.to_vec(), room, stuck: false };
        Tail::begin(disk, SystemTime::UNIX_EPOCH).unwrap()
    }

    #[test]
    fn a_full_disk_leaves_no_half_line() {
        let mut tail = tail(b"one\n", 10);
        assert_eq!(tail.append(b"two\nthree\n").unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(tail.file().bytes, b"one\n");
        tail.file.room = 20;
        tail.append(b"two\nthree\n").unwrap();
        assert_eq!(tail.file().bytes, b"one\ntwo\nthree\n");
    }

    #[test]
    fn what_could_not_be_cut_off_at_once_is_before_the_next_lines() {
        let mut tail = tail(b"one\n", 10);
        tail.file.stuck = true;
        tail.append(b"two\nthree\n").unwrap_err();
        assert_eq!(tail.file().bytes, b"one\ntwo\nth");
        tail.append(b"two\n").unwrap_err();
        tail.file.stuck = false;
        tail.append(b"two\n").unwrap();
        assert_eq!(tail.file().bytes, b"one\ntwo\n");
    }

    #[test]
    fn a_line_that_broke_off_in_a_crash_is_ended() {
        let mut tail = tail(b"one\ntw", 20);
        tail.append(b"two\n").unwrap();
        assert_eq!((tail.file().bytes.as_slice(), tail.len()), (&b"one\ntw\ntwo\n"[..], 11));
    }
}
