//! Where objects are that are named as code. Secrets are in files that the settings name, never in the settings themselves, so nothing
//! that prints them can give one away.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use hearth_platform::{Bucket, Endpoint, ObjectConfig, Secret};
use serde::{Deserialize, Serialize};

use super::{ConfigError, Size, Span};

/// The largest file that can hold a secret.
const SECRET_BYTES_MAX: u64 = 4096;

/// Where objects are that are named as code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ObjectStoreSection {
    /// The directory whose folders are buckets. Default `objects` in the data directory; it need not exist.
    pub dir: PathBuf,
    /// How long reading one object may take. Default 30s.
    pub timeout: Span,
    /// Objects that are read, unpacked and stored at once; each may be as large as an upload, at most 100MiB. Default 4.
    pub concurrency: u32,
    /// Buckets that are elsewhere, or not for every service. In the settings file only, as `[[object_store.buckets]]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub buckets: Vec<BucketSection>,
}

/// A bucket that is elsewhere, or not for every service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BucketSection {
    /// What clients name it.
    pub name: String,
    /// `https://HOST[:PORT]`, or `http://…` in a network you trust, of a store that speaks S3, with the store's own name of the bucket
    /// as a path if it differs; `s3://BUCKET` is Amazon's. Empty, the default, is a folder of `dir`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// The region that requests are signed for. Default `us-east-1`.
    #[serde(default = "default_region")]
    pub region: String,
    /// The id of the access key; without one, requests are not signed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub access_key: String,
    /// The file that holds the key's secret, which others may not read.
    #[serde(default, skip_serializing_if = "path_is_empty")]
    pub secret_file: PathBuf,
    /// Where the store expects the bucket's name: `path` (the default), or `host` as OSS and OBS do.
    #[serde(default)]
    pub addressing: Addressing,
    /// How names of services begin that may take code from it. Default none: all services may, and layers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
}

/// Where a store expects the name of the bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Addressing {
    /// In the path.
    #[default]
    Path,
    /// Before the name of the host.
    Host,
}

fn default_region() -> String {
    "us-east-1".to_owned()
}

fn path_is_empty(path: &Path) -> bool {
    path.as_os_str().is_empty()
}

impl Default for ObjectStoreSection {
    fn default() -> Self {
        let config = ObjectConfig::default();
        Self {
            dir: PathBuf::new(),
            timeout: Span(config.timeout),
            concurrency: u32::try_from(config.concurrent).unwrap_or(u32::MAX),
            buckets: Vec::new(),
        }
    }
}

impl ObjectStoreSection {
    /// Checks what needs no file.
    ///
    /// # Errors
    /// [`ConfigError::Refused`] names the setting, or the bucket.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let refuse = |why: String| Err(ConfigError::Refused { why });
        if !(100..=600_000).contains(&self.timeout.0.as_millis()) {
            return refuse("setting `object_store.timeout` must be 100ms to 10m".to_owned());
        }
        if !(1..=64).contains(&self.concurrency) {
            return refuse("setting `object_store.concurrency` must be 1 to 64".to_owned());
        }
        for (at, bucket) in self.buckets.iter().enumerate() {
            if self.buckets.iter().take(at).any(|before| before.name == bucket.name) {
                return refuse(format!("bucket `{}` of object_store is there twice", bucket.name));
            }
            if let Err(why) = bucket.check() {
                let name = bucket.name.escape_debug();
                return refuse(format!("bucket `{name}` of object_store: {why}"));
            }
        }
        Ok(())
    }

    /// The platform's own configuration, with the secrets; an object may be as large as an upload.
    ///
    /// # Errors
    /// [`ConfigError::Refused`] if the file of a secret cannot be used.
    pub fn to_objects(&self, upload: Size) -> Result<ObjectConfig, ConfigError> {
        let buckets = self.buckets.iter().map(BucketSection::to_bucket);
        Ok(ObjectConfig {
            dir: (!path_is_empty(&self.dir)).then(|| self.dir.clone()),
            buckets: buckets.collect::<Result<_, _>>()?,
            timeout: self.timeout.0,
            object_bytes: upload.0,
            concurrent: self.concurrency as usize,
        })
    }
}

impl BucketSection {
    pub(super) fn check(&self) -> Result<(), &'static str> {
        if self.url.is_empty() {
            let is_local = self.access_key.is_empty() && path_is_empty(&self.secret_file);
            return if is_local { Ok(()) } else { Err("it has an access key and no url") };
        }
        if self.access_key.is_empty() != path_is_empty(&self.secret_file) {
            return Err("access_key and secret_file go together");
        }
        if self.region.is_empty() {
            return Err("region is empty");
        }
        Ok(())
    }

    /// The store's address, and what it calls the bucket.
    fn address(&self) -> (String, String) {
        if let Some(bucket) = self.url.strip_prefix("s3://") {
            let url = format!("https://s3.{}.amazonaws.com", self.region);
            return (url, bucket.trim_end_matches('/').to_owned());
        }
        let url = self.url.trim_end_matches('/');
        let host = url.find("://").map_or(0, |at| at + 3);
        match url.get(host..).and_then(|rest| rest.split_once('/')) {
            Some((authority, bucket)) => {
                let end = host + authority.len();
                (url.get(..end).unwrap_or_default().to_owned(), bucket.to_owned())
            }
            None => (url.to_owned(), self.name.clone()),
        }
    }

    pub(super) fn to_bucket(&self) -> Result<Bucket, ConfigError> {
        let endpoint = if self.url.is_empty() {
            None
        } else {
            let (url, bucket) = self.address();
            let key = match self.access_key.as_str() {
                "" => None,
                id => Some((id.to_owned(), self.secret()?)),
            };
            let bucket_in_host = self.addressing == Addressing::Host;
            Some(Endpoint { url, bucket, region: self.region.clone(), key, bucket_in_host })
        };
        Ok(Bucket { name: self.name.clone(), services: self.services.clone(), endpoint })
    }

    fn secret(&self) -> Result<Secret, ConfigError> {
        let path = &self.secret_file;
        secret_of(path).map(Secret::new).map_err(|why| ConfigError::Refused {
            why: format!("secret file {} of bucket `{}`: {why}", path.display(), self.name),
        })
    }
}

/// What a file holds that is for nobody else, without blanks around it.
pub(super) fn secret_of(path: &Path) -> Result<String, String> {
    let found = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if found.permissions().mode() & 0o007 != 0 {
        return Err(format!("others may read it; say: chmod 600 {}", path.display()));
    }
    if found.len() > SECRET_BYTES_MAX {
        return Err(format!("it is over {SECRET_BYTES_MAX} bytes, which no secret is"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    match text.trim() {
        "" => Err("it is empty".to_owned()),
        secret => Ok(secret.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Settings, Sources, as_toml, load};
    use super::*;

    fn section(text: &str) -> ObjectStoreSection {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn an_address_says_where_and_which_bucket() {
        let address = |url: &str| {
            let text = format!("[[buckets]]\nname = \"code\"\nurl = \"{url}\"\nregion = \"r\"");
            section(&text).buckets[0].address()
        };
        let pair = |url: &str, bucket: &str| (url.to_owned(), bucket.to_owned());
        assert_eq!(address("https://h:1"), pair("https://h:1", "code"));
        assert_eq!(address("https://h/theirs/"), pair("https://h", "theirs"));
        assert_eq!(address("s3://theirs"), pair("https://s3.r.amazonaws.com", "theirs"));
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let refused = |text: &str| {
            let bucket = format!("[[buckets]]\nname = \"code\"\n{text}");
            section(&bucket).validate().unwrap_err().to_string()
        };
        assert!(refused("access_key = \"a\"").contains("no url"));
        assert!(refused("url = \"https://h\"\naccess_key = \"a\"").contains("together"));
        assert!(refused("url = \"https://h\"\nregion = \"\"").contains("region"));
        assert!(refused("[[buckets]]\nname = \"code\"").contains("twice"));
        assert!(section("timeout = \"1ms\"").validate().is_err());
        assert!(section("concurrency = 0").validate().is_err());
        assert!(
            toml::from_str::<ObjectStoreSection>("[[buckets]]\nname = \"a\"\nsecret = \"s\"")
                .is_err()
        );
    }

    #[test]
    fn a_secret_is_in_a_file_of_its_own_and_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        let (file, secret) = (dir.path().join("hearth.toml"), dir.path().join("secret"));
        let text = format!(
            "[[object_store.buckets]]\nname = \"code\"\nurl = \"https://h\"\naccess_key = \"AKID\"\nsecret_file = {secret:?}\n\
             services = [\"team-\"]\n"
        );
        std::fs::write(&file, text).unwrap();
        let loaded = load(&Sources { file: Some(file), ..Sources::default() }).unwrap();
        loaded.settings.validate().unwrap();
        let told = |loaded: &super::super::Loaded| {
            loaded.settings.object_store.to_objects(Size(1)).unwrap_err().to_string()
        };
        assert!(told(&loaded).contains("No such file"));
        for (content, mode, why) in [("s3cr3t\n", 0o604, "chmod 600"), (" \n", 0o600, "empty")] {
            std::fs::write(&secret, content).unwrap();
            std::fs::set_permissions(&secret, PermissionsExt::from_mode(mode)).unwrap();
            assert!(told(&loaded).contains(why));
        }
        std::fs::write(&secret, "s3cr3t\n").unwrap();
        let objects = loaded.settings.object_store.to_objects(Size(1)).unwrap();
        let key = objects.buckets[0].endpoint.as_ref().unwrap().key.as_ref().unwrap();
        assert_eq!((key.0.as_str(), key.1.reveal()), ("AKID", "s3cr3t"));
        assert!(!format!("{objects:?}").contains("s3cr3t"));
        let shown = as_toml(&loaded).unwrap();
        assert!(shown.contains("name = \"code\"  # ") && shown.contains("hearth.toml"), "{shown}");
        assert!(!shown.contains("s3cr3t"), "{shown}");
        assert_eq!(toml::from_str::<Settings>(&shown).unwrap(), loaded.settings);
    }
}
