//! Which image the pods run.

use std::sync::LazyLock;

use regex::Regex;

use crate::children::Invalid;

/// The image that the pods run, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) name: String,
    /// The image that the object asks for, if it is not the one that runs.
    pub(crate) replaced: Option<String>,
}

/// Users and organisations under which the Go project's images are found, mirrors included.
const FORMER_OWNERS: [&str; 3] = ["kubesphere", "kubesphereio", "kubespheredev"];

/// The image that an object asks for; the `default` if it asks for none, or for one of the Go
/// project, which does not understand what it would be given.
///
/// # Errors
///
/// When no image can have that name: a kubelet would say so, long after.
pub(crate) fn choose(asked: Option<&str>, default: &str) -> Result<Image, Invalid> {
    let (name, replaced) = match asked.map(str::trim).filter(|image| !image.is_empty()) {
        None => (default, None),
        Some(image) if is_former(image) => (default, Some(image.to_owned())),
        Some(image) if !is_name(image) => {
            return Err(Invalid(format!("image: {image:?} cannot be the name of an image")));
        }
        Some(image) => (image, None),
    };
    Ok(Image { name: name.to_owned(), replaced })
}

/// Whether it follows the grammar of <https://github.com/distribution/reference>.
fn is_name(image: &str) -> bool {
    static NAME: LazyLock<Regex> = LazyLock::new(|| {
        let part = "[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?";
        let domain = format!(r"(?:{part}(?:\.{part})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?");
        let path = r"[a-z0-9]+(?:(?:\.|_|__|-+|/)[a-z0-9]+)*";
        let tag = r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}";
        let digest = r"[a-zA-Z][a-zA-Z0-9]*(?:[-_+.][a-zA-Z][a-zA-Z0-9]*)*:[0-9a-fA-F]{32,}";
        let name = format!(r"^(?-u)(?:{domain}/)?{path}(?::{tag})?(?:@{digest})?$");
        Regex::new(&name).expect("it is well-formed")
    });
    NAME.is_match(image)
}

fn is_former(image: &str) -> bool {
    let (rest, name) = image.rsplit_once('/').unwrap_or(("", image));
    let owner = rest.rsplit('/').next().unwrap_or_default();
    FORMER_OWNERS.contains(&owner) && name.starts_with("kube-events-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_of_the_go_project_are_replaced() {
        for image in [
            "kubesphere/kube-events-exporter:v0.6.0",
            "docker.io/kubesphere/kube-events-ruler:latest",
            "registry.example:5000/mirror/kubesphereio/kube-events-exporter@sha256:abc",
        ] {
            let chosen = choose(Some(image), "ours:1").unwrap();
            assert_eq!((chosen.name.as_str(), chosen.replaced.as_deref()), ("ours:1", Some(image)));
        }
    }

    #[test]
    fn any_other_image_is_what_its_author_wants() {
        let digest = format!("registry.example/a@sha256:{}", "0a".repeat(32));
        for image in [
            "kube-events/exporter:v1",
            "registry.example/mine/kube-events-exporter:1",
            "Registry.example:5000/my_team/a--b/c__d.e:1.0_rc-1",
            "[::1]:5000/a",
            "localhost/a:B",
            &digest,
        ] {
            assert_eq!(choose(Some(image), "ours:1").unwrap().name, image);
        }
        for none in [None, Some(""), Some("  ")] {
            let default = Image { name: "ours:1".into(), replaced: None };
            assert_eq!(choose(none, "ours:1").unwrap(), default);
        }
    }

    #[test]
    fn what_no_image_can_be_called_is_refused() {
        for image in [
            "not an image",
            "a//b",
            "a/b:\u{e4}",
            "https://registry.example/a",
            "a:b:c",
            "Foo/Bar:x",
            "a/-b",
            "a/b:",
            "a@sha256:abc",
        ] {
            let told = choose(Some(image), "ours:1").unwrap_err().to_string();
            assert_eq!(told, format!("image: {image:?} cannot be the name of an image"));
        }
    }
}
