//! The code of functions and layers as the dialect names it: an archive in the request, or an object of a bucket.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hearth_platform::{Archive, CodeUpload, ObjectName};
use serde::Deserialize;

use super::errors::WireError;
use crate::http::let_go_aside;

/// The field `code`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct CodeBody {
    zip_file: Option<String>,
    oss_bucket_name: Option<String>,
    oss_object_name: Option<String>,
}

/// Where code is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Code {
    /// In the request.
    Archive(Bytes),
    /// In a bucket.
    Object(ObjectName),
}

impl CodeBody {
    /// Where the code is, if it says so. As the official SDKs have it: one of both, and a bucket only with an object.
    pub(super) fn place(self) -> Result<Option<Code>, WireError> {
        // An empty name names nothing; clients in some languages send one for what is not set.
        let named = |name: Option<String>| name.filter(|name| !name.is_empty());
        let (bucket, key) = (named(self.oss_bucket_name), named(self.oss_object_name));
        match (bucket, key, self.zip_file) {
            (None, None, None) => Ok(None),
            (None, None, Some(zip)) => {
                let zip = STANDARD.decode(zip).map_err(|error| {
                    WireError::invalid(format!("code.zipFile is not valid base64: {error}"))
                })?;
                Ok(Some(Code::Archive(let_go_aside(zip))))
            }
            (_, _, Some(zip)) if !zip.is_empty() => Err(WireError::invalid(
                "code has both zipFile and the name of an object; send one of them",
            )),
            (Some(bucket), Some(key), _) => {
                Ok(Some(Code::Object(ObjectName::parse(&bucket, &key)?)))
            }
            (Some(_), None, _) => Err(WireError::invalid(
                "code.ossObjectName is required but not provided: code.ossBucketName is",
            )),
            (None, Some(_), _) => Err(WireError::invalid(
                "code.ossBucketName is required but not provided: code.ossObjectName is",
            )),
        }
    }
}

impl From<Code> for CodeUpload {
    fn from(code: Code) -> Self {
        match code {
            Code::Archive(bytes) => Self::Zip(bytes),
            Code::Object(object) => Self::Object(object),
        }
    }
}

impl From<Code> for Archive {
    fn from(code: Code) -> Self {
        match code {
            Code::Archive(bytes) => Self::Bytes(bytes),
            Code::Object(object) => Self::Object(object),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Result<Option<Code>, String> {
        serde_json::from_str::<CodeBody>(text).unwrap().place().map_err(|error| error.message)
    }

    #[test]
    fn code_is_in_one_place() {
        let object = Code::Object(ObjectName::parse("code", "a/f.zip").unwrap());
        let named = r#""ossBucketName":"code","ossObjectName":"a/f.zip""#;
        assert_eq!(place(&format!("{{{named}}}")), Ok(Some(object)));
        let object = Code::Object(ObjectName::parse("code", "a/f.zip").unwrap());
        assert_eq!(place(&format!(r#"{{"zipFile":"",{named}}}"#)), Ok(Some(object)));
        let archive = Code::Archive(Bytes::from_static(b"PK"));
        let empty = r#""ossBucketName":"","ossObjectName":"""#;
        assert_eq!(place(&format!(r#"{{"zipFile":"UEs=",{empty}}}"#)), Ok(Some(archive)));
        assert_eq!(place("{}"), Ok(None));
        assert_eq!(place(&format!("{{{empty}}}")), Ok(None));
        for (text, told) in [
            (format!(r#"{{"zipFile":"UEs=",{named}}}"#), "both zipFile"),
            (r#"{"ossBucketName":"code"}"#.to_owned(), "ossObjectName is required"),
            (r#"{"ossObjectName":"f"}"#.to_owned(), "ossBucketName is required"),
            (
                r#"{"ossBucketName":"Code","ossObjectName":"f"}"#.to_owned(),
                "code.ossBucketName is set",
            ),
            (
                r#"{"ossBucketName":"code","ossObjectName":"../f"}"#.to_owned(),
                "code.ossObjectName is set",
            ),
            (r#"{"zipFile":"*"}"#.to_owned(), "base64"),
        ] {
            let error = place(&text).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}
