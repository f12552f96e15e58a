//! A client of a few lines: enough to check the bytes through a proxy and to hold idle connections.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use crate::ui::Outcome;

const LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head_bytes: usize,
    pub(crate) body: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Client(TcpStream);

impl Client {
    pub(crate) fn connect(port: u16) -> Outcome<Self> {
        let addr = SocketAddr::from(([127, 0, 0, 1], port));
        let sock = TcpStream::connect_timeout(&addr, LIMIT)
            .and_then(|sock| {
                sock.set_read_timeout(Some(LIMIT))?;
                sock.set_write_timeout(Some(LIMIT))?;
                Ok(sock)
            })
            .map_err(|e| format!("cannot connect to {addr}: {e}"))?;
        Ok(Self(sock))
    }

    /// Opens a tunnel to a port of this machine.
    pub(crate) fn tunnel(&mut self, to: u16) -> Outcome<()> {
        let head = format!("CONNECT 127.0.0.1:{to} HTTP/1.1\r\nHost: 127.0.0.1:{to}\r\n\r\n");
        let response = self.send(head.as_bytes(), true)?;
        if response.status == 200 { Ok(()) } else { Err(format!("CONNECT: {}", response.status)) }
    }

    pub(crate) fn get(&mut self, port: u16, path: &str) -> Outcome<Response> {
        let head = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
        self.send(head.as_bytes(), false)
    }

    pub(crate) fn post(&mut self, port: u16, path: &str, body: &[u8]) -> Outcome<Response> {
        let length = body.len();
        let host = format!("Host: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n");
        let head = format!("POST {path} HTTP/1.1\r\n{host}Content-Length: {length}\r\n\r\n");
        self.send(&[head.as_bytes(), body].concat(), false)
    }

    fn send(&mut self, request: &[u8], without_body: bool) -> Outcome<Response> {
        self.0.write_all(request).map_err(|e| format!("cannot send the request: {e}"))?;
        let (mut bytes, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
        loop {
            if let Some(response) = parse(&bytes, without_body)? {
                return Ok(response);
            }
            match self.0.read(&mut buffer) {
                Ok(0) => return Err(format!("closed after {} bytes of a response", bytes.len())),
                Ok(n) => bytes.extend_from_slice(buffer.get(..n).unwrap_or_default()),
                Err(e) => return Err(format!("no complete response: {e}")),
            }
        }
    }
}

/// A response with a `Content-Length`; `None` while it is incomplete.
fn parse(bytes: &[u8], without_body: bool) -> Outcome<Option<Response>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let (head, rest) = bytes.split_at(end + 4);
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or("the response has no status")?;
    if without_body {
        return Ok(Some(Response { status, head_bytes: end + 4, body: Vec::new() }));
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = length.and_then(|text| text.trim().parse::<usize>().ok());
    let length = length.ok_or_else(|| format!("status {status} without a Content-Length"))?;
    if rest.len() > length {
        return Err(format!("{} bytes more than Content-Length says", rest.len() - length));
    }
    let head_bytes = end + 4;
    Ok((rest.len() == length).then(|| Response { status, head_bytes, body: rest.to_vec() }))
}

#[cfg(test)]
mod tests {
    //! Responses at every stage of their arrival.
    use super::*;

    #[test]
    fn a_response_is_complete_when_its_length_is_there() {
        let head = b"HTTP/1.1 200 OK\r\nCONTENT-length: 2\r\n\r\n".as_slice();
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\n", false), Ok(None));
        assert_eq!(parse(&[head, b"a"].concat(), false), Ok(None));
        let whole = Response { status: 200, head_bytes: head.len(), body: b"ab".to_vec() };
        assert_eq!(parse(&[head, b"ab"].concat(), false), Ok(Some(whole)));
        assert!(parse(&[head, b"abc"].concat(), false).is_err());
    }
}
