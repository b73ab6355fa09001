//! Many clients in the same moment: all connections are opened first, then every request is sent at once.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Barrier;

use serde_json::Value;

use crate::{PATIENCE, Reply, Server};

/// Stack of a client's thread: it holds one buffer and no more.
const CLIENT_STACK_BYTES: usize = 128 << 10;

impl Server {
    /// Deploys a binary as `s/NAME` through hearth's own API, whose settings say more than the dialect's.
    #[must_use]
    pub fn put(&self, name: &str, code: &[u8], settings: &Value) -> Reply {
        let settings = settings.to_string();
        let path = format!("/hearth/v1/functions/s/{name}");
        self.send("PUT", &path, &[("x-hearth-settings", &settings)], code)
    }

    /// Invokes `s/NAME` once for each event, all in the same moment; the answers in the order of the events. A client that got
    /// no whole answer has none.
    ///
    /// # Panics
    /// When a client cannot be started.
    #[must_use]
    pub fn invoke_at_once(&self, name: &str, events: &[String]) -> Vec<Option<Reply>> {
        let path = format!("/2016-08-15/services/s/functions/{name}/invocations");
        let requests: Vec<_> =
            events.iter().map(|event| request(&path, event.as_bytes())).collect();
        at_once(self.address(), &requests)
    }

    /// Creates functions of service `s`, all in the same moment: name and code of each.
    ///
    /// # Panics
    /// When a client cannot be started.
    #[must_use]
    pub fn create_at_once(&self, functions: &[(String, Vec<u8>)]) -> Vec<Option<Reply>> {
        self.service("s");
        let body =
            |(name, code): &(String, Vec<u8>)| crate::dialect::creation(name, code).to_string();
        let requests: Vec<_> = functions
            .iter()
            .map(|function| request("/2016-08-15/services/s/functions", body(function).as_bytes()))
            .collect();
        at_once(self.address(), &requests)
    }
}

/// A request that ends its connection.
fn request(path: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn at_once(address: SocketAddr, requests: &[Vec<u8>]) -> Vec<Option<Reply>> {
    let ready = Barrier::new(requests.len());
    std::thread::scope(|scope| {
        let client = |request: &Vec<u8>| {
            let mut stream = TcpStream::connect(address).ok();
            ready.wait();
            let stream = stream.as_mut()?;
            stream.set_read_timeout(Some(PATIENCE)).ok()?;
            stream.write_all(request).ok()?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).ok()?;
            Reply::from_bytes(&answer)
        };
        let clients: Vec<_> = requests
            .iter()
            .map(|request| {
                let thread = std::thread::Builder::new().stack_size(CLIENT_STACK_BYTES);
                thread.spawn_scoped(scope, move || client(request)).expect("a client starts")
            })
            .collect();
        clients.into_iter().map(|client| client.join().expect("a client ends")).collect()
    })
}
