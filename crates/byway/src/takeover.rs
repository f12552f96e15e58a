//! Hands the listening sockets of a running gateway to its successor.
//!
//! ```text
//!   successor                         running gateway
//!   connect to the abstract socket ─▶ same user? otherwise close
//!                                  ◀─ one line a socket, descriptors beside it (SCM_RIGHTS)
//!   starts, accepts
//!   `ready`                        ─▶ stops accepting, drains, exits
//! ```
//! Both processes hold the same sockets, so what the kernel has queued is served by whoever accepts
//! it: no connection is refused or reset. If the successor dies before `ready`, nothing happened.
//! With `SO_REUSEPORT` alone the queue of the closing process would be lost. The abstract socket
//! itself is handed over too, so that there is no moment without a gateway to take over from.

use std::io::{self, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener, UnixStream};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};

/// The kernel passes at most 253 descriptors in one message (`SCM_MAX_FD`).
const N_SOCKETS_MAX: usize = 253;
/// Room for the list: an address and its role are below 64 bytes.
const LIST_BYTES_MAX: usize = 64 * N_SOCKETS_MAX;
/// How long a successor may take to start.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// What a socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Callers,
    Admin,
    /// The abstract socket; its address means nothing.
    Successors,
}

impl Role {
    const ALL: [Self; 3] = [Self::Callers, Self::Admin, Self::Successors];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Callers => "callers",
            Self::Admin => "admin",
            Self::Successors => "successors",
        }
    }
}

/// A listening socket on its way.
#[derive(Debug)]
pub(crate) struct Handed {
    pub(crate) role: Role,
    pub(crate) addr: SocketAddr,
    pub(crate) socket: OwnedFd,
}

/// The name under which a gateway that listens on `addr` can be found by the same user.
///
/// Abstract names need no file, leave nothing behind after a crash, and belong to the network
/// namespace, as the listening sockets do.
fn name(addr: SocketAddr) -> io::Result<UnixAddr> {
    let uid = rustix::process::geteuid().as_raw();
    UnixAddr::from_abstract_name(format!("byway/{uid}/{addr}"))
}

/// Whether a gateway of this user listens on `addr`.
pub(crate) fn is_running(addr: SocketAddr) -> bool {
    name(addr).and_then(|name| UnixStream::connect_addr(&name)).is_ok()
}

/// Makes this gateway findable.
pub(crate) fn announce(addr: SocketAddr) -> io::Result<UnixListener> {
    UnixListener::bind_addr(&name(addr)?)
}

/// Waits for a successor, gives it the sockets, and returns once it is ready.
pub(crate) fn wait_for_successor(
    listener: &UnixListener,
    sockets: impl Fn() -> io::Result<Vec<Handed>>,
) -> io::Result<()> {
    let all = || {
        let mut all = sockets()?;
        let addr = SocketAddr::from(([0, 0, 0, 0], 0));
        let socket = listener.as_fd().try_clone_to_owned()?;
        all.push(Handed { role: Role::Successors, addr, socket });
        Ok(all)
    };
    loop {
        let (stream, _) = listener.accept()?;
        match hand_over(&stream, &all) {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "a takeover did not come to its end"),
        }
    }
}

fn hand_over(
    mut stream: &UnixStream,
    sockets: &impl Fn() -> io::Result<Vec<Handed>>,
) -> io::Result<bool> {
    let peer = rustix::net::sockopt::socket_peercred(stream)?;
    if peer.uid != rustix::process::geteuid() && !peer.uid.is_root() {
        return Ok(false);
    }
    stream.set_read_timeout(Some(READY_WITHIN))?;
    let mut hello = [0; 9];
    // Another process may only have looked whether we are here.
    if stream.read_exact(&mut hello).is_err() || &hello != b"takeover\n" {
        return Ok(false);
    }
    let sockets = sockets()?;
    let mut list = String::new();
    let mut descriptors: Vec<BorrowedFd<'_>> = Vec::new();
    for handed in sockets.iter().take(N_SOCKETS_MAX) {
        list.push_str(&format!("{} {}\n", handed.role.as_str(), handed.addr));
        descriptors.push(handed.socket.as_fd());
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(N_SOCKETS_MAX))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    let parts = [io::IoSlice::new(list.as_bytes())];
    rustix::net::sendmsg(stream, &parts, &mut ancillary, SendFlags::NOSIGNAL)?;
    let mut ready = [0; 6];
    stream.read_exact(&mut ready)?;
    Ok(&ready == b"ready\n")
}

/// The connection to the predecessor; dropped without [`Takeover::ready`], it goes on as before.
#[derive(Debug)]
pub(crate) struct Takeover {
    stream: UnixStream,
}

impl Takeover {
    /// Asks the gateway that listens on `addr` for its sockets.
    pub(crate) fn begin(addr: SocketAddr) -> io::Result<(Self, Vec<Handed>)> {
        let mut stream = UnixStream::connect_addr(&name(addr)?)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(b"takeover\n")?;
        let mut text = vec![0; LIST_BYTES_MAX];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(N_SOCKETS_MAX))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [io::IoSliceMut::new(&mut text)];
        let received =
            rustix::net::recvmsg(&stream, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
        let descriptors: Vec<OwnedFd> = ancillary
            .drain()
            .filter_map(|message| {
                let RecvAncillaryMessage::ScmRights(rights) = message else { return None };
                Some(rights)
            })
            .flatten()
            .collect();
        let list = text.get(..received.bytes).unwrap_or_default();
        let list = std::str::from_utf8(list).map_err(io::Error::other)?;
        let handed = list.lines().zip(descriptors).filter_map(|(line, descriptor)| {
            let (role, addr) = line.split_once(' ')?;
            let role = Role::ALL.into_iter().find(|known| known.as_str() == role)?;
            Some(Handed { role, addr: addr.parse().ok()?, socket: descriptor })
        });
        Ok((Self { stream }, handed.collect()))
    }

    /// Tells the predecessor that it may stop.
    pub(crate) fn ready(mut self) -> io::Result<()> {
        self.stream.write_all(b"ready\n")
    }
}
