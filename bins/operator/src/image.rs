//! Which image the pods run.

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
pub(crate) fn choose(asked: Option<&str>, default: &str) -> Image {
    match asked.map(str::trim).filter(|image| !image.is_empty()) {
        None => Image { name: default.to_owned(), replaced: None },
        Some(image) if is_former(image) => {
            Image { name: default.to_owned(), replaced: Some(image.to_owned()) }
        }
        Some(image) => Image { name: image.to_owned(), replaced: None },
    }
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
            let chosen = choose(Some(image), "ours:1");
            assert_eq!((chosen.name.as_str(), chosen.replaced.as_deref()), ("ours:1", Some(image)));
        }
    }

    #[test]
    fn any_other_image_is_what_its_author_wants() {
        for image in ["kube-events/exporter:v1", "registry.example/mine/kube-events-exporter:1"] {
            assert_eq!(choose(Some(image), "ours:1").name, image);
        }
        for none in [None, Some(""), Some("  ")] {
            let default = Image { name: "ours:1".into(), replaced: None };
            assert_eq!(choose(none, "ours:1"), default);
        }
    }
}
