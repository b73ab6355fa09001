//! Where servers share what they compile, and the file of the key that seals it there.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hearth_engine::{SharedArtifactError, SharedArtifactKey};
use hearth_platform::ArtifactShare;
use serde::{Deserialize, Serialize};

use super::object_store::{BucketSection, secret_of};
use super::{ConfigError, Span};

/// Where servers share what they compile. Off unless a place is named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SharedArtifactsSection {
    /// A directory that all of these servers reach; made if it is not there. Default none.
    pub dir: PathBuf,
    /// The file with what seals artifacts there: the same 32 bytes or more for all of these servers, which others may not read; such as
    /// `openssl rand -hex 32` prints. Whoever has it can have each of the servers run anything. Needed where there is a place.
    pub key_file: PathBuf,
    /// How long reading or writing one artifact may take; then it is compiled here, and the place is left alone for half a minute.
    /// Default 2s.
    pub timeout: Span,
    /// A bucket instead of the directory, with the fields of `[[object_store.buckets]]`; `url` is needed, `services` means nothing. In the
    /// settings file only, as `[shared_artifacts.bucket]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bucket: Option<BucketSection>,
}

impl Default for SharedArtifactsSection {
    fn default() -> Self {
        Self {
            dir: PathBuf::new(),
            key_file: PathBuf::new(),
            timeout: Span(Duration::from_secs(2)),
            bucket: None,
        }
    }
}

fn is_named(path: &Path) -> bool {
    !path.as_os_str().is_empty()
}

impl SharedArtifactsSection {
    /// Checks what needs no file.
    ///
    /// # Errors
    /// [`ConfigError::Refused`] names the setting.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let refuse = |why: &str| Err(ConfigError::Refused { why: why.to_owned() });
        let has_place = is_named(&self.dir) || self.bucket.is_some();
        if is_named(&self.dir) && self.bucket.is_some() {
            return refuse("shared_artifacts has a dir and a bucket; name one of them");
        }
        if has_place && !is_named(&self.key_file) {
            return refuse(
                "shared_artifacts has a place and no key: `shared_artifacts.key_file` must name a file that holds the same 32 bytes or more for \
                 all servers that share it, such as `openssl rand -hex 32` prints",
            );
        }
        if is_named(&self.key_file) && !has_place {
            return refuse("shared_artifacts has a key_file and no place; name a dir, or a bucket");
        }
        if !(10..=60_000).contains(&self.timeout.0.as_millis()) {
            return refuse("setting `shared_artifacts.timeout` must be 10ms to 1m");
        }
        match &self.bucket {
            Some(bucket) if bucket.url.is_empty() => refuse("shared_artifacts.bucket has no url"),
            Some(bucket) => {
                bucket.check().or_else(|why| refuse(&format!("shared_artifacts.bucket: {why}")))
            }
            None => Ok(()),
        }
    }

    /// The place and its key; none where nothing is shared.
    ///
    /// # Errors
    /// [`ConfigError::Refused`] if a file, the directory or the bucket's address cannot be used.
    pub fn to_share(&self) -> Result<Option<(Arc<ArtifactShare>, SharedArtifactKey)>, ConfigError> {
        let wrong = |error: SharedArtifactError| ConfigError::Refused { why: error.to_string() };
        let timeout = self.timeout.0;
        let share = match self.bucket.as_ref().map(BucketSection::to_bucket).transpose()? {
            Some(bucket) => bucket.endpoint.map(|at| ArtifactShare::bucket(at, timeout)),
            None if is_named(&self.dir) => Some(ArtifactShare::directory(&self.dir, timeout)),
            None => None,
        };
        let Some(share) = share else { return Ok(None) };
        let refuse = |why: String| ConfigError::Refused {
            why: format!("key file {} of shared_artifacts: {why}", self.key_file.display()),
        };
        let secret = secret_of(&self.key_file).map_err(&refuse)?;
        let key = SharedArtifactKey::new(secret.as_bytes())
            .ok_or_else(|| refuse("it has fewer than 32 bytes".to_owned()))?;
        Ok(Some((Arc::new(share.map_err(wrong)?), key)))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn section(text: &str) -> SharedArtifactsSection {
        toml::from_str(text).unwrap()
    }

    fn told(text: &str) -> String {
        section(text).validate().unwrap_err().to_string()
    }

    #[test]
    fn a_place_without_a_key_is_refused() {
        assert!(told("dir = \"/shared\"").contains("shared_artifacts.key_file"));
        assert!(told("key_file = \"/key\"").contains("no place"));
        let bucket = "[bucket]\nname = \"b\"\nurl = \"https://h\"";
        assert!(told(bucket).contains("shared_artifacts.key_file"));
        assert!(told(&format!("dir = \"/d\"\nkey_file = \"/k\"\n{bucket}")).contains("one of"));
        assert!(told("key_file = \"/k\"\n[bucket]\nname = \"b\"").contains("no url"));
        assert!(told("timeout = \"1ms\"").contains("timeout"));
        section("").validate().unwrap();
        assert!(section("").to_share().unwrap().is_none());
    }

    #[test]
    fn a_key_is_long_enough_and_not_for_others() {
        let home = tempfile::tempdir().unwrap();
        let (key, dir) = (home.path().join("key"), home.path().join("shared"));
        let section = section(&format!("dir = {dir:?}\nkey_file = {key:?}"));
        section.validate().unwrap();
        let told = || section.to_share().map(drop).unwrap_err().to_string();
        assert!(told().contains("No such file"));
        for (content, mode, why) in [("short", 0o600, "32 bytes"), ("long", 0o604, "chmod 600")] {
            std::fs::write(&key, content.repeat(8).get(..20).unwrap()).unwrap();
            std::fs::set_permissions(&key, PermissionsExt::from_mode(mode)).unwrap();
            assert!(told().contains(why), "{}", told());
        }
        std::fs::write(&key, "k".repeat(32)).unwrap();
        std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
        assert!(section.to_share().unwrap().is_some());
        assert!(dir.is_dir());
    }
}
