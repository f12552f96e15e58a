//! Whether an address is one of our own listeners, so that a request cannot chase its own tail.

use std::net::{IpAddr, SocketAddr, UdpSocket};

/// Whether dialling `to` would reach one of the listeners in `own`.
///
/// A listener on every address (`0.0.0.0`, `[::]`) is reached through any address of this machine.
pub(crate) fn is_own(to: SocketAddr, own: &[SocketAddr]) -> bool {
    let ip = to.ip().to_canonical();
    own.iter().filter(|listener| listener.port() == to.port()).any(|listener| {
        let listener = listener.ip().to_canonical();
        if !listener.is_unspecified() {
            return listener == ip || (ip.is_unspecified() && listener.is_loopback());
        }
        // `[::]` takes IPv4 as well unless the system says otherwise; too careful is right here.
        let same_family = listener.is_ipv6() || ip.is_ipv4();
        same_family && (ip.is_unspecified() || ip.is_loopback() || is_local(ip))
    })
}

/// Whether this machine has the address: only then can a socket be bound to it.
///
/// Asked only about a port that we listen on ourselves, so its cost does not matter, nor that
/// `net.ipv4.ip_nonlocal_bind` makes it say yes too often.
fn is_local(ip: IpAddr) -> bool {
    UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests;
