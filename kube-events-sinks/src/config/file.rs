//! Files, as they are configured.

use std::path::Path;

use kube_events_core::crd::sinks::FileSink;

use super::Context;
use crate::{
    ConfigError, Lane,
    encode::Encode,
    file::{File, FileOptions},
    lane::name_of,
};

pub(super) fn lane<T: Encode>(
    sink: &FileSink,
    required: bool,
    context: &Context,
) -> Result<Lane<T>, ConfigError> {
    if sink.path.file_name().is_none() {
        return Err(ConfigError::new("path", "names no file"));
    }
    if sink.max_size.is_some_and(|size| size.0 == 0) {
        return Err(ConfigError::new("maxSize", "leaves no room for an item"));
    }
    if sink.max_age.is_some_and(|age| age.is_zero()) {
        return Err(ConfigError::new("maxAge", "leaves no time to write"));
    }
    if let Some(folder) = sink.path.parent().filter(|_| context.needs_files)
        && !Path::new(".").join(folder).is_dir()
    {
        let reason = format!("there is no folder {}", folder.display());
        return Err(ConfigError::new("path", reason));
    }
    let name = sink.name.clone().unwrap_or_else(|| name_of("file", &sink.path.to_string_lossy()));
    Ok(Lane::new(name, required, File::new(FileOptions::from(sink))))
}
