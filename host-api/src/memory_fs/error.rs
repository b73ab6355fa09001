//! Why an operation on a file system in memory failed; each guest interface has its own code for every one of them.

/// Why an operation failed. None of them harms the file system: what failed did not happen, except that a write may have
/// ended early, which it then says with its count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MemoryFsError {
    /// A path names nothing, or the directory it starts from was removed.
    #[error("no such file or directory")]
    NoEntry,
    /// What should be created is there.
    #[error("the name is taken")]
    Exist,
    /// A directory was needed.
    #[error("not a directory")]
    NotDirectory,
    /// A file was needed.
    #[error("is a directory")]
    IsDirectory,
    /// A directory that should go has entries.
    #[error("the directory is not empty")]
    NotEmpty,
    /// The path is absolute or leads out of where it starts, or the descriptor was not opened for this.
    #[error("not permitted")]
    NotPermitted,
    /// The bound on bytes or nodes is reached, or the host's memory budget is.
    #[error("no space left; remove files or have a larger grant")]
    InsufficientSpace,
    /// A path or a name in it is over its bound.
    #[error("the name is too long")]
    NameTooLong,
    /// The request makes no sense: a directory into itself, a NUL in a name.
    #[error("invalid request")]
    Invalid,
    /// A file would be larger than any may be.
    #[error("the file would be too large")]
    FileTooLarge,
    /// Links.
    #[error("there are no links in memory")]
    Unsupported,
    /// Two descriptors of different file systems.
    #[error("the two are on different file systems")]
    CrossDevice,
    /// A descriptor of another type was needed.
    #[error("not a descriptor for this")]
    BadDescriptor,
}
