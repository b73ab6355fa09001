//! One connection that is kept: what a request does to those after it on the same connection is seen.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::Reply;

/// The longest that an answer is waited for; more is a hang.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to a server, opened anew only when the server said that it closes it.
#[derive(Debug)]
pub struct Connection {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

impl Connection {
    /// One that is opened when it is first used.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address, stream: None }
    }

    /// Sends a request and reads its answer; why there is none, if there is none.
    ///
    /// # Errors
    /// The server closed the connection without saying so, answered nothing in time, or nothing that is an answer.
    pub fn send(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &[u8])],
        body: &[u8],
    ) -> Result<Reply, String> {
        let stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(self.address).map_err(|why| why.to_string())?;
                stream.set_read_timeout(Some(PATIENCE)).map_err(|why| why.to_string())?;
                stream.set_nodelay(true).map_err(|why| why.to_string())?;
                BufReader::new(stream)
            }
        };
        let mut request = format!("{method} {target} HTTP/1.1\r\nhost: x\r\n").into_bytes();
        for (name, value) in headers {
            request.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        request.extend(format!("content-length: {}\r\n\r\n", body.len()).bytes());
        request.extend(body);
        let mut stream = stream;
        // A server that refuses early may not read on; what it said is there to be read.
        let written = stream.get_mut().write_all(&request);
        let reply = read(&mut stream).map_err(|why| format!("{why}, after {written:?}"))?;
        if reply.header("connection") != Some("close") {
            self.stream = Some(stream);
        }
        Ok(reply)
    }
}

fn read(stream: &mut BufReader<TcpStream>) -> Result<Reply, String> {
    let mut line = String::new();
    let mut next = |stream: &mut BufReader<TcpStream>| {
        line.clear();
        match stream.read_line(&mut line) {
            Ok(0) => Err("the connection was closed".to_owned()),
            Ok(_) => Ok(line.trim_end().to_owned()),
            Err(why) => Err(format!("no answer: {why}")),
        }
    };
    let first = next(stream)?;
    let status = first.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    let status = status.ok_or_else(|| format!("no answer but {first:?}"))?;
    let mut headers = Vec::new();
    loop {
        let line = next(stream)?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut reply = Reply { status, headers, body: Vec::new() };
    let length = reply.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    reply.body = vec![0; length];
    stream.read_exact(&mut reply.body).map_err(|why| format!("half an answer: {why}"))?;
    Ok(reply)
}
