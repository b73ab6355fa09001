//! WebSockets beside an async handler of `wasi:http` 0.3: texts come back in capitals, and a request is told how many connections are open.

use hearth_guest::websocket::{Payload, WebSocket, connections, send, send_text};
use hearth_guest::{Context, Error, websocket};
use wasip3::http::types::{ErrorCode, Fields, Request, Response};
use wasip3::{wit_bindgen, wit_future, wit_stream};

struct Shout;

impl WebSocket for Shout {
    fn message(connection: &str, message: Payload, _: &Context) -> Result<(), Error> {
        match message {
            Payload::Text(text) => send_text(connection, text.to_uppercase())?,
            bytes @ Payload::Binary(_) => send(connection, &bytes)?,
        }
        Ok(())
    }
}

websocket!(Shout);

struct Http;

wasip3::http::service::export!(Http);

impl wasip3::exports::http::handler::Guest for Http {
    async fn handle(_: Request) -> Result<Response, ErrorCode> {
        let body = format!("{} open\n", connections().count()).into_bytes();
        let (mut writer, contents) = wit_stream::new();
        let (trailers_in, trailers) = wit_future::new(|| Ok(None));
        let (response, _) = Response::new(Fields::new(), Some(contents), trailers);
        wit_bindgen::spawn_local(async move {
            writer.write_all(body).await;
            // Dropping it sends the default: no trailers.
            drop(trailers_in);
        });
        Ok(response)
    }
}
