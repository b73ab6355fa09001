//! What one function may reach outside its instance. Everything is denied unless it is granted here.
//!
//! A [`Grants`] is plain data that a platform can store with a function's configuration; every pattern is parsed when the
//! data is read, so a bad one is refused at deployment with its text and the reason, never met at run time.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::caller::CalleePattern;
use crate::key_value::Quota;
use crate::memory_fs::{Bounds, PAGE_BYTES};
use crate::outgoing_http::OutgoingHttp;
use crate::tmp::TMP_PATH;

/// How many functions may call one another in a row. Deeper than this is a loop or a design to be told about, and each level
/// holds an instance and its memory for as long as the levels below it run.
pub const DEFAULT_CALL_DEPTH: u32 = 8;

/// What a function was granted. The default is nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Grants {
    /// Where `wasi:http` requests may go, and their bounds.
    pub outgoing_http: OutgoingHttp,
    /// Which functions it may call through `hearth:function/caller`.
    pub call: Vec<CalleePattern>,
    /// How deep it may stand in a chain of such calls and still make one more.
    pub call_depth: u32,
    /// Directories of the host that it sees.
    pub directories: Vec<DirectoryGrant>,
    /// The key-value store of its service, with the quota its writes are held to; `None` denies the store.
    pub key_value: Option<Quota>,
    /// A `/tmp` in memory, one for each instance; `None` denies it.
    pub tmp: Option<TmpGrant>,
}

impl Default for Grants {
    fn default() -> Self {
        Self {
            outgoing_http: OutgoingHttp::default(),
            call: Vec::new(),
            call_depth: DEFAULT_CALL_DEPTH,
            directories: Vec::new(),
            key_value: None,
            tmp: None,
        }
    }
}

impl Grants {
    /// Whether they reach what belongs to the host: its directories, or addresses that are not public.
    #[must_use]
    pub fn reach_the_host(&self) -> bool {
        !self.directories.is_empty() || self.outgoing_http.allow.iter().any(|to| to.private)
    }

    /// Checks what the types alone do not hold: that private hosts are named, and the paths of directory grants.
    ///
    /// # Errors
    /// The first pattern or path that is not acceptable, and why.
    pub fn check(&self) -> Result<(), GrantError> {
        for allowed in &self.outgoing_http.allow {
            if allowed.private && allowed.to.covers_every_host() {
                return Err(GrantError::PrivateNotNamed { pattern: allowed.to.to_string() });
            }
        }
        for (index, grant) in self.directories.iter().enumerate() {
            grant.check()?;
            let earlier = self.directories.iter().take(index);
            if earlier.into_iter().any(|other| other.guest_path == grant.guest_path) {
                return Err(GrantError::GuestPathTwice { path: grant.guest_path.clone() });
            }
        }
        if let Some(tmp) = &self.tmp {
            tmp.check()?;
            if self.directories.iter().any(|directory| directory.guest_path == TMP_PATH) {
                return Err(GrantError::GuestPathTwice { path: TMP_PATH.to_owned() });
            }
        }
        Ok(())
    }
}

/// Most bytes that one `/tmp` may be granted.
pub const TMP_BYTES_MAX: u64 = 1 << 30;

/// Most files and directories that one `/tmp` may be granted.
pub const TMP_NODES_MAX: u32 = 1 << 16;

/// A `/tmp` of each instance's own, in the host's memory: empty at first, kept for as long as the instance is, never on a disk.
///
/// What it holds is not part of the instance's memory limit; it counts against the engine's memory budget while it is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TmpGrant {
    /// Bytes of file contents, counted in pages of 4 KiB. Default 16 MiB, at most 1 GiB. A write beyond it fails as on a full
    /// disk.
    pub bytes: u64,
    /// Files and directories. Default 4096, at most 65,536. One more fails as on a full disk.
    pub nodes: u32,
}

impl Default for TmpGrant {
    fn default() -> Self {
        Self { bytes: 16 << 20, nodes: 4096 }
    }
}

impl TmpGrant {
    /// The bounds of one instance's file system.
    #[must_use]
    pub fn bounds(self) -> Bounds {
        Bounds { bytes: self.bytes, nodes: self.nodes }
    }

    fn check(self) -> Result<(), GrantError> {
        if !(PAGE_BYTES..=TMP_BYTES_MAX).contains(&self.bytes) {
            return Err(GrantError::TmpBytes { bytes: self.bytes });
        }
        if !(1..=TMP_NODES_MAX).contains(&self.nodes) {
            return Err(GrantError::TmpNodes { nodes: self.nodes });
        }
        Ok(())
    }
}

/// A directory of the host that a function sees under a path of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectoryGrant {
    /// The directory on the host; absolute.
    pub host_path: PathBuf,
    /// Where the guest sees it; absolute, without `.` or `..`.
    pub guest_path: String,
    /// What the guest may do there.
    #[serde(default)]
    pub access: Access,
}

/// What a guest may do in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// List and read.
    #[default]
    ReadOnly,
    /// Also create, change and remove.
    ReadWrite,
}

impl DirectoryGrant {
    fn check(&self) -> Result<(), GrantError> {
        if !self.host_path.is_absolute() {
            return Err(GrantError::HostPathNotAbsolute { path: self.host_path.clone() });
        }
        let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        let inner = self.guest_path.strip_prefix('/');
        let acceptable = inner.is_some_and(|inner| inner.is_empty() || inner.split('/').all(plain))
            && !self.guest_path.contains('\0');
        if acceptable {
            Ok(())
        } else {
            Err(GrantError::GuestPathNotPlain { path: self.guest_path.clone() })
        }
    }
}

/// Why grants are refused. Patterns have errors of their own: [`PatternError`](crate::outgoing_http::PatternError) and
/// [`TargetError`](crate::caller::TargetError).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GrantError {
    /// Private addresses are granted for hosts that nobody named.
    #[error("`{pattern}` cannot be private; name the hosts that may have a private address")]
    PrivateNotNamed {
        /// The pattern.
        pattern: String,
    },
    /// A host path depends on where the server was started.
    #[error("directory grant for `{path}` is not absolute; write the path from the root")]
    HostPathNotAbsolute {
        /// The path.
        path: PathBuf,
    },
    /// A guest path is not a plain absolute path.
    #[error("guest path `{path}` is not plain; write it from the root, without `.`, `..` or `//`")]
    GuestPathNotPlain {
        /// The path.
        path: String,
    },
    /// A `/tmp` is too small to hold anything, or larger than any may be.
    #[error("`tmp` of {bytes} bytes is out of bounds; write 4096 to 1073741824")]
    TmpBytes {
        /// What was asked for.
        bytes: u64,
    },
    /// A `/tmp` may hold no file, or more than any may.
    #[error("`tmp` with {nodes} nodes is out of bounds; write 1 to 65536")]
    TmpNodes {
        /// What was asked for.
        nodes: u32,
    },
    /// Two directories would appear at one place.
    #[error("guest path `{path}` is granted twice")]
    GuestPathTwice {
        /// The path.
        path: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(host: &str, guest: &str) -> DirectoryGrant {
        DirectoryGrant {
            host_path: host.into(),
            guest_path: guest.to_owned(),
            access: Access::ReadOnly,
        }
    }

    #[test]
    fn nothing_is_granted_by_default() {
        let grants: Grants = serde_json::from_str("{}").unwrap();
        assert_eq!(grants, Grants::default());
        assert!(grants.outgoing_http.allow.is_empty() && grants.call.is_empty());
        assert!(
            grants.directories.is_empty() && grants.key_value.is_none() && grants.tmp.is_none()
        );
    }

    #[test]
    fn a_full_set_survives_a_round_trip() {
        let text = r#"{
            "outgoing_http": {"allow": [{"to": "https://*.example.com"},
                                        {"to": "http://127.0.0.1:8080", "private": true}]},
            "call": ["shop/order", "audit/*", "sibling"],
            "call_depth": 3,
            "directories": [{"host_path": "/srv/data", "guest_path": "/data", "access": "read-write"}],
            "key_value": {"keys": 10},
            "tmp": {"bytes": 65536}
        }"#;
        let grants: Grants = serde_json::from_str(text).unwrap();
        grants.check().unwrap();
        let again: Grants = serde_json::from_str(&serde_json::to_string(&grants).unwrap()).unwrap();
        assert_eq!(again, grants);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let refused = |text: &str| serde_json::from_str::<Grants>(text).unwrap_err().to_string();
        assert!(refused(r#"{"network": true}"#).contains("network"));
        assert!(refused(r#"{"call": ["a/b/c"]}"#).contains("a/b/c"));
        let text = refused(r#"{"outgoing_http": {"allow": [{"to": "ftp://example.com"}]}}"#);
        assert!(text.contains("ftp://example.com"), "{text}");
    }

    #[test]
    fn private_hosts_must_be_named() {
        let text = r#"{"outgoing_http": {"allow": [{"to": "http://*:*", "private": true}]}}"#;
        let grants: Grants = serde_json::from_str(text).unwrap();
        let error = grants.check().unwrap_err();
        assert_eq!(error, GrantError::PrivateNotNamed { pattern: "http://*:*".to_owned() });
        let uri = "http://127.0.0.1/".parse().unwrap();
        let destination = crate::outgoing_http::Destination::of(&uri).unwrap();
        let reach = grants.outgoing_http.admit(&destination);
        assert_eq!(reach, Ok(crate::outgoing_http::Reach::Public));
    }

    #[test]
    fn paths_are_checked() {
        let check = |grants: Vec<DirectoryGrant>| {
            Grants { directories: grants, ..Grants::default() }.check()
        };
        check(vec![directory("/a", "/"), directory("/b", "/b/c")]).unwrap();
        assert!(matches!(
            check(vec![directory("a", "/a")]),
            Err(GrantError::HostPathNotAbsolute { .. })
        ));
        for bad in ["", "a", "/a/../b", "/.", "//a", "/a/", "/a\0"] {
            let found = check(vec![directory("/a", bad)]);
            assert!(matches!(found, Err(GrantError::GuestPathNotPlain { .. })), "{bad:?}");
        }
        assert!(matches!(
            check(vec![directory("/a", "/x"), directory("/b", "/x")]),
            Err(GrantError::GuestPathTwice { .. })
        ));
    }

    #[test]
    fn a_tmp_has_bounds_and_a_place_of_its_own() {
        let parse = |text: &str| serde_json::from_str::<Grants>(text).unwrap();
        let default = parse(r#"{"tmp": {}}"#);
        default.check().unwrap();
        assert_eq!(default.tmp, Some(TmpGrant { bytes: 16 << 20, nodes: 4096 }));
        for bytes in [0, 4095, TMP_BYTES_MAX + 1] {
            let found = parse(&format!(r#"{{"tmp": {{"bytes": {bytes}}}}}"#)).check();
            assert_eq!(found, Err(GrantError::TmpBytes { bytes }));
        }
        for nodes in [0, TMP_NODES_MAX + 1] {
            let found = parse(&format!(r#"{{"tmp": {{"nodes": {nodes}}}}}"#)).check();
            assert_eq!(found, Err(GrantError::TmpNodes { nodes }));
        }
        let twice = Grants { directories: vec![directory("/a", "/tmp")], ..default };
        assert_eq!(twice.check(), Err(GrantError::GuestPathTwice { path: "/tmp".to_owned() }));
    }
}
