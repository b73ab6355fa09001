//! Why an archive is not acceptable. Names come from the archive: they are escaped and cut before they get here.

/// Why an archive is not acceptable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PackageError {
    /// It is no zip archive, or a damaged one.
    #[error("archive cannot be read: {why}")]
    Malformed {
        /// What was wrong.
        why: String,
    },
    /// It has more entries than allowed.
    #[error("archive has {count} entries; the limit is {limit}")]
    TooManyEntries {
        /// How many, or at least that many.
        count: u64,
        /// The limit.
        limit: u64,
    },
    /// An entry's name leads out of the archive, or is not plain.
    #[error("archive entry `{name}` has a path that leads out of the archive")]
    UnsafePath {
        /// Which entry.
        name: String,
    },
    /// An entry is a link or another special file.
    #[error("archive entry `{name}` is not a plain file or directory")]
    NotPlain {
        /// Which entry.
        name: String,
    },
    /// Two entries have one name.
    #[error("archive has entries of the same name")]
    DuplicateNames,
    /// Two entries share bytes.
    #[error("archive has entries that overlap")]
    Overlapping,
    /// An entry is encrypted.
    #[error("archive entry `{name}` is encrypted")]
    Encrypted {
        /// Which entry.
        name: String,
    },
    /// The binary is compressed in a way that is not read here.
    #[error("archive entry `{name}` is compressed by {method}")]
    Compression {
        /// Which entry.
        name: String,
        /// Its method.
        method: String,
    },
    /// No entry is a wasm binary.
    #[error("archive has no entry that ends in `.wasm`")]
    NoWasm,
    /// It is not clear which entry is meant.
    #[error("archive has several entries that end in `.wasm`: {}", .names.join(", "))]
    Ambiguous {
        /// At most five of them.
        names: Vec<String>,
    },
    /// The binary is larger than allowed.
    #[error("archive entry `{name}` inflates to more than {limit_bytes} bytes")]
    TooLarge {
        /// Which entry.
        name: String,
        /// The limit.
        limit_bytes: u64,
    },
    /// The binary inflates suspiciously.
    #[error("archive entry `{name}` inflates to more than {limit} times its size")]
    Ratio {
        /// Which entry.
        name: String,
        /// The limit.
        limit: u64,
    },
    /// The binary is not what was packed.
    #[error("archive entry `{name}` is damaged: {why}")]
    Damaged {
        /// Which entry.
        name: String,
        /// What was wrong.
        why: String,
    },
}

impl PackageError {
    /// What the uploader can do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Malformed { .. } | Self::Damaged { .. } => {
                "pack it again; check that it was copied whole"
            }
            Self::TooManyEntries { .. } => "pack only what the function needs: its .wasm",
            Self::UnsafePath { .. } | Self::NotPlain { .. } => {
                "pack plain files by relative paths, without links"
            }
            Self::DuplicateNames | Self::Overlapping => "pack it again with an ordinary tool",
            Self::Encrypted { .. } => "pack it without a password",
            Self::Compression { .. } => "pack it with deflate or without compression",
            Self::NoWasm => "add the .wasm binary",
            Self::Ambiguous { .. } => {
                "keep one of them, or name it `bootstrap.wasm`, `main.wasm` or `index.wasm` at the top"
            }
            Self::TooLarge { .. } => "strip debug information, or raise the server's limit",
            Self::Ratio { .. } => "upload the binary without an archive",
        }
    }
}
