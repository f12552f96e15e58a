//! The simulated provider: an HTTP API that treats each source address as it was told to.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use socket2::{SockFilter, SockRef};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::pages;
use crate::scenario::Behaviour;

/// A head that is longer is nobody's drill.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// One request as the provider got it.
#[derive(Debug, Clone)]
pub struct Received {
    /// From where.
    pub source: IpAddr,
    /// When.
    pub at: Instant,
    /// The target, byte for byte.
    pub target: Vec<u8>,
}

/// What the provider does and has seen.
#[derive(Debug, Default)]
struct Inside {
    everybody: Option<Behaviour>,
    sources: BTreeMap<IpAddr, Behaviour>,
    received: Vec<Received>,
    /// Where the filter of SYNs is set; `None` once the provider has ended.
    listener: Option<std::net::TcpListener>,
}

/// Loads a word at an offset; from here on offsets count from the IP header (linux/filter.h).
const LOAD_WORD: u16 = 0x20;
const FROM_IP_HEADER: u32 = 0xfff0_0000;
/// Where the source address stands in an IPv4 header (RFC 791).
const SOURCE_ADDRESS: u32 = FROM_IP_HEADER + 12;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;

impl Inside {
    /// Has the kernel drop the SYNs of those that are treated so. An accept queue cannot tell
    /// sources apart, a filter on the listening socket can; connections that exist keep their own.
    fn filter(&self) -> std::io::Result<()> {
        let Some(listener) = &self.listener else { return Ok(()) };
        let mut program = Vec::new();
        if self.everybody == Some(Behaviour::Drop) {
            program.push(SockFilter::new(RETURN, 0, 0, 0));
        }
        let dropped = self.sources.iter().filter(|(_, how)| **how == Behaviour::Drop);
        let dropped = dropped.filter_map(|(source, _)| match source {
            IpAddr::V4(source) => Some(Ipv4Addr::to_bits(*source)),
            IpAddr::V6(_) => None,
        });
        program.push(SockFilter::new(LOAD_WORD, 0, 0, SOURCE_ADDRESS));
        for source in dropped {
            program.push(SockFilter::new(JUMP_IF_EQUAL, 0, 1, source));
            program.push(SockFilter::new(RETURN, 0, 0, 0));
        }
        program.push(SockFilter::new(RETURN, 0, 0, u32::MAX));
        SockRef::from(listener).attach_filter(&program)
    }
}

/// A running provider.
#[derive(Debug, Clone)]
pub struct Provider {
    /// Where it listens.
    pub addr: SocketAddr,
    inside: Arc<Mutex<Inside>>,
}

impl Provider {
    /// Starts one on loopback, with TLS or without; it ends with the token.
    ///
    /// # Errors
    /// The system's, if there is no socket.
    pub fn start(
        tasks: &TaskTracker,
        stop: CancellationToken,
        tls: Option<TlsAcceptor>,
    ) -> std::io::Result<Self> {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let provider = Self { addr: listener.local_addr()?, inside: Arc::default() };
        provider.inside().listener = Some(listener.try_clone()?);
        let listener = TcpListener::from_std(listener)?;
        let (own, spawner) = (provider.clone(), tasks.clone());
        tasks.spawn(async move {
            loop {
                let accepted = tokio::select! {
                    () = stop.cancelled() => return,
                    accepted = listener.accept() => accepted,
                };
                let Ok((stream, peer)) = accepted else { continue };
                let (own, stop, tls) = (own.clone(), stop.clone(), tls.clone());
                spawner.spawn(async move {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        _ended = own.welcome(stream, peer.ip(), tls) => {}
                    }
                });
            }
        });
        Ok(provider)
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on these sources are treated so; everybody if there are none.
    ///
    /// # Errors
    /// The system's, if it has no socket filters and SYNs are to be dropped; such connections hang
    /// all the same, but they are made.
    pub fn treat(&self, sources: &[IpAddr], behaviour: &Behaviour) -> std::io::Result<()> {
        let mut inside = self.inside();
        if sources.is_empty() {
            inside.sources.clear();
            inside.everybody = Some(behaviour.clone());
        }
        for source in sources {
            inside.sources.insert(*source, behaviour.clone());
        }
        inside.filter()
    }

    /// Everything that was received so far.
    pub fn received(&self) -> Vec<Received> {
        self.inside().received.clone()
    }

    fn behaviour(&self, source: IpAddr) -> Behaviour {
        let inside = self.inside();
        let behaviour = inside.sources.get(&source).or(inside.everybody.as_ref());
        behaviour.cloned().unwrap_or(Behaviour::Fine)
    }

    #[expect(clippy::disallowed_methods, reason = "a simulated provider has its own clock")]
    fn note(&self, source: IpAddr, target: Vec<u8>) {
        let received = Received { source, at: Instant::now(), target };
        self.inside().received.push(received);
    }

    async fn welcome(
        &self,
        mut stream: TcpStream,
        source: IpAddr,
        tls: Option<TlsAcceptor>,
    ) -> std::io::Result<()> {
        match (self.behaviour(source), tls) {
            // An abortive close: the caller sees a reset, not an end.
            (Behaviour::Cut, _) => stream.set_zero_linger(),
            (Behaviour::TlsClose, Some(_)) => {
                // The ClientHello is taken, and nothing is said to it.
                let mut hello = [0; 4096];
                stream.read(&mut hello).await.map(drop)
            }
            (_, Some(tls)) => self.serve(tls.accept(stream).await?, source).await,
            (_, None) => self.serve(stream, source).await,
        }
    }

    async fn serve(
        &self,
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
        source: IpAddr,
    ) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        loop {
            let Some(head_len) = read_head(&mut stream, &mut bytes).await? else { return Ok(()) };
            let behaviour = self.behaviour(source);
            if behaviour == Behaviour::TlsClose {
                return Ok(());
            }
            let head: Vec<u8> = bytes.drain(..head_len).collect();
            let mut parts = head.split(|&b| b == b' ');
            let (method, target) = (parts.next().unwrap_or_default(), parts.next());
            self.note(source, target.unwrap_or_default().to_vec());
            let target = target.unwrap_or_default();
            let Some(answer) = answer(&behaviour, source, target) else {
                if matches!(behaviour, Behaviour::Hang | Behaviour::Drop) {
                    std::future::pending::<()>().await;
                }
                return Ok(());
            };
            if let Behaviour::Slow(by) = behaviour {
                tokio::time::sleep(by).await;
            }
            let n_head = answer.windows(4).position(|w| w == b"\r\n\r\n").map_or(0, |at| at + 4);
            let n = match (&behaviour, method) {
                (_, b"HEAD") => n_head,
                (Behaviour::Truncated, _) => n_head + (answer.len() - n_head) / 2,
                _ => answer.len(),
            };
            stream.write_all(answer.get(..n).unwrap_or_default()).await?;
            if behaviour == Behaviour::Truncated {
                return Ok(());
            }
        }
    }
}

/// Reads up to the end of a head; `None` at the end of the connection.
async fn read_head(
    stream: &mut (impl AsyncRead + Unpin),
    bytes: &mut Vec<u8>,
) -> std::io::Result<Option<usize>> {
    loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            return Ok(Some(at + 4));
        }
        if bytes.len() > HEAD_BYTES_MAX || stream.read_buf(bytes).await? == 0 {
            return Ok(None);
        }
    }
}

fn answer(behaviour: &Behaviour, source: IpAddr, target: &[u8]) -> Option<Vec<u8>> {
    let json = "Content-Type: application/json\r\nX-Request-Id: 7f3a";
    let product = || {
        let target: String = target.iter().map(|b| format!("{b:02x}")).collect();
        format!("{{\"target\":\"{target}\",\"name\":\"\u{ac00}\u{c744} coat\",\"price\":39000}}")
    };
    let limit = |after: &str| {
        let fields = format!("{json}\r\nX-RateLimit-Limit: 100\r\nX-RateLimit-Remaining: 0{after}");
        pages::answer("429 Too Many Requests", &fields, "{\"error\":\"rate_limited\"}")
    };
    Some(match behaviour {
        Behaviour::Fine | Behaviour::Slow(_) | Behaviour::Truncated => {
            pages::answer("200 OK", json, &product())
        }
        // Connections that stay open need no names.
        Behaviour::NamesFail => {
            pages::answer("200 OK", &format!("{json}\r\nConnection: close"), &product())
        }
        Behaviour::Page(name) => pages::page(name, &source.to_string())?,
        Behaviour::Status(status) => {
            pages::answer(&format!("{status} Simulated"), json, "{\"error\":\"simulated\"}")
        }
        Behaviour::Limit(None) => limit(""),
        Behaviour::Limit(Some(seconds)) => limit(&format!("\r\nRetry-After: {seconds}")),
        Behaviour::Lying => limit("\r\nRetry-After: 31536000"),
        Behaviour::ToHttps => {
            let target = String::from_utf8_lossy(target);
            let fields = format!("Location: https://127.0.0.1{target}");
            pages::answer("301 Moved Permanently", &fields, "")
        }
        Behaviour::Html => {
            let page = "<html><title>We will be right back</title><h1>Maintenance</h1></html>";
            pages::answer("200 OK", "Content-Type: text/html", page)
        }
        Behaviour::Cut
        | Behaviour::Close
        | Behaviour::TlsClose
        | Behaviour::Hang
        | Behaviour::Drop => return None,
    })
}

/// The largest excess over a pace in any stretch of time: how many requests more than
/// `burst + rate × time` were received. Zero if the pace was kept.
pub fn excess(received: &[Received], per_second: f64, burst: u32) -> u32 {
    let mut level = 0.0_f64;
    let mut last: Option<Instant> = None;
    let mut worst = 0.0_f64;
    for request in received {
        let passed = last.map_or(Duration::ZERO, |last| request.at.saturating_duration_since(last));
        level = (level - passed.as_secs_f64() * per_second).max(0.0) + 1.0;
        last = Some(request.at);
        worst = worst.max(level - f64::from(burst));
    }
    // Requests leave in pace and arrive with the network's jitter: one more is not an excess.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
    let worst = (worst - 1.0).max(0.0).ceil() as u32;
    worst
}
