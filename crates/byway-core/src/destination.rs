//! Classes of destination addresses, and the one rule about them.
//!
//! Public addresses may be reached. Everything else is refused unless the provider (or, for
//! unlisted hosts, the gateway) lists a network that contains it. IPv6 forms that carry an IPv4
//! address inside are judged by both: the form itself is refused as such.
//! Sources: IANA special-purpose address registries; RFC 6890, 6052, 3056, 4380, 6598; the
//! metadata addresses are those of AWS, GCP, Azure, Alibaba, Oracle.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// What kind of address a destination is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AddressClass {
    /// Reachable from anywhere.
    Public,
    /// 127.0.0.0/8, ::1
    Loopback,
    /// 10/8, 172.16/12, 192.168/16, fc00::/7, fec0::/10
    Private,
    /// 169.254/16, fe80::/10
    LinkLocal,
    /// A cloud's metadata service.
    Metadata,
    /// 100.64/10
    Cgnat,
    /// 0/8, ::
    Unspecified,
    /// 224/4, ff00::/8
    Multicast,
    /// 255.255.255.255
    Broadcast,
    /// Documentation, benchmarking, protocol assignments, 240/4, discard, ORCHID.
    Reserved,
    /// ::ffff:0:0/96 and the deprecated ::/96
    Ipv4Mapped,
    /// 64:ff9b::/96, 64:ff9b:1::/48
    Nat64,
    /// 2002::/16
    SixToFour,
    /// 2001::/32
    Teredo,
}

impl AddressClass {
    /// The class of an address.
    pub fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Self::of_v4(v4),
            IpAddr::V6(v6) => Self::of_v6(v6),
        }
    }

    fn of_v4(ip: Ipv4Addr) -> Self {
        let [a, b, c, d] = ip.octets();
        match (a, b, c, d) {
            (169, 254, 169, 254 | 253 | 123) | (169, 254, 170, 2 | 23) => Self::Metadata,
            (100, 100, 100, 200) | (192, 0, 0, 192) | (168, 63, 129, 16) => Self::Metadata,
            (0, ..) => Self::Unspecified,
            (127, ..) => Self::Loopback,
            (10, ..) | (172, 16..=31, ..) | (192, 168, ..) => Self::Private,
            (169, 254, ..) => Self::LinkLocal,
            (100, 64..=127, ..) => Self::Cgnat,
            (224..=239, ..) => Self::Multicast,
            (255, 255, 255, 255) => Self::Broadcast,
            (192, 0, 0 | 2, _)
            | (192, 88, 99, _)
            | (198, 18 | 19, ..)
            | (198, 51, 100, _)
            | (203, 0, 113, _)
            | (240..=255, ..) => Self::Reserved,
            _ => Self::Public,
        }
    }

    fn of_v6(ip: Ipv6Addr) -> Self {
        let s = ip.segments();
        match s {
            [0, 0, 0, 0, 0, 0, 0, 0] => Self::Unspecified,
            [0, 0, 0, 0, 0, 0, 0, 1] => Self::Loopback,
            [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254 | 0x23 | 0x123 | 0x253] => Self::Metadata,
            [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254] => Self::Metadata,
            // ::ffff:a.b.c.d, ::ffff:0:a.b.c.d (RFC 2765), ::a.b.c.d (deprecated)
            [0, 0, 0, 0, 0, 0xffff | 0, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => Self::Ipv4Mapped,
            [0x64, 0xff9b, 0, 0, 0, 0, ..] | [0x64, 0xff9b, 1, ..] => Self::Nat64,
            [0x2002, ..] => Self::SixToFour,
            [0x2001, 0, ..] => Self::Teredo,
            [a, ..] if a & 0xfe00 == 0xfc00 || a & 0xffc0 == 0xfec0 => Self::Private,
            [a, ..] if a & 0xffc0 == 0xfe80 => Self::LinkLocal,
            [a, ..] if a & 0xff00 == 0xff00 => Self::Multicast,
            [0x2001, 0xdb8, ..] | [0x2001, 1..=0x01ff, ..] | [0x3fff, 0..=0x0fff, ..] => {
                Self::Reserved
            }
            // Global unicast is 2000::/3; the rest has no route worth taking.
            [a, ..] if a & 0xe000 == 0x2000 => Self::Public,
            _ => Self::Reserved,
        }
    }

    /// The class in words, for messages and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::LinkLocal => "link_local",
            Self::Metadata => "metadata",
            Self::Cgnat => "cgnat",
            Self::Unspecified => "unspecified",
            Self::Multicast => "multicast",
            Self::Broadcast => "broadcast",
            Self::Reserved => "reserved",
            Self::Ipv4Mapped => "ipv4_mapped",
            Self::Nat64 => "nat64",
            Self::SixToFour => "6to4",
            Self::Teredo => "teredo",
        }
    }
}

impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a destination may be dialled.
///
/// A metadata service must be listed by its very address: no network that happens to contain it
/// opens it.
///
/// # Errors
/// The class that forbids it.
pub fn may_reach(ip: IpAddr, allow: &[Network]) -> Result<(), AddressClass> {
    let class = AddressClass::of(ip);
    let listed = |network: &Network| {
        network.contains(ip) && (class != AddressClass::Metadata || network.is_single())
    };
    if class == AddressClass::Public || allow.iter().any(listed) { Ok(()) } else { Err(class) }
}

/// A network in CIDR notation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    ip: IpAddr,
    prefix: u8,
}

impl Network {
    /// Every non-public network that a private provider may sensibly be on: `allow_private = true`.
    ///
    /// Metadata services, link-local and the IPv6 forms that hide an IPv4 address stay refused:
    /// who means those must list them.
    pub const PRIVATE: [Self; 6] = [
        Self { ip: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), prefix: 8 },
        Self { ip: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), prefix: 8 },
        Self { ip: IpAddr::V4(Ipv4Addr::new(172, 16, 0, 0)), prefix: 12 },
        Self { ip: IpAddr::V4(Ipv4Addr::new(192, 168, 0, 0)), prefix: 16 },
        Self { ip: IpAddr::V6(Ipv6Addr::LOCALHOST), prefix: 128 },
        Self { ip: IpAddr::V6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0)), prefix: 7 },
    ];

    /// Whether it is one address.
    pub const fn is_single(&self) -> bool {
        matches!((self.ip, self.prefix), (IpAddr::V4(_), 32) | (IpAddr::V6(_), 128))
    }

    /// Whether the network contains the address. An IPv6 network never contains an IPv4 address.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.ip, ip) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                net.to_bits() & mask == ip.to_bits() & mask
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                net.to_bits() & mask == ip.to_bits() & mask
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (ip, prefix) = match text.split_once('/') {
            Some((ip, prefix)) => (ip, Some(prefix)),
            None => (text, None),
        };
        let ip: IpAddr = ip.parse().map_err(|_| BadNetwork)?;
        let longest = if ip.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(digits) => digits.parse().map_err(|_| BadNetwork)?,
            None => longest,
        };
        if prefix > longest { Err(BadNetwork) } else { Ok(Self { ip, prefix }) }
    }
}

/// Not an address or network in CIDR notation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadNetwork;

impl fmt::Display for BadNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected an address or a network such as `10.0.0.0/8` or `fd00::/8`")
    }
}

impl std::error::Error for BadNetwork {}

/// What a host in a URL is, before any name server is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostKind {
    /// An address, in whatever notation it came.
    Address(IpAddr),
    /// A name to be resolved.
    Name,
    /// Looks like an IPv4 address and is none: `1.2.3.4.5`, `0x1ffffffff`, `1.2.3.999`.
    NotAnAddress,
}

/// Tells addresses from names as `inet_aton` and the WHATWG URL standard do.
///
/// `127.1`, `0x7f000001`, `017700000001` and `2130706433` are all 127.0.0.1 to some client, so
/// they must be to the check as well.
pub fn host_kind(host_bare: &str) -> HostKind {
    if let Ok(ip) = host_bare.parse::<IpAddr>() {
        return HostKind::Address(ip);
    }
    let last = host_bare.rsplit('.').next().unwrap_or_default();
    let is_numeric = !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit());
    let is_hex = last
        .strip_prefix("0x")
        .or_else(|| last.strip_prefix("0X"))
        .is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    if !is_numeric && !is_hex {
        return HostKind::Name;
    }
    match aton(host_bare) {
        Some(ip) => HostKind::Address(IpAddr::V4(ip)),
        None => HostKind::NotAnAddress,
    }
}

fn aton(host: &str) -> Option<Ipv4Addr> {
    let parts: Vec<&str> = host.split('.').collect();
    let (last, first) = parts.split_last()?;
    if first.len() > 3 {
        return None;
    }
    let mut ip: u32 = 0;
    for part in first {
        ip = (ip << 8) | u32::from(u8::try_from(number(part)?).ok()?);
    }
    let n_bits = 8 * (4 - u32::try_from(first.len()).ok()?);
    let last = number(last)?;
    if u64::from(last) >= 1 << n_bits {
        return None;
    }
    let high = u64::from(ip) << n_bits;
    Some(Ipv4Addr::from_bits(u32::try_from(high | u64::from(last)).ok()?))
}

fn number(part: &str) -> Option<u32> {
    if let Some(hex) = part.strip_prefix("0x").or_else(|| part.strip_prefix("0X")) {
        return if hex.is_empty() { Some(0) } else { u32::from_str_radix(hex, 16).ok() };
    }
    match part.strip_prefix('0') {
        Some("") => Some(0),
        Some(octal) => u32::from_str_radix(octal, 8).ok(),
        None => part.parse().ok(),
    }
}
