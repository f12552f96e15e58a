//! A client that sends exactly what it is given.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// Nothing here waits longer: a hanging gateway must fail the test, not hang it.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A connection with patience.
///
/// # Panics
/// If it is refused.
pub fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap_or_else(|error| panic!("{addr}: {error}"));
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
    stream.set_nodelay(true).expect("a socket");
    stream
}

/// Sends, ends its side, and reads to the end.
///
/// # Panics
/// If the other side does not end in time.
pub fn ask_and_close(addr: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut stream = connect(addr);
    stream.write_all(request).expect("taken");
    // The other side may have refused and closed already.
    let _gone = stream.shutdown(Shutdown::Write);
    read_to_end(&mut stream)
}

/// Everything until the end, or until a reset.
///
/// # Panics
/// If neither comes in time.
pub fn read_to_end(stream: &mut impl Read) -> Vec<u8> {
    let (mut all, mut piece) = (Vec::new(), [0; 65_536]);
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return all,
            Ok(n) => all.extend_from_slice(piece.get(..n).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return all,
            Err(error) => panic!("no end: {error}; so far {}", String::from_utf8_lossy(&all)),
        }
    }
}

/// A message: head and body, read by its framing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// With the empty line.
    pub head: Vec<u8>,
    /// As it was framed: chunk sizes and trailers included.
    pub body: Vec<u8>,
}

impl Message {
    /// The first line.
    pub fn first_line(&self) -> &[u8] {
        self.head.split(|&b| b == b'\r').next().unwrap_or_default()
    }

    /// The field lines, in order, without CR LF.
    pub fn fields(&self) -> Vec<&[u8]> {
        let lines = self.head.split(|&b| b == b'\n').skip(1);
        lines
            .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
            .filter(|l| !l.is_empty())
            .collect()
    }

    /// The value of a field.
    pub fn field(&self, name: &str) -> Option<String> {
        self.fields().iter().find_map(|line| {
            let line = String::from_utf8_lossy(line).into_owned();
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }

    /// The status of an answer.
    pub fn status(&self) -> u16 {
        let line = String::from_utf8_lossy(self.first_line()).into_owned();
        line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }
}

/// Which message is read: an answer's framing depends on its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A request.
    Request,
    /// An answer with a body, if its head says so.
    Answer,
    /// An answer to HEAD or CONNECT.
    BodilessAnswer,
}

/// Reads one message; `None` if the connection ends before its first byte.
///
/// # Panics
/// If it ends in its middle.
pub fn read_message(stream: &mut impl Read, kind: Kind) -> Option<Message> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(0) if head.is_empty() => return None,
            Ok(0) => panic!("a head cut short: {}", String::from_utf8_lossy(&head)),
            Ok(_) => head.extend_from_slice(&byte),
            Err(error) if head.is_empty() && error.kind() == ErrorKind::ConnectionReset => {
                return None;
            }
            Err(error) => panic!("{error} after {}", String::from_utf8_lossy(&head)),
        }
    }
    let message = Message { head, body: Vec::new() };
    let is_chunked = message.field("transfer-encoding").is_some();
    let length = message.field("content-length").map(|n| n.parse::<usize>().expect("a length"));
    let status = message.status();
    let bodiless = kind == Kind::BodilessAnswer
        || (kind == Kind::Answer && matches!(status, 100..=199 | 204 | 304));
    let body = match (bodiless, is_chunked, length) {
        (true, _, _) => Vec::new(),
        (false, true, _) => read_chunks(stream),
        (false, false, Some(n)) => {
            let mut body = vec![0; n];
            stream.read_exact(&mut body).expect("the announced length");
            body
        }
        (false, false, None) if kind == Kind::Answer => read_to_end(stream),
        (false, false, None) => Vec::new(),
    };
    Some(Message { body, ..message })
}

fn read_line(stream: &mut impl Read, all: &mut Vec<u8>) -> Vec<u8> {
    let start = all.len();
    let mut byte = [0];
    while !all.get(start..).unwrap_or_default().ends_with(b"\r\n") {
        stream.read_exact(&mut byte).expect("a whole line");
        all.extend_from_slice(&byte);
    }
    all.get(start..all.len() - 2).unwrap_or_default().to_vec()
}

fn read_chunks(stream: &mut impl Read) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let line = read_line(stream, &mut all);
        let digits = line.split(|&b| b == b';').next().unwrap_or_default();
        let digits = std::str::from_utf8(digits).expect("hexadecimal");
        let n = usize::from_str_radix(digits, 16).expect("hexadecimal");
        if n == 0 {
            while !read_line(stream, &mut all).is_empty() {}
            return all;
        }
        let start = all.len();
        all.resize(start + n + 2, 0);
        stream.read_exact(all.get_mut(start..).unwrap_or_default()).expect("a whole chunk");
    }
}

/// Sends a request on a new connection and reads the answer.
///
/// # Panics
/// If there is none.
pub fn ask(addr: SocketAddr, request: &[u8]) -> Message {
    let mut stream = connect(addr);
    stream.write_all(request).expect("taken");
    let kind = if request.starts_with(b"HEAD ") { Kind::BodilessAnswer } else { Kind::Answer };
    read_message(&mut stream, kind).expect("an answer")
}
