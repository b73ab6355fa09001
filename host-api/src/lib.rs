//! What a hearth guest may import and must export, and the host side of it.

pub mod bindings;
pub mod caller;
pub mod capture;
pub mod config;
pub mod core_abi;
pub mod core_imports;
pub mod grant;
pub mod key_value;
pub mod log_stream;
pub mod logging;
pub mod outgoing_http;
pub mod view;

pub use grant::Grants;

#[cfg(test)]
mod test_state;
#[cfg(test)]
mod wit_tests;
