//! WebSockets: the handler that a function may have beside its other one, and sending on its connections.
//!
//! The host holds the connections; a function runs only while one of the handler's methods does. Messages of one connection come one at a
//! time. Unless the trigger says otherwise each may come to another instance, so what a function has to remember of a connection
//! belongs into a store, not into a static.

pub use crate::bindings::websocket::hearth::function::websocket_sender::SendError;
pub use crate::bindings::websocket::hearth::function::websocket_types::{
    Acceptance, Opening, Payload, Rejection,
};
use crate::{Context, Error};

/// What a function does with WebSockets; made its handler by [`websocket!`](crate::websocket!).
///
/// ```
/// use hearth_guest::websocket::{Payload, WebSocket, send};
/// use hearth_guest::{Context, Error, event_function, websocket};
///
/// struct Echo;
///
/// impl WebSocket for Echo {
///     fn message(connection: &str, message: Payload, _: &Context) -> Result<(), Error> {
///         Ok(send(connection, &message)?)
///     }
/// }
///
/// websocket!(Echo);
/// // Beside it, the handler of events, or one of `wasi:http`.
/// event_function!(|(): (), _: &Context| -> Result<&str, Error> { Ok("open a WebSocket") });
/// # fn main() {}
/// ```
pub trait WebSocket {
    /// A client wants a connection. Unless this is written it gets one, without a subprotocol.
    ///
    /// # Errors
    /// The response that the client gets instead of a connection.
    fn open(opening: &Opening, context: &Context) -> Result<Acceptance, Rejection> {
        let _ = (opening, context);
        Ok(Acceptance { subprotocol: None, headers: Vec::new() })
    }

    /// A message came.
    ///
    /// # Errors
    /// What it reports is logged and counted; the connection stays open.
    fn message(connection: &str, message: Payload, context: &Context) -> Result<(), Error>;

    /// The connection is closed: 1000 or another code of RFC 6455, 1006 when it broke off.
    fn close(connection: &str, code: u16, reason: &str, context: &Context) {
        let _ = (connection, code, reason, context);
    }
}

/// Queues a message for a client of this function.
///
/// # Errors
/// [`SendError`] says why not; `Full` is the one that may pass by itself. It converts into [`Error`] with `?`.
pub fn send(connection: &str, message: &Payload) -> Result<(), SendError> {
    #[cfg(target_family = "wasm")]
    return crate::bindings::websocket::hearth::function::websocket_sender::send(
        connection, message,
    );

    #[cfg(not(target_family = "wasm"))]
    {
        let _ = (connection, message);
        Err(SendError::Gone)
    }
}

/// Queues a text for a client of this function.
///
/// # Errors
/// As [`send`].
pub fn send_text(connection: &str, text: impl Into<String>) -> Result<(), SendError> {
    send(connection, &Payload::Text(text.into()))
}

/// Closes a connection of this function once what was queued before has been sent. The code is 1000, or 3000 to 4999.
///
/// # Errors
/// As [`send`].
pub fn close(connection: &str, code: u16, reason: &str) -> Result<(), SendError> {
    #[cfg(target_family = "wasm")]
    return crate::bindings::websocket::hearth::function::websocket_sender::close(
        connection, code, reason,
    );

    #[cfg(not(target_family = "wasm"))]
    {
        let _ = (connection, code, reason);
        Err(SendError::Gone)
    }
}

/// The open connections of this function on this server, in an order that does not change, asked for in pages as they are used.
pub fn connections() -> impl Iterator<Item = String> {
    let mut page: std::vec::IntoIter<String> = Vec::new().into_iter();
    let mut last: Option<String> = None;
    std::iter::from_fn(move || {
        if page.len() == 0 {
            page = after(last.as_deref()).into_iter();
        }
        last = Some(page.next()?);
        last.clone()
    })
}

fn after(connection: Option<&str>) -> Vec<String> {
    #[cfg(target_family = "wasm")]
    return crate::bindings::websocket::hearth::function::websocket_sender::connections(connection);

    #[cfg(not(target_family = "wasm"))]
    {
        let _ = connection;
        Vec::new()
    }
}

/// Makes a type that is a [`WebSocket`](crate::websocket::WebSocket) the WebSocket handler of the function. Use it once, at the top level
/// of a `cdylib`, beside [`event_function!`](crate::event_function!) or an export of `wasi:http`.
#[macro_export]
macro_rules! websocket {
    ($handler:ty) => {
        const _: () = {
            use $crate::bindings::hearth::function::types::Error;
            use $crate::bindings::websocket::exports::hearth::function::websocket::Guest;
            use $crate::websocket::{Acceptance, Opening, Payload, Rejection, WebSocket};

            struct Sockets;

            impl Guest for Sockets {
                fn open(
                    opening: Opening,
                    context: $crate::Context,
                ) -> ::std::result::Result<Acceptance, Rejection> {
                    $crate::export::prepare();
                    <$handler as WebSocket>::open(&opening, &context)
                }

                fn message(
                    connection: ::std::string::String,
                    message: Payload,
                    context: $crate::Context,
                ) -> ::std::result::Result<(), Error> {
                    $crate::export::prepare();
                    let done = <$handler as WebSocket>::message(&connection, message, &context);
                    ::std::result::Result::map_err(done, ::std::convert::Into::into)
                }

                fn close(
                    connection: ::std::string::String,
                    code: u16,
                    reason: ::std::string::String,
                    context: $crate::Context,
                ) {
                    $crate::export::prepare();
                    <$handler as WebSocket>::close(&connection, code, &reason, &context);
                }
            }

            $crate::bindings::websocket::export_websocket!(
                Sockets with_types_in $crate::bindings::websocket
            );
        };
    };
}

#[cfg(test)]
mod tests {
    use super::{SendError, connections, send_text};
    use crate::Error;

    #[test]
    fn has_no_connections_outside_of_a_host() {
        assert_eq!(connections().count(), 0);
        let error = Error::from(send_text("1", "hi").expect_err("no host"));
        assert_eq!(error.kind(), "SendError");
        assert!(Error::from(SendError::TooLarge(4)).message().contains('4'));
    }
}
