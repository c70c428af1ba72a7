//! Where the programs are that a test needs, and what happens when they are not there.

use std::{
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
    thread,
};

/// Something outside this crate that a test cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The folder with `etcd` and `kube-apiserver`.
    ControlPlane,
    /// Another program of Kubernetes, in the same folder.
    Kubernetes(&'static str),
    /// The right to make namespaces, and the commands for it: the path is that of `unshare`.
    Namespaces,
    /// The Alertmanager binary.
    Alertmanager,
    /// The Prometheus binary.
    Prometheus,
    /// The Helm binary.
    Helm,
    /// A program of this workspace, by the name of its binary.
    Program(&'static str),
}

impl Part {
    /// The part's path; `None`, after saying so on stderr, when this machine lacks it.
    ///
    /// # Panics
    /// When the part is missing and `KUBE_EVENTS_E2E` is `required`.
    pub fn find(self) -> Option<PathBuf> {
        match self.locate() {
            Ok(path) => Some(path),
            Err(missing) => {
                let required = env::var_os("KUBE_EVENTS_E2E").is_some_and(|v| v == "required");
                assert!(!required, "{missing}, and KUBE_EVENTS_E2E=required");
                say_skipped(&missing);
                None
            }
        }
    }

    fn locate(self) -> Result<PathBuf, String> {
        match self {
            Self::ControlPlane => control_plane(env::var_os("KUBEBUILDER_ASSETS").map(Into::into)),
            Self::Kubernetes(name) => {
                let assets = control_plane(env::var_os("KUBEBUILDER_ASSETS").map(Into::into))?;
                let missing = format!("{} holds no {name}", assets.display());
                existing(&assets.join(name)).ok_or(missing)
            }
            Self::Namespaces => namespaces(),
            Self::Alertmanager => {
                installed("ALERTMANAGER", &["prometheus-alertmanager", "alertmanager"])
            }
            Self::Prometheus => installed("PROMETHEUS", &["prometheus"]),
            Self::Helm => installed("HELM", &["helm"]),
            Self::Program(name) => program(name),
        }
    }
}

fn control_plane(assets: Option<PathBuf>) -> Result<PathBuf, String> {
    let assets = assets.ok_or("KUBEBUILDER_ASSETS is not set")?;
    for name in ["etcd", "kube-apiserver"] {
        if !assets.join(name).is_file() {
            return Err(format!("KUBEBUILDER_ASSETS={} holds no {name}", assets.display()));
        }
    }
    Ok(assets)
}

fn namespaces() -> Result<PathBuf, String> {
    if !rustix::process::geteuid().is_root() {
        return Err("only root may make network namespaces".to_owned());
    }
    let found = |command| on_path(&[command]).ok_or(format!("{command} is not on PATH"));
    ["ip", "nsenter", "chroot"].into_iter().try_for_each(|command| found(command).map(drop))?;
    found("unshare")
}

fn installed(variable: &str, names: &[&str]) -> Result<PathBuf, String> {
    if let Some(path) = env::var_os(variable).map(PathBuf::from) {
        return existing(&path).ok_or(format!("{variable}={} is no file", path.display()));
    }
    on_path(names).ok_or(format!("{} is not on PATH and {variable} is not set", names[0]))
}

fn on_path(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    names
        .iter()
        .flat_map(|name| env::split_paths(&path).map(move |dir| dir.join(name)))
        .find_map(|candidate| existing(&candidate))
}

fn program(name: &str) -> Result<PathBuf, String> {
    let dir = match env::var_os("KUBE_EVENTS_BIN_DIR") {
        Some(dir) => PathBuf::from(dir),
        None => target_dir().ok_or("the folder of this test is not known")?,
    };
    let path = existing(&dir.join(name)).ok_or(format!(
        "{} is not built (cargo build --workspace --bins, or set KUBE_EVENTS_BIN_DIR)",
        dir.join(name).display()
    ))?;
    match newer_source(&path) {
        Some(source) => Err(format!(
            "{} is older than {} (cargo build --workspace --bins)",
            path.display(),
            source.display()
        )),
        None => Ok(path),
    }
}

/// What a program was built from that has changed since. cargo does not build it for these tests,
/// and writes beside it what belongs to it, in the form of a Makefile.
fn newer_source(program: &Path) -> Option<PathBuf> {
    let changed = |path: &Path| path.metadata()?.modified();
    let built = changed(program).ok()?;
    let rule = fs::read_to_string(program.with_extension("d")).ok()?;
    let (_, sources) = rule.split_once(": ")?;
    let is_newer = |source: &Path| changed(source).map_or(true, |changed| changed > built);
    // A space in a path is escaped.
    let sources = sources.trim_end().replace("\\ ", "\0");
    let mut paths = sources.split(' ').map(|source| PathBuf::from(source.replace('\0', " ")));
    paths.find(|source| is_newer(source))
}

/// `target/PROFILE`, as tests run from `target/PROFILE/deps` and examples from `target/PROFILE/examples`.
fn target_dir() -> Option<PathBuf> {
    Some(env::current_exe().ok()?.parent()?.parent()?.to_owned())
}

fn existing(path: &Path) -> Option<PathBuf> {
    path.is_file().then(|| path.to_owned())
}

fn say_skipped(missing: &str) {
    let thread = thread::current();
    let test = thread.name().unwrap_or("a test");
    // Not `eprintln!`: the test harness hides what a passing test prints with it.
    writeln!(std::io::stderr(), "SKIPPED: {test}: {missing} (see e2e/README.md)").ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unset_variable_and_an_empty_folder_are_told_apart() {
        let empty = tempfile::tempdir().unwrap();
        assert_eq!(control_plane(None).unwrap_err(), "KUBEBUILDER_ASSETS is not set");
        let error = control_plane(Some(empty.path().to_owned())).unwrap_err();
        assert!(error.ends_with("holds no etcd"), "{error}");
    }

    #[test]
    fn a_folder_with_both_programs_is_taken() {
        let assets = tempfile::tempdir().unwrap();
        for name in ["etcd", "kube-apiserver"] {
            std::fs::write(assets.path().join(name), "").unwrap();
        }
        assert_eq!(control_plane(Some(assets.path().to_owned())).unwrap(), assets.path());
    }

    #[test]
    fn a_program_is_found_on_the_path() {
        assert!(installed("E2E_NO_SUCH_VARIABLE", &["no-such-program", "sh"]).is_ok());
        let error = installed("E2E_NO_SUCH_VARIABLE", &["no-such-program"]).unwrap_err();
        assert!(error.contains("no-such-program is not on PATH"), "{error}");
    }

    #[test]
    fn a_program_that_is_older_than_its_source_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let [program, rule, old, new] =
            ["program", "program.d", "old source.rs", "new.rs"].map(|name| dir.path().join(name));
        let write = |path: &Path, text: &str, second| {
            fs::write(path, text).unwrap();
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(second);
            fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
        };
        write(&old, "", 1);
        write(&program, "", 2);
        assert_eq!(newer_source(&program), None, "nothing is known of it");
        let escaped = |path: &Path| path.display().to_string().replace(' ', "\\ ");
        let text = [&program, &old, &new].map(|path| escaped(path));
        write(&rule, &format!("{}: {} {}\n", text[0], text[1], text[2]), 2);
        assert_eq!(newer_source(&program), Some(new.clone()), "it is gone");
        write(&new, "", 1);
        assert_eq!(newer_source(&program), None);
        write(&new, "", 3);
        assert_eq!(newer_source(&program), Some(new));
    }
}
