//! An object that the Go project left, and what becomes of it.

use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, DynamicObject, Preconditions},
    core::ApiResource,
};

/// An object that the Go project left, or that has the name of one.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) resource: ApiResource,
    pub(super) object: DynamicObject,
    /// What it is, to people.
    pub(super) what: String,
    pub(super) state: State,
}

/// What is to become of it, or became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It is left alone.
    Keep,
    /// Nobody needs it.
    Delete,
    /// Nobody needs it once something else has happened, which may be about to happen by itself.
    Wait {
        reason: String,
        soon: bool,
    },
    Deleted,
    Failed {
        reason: String,
    },
}

// === impl Found ===

impl Found {
    /// An object that nothing is known of yet.
    pub(super) fn new(resource: ApiResource, object: DynamicObject) -> Self {
        Self { resource, object, what: String::new(), state: State::Keep }
    }

    /// The same, left alone.
    pub(super) fn kept(self, what: impl Into<String>) -> Self {
        Self { what: what.into(), state: State::Keep, ..self }
    }

    /// The same, to be deleted.
    pub(super) fn unneeded(self, what: impl Into<String>) -> Self {
        Self { what: what.into(), state: State::Delete, ..self }
    }

    /// The same, to be deleted when somebody has done something.
    pub(super) fn waiting(self, reason: impl Into<String>) -> Self {
        self.waits(reason.into(), false)
    }

    /// The same, to be deleted when something has happened that is about to.
    pub(super) fn waiting_soon(self, reason: impl Into<String>) -> Self {
        self.waits(reason.into(), true)
    }

    /// The same, not deleted for this, if it was to be.
    pub(super) fn failed(mut self, error: &anyhow::Error) -> Self {
        if self.state != State::Keep {
            self.state = State::Failed { reason: format!("{error:#}") };
        }
        self
    }

    fn waits(mut self, reason: String, soon: bool) -> Self {
        if self.state != State::Keep {
            self.state = State::Wait { reason, soon };
        }
        self
    }

    /// What it waits for, if that is about to happen.
    pub(super) fn soon(&self) -> Option<&str> {
        match &self.state {
            State::Wait { reason, soon: true } => Some(reason),
            _ => None,
        }
    }

    /// Whether it should go and cannot.
    pub(super) fn is_left(&self) -> bool {
        matches!(self.state, State::Wait { .. } | State::Failed { .. })
    }

    /// `NAMESPACE/NAME`, or the name of what is in no namespace.
    pub(super) fn place(&self) -> String {
        match self.object.namespace() {
            Some(namespace) => format!("{namespace}/{}", self.object.name_any()),
            None => self.object.name_any(),
        }
    }

    /// Deletes it if it is to be deleted, or asks whether that is allowed.
    pub(super) async fn delete(&mut self, client: &Client, dry_run: bool) {
        if self.state != State::Delete {
            return;
        }
        let object = &self.object;
        let api: Api<DynamicObject> = match object.namespace() {
            Some(namespace) => Api::namespaced_with(client.clone(), &namespace, &self.resource),
            None => Api::all_with(client.clone(), &self.resource),
        };
        // What was looked at, and nothing that has its name by now.
        let preconditions =
            Preconditions { uid: object.uid(), resource_version: object.resource_version() };
        let params = DeleteParams {
            dry_run,
            preconditions: Some(preconditions),
            ..DeleteParams::background()
        };
        self.state = match api.delete(&object.name_any(), &params).await {
            Ok(_) if dry_run => State::Delete,
            Ok(_) => State::Deleted,
            Err(kube::Error::Api(status)) => match status.code {
                404 => State::Deleted,
                409 => State::Failed { reason: "it was changed meanwhile: run this again".into() },
                _ => State::Failed { reason: status.message },
            },
            Err(error) => State::Failed { reason: error.to_string() },
        };
    }
}
