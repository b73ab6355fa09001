//! How much of the audit trail is kept.

use hearth_platform::AuditConfig;
use serde::{Deserialize, Serialize};

use super::{ConfigError, Span};

/// How much of the audit trail is kept. Up to a tenth more of either is held before anything is removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditSection {
    /// Records of changes that are kept, at least 1. Default 100000.
    pub kept: u64,
    /// How long they are kept. Default 4320h, which is 180 days.
    pub age: Span,
}

impl Default for AuditSection {
    fn default() -> Self {
        let audit = AuditConfig::default();
        Self { kept: audit.kept, age: Span(audit.age) }
    }
}

impl AuditSection {
    /// Checks what its types cannot.
    ///
    /// # Errors
    /// [`ConfigError::Refused`] names the setting and what to do.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.kept == 0 {
            let why = "audit.kept is 0; at least the last record is kept".to_owned();
            return Err(ConfigError::Refused { why });
        }
        Ok(())
    }

    /// The platform's own configuration.
    pub fn to_audit(&self) -> AuditConfig {
        AuditConfig { kept: self.kept, age: self.age.0 }
    }
}
