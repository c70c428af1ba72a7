//! Files that are full.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::{self, BufReader},
    path::{Path, PathBuf},
    time::SystemTime,
};

use flate2::{Compression, write::GzEncoder};
use jiff::Timestamp;
use tracing::warn;

const GZIP: &str = ".gz";
const UNFINISHED: &str = ".gz.tmp";

/// What becomes of a file that is full.
pub(super) struct Rotation {
    pub(super) path: PathBuf,
    pub(super) max_files: Option<usize>,
    pub(super) compress: bool,
}

// === impl Rotation ===

impl Rotation {
    /// Gives the file the name of the time that it ends.
    pub(super) fn rotate(&self, now: SystemTime) -> io::Result<()> {
        fs::rename(&self.path, self.free_name(now))
    }

    /// Compresses rotated files and removes the oldest, also those that a crash left behind.
    pub(super) fn tidy(&self) {
        if let Err(error) = self.try_tidy() {
            warn!(%error, path = %self.path.display(), "rotated files were not tidied up");
        }
    }

    fn try_tidy(&self) -> io::Result<()> {
        let mut files = self.rotated()?;
        let surplus = files.len().saturating_sub(self.max_files.unwrap_or(usize::MAX));
        for path in files.drain(..surplus) {
            fs::remove_file(path)?;
        }
        files.iter().filter(|path| self.compress && !is_gzip(path)).try_for_each(|path| pack(path))
    }

    /// All rotated files, the oldest first. What a crash left half compressed is removed.
    fn rotated(&self) -> io::Result<Vec<PathBuf>> {
        let (prefix, suffix) = self.affixes();
        let mut files = Vec::new();
        for entry in fs::read_dir(self.folder())? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let Some(rest) = name.strip_prefix(&prefix) else { continue };
            if let Some(rest) = rest.strip_suffix(UNFINISHED) {
                if is_stamp(rest, &suffix) {
                    fs::remove_file(&path)?;
                }
            } else if is_stamp(rest.strip_suffix(GZIP).unwrap_or(rest), &suffix) {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }

    fn free_name(&self, now: SystemTime) -> PathBuf {
        let (prefix, suffix) = self.affixes();
        let time = Timestamp::try_from(now).unwrap_or_default();
        let stamp = time.strftime("%Y%m%dT%H%M%S.%3fZ");
        let names = (0..).map(|n| match n {
            0 => format!("{prefix}{stamp}{suffix}"),
            n => format!("{prefix}{stamp}-{n}{suffix}"),
        });
        let mut paths = names.map(|name| self.folder().join(name));
        let free = |path: &PathBuf| !path.exists() && !with(path, GZIP).exists();
        paths.find(free).expect("names without end")
    }

    fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        }
    }

    /// What stands before and behind the time.
    fn affixes(&self) -> (String, String) {
        let text = |part: Option<&OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
        let (stem, extension) = (text(self.path.file_stem()), text(self.path.extension()));
        let dot = if extension.is_empty() { "" } else { "." };
        (format!("{stem}-"), format!("{dot}{extension}"))
    }
}

/// True for what [`Rotation::free_name`] puts between the prefix and the end.
fn is_stamp(rest: &str, suffix: &str) -> bool {
    let Some(stamp) = rest.strip_suffix(suffix) else { return false };
    let stamp = stamp.split_once('-').map_or(stamp, |(stamp, _)| stamp);
    stamp.len() == 20
        && stamp.ends_with('Z')
        && stamp.bytes().all(|byte| byte.is_ascii_digit() || b"T.Z".contains(&byte))
}

fn is_gzip(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gz")
}

fn with(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    name.into()
}

/// Compresses a file. At every moment there is a whole copy of it.
fn pack(path: &Path) -> io::Result<()> {
    let unfinished = with(path, UNFINISHED);
    let mut encoder = GzEncoder::new(File::create(&unfinished)?, Compression::default());
    io::copy(&mut BufReader::new(File::open(path)?), &mut encoder)?;
    encoder.finish()?.sync_all()?;
    fs::rename(unfinished, with(path, GZIP))?;
    fs::remove_file(path)
}
