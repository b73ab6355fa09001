//! The errors of this crate's boundary. A dialect matches [`PlatformError`] and [`RequestError`] exhaustively and gives each variant a
//! code of its own; neither knows any code.

use std::time::Duration;

use hearth_engine::{LoadError, Refusal};

use crate::objects::ObjectError;
use crate::package::PackageError;
use crate::storage::StorageError;
use crate::storage::code_store::CodeError;

/// What kind of thing an error speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A service.
    Service,
    /// A function; its name is `service/function`.
    Function,
    /// A version; its name is `service.version`.
    Version,
    /// An alias; its name is `service.alias`.
    Alias,
    /// A trigger; its name is `service/function/trigger`.
    Trigger,
    /// The HTTP trigger of a function at a qualifier; its name is `service.qualifier/function`.
    HttpTrigger,
    /// Triggers of an API gateway's kind of a function at a qualifier; its name is `service.qualifier/function`.
    GatewayTrigger,
    /// A binding to a network; its name is `service/network`.
    Binding,
    /// A layer.
    Layer,
    /// A version of a layer; its name is `layer/version`.
    LayerVersion,
    /// A custom domain.
    Domain,
    /// A maximum of instances; its name is `service.qualifier/function`.
    OnDemandConfig,
    /// What is to be kept ready; its name is `service.qualifier/function`.
    ProvisionConfig,
    /// How async invocations are run; its name is `service.qualifier/function`.
    AsyncConfig,
    /// An invocation.
    Invocation,
}

impl Kind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Function => "function",
            Self::Version => "version",
            Self::Alias => "alias",
            Self::Trigger => "trigger",
            Self::HttpTrigger => "HTTP trigger",
            Self::GatewayTrigger => "API gateway trigger",
            Self::Binding => "binding",
            Self::Layer => "layer",
            Self::LayerVersion => "layer version",
            Self::Domain => "domain",
            Self::OnDemandConfig => "on-demand config",
            Self::ProvisionConfig => "provision config",
            Self::AsyncConfig => "async invoke config",
            Self::Invocation => "invocation",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the caller asked for wrongly. The same request will not work unless something else changes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// There is no such thing.
    #[error("{kind} `{name}` does not exist")]
    NotFound {
        /// What kind of thing.
        kind: Kind,
        /// Its name.
        name: String,
    },
    /// The name is taken.
    #[error("{kind} `{name}` already exists")]
    AlreadyExists {
        /// What kind of thing.
        kind: Kind,
        /// Its name.
        name: String,
    },
    /// A value is out of bounds.
    #[error("`{field}` is invalid: {why}")]
    Invalid {
        /// Which value, by this crate's name for it.
        field: &'static str,
        /// What is wrong, and what would be right.
        why: String,
    },
    /// The thing is not at the revision that the caller expected, or somebody else changed it meanwhile.
    #[error("{kind} `{name}` was changed meanwhile")]
    Conflict {
        /// What kind of thing.
        kind: Kind,
        /// Its name.
        name: String,
    },
    /// Somebody else changed the thing while this change was prepared; the caller had named no revision.
    #[error("{kind} `{name}` was changed by somebody else at the same time")]
    Overtaken {
        /// What kind of thing.
        kind: Kind,
        /// Its name.
        name: String,
    },
    /// The thing still holds others.
    #[error("{kind} `{name}` is not empty: it holds {holds}")]
    NotEmpty {
        /// What kind of thing.
        kind: Kind,
        /// Its name.
        name: String,
        /// What it holds, such as `3 functions`.
        holds: String,
    },
    /// There is nothing to publish.
    #[error("service `{service}` was not changed since version {version}")]
    Unchanged {
        /// Which service.
        service: String,
        /// The version published last.
        version: u64,
    },
    /// Something is larger than allowed.
    #[error("{what} of {size_bytes} bytes is over the limit of {limit_bytes}")]
    TooLarge {
        /// What: `event`, `code`.
        what: &'static str,
        /// Its size, or at least that much.
        size_bytes: u64,
        /// The limit.
        limit_bytes: u64,
    },
    /// A quota of the whole platform or of a service is used up.
    #[error("{what} are limited to {limit}")]
    Quota {
        /// Of what: `services`, `functions of a service`.
        what: &'static str,
        /// The quota.
        limit: u64,
    },
    /// The function's queue is full; trying again later may work.
    #[error("function `{function}` has {limit} queued invocations, as many as it may")]
    Throttled {
        /// Which function.
        function: String,
        /// Its limit.
        limit: u64,
        /// When to try again.
        retry_after: Duration,
    },
    /// The uploaded archive is not acceptable.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// The upload's checksum is not the one that the caller computed.
    #[error("code has checksum {found}; the request says {expected}")]
    Checksum {
        /// What the caller said.
        expected: u64,
        /// What was received.
        found: u64,
    },
}

impl RequestError {
    /// What the caller can do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "check the name; list what exists",
            Self::AlreadyExists { .. } => "choose another name, or update what exists",
            Self::Invalid { .. } => "correct the value",
            Self::Conflict { .. } | Self::Overtaken { .. } => "read it again and repeat the change",
            Self::NotEmpty { .. } => "delete what it holds first",
            Self::Unchanged { .. } => "use that version, or change something first",
            Self::TooLarge { .. } => "send less, or raise the server's limit",
            Self::Quota { .. } => "delete what is not needed, or raise the server's quota",
            Self::Throttled { .. } => "try again later",
            Self::Package(error) => error.hint(),
            Self::Checksum { .. } => "upload again; the code changed on the way",
        }
    }

    pub(crate) fn invalid(field: &'static str, why: impl Into<String>) -> Self {
        Self::Invalid { field, why: why.into() }
    }
}

/// Why an operation of the platform brought no result.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PlatformError {
    /// The caller's request cannot be done.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The code cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Declined before anything ran; trying again later may work.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A function's stored code is missing, damaged or cannot be read.
    #[error(transparent)]
    Code(#[from] CodeError),
    /// An object that was named as code cannot be used.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// Storage declined or failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The platform failed.
    #[error("{what} failed: {why}")]
    Failure {
        /// What was being done.
        what: &'static str,
        /// For the operator's log, not for a caller.
        why: String,
    },
}

impl PlatformError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Request(error) => error.hint(),
            Self::Load(error) => error.hint(),
            Self::Refused(_) => "try again later",
            Self::Code(error) => error.hint(),
            Self::Object(error) => error.hint(),
            Self::Storage(error) => error.hint(),
            Self::Failure { .. } => "look into the server's log",
        }
    }
}

impl From<crate::key::KeyError> for PlatformError {
    fn from(error: crate::key::KeyError) -> Self {
        match error {
            crate::key::KeyError::Storage(error) => Self::Storage(error),
            // The first key makes a sealing key, which takes room as records do.
            crate::key::KeyError::Seal(crate::key::SealError::File { path, source })
                if source.kind() == std::io::ErrorKind::StorageFull =>
            {
                Self::Storage(StorageError::Full { path })
            }
            other => Self::Failure { what: "opening the access keys", why: other.to_string() },
        }
    }
}

impl From<hearth_engine::InvokeError> for PlatformError {
    fn from(error: hearth_engine::InvokeError) -> Self {
        match error {
            hearth_engine::InvokeError::Refused(refusal) => Self::Refused(refusal),
            failure => Self::Failure { what: "invocation", why: failure.to_string() },
        }
    }
}
