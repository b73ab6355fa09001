//! A chat in one room: a page over HTTP, and a WebSocket at the same address. What one says goes to all who are there.

use hearth_guest::websocket::{
    Acceptance, Opening, Payload, Rejection, WebSocket, connections, send, send_text,
};
use hearth_guest::{Context, Error, log, websocket};
use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

const PAGE: &str = include_str!("page.html");

/// Sends to everyone. Who reads too slowly, or has just gone, misses it.
fn tell_all(message: &Payload) {
    for connection in connections() {
        if let Err(error) = send(&connection, message) {
            log::warn(format_args!("not told: {error:?}"));
        }
    }
}

struct Chat;

impl WebSocket for Chat {
    fn open(opening: &Opening, _: &Context) -> Result<Acceptance, Rejection> {
        // Its own connection is among them already.
        let here = connections().count();
        let _ = send_text(&opening.connection, format!("* {here} here"));
        Ok(Acceptance { subprotocol: None, headers: Vec::new() })
    }

    fn message(_: &str, message: Payload, _: &Context) -> Result<(), Error> {
        tell_all(&message);
        Ok(())
    }

    fn close(_: &str, _: u16, _: &str, _: &Context) {
        tell_all(&Payload::Text("* one left".to_owned()));
    }
}

websocket!(Chat);

struct Page;

impl Guest for Page {
    fn handle(_: IncomingRequest, out: ResponseOutparam) {
        let headers = Fields::new();
        let _ = headers.set("content-type", &[b"text/html; charset=utf-8".to_vec()]);
        let response = OutgoingResponse::new(headers);
        let Ok(body) = response.body() else { return };
        ResponseOutparam::set(out, Ok(response));
        if let Ok(stream) = body.write() {
            let _ = stream.blocking_write_and_flush(PAGE.as_bytes());
        }
        let _ = OutgoingBody::finish(body, None);
    }
}

wasip2::http::proxy::export!(Page);
