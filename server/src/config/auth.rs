//! Whether callers are checked.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// When requests must be signed with an access key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Auth {
    /// As soon as there is a key; until then the server listens on loopback only, unless told otherwise.
    #[default]
    Auto,
    /// Always; without a key the server does not start.
    Required,
    /// Never.
    Off,
}

impl FromStr for Auth {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "required" => Ok(Self::Required),
            "off" => Ok(Self::Off),
            _ => Err(format!("`{text}` is not `auto`, `required` or `off`")),
        }
    }
}
