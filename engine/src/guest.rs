//! The kinds of guest and how to tell them apart by looking at the binary.

pub(crate) mod command;
pub(crate) mod core;
mod detect;
pub(crate) mod event;
pub(crate) mod http;
pub(crate) mod snapshot;
pub(crate) mod websocket;

pub(crate) use detect::detect;

/// The kinds of guest, told apart by looking at the binary and never by a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GuestKind {
    /// A component exporting `wasi:http/incoming-handler@0.2.x`: an HTTP function.
    HttpP2,
    /// A component exporting `wasi:http/handler@0.3.0`: an HTTP function.
    HttpP3,
    /// A component exporting `hearth:function/handler`: an event function.
    Event,
    /// A core module with `_start`: a WASI command, one instance a call.
    Command,
    /// A component exporting `wasi:cli/run`: a WASI command, one instance a call.
    CommandComponent,
    /// A core module with `memory`, `alloc` and `handle`: an event function.
    Core,
}

impl GuestKind {
    /// The name used in JSON, metrics and listings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HttpP2 => "http-p2",
            Self::HttpP3 => "http-p3",
            Self::Event => "event",
            Self::Command => "command",
            Self::CommandComponent => "command-component",
            Self::Core => "core",
        }
    }

    /// Whether it is a component rather than a core module.
    pub fn is_component(self) -> bool {
        match self {
            Self::HttpP2 | Self::HttpP3 | Self::Event | Self::CommandComponent => true,
            Self::Command | Self::Core => false,
        }
    }

    /// Whether an instance can serve only once, whatever isolation was asked for.
    pub fn is_single_use(self) -> bool {
        matches!(self, Self::Command | Self::CommandComponent)
    }
}
