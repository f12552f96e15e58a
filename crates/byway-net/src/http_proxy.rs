//! CONNECT through an HTTP proxy (RFC 9110 §9.3.6), reading not a byte beyond its answer's head.

use std::net::IpAddr;

use byway_core::cause::Cause;
use byway_core::settings::ProxyHop;
use byway_wire::scan::HeadScan;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::credentials::proxy_authorization;
use crate::dial::{Refused, broken};

/// What a Byway tells another one of the address that providers see.
pub const EXIT_FIELD: &str = "Byway-Exit";

/// A proxy that says more than this before the tunnel opens is none.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// As much of a reason phrase as a log line bears.
const REASON_BYTES_MAX: usize = 100;

/// The request, byte for byte: nothing but what the proxy needs.
pub(crate) fn connect_head(authority: &str, hop: &ProxyHop, hops: Option<&str>) -> Vec<u8> {
    let mut head = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n").into_bytes();
    if let Some(credentials) = &hop.credentials {
        head.extend_from_slice(b"Proxy-Authorization: ");
        head.extend_from_slice(proxy_authorization(credentials).reveal());
        head.extend_from_slice(b"\r\n");
    }
    if let Some(hops) = hops {
        head.extend_from_slice(format!("Byway-Hops: {hops}\r\n").as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// Asks for the tunnel and waits for the answer.
pub(crate) async fn connect(
    tcp: &mut TcpStream,
    request: &[u8],
    is_byway: bool,
) -> Result<(), Refused> {
    tcp.write_all(request).await.map_err(|err| broken(&err))?;
    let mut head_bytes_left = HEAD_BYTES_MAX;
    loop {
        let head = read_head(tcp, head_bytes_left).await?;
        head_bytes_left -= head.len();
        if judge(&head, is_byway)? {
            return Ok(());
        }
    }
}

/// The same inside TLS, towards another Byway: the address that it tells providers see, if it does.
pub(crate) async fn connect_inside(
    tls: &mut TlsStream<TcpStream>,
    request: &[u8],
) -> Result<Option<IpAddr>, Refused> {
    let write = async {
        tls.write_all(request).await?;
        tls.flush().await
    };
    write.await.map_err(|err| broken(&err))?;
    let mut head_bytes_left = HEAD_BYTES_MAX;
    loop {
        let head = read_head_inside(tls, head_bytes_left).await?;
        head_bytes_left -= head.len();
        if judge(&head, true)? {
            return Ok(exit_of(&head));
        }
    }
}

/// Whether the tunnel is open; false if the answer is still to come.
fn judge(head: &[u8], is_byway: bool) -> Result<bool, Refused> {
    let (status, reason) = status_line(head).ok_or_else(garbage)?;
    let says = || format!("answered `{}`", format!("{status} {reason}").trim_end());
    match status {
        // Interim answers may come first, though none has a meaning here.
        100..=199 if status != 101 => Ok(false),
        200..=299 => Ok(true),
        407 => Err(Refused::new(Cause::PathCredentials, says())),
        // Another instance of ours saw its own name among the hops (RFC 5842 §7.2).
        508 => Err(Refused::new(Cause::Loop, says())),
        // Ours says exactly whose fault it is; whatever is not the provider's is the way out's.
        _ if is_byway => {
            let otherwise = if status >= 500 { Cause::PathDown } else { Cause::PathRefused };
            Err(Refused::new(of_the_provider(head).unwrap_or(otherwise), says()))
        }
        504 => Err(Refused::new(Cause::ConnectTimeout, says())),
        500..=599 => Err(Refused::new(Cause::ConnectRefused, says())),
        _ => Err(Refused::new(Cause::PathRefused, says())),
    }
}

/// The cause in `Proxy-Status: byway; …; details="code"`, if it is about the provider.
fn of_the_provider(head: &[u8]) -> Option<Cause> {
    let head = String::from_utf8_lossy(head);
    let field = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("proxy-status").then_some(value)
    })?;
    let code = field.split_once("details=\"")?.1.split('"').next()?;
    Cause::ALL.iter().copied().find(|cause| cause.code() == code && cause.is_seen_there())
}

/// The value of [`EXIT_FIELD`].
fn exit_of(head: &[u8]) -> Option<IpAddr> {
    head.split(|&b| b == b'\n').find_map(|line| {
        let (name, value) = line.split_at_checked(EXIT_FIELD.len() + 1)?;
        let is_it = name.strip_suffix(b":")?.eq_ignore_ascii_case(EXIT_FIELD.as_bytes());
        is_it.then(|| std::str::from_utf8(value.trim_ascii()).ok()?.parse().ok()).flatten()
    })
}

/// Reads one head and leaves everything behind it in the socket.
///
/// What has come is looked at before it is taken: the bytes behind the head belong to whoever uses
/// the tunnel, and the server at its other end may well speak first.
async fn read_head(tcp: &mut TcpStream, head_bytes_max: usize) -> Result<Vec<u8>, Refused> {
    let mut head = Vec::new();
    let mut scan = HeadScan::default();
    let mut buf = [0; 2048];
    loop {
        let n_seen = tcp.peek(&mut buf).await.map_err(|err| broken(&err))?;
        if n_seen == 0 {
            let says = if head.is_empty() {
                "closed the connection without an answer"
            } else {
                "closed the connection in the middle of its answer"
            };
            return Err(Refused::new(Cause::PathDown, says));
        }
        let n_before = head.len();
        head.extend_from_slice(buf.get(..n_seen).unwrap_or_default());
        let end = scan.feed(&head, head_bytes_max).map_err(|_| garbage())?;
        let n_taken = end.map_or(n_seen, |end| end - n_before);
        let taken = buf.get_mut(..n_taken).unwrap_or_default();
        tcp.read_exact(taken).await.map_err(|err| broken(&err))?;
        if let Some(end) = end {
            head.truncate(end);
            return Ok(head);
        }
    }
}

/// Reads one head byte by byte out of what TLS has already decrypted: nothing behind it is taken.
async fn read_head_inside(
    tls: &mut TlsStream<TcpStream>,
    head_bytes_max: usize,
) -> Result<Vec<u8>, Refused> {
    let mut head = Vec::new();
    let mut scan = HeadScan::default();
    loop {
        head.push(tls.read_u8().await.map_err(|err| broken(&err))?);
        if scan.feed(&head, head_bytes_max).map_err(|_| garbage())?.is_some() {
            return Ok(head);
        }
    }
}

/// The status and a printable reason.
fn status_line(head: &[u8]) -> Option<(u16, String)> {
    let line = head.split(|&b| b == b'\r').next()?;
    let rest = line.strip_prefix(b"HTTP/1.1 ").or_else(|| line.strip_prefix(b"HTTP/1.0 "))?;
    let (digits, reason) = rest.split_at_checked(3)?;
    let status = std::str::from_utf8(digits).ok()?;
    let is_status = digits.iter().all(u8::is_ascii_digit) && matches!(reason, [] | [b' ', ..]);
    let status = status.parse().ok().filter(|_| is_status)?;
    let printable = reason.iter().filter(|b| matches!(b, b' '..=b'~')).take(REASON_BYTES_MAX);
    let reason: String = printable.map(|&b| char::from(b)).collect();
    Some((status, reason.trim().to_owned()))
}

fn garbage() -> Refused {
    Refused::new(Cause::PathDown, "answered something that is not HTTP/1")
}

#[cfg(test)]
mod tests;
