//! Files of rules.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use super::{document::Document, finding::Finding};

/// A text, and what to call it.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) name: String,
    /// Where it can be written; the standard input cannot.
    pub(super) path: Option<PathBuf>,
    pub(super) bytes: Vec<u8>,
}

/// Reads files, and folders with everything in them that is called `*.yaml`, `*.yml` or `*.json`, in
/// the order of names. `-` is the standard input.
///
/// # Errors
/// If something cannot be read.
pub(super) fn read(paths: &[PathBuf]) -> anyhow::Result<Vec<File>> {
    let mut files = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            files.push(File::stdin()?);
        } else if path.is_dir() {
            walk(path, &mut files)?;
        } else {
            files.push(File::open(path)?);
        }
    }
    Ok(files)
}

/// Names that begin with a dot are left out: in a mounted `ConfigMap` they hold every
/// file once more.
fn walk(folder: &Path, files: &mut Vec<File>) -> anyhow::Result<()> {
    for path in entries(folder).with_context(|| cannot_read(folder))? {
        // A link to a folder is not followed: it may lead back here.
        if path.is_dir() && !path.is_symlink() {
            walk(&path, files)?;
        } else if is_rules(&path) && path.is_file() {
            files.push(File::open(&path)?);
        }
    }
    Ok(())
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

fn is_rules(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|e| extension == *e))
}

fn cannot_read(path: &Path) -> String {
    format!("cannot read {}", path.display())
}

// === impl File ===

impl File {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let bytes = fs::read(path).with_context(|| cannot_read(path))?;
        Ok(Self { name: path.display().to_string(), path: Some(path.to_owned()), bytes })
    }

    fn stdin() -> anyhow::Result<Self> {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes).context("cannot read the standard input")?;
        Ok(Self { name: "<stdin>".to_owned(), path: None, bytes })
    }

    /// A text that is in no file.
    pub(super) fn of_text(name: &str, text: &str) -> Self {
        Self { name: name.to_owned(), path: None, bytes: text.as_bytes().to_vec() }
    }

    pub(super) fn text(&self) -> Result<&str, Box<Finding>> {
        str::from_utf8(&self.bytes).map_err(|error| {
            let place = error.valid_up_to();
            let line = self.bytes[..place].split(|byte| *byte == b'\n').count();
            let message = format!("this is not UTF-8 text: see byte {place}, on line {line}");
            Box::new(Finding::error(&self.name, message))
        })
    }

    /// All documents, or the first mistake.
    pub(super) fn documents(&self) -> Result<Vec<Document>, Box<Finding>> {
        serde_saphyr::from_multiple(self.text()?)
            .map_err(|error| Box::new(Finding::of_text(&self.name, &error)))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_folder_is_all_its_files_of_rules_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("b/c")).unwrap();
        fs::create_dir(path("..data")).unwrap();
        for name in ["z.yml", "a.yaml", "b/c/x.json", "b/README.md", "..data/a.yaml"] {
            fs::write(path(name), name).unwrap();
        }
        symlink(path("z.yml"), path("link.yaml")).unwrap();
        symlink(folder.path(), path("b/loop")).unwrap();
        let files = read(&[folder.path().to_owned(), path("b/README.md")]).unwrap();
        let texts: Vec<_> = files.iter().map(|f| str::from_utf8(&f.bytes).unwrap()).collect();
        assert_eq!(texts, ["a.yaml", "b/c/x.json", "z.yml", "z.yml", "b/README.md"]);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let error = read(&["no/such.yaml".into()]).unwrap_err();
        assert!(format!("{error:#}").starts_with("cannot read no/such.yaml: "), "{error:#}");
    }
}
