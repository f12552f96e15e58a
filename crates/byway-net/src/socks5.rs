//! The client's side of SOCKS5 (RFC 1928) with user name and password (RFC 1929).
//!
//! Written here rather than taken from a crate because the two halves of the handshake are
//! different parties' faults: a server that does not greet is a broken way out, a server that
//! greets and then says nothing is waiting for the destination. Every read is exact, so that the
//! destination's first bytes stay in the socket.

use std::io;
use std::net::SocketAddr;

use byway_core::cause::Cause;
use byway_core::settings::Credentials;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::dial::{Refused, Told, broken};

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;
const NONE_ACCEPTABLE: u8 = 0xff;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// Agrees on a method and shows our credentials if asked for them.
pub(crate) async fn greet(
    tcp: &mut TcpStream,
    credentials: Option<&Credentials>,
) -> Result<(), Refused> {
    let methods: &[u8] = match credentials {
        None => &[VERSION, 1, NO_AUTHENTICATION],
        Some(_) => &[VERSION, 2, NO_AUTHENTICATION, USER_AND_PASSWORD],
    };
    tcp.write_all(methods).await.map_err(|err| broken(&err))?;
    let [version, method] = read(tcp).await?;
    match (version, method, credentials) {
        (VERSION, NO_AUTHENTICATION, _) => Ok(()),
        (VERSION, USER_AND_PASSWORD, Some(credentials)) => authenticate(tcp, credentials).await,
        (VERSION, NONE_ACCEPTABLE | USER_AND_PASSWORD, None) => {
            Err(Refused::new(Cause::PathCredentials, "wants a user name and a password"))
        }
        (VERSION, NONE_ACCEPTABLE, Some(_)) => Err(Refused::new(
            Cause::PathCredentials,
            "accepts neither a user name and a password nor none",
        )),
        _ => Err(garbage()),
    }
}

async fn authenticate(tcp: &mut TcpStream, credentials: &Credentials) -> Result<(), Refused> {
    let refused = |says: &str| Refused::new(Cause::PathCredentials, says);
    let mut message = vec![1];
    for text in [credentials.user.as_bytes(), credentials.password.reveal()] {
        let n_bytes = u8::try_from(text.len()).map_err(|_| {
            refused("cannot be given a user name or password of more than 255 bytes")
        })?;
        message.push(n_bytes);
        message.extend_from_slice(text);
    }
    tcp.write_all(&message).await.map_err(|err| broken(&err))?;
    match read(tcp).await? {
        [_, 0] => Ok(()),
        [_, _] => Err(refused("refuses our user name or password")),
    }
}

/// Asks for the connection and waits until it stands.
pub(crate) async fn connect(tcp: &mut TcpStream, to: &Told) -> Result<(), Refused> {
    let mut message = vec![VERSION, CONNECT, 0];
    let port = match to {
        Told::Address(SocketAddr::V4(addr)) => {
            message.push(IPV4);
            message.extend_from_slice(&addr.ip().octets());
            addr.port()
        }
        Told::Address(SocketAddr::V6(addr)) => {
            message.push(IPV6);
            message.extend_from_slice(&addr.ip().octets());
            addr.port()
        }
        Told::Name(name, port) => {
            let n_bytes = u8::try_from(name.len()).map_err(|_| {
                Refused::new(Cause::DnsNx, "cannot be asked for a name of more than 255 bytes")
            })?;
            message.extend_from_slice(&[NAME, n_bytes]);
            message.extend_from_slice(name.as_bytes());
            *port
        }
    };
    message.extend_from_slice(&port.to_be_bytes());
    tcp.write_all(&message).await.map_err(|err| broken(&err))?;
    let [version, reply, _, kind] = read(tcp).await?;
    if version != VERSION {
        return Err(garbage());
    }
    if reply != 0 {
        return Err(said_no(reply));
    }
    skip_bound_address(tcp, kind).await
}

/// The address that the server bound; it is of no use to us, but it must not stay in the stream.
async fn skip_bound_address(tcp: &mut TcpStream, kind: u8) -> Result<(), Refused> {
    let n_bytes = match kind {
        IPV4 => 4,
        IPV6 => 16,
        NAME => {
            let [n_bytes] = read(tcp).await?;
            usize::from(n_bytes)
        }
        _ => return Err(garbage()),
    };
    let mut rest = vec![0; n_bytes + 2];
    tcp.read_exact(&mut rest).await.map_err(|err| cut(&err)).map(|_| ())
}

/// RFC 1928 §6.
fn said_no(reply: u8) -> Refused {
    let (cause, says) = match reply {
        1 => (Cause::PathRefused, "reports a general failure"),
        2 => (Cause::PathRefused, "does not allow the connection"),
        3 => (Cause::ConnectUnreachable, "says that the network is unreachable"),
        4 => (Cause::ConnectUnreachable, "says that the host is unreachable"),
        5 => (Cause::ConnectRefused, "says that the destination refused the connection"),
        6 => (Cause::ConnectUnreachable, "says that the TTL expired"),
        7 => (Cause::PathRefused, "does not support CONNECT"),
        8 => (Cause::PathRefused, "does not support this type of address"),
        _ => return Refused::new(Cause::PathRefused, format!("refuses with code {reply}")),
    };
    Refused::new(cause, says)
}

async fn read<const N: usize>(tcp: &mut TcpStream) -> Result<[u8; N], Refused> {
    let mut bytes = [0; N];
    tcp.read_exact(&mut bytes).await.map_err(|err| cut(&err))?;
    Ok(bytes)
}

fn cut(err: &io::Error) -> Refused {
    if err.kind() == io::ErrorKind::UnexpectedEof {
        return Refused::new(Cause::PathDown, "closed the connection during the handshake");
    }
    broken(err)
}

fn garbage() -> Refused {
    Refused::new(Cause::PathDown, "does not speak SOCKS5")
}

#[cfg(test)]
mod tests;
