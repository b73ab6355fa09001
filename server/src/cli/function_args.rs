//! Flags that describe a function, shared by `deploy` and `run`.

use std::path::PathBuf;

use clap::Args;
use hearth_engine::{Grants, Isolation};
use serde_json::{Map, Value, json};

use super::UsageError;
use crate::config::{QuantityError, Size, Span};
use crate::dialect::hearth::wire::DeployRequest;

/// What a function may use and reach.
#[derive(Debug, Clone, Args)]
pub(super) struct FunctionArgs {
    /// Memory of one instance [default: 128MiB]
    #[arg(long, value_name = "SIZE")]
    memory: Option<Size>,
    /// Wall-clock time of one invocation [default: 3s]
    #[arg(long, value_name = "TIME")]
    timeout: Option<Span>,
    /// CPU time of one invocation [default: none]
    #[arg(long, value_name = "TIME")]
    cpu_time: Option<Span>,
    /// Time for making an instance ready [default: 3s]
    #[arg(long, value_name = "TIME")]
    initialize_timeout: Option<Span>,
    /// Whether an instance serves many invocations or one, and whether one begins where the function's initializer ended
    /// [possible values: reuse, fresh, snapshot]
    #[arg(long, value_parser = isolation)]
    isolation: Option<Isolation>,
    /// An environment variable; repeatable
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,
    /// What it may reach outside its instance; repeatable: http=URL, http-private=URL, call=SERVICE/FUNCTION, kv, dir=HOST:GUEST,
    /// dir-rw=HOST:GUEST, tmp or tmp=SIZE (a /tmp in memory, 16MiB)
    #[arg(long, value_name = "GRANT", value_parser = grant)]
    grant: Vec<OneGrant>,
    /// Grants as a JSON file, for what --grant cannot say
    #[arg(long, value_name = "FILE", conflicts_with = "grant")]
    grants_file: Option<PathBuf>,
}

fn isolation(text: &str) -> Result<Isolation, String> {
    match text {
        "reuse" => Ok(Isolation::Reuse),
        "fresh" => Ok(Isolation::Fresh),
        "snapshot" => Ok(Isolation::Snapshot),
        _ => Err("expected `reuse`, `fresh` or `snapshot`".to_owned()),
    }
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

/// One `--grant`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum OneGrant {
    Http {
        to: String,
        private: bool,
    },
    Call(String),
    KeyValue,
    /// With how many bytes, if it says so.
    Tmp(Option<Size>),
    Directory {
        host: String,
        guest: String,
        access: &'static str,
    },
}

fn grant(text: &str) -> Result<OneGrant, String> {
    let (kind, value) = text.split_once('=').unwrap_or((text, ""));
    let directory = |access| match value.split_once(':') {
        Some((host, guest)) => {
            Ok(OneGrant::Directory { host: host.to_owned(), guest: guest.to_owned(), access })
        }
        None => Err("expected dir=HOST:GUEST, such as dir=/srv/data:/data".to_owned()),
    };
    match kind {
        "kv" if value.is_empty() => Ok(OneGrant::KeyValue),
        "tmp" if text == "tmp" => Ok(OneGrant::Tmp(None)),
        "tmp" => value
            .parse()
            .map(|size| OneGrant::Tmp(Some(size)))
            .map_err(|why: QuantityError| why.to_string()),
        "http" | "http-private" if !value.is_empty() => {
            Ok(OneGrant::Http { to: value.to_owned(), private: kind == "http-private" })
        }
        "call" if !value.is_empty() => Ok(OneGrant::Call(value.to_owned())),
        "dir" => directory("read-only"),
        "dir-rw" => directory("read-write"),
        _ => Err("expected http=URL, http-private=URL, call=SERVICE/FUNCTION, kv, tmp, tmp=SIZE, \
                  dir=HOST:GUEST or dir-rw=HOST:GUEST"
            .to_owned()),
    }
}

/// The grants as the engine reads them; its own checks find what is malformed.
fn grants(list: &[OneGrant]) -> Result<Grants, serde_json::Error> {
    let (mut allow, mut call, mut directories) = (Vec::new(), Vec::new(), Vec::new());
    let mut whole = Map::new();
    for grant in list {
        match grant {
            OneGrant::Http { to, private } => allow.push(json!({"to": to, "private": private})),
            OneGrant::Call(pattern) => call.push(Value::from(pattern.as_str())),
            OneGrant::KeyValue => drop(whole.insert("key_value".to_owned(), json!({}))),
            OneGrant::Tmp(None) => drop(whole.insert("tmp".to_owned(), json!({}))),
            OneGrant::Tmp(Some(Size(bytes))) => {
                whole.insert("tmp".to_owned(), json!({"bytes": bytes}));
            }
            OneGrant::Directory { host, guest, access } => {
                directories.push(json!({"host_path": host, "guest_path": guest, "access": access}));
            }
        }
    }
    if !allow.is_empty() {
        whole.insert("outgoing_http".to_owned(), json!({"allow": allow}));
    }
    if !call.is_empty() {
        whole.insert("call".to_owned(), call.into());
    }
    if !directories.is_empty() {
        whole.insert("directories".to_owned(), directories.into());
    }
    serde_json::from_value(whole.into())
}

impl FunctionArgs {
    /// What the flags say, and nothing about the rest.
    pub(super) fn to_request(&self) -> anyhow::Result<DeployRequest> {
        let granted = match &self.grants_file {
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    UsageError(format!("grants file {} cannot be read: {error}", path.display()))
                })?;
                Some(serde_json::from_str(&text))
            }
            None if self.grant.is_empty() => None,
            None => Some(grants(&self.grant)),
        };
        let granted = granted
            .transpose()
            .map_err(|error| UsageError(format!("grants are not valid: {error}")))?;
        Ok(DeployRequest {
            memory: self.memory,
            timeout: self.timeout,
            cpu_time: self.cpu_time,
            initialize_timeout: self.initialize_timeout,
            isolation: self.isolation,
            environment: (!self.env.is_empty()).then(|| self.env.iter().cloned().collect()),
            grants: granted,
            ..DeployRequest::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_as_they_are_typed() {
        assert_eq!(grant("kv"), Ok(OneGrant::KeyValue));
        assert_eq!(grant("call=a/b"), Ok(OneGrant::Call("a/b".to_owned())));
        assert_eq!(
            grant("http=http://x:1/?a=b"),
            Ok(OneGrant::Http { to: "http://x:1/?a=b".to_owned(), private: false })
        );
        assert_eq!(grant("tmp"), Ok(OneGrant::Tmp(None)));
        assert_eq!(grant("tmp=1MiB"), Ok(OneGrant::Tmp(Some(Size(1 << 20)))));
        for text in ["", "http", "http=", "dir=/a", "net=*", "tmp=", "tmp=much"] {
            assert!(grant(text).is_err(), "{text}");
        }
    }

    #[test]
    fn grants_of_several_kinds_add_up() {
        let list: Vec<_> = ["tmp=64KiB", "kv", "call=a/b", "dir=/srv:/data"].map(grant).into();
        let all = grants(&list.into_iter().collect::<Result<Vec<_>, _>>().unwrap()).unwrap();
        all.check().unwrap();
        assert_eq!(all.tmp.map(|tmp| (tmp.bytes, tmp.nodes)), Some((65_536, 4096)));
        assert!(all.key_value.is_some());
        assert_eq!((all.call.len(), all.directories.len()), (1, 1));
    }

    #[test]
    fn variables_may_be_empty_but_have_a_name() {
        assert_eq!(variable("A="), Ok(("A".to_owned(), String::new())));
        assert_eq!(variable("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        assert!(variable("=b").is_err() && variable("A").is_err());
    }
}
