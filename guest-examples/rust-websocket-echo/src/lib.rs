//! Echoes over WebSockets: every message goes back as it came. A text that begins with `/` is a wish instead: `/count` tells how many
//! messages this instance has served, `/id` the connection's id, `/burst N` sends N messages, `/error` reports an error, `/sleep MS` waits,
//! `/close CODE REASON` closes. Turns away whoever asks for the path `/private`.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hearth_guest::websocket::{
    self, Acceptance, Opening, Payload, Rejection, WebSocket, connections, send_text,
};
use hearth_guest::{Context, Error, event_function, log, websocket as handle_websockets};

/// Messages that this instance has served.
static SERVED: AtomicU32 = AtomicU32::new(0);

struct Echo;

impl WebSocket for Echo {
    fn open(opening: &Opening, _: &Context) -> Result<Acceptance, Rejection> {
        if opening.path == "/private" {
            let message = "this is private".to_owned();
            return Err(Rejection { status: 403, message });
        }
        if opening.query == "greet" {
            let _ = send_text(&opening.connection, format!("hello {}", opening.client_address));
        }
        let subprotocol = opening.subprotocols.iter().find(|offered| *offered == "echo").cloned();
        let headers = vec![("x-path".to_owned(), opening.path.clone().into_bytes())];
        Ok(Acceptance { subprotocol, headers })
    }

    fn message(connection: &str, message: Payload, context: &Context) -> Result<(), Error> {
        let served = SERVED.fetch_add(1, Ordering::Relaxed) + 1;
        let wish = match &message {
            Payload::Text(text) => text.strip_prefix('/'),
            Payload::Binary(_) => None,
        };
        let Some(wish) = wish else { return Ok(websocket::send(connection, &message)?) };
        let (wish, rest) = wish.split_once(' ').unwrap_or((wish, ""));
        match wish {
            "count" => send_text(connection, served.to_string())?,
            "id" => send_text(connection, connection)?,
            "request" => send_text(connection, &*context.request_id)?,
            "burst" => {
                for number in 0..rest.parse().unwrap_or(0_u32) {
                    send_text(connection, number.to_string())?;
                }
            }
            "error" => return Err(Error::new("Wished", "an error was wished for")),
            "sleep" => std::thread::sleep(Duration::from_millis(rest.parse().unwrap_or(0))),
            "close" => {
                let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
                websocket::close(connection, code.parse().unwrap_or(1000), reason)?;
            }
            _ => send_text(connection, format!("no such wish: {wish}"))?,
        }
        Ok(())
    }

    fn close(_: &str, code: u16, reason: &str, _: &Context) {
        log::info(format_args!("closed with {code} {reason}"));
    }
}

handle_websockets!(Echo);

event_function!(|(): (), _: &Context| -> Result<usize, Error> { Ok(connections().count()) });
