//! bad-websocket: an event function whose WebSocket handler does what the path or the message names.
//! Host must answer: path `/trap` 502 and no connection, `/headers` 502; message `trap` closes 1011, `spin` 1011 after the timeout,
//! `flood` is refused with `full` once a bounded number of messages wait, and says so in its error; `large` with `too-large`; `close` with
//! `bad-close`; `other` with `gone`, for an id that is none of its own. A trap in `close` (after the message `later`) harms nobody.

use std::sync::atomic::{AtomicBool, Ordering};

use hearth_guest::websocket::{
    Acceptance, Opening, Payload, Rejection, WebSocket, close, send, send_text,
};
use hearth_guest::{Context, Error, event_function, websocket};

/// More than any client's queue may hold.
const FLOOD: usize = 1 << 20;

static TRAPS_LATER: AtomicBool = AtomicBool::new(false);

struct Bad;

impl WebSocket for Bad {
    fn open(opening: &Opening, _: &Context) -> Result<Acceptance, Rejection> {
        let accept = |headers| Ok(Acceptance { subprotocol: None, headers });
        match opening.path.as_str() {
            "/trap" => panic!("a trap was asked for"),
            "/headers" => accept(vec![("x".to_owned(), b"a\r\nset-cookie: b".to_vec())]),
            "/hop" => accept(vec![("connection".to_owned(), b"close".to_vec())]),
            "/subprotocol" => Ok(Acceptance {
                subprotocol: Some("never-offered".to_owned()),
                headers: Vec::new(),
            }),
            "/status" => Err(Rejection { status: 200, message: "no".to_owned() }),
            _ => accept(Vec::new()),
        }
    }

    fn message(connection: &str, message: Payload, _: &Context) -> Result<(), Error> {
        let Payload::Text(text) = message else { return Ok(()) };
        match text.as_str() {
            "trap" => panic!("a trap was asked for"),
            "spin" => loop {
                std::hint::spin_loop();
            },
            "flood" => {
                for count in 0..FLOOD {
                    if let Err(error) = send(connection, &Payload::Binary(vec![0; 1024])) {
                        return Err(Error::new(format!("{error:?}"), format!("after {count}")));
                    }
                }
            }
            "large" => send(connection, &Payload::Binary(vec![0; 5 << 20]))?,
            "close" => close(connection, 1006, "")?,
            "other" => send_text(&"0".repeat(32), "hello")?,
            "later" => TRAPS_LATER.store(true, Ordering::Relaxed),
            _ => send_text(connection, text)?,
        }
        Ok(())
    }

    fn close(_: &str, _: u16, _: &str, _: &Context) {
        assert!(!TRAPS_LATER.load(Ordering::Relaxed), "a trap was asked for");
    }
}

websocket!(Bad);

event_function!(raw |_: &[u8], _: &Context| -> Result<Vec<u8>, Error> { Ok(b"alive".to_vec()) });
