//! Why an object cannot be used. What a store said is for the operator's log: a caller could learn of the inside from it.

use std::time::Duration;

/// Why an object cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// There is no such bucket.
    #[error("bucket `{bucket}` does not exist")]
    NoBucket {
        /// Which bucket.
        bucket: String,
    },
    /// The bucket has no such object.
    #[error("object `{object}` does not exist")]
    NoObject {
        /// Which, as `bucket/key`.
        object: String,
    },
    /// In the directory it is no plain file, or a link leads out of the bucket's folder.
    #[error("object `{object}` is not a plain file in the folder of its bucket")]
    NotPlain {
        /// Which, as `bucket/key`.
        object: String,
    },
    /// The bucket is for other services.
    #[error("bucket `{bucket}` is not for {}", .service.as_ref().map_or_else(|| "layers".to_owned(), |name| format!("service `{name}`")))]
    NotGranted {
        /// Which bucket.
        bucket: String,
        /// Who asked; none for a layer.
        service: Option<String>,
    },
    /// The store does not accept the access key that it was given, or that key may not read the object.
    #[error("the store of bucket `{bucket}` denies this server access")]
    Denied {
        /// Which bucket.
        bucket: String,
        /// What the store said.
        why: String,
    },
    /// The object is larger than a package may be.
    #[error("object `{object}` of {size_bytes} bytes is over the limit of {limit_bytes}")]
    TooLarge {
        /// Which, as `bucket/key`.
        object: String,
        /// Its size, or at least that much.
        size_bytes: u64,
        /// The limit.
        limit_bytes: u64,
    },
    /// The store took too long.
    #[error("the store of bucket `{bucket}` did not deliver within {} ms", .limit.as_millis())]
    TooSlow {
        /// Which bucket.
        bucket: String,
        /// How long it may take.
        limit: Duration,
    },
    /// So many objects are read at once that this one's turn did not come.
    #[error("{limit} objects are being read, as many as may at once")]
    Busy {
        /// How many.
        limit: usize,
    },
    /// The store cannot be reached, or fails.
    #[error("the store of bucket `{bucket}` cannot be read now")]
    Unavailable {
        /// Which bucket.
        bucket: String,
        /// What happened.
        why: String,
    },
    /// The bucket's configuration is not acceptable.
    #[error("bucket `{bucket}` is configured wrongly: {why}")]
    Misconfigured {
        /// Which bucket.
        bucket: String,
        /// What is wrong.
        why: String,
    },
}

impl ObjectError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoBucket { .. } | Self::NoObject { .. } => "check its name",
            Self::NotPlain { .. } => "put the file itself there",
            Self::NotGranted { .. } => {
                "take another bucket, or add the service in the server's settings"
            }
            Self::Denied { .. } => "check the access key of the bucket in the server's settings",
            Self::TooLarge { .. } => "make the package smaller",
            Self::TooSlow { .. } | Self::Busy { .. } | Self::Unavailable { .. } => {
                "try again later"
            }
            Self::Misconfigured { .. } => "correct the server's settings",
        }
    }

    /// What a store or the system said, for the operator.
    pub fn detail(&self) -> &str {
        match self {
            Self::Denied { why, .. } | Self::Unavailable { why, .. } => why,
            _ => "",
        }
    }
}
