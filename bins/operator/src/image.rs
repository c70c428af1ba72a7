//! Which image the pods run.

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

/// Whether it has letters that names of images have, and no part that is empty:
/// <https://github.com/distribution/reference>.
fn is_name(image: &str) -> bool {
    let letter = |it: char| it.is_ascii_alphanumeric() || "._-:@[]".contains(it);
    image.split('/').all(|part| !part.is_empty() && part.chars().all(letter))
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
        for image in ["kube-events/exporter:v1", "registry.example/mine/kube-events-exporter:1"] {
            assert_eq!(choose(Some(image), "ours:1").unwrap().name, image);
        }
        for none in [None, Some(""), Some("  ")] {
            let default = Image { name: "ours:1".into(), replaced: None };
            assert_eq!(choose(none, "ours:1").unwrap(), default);
        }
    }

    #[test]
    fn what_no_image_can_be_called_is_refused() {
        for image in ["not an image", "a//b", "a/b:\u{e4}", "https://registry.example/a"] {
            let told = choose(Some(image), "ours:1").unwrap_err().to_string();
            assert_eq!(told, format!("image: {image:?} cannot be the name of an image"));
        }
    }
}
