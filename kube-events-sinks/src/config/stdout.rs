//! Standard output, as it is configured.

use kube_events_core::crd::sinks::StdoutSink;

use super::Context;
use crate::{ConfigError, Lane, encode::Encode, human::Human, stdout::Stdout};

pub(super) fn lane<T: Encode + Human>(
    sink: &StdoutSink,
    required: bool,
    _: &Context,
) -> Result<Lane<T>, ConfigError> {
    let stdout = Stdout::new(sink.format).map_err(ConfigError::whole)?;
    Ok(Lane::new("stdout".into(), required, stdout))
}
