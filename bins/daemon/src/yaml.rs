//! Mistakes in YAML, told to the one who wrote it.

use serde_saphyr::Error;

/// What is wrong, drawn into the text of the file called `name`, and what was probably meant.
#[must_use]
pub fn report(name: &str, error: &Error) -> String {
    let options = serde_saphyr::render_options! { source_name: Some(name) };
    let drawn = error.render_with_options(options);
    let drawn = drawn.trim_end();
    match suggestion(error) {
        Some(suggestion) => format!("{drawn}\nhelp: {suggestion}"),
        None => drawn.to_owned(),
    }
}

/// The key that was probably meant by one that is not known.
#[must_use]
pub fn suggestion(error: &Error) -> Option<String> {
    let Error::SerdeUnknownField { field, expected, .. } = error.without_snippet() else {
        return None;
    };
    nearest(field, expected).map(|key| format!("did you mean `{key}`?"))
}

/// The key whose name differs least, if it differs little.
fn nearest<'a>(name: &str, keys: &[&'a str]) -> Option<&'a str> {
    let name = name.to_ascii_lowercase();
    let distances = keys
        .iter()
        .map(|key| (strsim::damerau_levenshtein(&name, &key.to_ascii_lowercase()), *key));
    let (distance, key) = distances.min()?;
    (distance <= 2 && distance * 3 <= name.len().max(3)).then_some(key)
}
