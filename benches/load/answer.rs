//! Where an HTTP/1.1 answer ends in the bytes that came: by its length, its chunks, or the end of the connection.

/// Headers that an answer may have.
const MAX_HEADERS: usize = 64;

/// A whole answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The bytes that it takes.
    pub(crate) length: usize,
    pub(crate) status: u16,
    /// Whether the connection may be used for another.
    pub(crate) keeps: bool,
}

/// Not HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Garbled;

#[derive(Clone, Copy)]
enum Framing {
    Length(usize),
    Chunks,
    UntilClose,
}

/// The answer that these bytes begin with, once it is whole. `is_closed`: no more will come.
pub(crate) fn answer(bytes: &[u8], is_closed: bool) -> Result<Option<Answer>, Garbled> {
    let mut begins = 0;
    loop {
        let Some(bytes) = bytes.get(begins..) else { return Ok(None) };
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut head = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(head_length) = head.parse(bytes).map_err(|_| Garbled)?
        else {
            return Ok(None);
        };
        let status = head.code.ok_or(Garbled)?;
        if (100..200).contains(&status) {
            begins += head_length;
            continue;
        }
        let (framing, keeps) = framing(&head, status)?;
        let rest = bytes.get(head_length..).ok_or(Garbled)?;
        let body = match framing {
            Framing::Length(length) => (rest.len() >= length).then_some(length),
            Framing::Chunks => chunks(rest)?,
            Framing::UntilClose => is_closed.then_some(rest.len()),
        };
        return Ok(body.map(|body| Answer { length: begins + head_length + body, status, keeps }));
    }
}

fn framing(head: &httparse::Response<'_, '_>, status: u16) -> Result<(Framing, bool), Garbled> {
    let mut framing = match status {
        204 | 304 => Framing::Length(0),
        _ => Framing::UntilClose,
    };
    let mut keeps = head.version == Some(1);
    for header in head.headers.iter() {
        let value = || std::str::from_utf8(header.value).map_err(|_| Garbled).map(str::trim);
        if header.name.eq_ignore_ascii_case("content-length") && status != 304 {
            framing = Framing::Length(value()?.parse().map_err(|_| Garbled)?);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            framing = Framing::Chunks;
        } else if header.name.eq_ignore_ascii_case("connection") {
            keeps = keeps && !value()?.eq_ignore_ascii_case("close");
        }
    }
    Ok((framing, keeps && !matches!(framing, Framing::UntilClose)))
}

/// The bytes of a body in chunks, once its end is there. Trailers count.
fn chunks(body: &[u8]) -> Result<Option<usize>, Garbled> {
    let mut at = 0;
    loop {
        let Some(rest) = body.get(at..) else { return Ok(None) };
        let size = httparse::parse_chunk_size(rest).map_err(|_| Garbled)?;
        let httparse::Status::Complete((line, size)) = size else { return Ok(None) };
        let size = usize::try_from(size).map_err(|_| Garbled)?;
        at += line;
        if size > 0 {
            at += size + 2;
            continue;
        }
        // The last chunk; what follows it ends with an empty line.
        let Some(trailers) = body.get(at..) else { return Ok(None) };
        if trailers.starts_with(b"\r\n") {
            return Ok(Some(at + 2));
        }
        let end = trailers.windows(4).position(|four| four == b"\r\n\r\n");
        return Ok(end.map(|end| at + end + 4));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> Answer {
        for cut in 0..text.len() {
            assert_eq!(answer(&text.as_bytes()[..cut], false), Ok(None), "cut at {cut}");
        }
        let more = format!("{text}HTTP/1.1 200");
        answer(more.as_bytes(), false).expect("it is HTTP").expect("it is whole")
    }

    #[test]
    fn an_answer_ends_with_its_length_its_chunks_or_its_connection() {
        let text = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
        assert_eq!(whole(text), Answer { length: text.len(), status: 200, keeps: true });
        let text = "HTTP/1.1 429 No\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;a=b\r\nyou\r\n0\r\n\r\n";
        assert_eq!(whole(text), Answer { length: text.len(), status: 429, keeps: true });
        let text = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nh\r\n0\r\ntold: after\r\n\r\n";
        assert_eq!(whole(text), Answer { length: text.len(), status: 200, keeps: true });
        let text = "HTTP/1.1 204 None\r\nconnection: close\r\n\r\n";
        assert_eq!(whole(text), Answer { length: text.len(), status: 204, keeps: false });
        let text = "HTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx";
        assert_eq!(whole(text), Answer { length: text.len(), status: 200, keeps: true });
        let text = b"HTTP/1.0 200 OK\r\n\r\nuntil it closes";
        assert_eq!(answer(text, false), Ok(None));
        let all = Answer { length: text.len(), status: 200, keeps: false };
        assert_eq!(answer(text, true), Ok(Some(all)));
        assert_eq!(answer(b"220 mail.example ESMTP\r\n", false), Err(Garbled));
    }
}
