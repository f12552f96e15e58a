//! The bare relay on a `mio` loop: heads parsed and rewritten, connections to the origin pooled,
//! and nothing else. Half duplex: it reads a response after the whole request has been sent.

#![expect(clippy::indexing_slicing, reason = "lengths come from our own reads and from the parser")]

use std::{
    io::{self, IoSlice, Read, Write},
    net::{SocketAddr, TcpListener as StdListener},
    process::ExitCode,
    sync::Arc,
};

use byway_bench::{
    BUFFER, SMALL_BODY,
    body::Framing,
    cli::{self, Options},
    head, net,
    slab::Slab,
    tls,
};
use mio::{
    Events, Interest, Poll, Token,
    event::Event,
    net::{TcpListener, TcpStream},
};
use rustls::{ClientConfig, ClientConnection, pki_types::ServerName};

const LISTENER: Token = Token(usize::MAX);

/// A socket, what it still has to send, and what we know of its readiness.
struct Wire {
    sock: TcpStream,
    tls: Option<Box<ClientConnection>>,
    pending: Vec<u8>,
    readable: bool,
    closed: bool,
}

/// A connection to the origin; without an owner it waits in the pool.
struct Up {
    wire: Wire,
    owner: Option<usize>,
}

struct Client {
    wire: Wire,
    up: Option<usize>,
    phase: Phase,
    /// The beginning of a head that came in parts.
    carry: Vec<u8>,
    keep_alive: bool,
    is_head: bool,
}

#[derive(Clone, Copy)]
enum Phase {
    RequestHead,
    RequestBody(Framing),
    ResponseHead,
    /// With whether the origin keeps its connection afterwards.
    ResponseBody(Framing, bool),
}

struct Worker {
    poll: Poll,
    listener: TcpListener,
    clients: Slab<Client>,
    ups: Slab<Up>,
    shared: Shared,
}

/// What every step needs besides the connections.
struct Shared {
    origin: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
    pool: Vec<usize>,
    buffer: Box<[u8]>,
    out: Vec<u8>,
}

/// What a step came to.
#[derive(PartialEq, Eq)]
enum Step {
    Again,
    Wait,
    Finished,
}

fn main() -> ExitCode {
    let run = Options::from_env().and_then(|options| net::run_workers(&options, work));
    run.map_or_else(|why| cli::fail(&why), |()| ExitCode::SUCCESS)
}

fn work(options: &Options, listener: StdListener) -> io::Result<()> {
    let poll = Poll::new()?;
    let mut listener = TcpListener::from_std(listener);
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let tls =
        if options.tls { Some(tls::client_config().map_err(io::Error::other)?) } else { None };
    let shared = Shared {
        origin: options.origin,
        tls,
        pool: Vec::new(),
        buffer: vec![0; BUFFER].into_boxed_slice(),
        out: Vec::with_capacity(BUFFER),
    };
    let (clients, ups) = (Slab::default(), Slab::default());
    let mut worker = Worker { poll, listener, clients, ups, shared };
    let mut events = Events::with_capacity(1024);
    loop {
        match worker.poll.poll(&mut events, None) {
            Err(e) if e.kind() != io::ErrorKind::Interrupted => return Err(e),
            Ok(()) | Err(_) => {}
        }
        for event in &events {
            worker.handle(event)?;
        }
        worker.clients.batch_done();
        worker.ups.batch_done();
    }
}

impl Worker {
    fn handle(&mut self, event: &Event) -> io::Result<()> {
        let Token(token) = event.token();
        if event.token() == LISTENER {
            return self.accept();
        }
        let (key, is_up) = (token / 2, token % 2 == 1);
        let owner = if is_up {
            let Some(up) = self.ups.get_mut(key) else { return Ok(()) };
            up.wire.note(event);
            if up.owner.is_none() && event.is_read_closed() {
                self.shared.pool.retain(|pooled| *pooled != key);
                self.ups.remove(key);
                return Ok(());
            }
            up.owner
        } else {
            let Some(client) = self.clients.get_mut(key) else { return Ok(()) };
            client.wire.note(event);
            Some(key)
        };
        if let Some(owner) = owner {
            self.drive(owner);
        }
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let mut sock = match self.listener.accept() {
                Ok((sock, _)) => sock,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e),
            };
            sock.set_nodelay(true)?;
            let token = Token(self.clients.next_key() * 2);
            let both = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut sock, token, both)?;
            self.clients.insert(Client {
                wire: Wire::new(sock, None),
                up: None,
                phase: Phase::RequestHead,
                carry: Vec::new(),
                keep_alive: true,
                is_head: false,
            });
        }
    }

    fn drive(&mut self, key: usize) {
        loop {
            match self.step(key) {
                Ok(Step::Again) => {}
                Ok(Step::Wait) => return,
                Ok(Step::Finished) | Err(_) => break,
            }
        }
        if let Some(up) = self.clients.remove(key).and_then(|client| client.up) {
            self.ups.remove(up);
        }
    }

    fn step(&mut self, key: usize) -> io::Result<Step> {
        let Self { clients, ups, shared, poll, .. } = self;
        let Some(client) = clients.get_mut(key) else { return Ok(Step::Finished) };
        if matches!(client.phase, Phase::RequestHead) && client.up.is_none() {
            if !client.wire.readable {
                return Ok(Step::Wait);
            }
            client.up = Some(shared.take_up(ups, poll, key)?);
        }
        let Some(up) = client.up.and_then(|up| ups.get_mut(up)) else { return Ok(Step::Finished) };
        if !(up.wire.flush()? && client.wire.flush()?) {
            return Ok(Step::Wait);
        }
        match client.phase {
            Phase::RequestHead => client.request_head(&mut up.wire, shared),
            Phase::RequestBody(framing) => client.request_body(framing, &mut up.wire, shared),
            Phase::ResponseHead => client.response_head(&mut up.wire, shared),
            Phase::ResponseBody(framing, reuse) if framing.is_done() => {
                up.owner = None;
                if let Some(up) = client.up.take() {
                    if reuse { shared.pool.push(up) } else { drop(ups.remove(up)) }
                }
                client.phase = Phase::RequestHead;
                Ok(if client.keep_alive { Step::Again } else { Step::Finished })
            }
            Phase::ResponseBody(framing, reuse) => {
                client.response_body(framing, reuse, &mut up.wire, shared)
            }
        }
    }
}

impl Shared {
    /// The connection used last, or a new one.
    fn take_up(&mut self, ups: &mut Slab<Up>, poll: &Poll, owner: usize) -> io::Result<usize> {
        if let Some(key) = self.pool.pop() {
            if let Some(up) = ups.get_mut(key) {
                up.owner = Some(owner);
            }
            return Ok(key);
        }
        let mut sock = TcpStream::connect(self.origin)?;
        sock.set_nodelay(true)?;
        let token = Token(ups.next_key() * 2 + 1);
        let both = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut sock, token, both)?;
        let tls = self.tls.clone().map(|config| {
            let name = ServerName::try_from(tls::ORIGIN_NAME).map_err(io::Error::other)?;
            ClientConnection::new(config, name).map(Box::new).map_err(io::Error::other)
        });
        Ok(ups.insert(Up { wire: Wire::new(sock, tls.transpose()?), owner: Some(owner) }))
    }
}

impl Client {
    fn request_head(&mut self, up: &mut Wire, shared: &mut Shared) -> io::Result<Step> {
        let Some(n) = self.wire.read(&mut shared.buffer)? else { return Ok(Step::Wait) };
        if n == 0 {
            return Ok(Step::Finished);
        }
        shared.out.clear();
        let bytes = joined(&mut self.carry, &shared.buffer[..n]);
        let Some(head) = head::request(bytes, &mut shared.out).map_err(io::Error::other)? else {
            if self.carry.is_empty() {
                self.carry.extend_from_slice(&shared.buffer[..n]);
            }
            return Ok(Step::Again);
        };
        let (mut framing, body) = (head.framing, &bytes[head.len..]);
        let taken = framing.take(body);
        if taken < body.len() {
            return Err(io::Error::other("a pipelined request: the bare relay knows none"));
        }
        send_message(up, &mut shared.out, body)?;
        (self.keep_alive, self.is_head, self.carry) = (head.keep_alive, head.is_head, Vec::new());
        self.phase = request_left(framing);
        Ok(Step::Again)
    }

    fn request_body(
        &mut self,
        mut framing: Framing,
        up: &mut Wire,
        shared: &mut Shared,
    ) -> io::Result<Step> {
        let Some(n) = self.wire.read(&mut shared.buffer)? else { return Ok(Step::Wait) };
        if n == 0 {
            return Ok(Step::Finished);
        }
        let taken = framing.take(&shared.buffer[..n]);
        up.send(&[], &shared.buffer[..taken])?;
        self.phase = request_left(framing);
        Ok(Step::Again)
    }

    fn response_head(&mut self, up: &mut Wire, shared: &mut Shared) -> io::Result<Step> {
        let Some(n) = up.read(&mut shared.buffer)? else { return Ok(Step::Wait) };
        if n == 0 {
            return Ok(Step::Finished);
        }
        shared.out.clear();
        let bytes = joined(&mut self.carry, &shared.buffer[..n]);
        let head = head::response(bytes, self.is_head, &mut shared.out);
        let Some(head) = head.map_err(io::Error::other)? else {
            if self.carry.is_empty() {
                self.carry.extend_from_slice(&shared.buffer[..n]);
            }
            return Ok(Step::Again);
        };
        let mut framing = head.framing;
        let taken = framing.take(&bytes[head.len..]);
        send_message(&mut self.wire, &mut shared.out, &bytes[head.len..head.len + taken])?;
        self.carry = Vec::new();
        self.keep_alive &= head.framing != Framing::Close;
        self.phase = Phase::ResponseBody(framing, head.keep_alive);
        Ok(Step::Again)
    }

    fn response_body(
        &mut self,
        mut framing: Framing,
        reuse: bool,
        up: &mut Wire,
        shared: &mut Shared,
    ) -> io::Result<Step> {
        let Some(n) = up.read(&mut shared.buffer)? else { return Ok(Step::Wait) };
        if n == 0 {
            return Ok(Step::Finished);
        }
        let taken = framing.take(&shared.buffer[..n]);
        self.wire.send(&[], &shared.buffer[..taken])?;
        self.phase = Phase::ResponseBody(framing, reuse);
        Ok(Step::Again)
    }
}

/// A small body is copied behind its head: that costs less than a call with two parts.
fn send_message(to: &mut Wire, head: &mut Vec<u8>, body: &[u8]) -> io::Result<()> {
    if body.len() > SMALL_BODY {
        return to.send(head, body);
    }
    head.extend_from_slice(body);
    to.send(head, &[])
}

fn request_left(framing: Framing) -> Phase {
    if framing.is_done() { Phase::ResponseHead } else { Phase::RequestBody(framing) }
}

/// The bytes read now, after those that were kept; a copy only if some were.
fn joined<'a>(carry: &'a mut Vec<u8>, bytes: &'a [u8]) -> &'a [u8] {
    if carry.is_empty() {
        return bytes;
    }
    carry.extend_from_slice(bytes);
    carry
}

/// The socket under TLS: notes whether the last read drained it.
struct Tap<'a> {
    sock: &'a mut TcpStream,
    drained: bool,
}

impl Read for Tap<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.drained {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let read = self.sock.read(buffer);
        self.drained = !matches!(read, Ok(n) if n == buffer.len());
        read
    }
}

impl Write for Tap<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sock.write(bytes)
    }

    fn write_vectored(&mut self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        self.sock.write_vectored(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Wire {
    fn new(sock: TcpStream, tls: Option<Box<ClientConnection>>) -> Self {
        Self { sock, tls, pending: Vec::new(), readable: false, closed: false }
    }

    fn note(&mut self, event: &Event) {
        self.readable |= event.is_readable();
        self.closed |= event.is_read_closed();
    }

    /// `None`: nothing to read now. A short read has drained the socket.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let Some(tls) = &mut self.tls else {
            if !self.readable {
                return Ok(None);
            }
            let read = nonblocking(self.sock.read(buffer))?;
            self.readable = self.closed || read == Some(buffer.len());
            return Ok(read);
        };
        // Plain text may be left from the last record though the socket is drained.
        let mut tap = Tap { sock: &mut self.sock, drained: !self.readable };
        let read = nonblocking(rustls::Stream::new(&mut **tls, &mut tap).read(buffer))?;
        self.readable = self.closed || !tap.drained;
        Ok(read)
    }

    /// Sends both parts in one system call; what the socket does not take is kept.
    fn send(&mut self, first: &[u8], second: &[u8]) -> io::Result<()> {
        let parts = [IoSlice::new(first), IoSlice::new(second)];
        let sent = match &mut self.tls {
            None if first.is_empty() => nonblocking(self.sock.write(second))?,
            None if second.is_empty() => nonblocking(self.sock.write(first))?,
            None => nonblocking(self.sock.write_vectored(&parts))?,
            Some(tls) => {
                let mut tap = Tap { sock: &mut self.sock, drained: true };
                nonblocking(rustls::Stream::new(&mut **tls, &mut tap).write_vectored(&parts))?
            }
        };
        let sent = sent.unwrap_or(0);
        if sent < first.len() + second.len() {
            self.pending.extend_from_slice(first.get(sent..).unwrap_or_default());
            self.pending.extend_from_slice(&second[sent.saturating_sub(first.len())..]);
        }
        Ok(())
    }

    /// True: nothing is left to send.
    fn flush(&mut self) -> io::Result<bool> {
        if let Some(tls) = &mut self.tls {
            let mut tap = Tap { sock: &mut self.sock, drained: !self.readable };
            while tls.is_handshaking() || tls.wants_write() {
                if nonblocking(tls.complete_io(&mut tap))?.is_none() {
                    self.readable = !tap.drained;
                    return Ok(false);
                }
            }
            self.readable = self.closed || !tap.drained;
        }
        if self.pending.is_empty() {
            return Ok(true);
        }
        let pending = std::mem::take(&mut self.pending);
        self.send(&[], &pending)?;
        Ok(self.pending.is_empty())
    }
}

fn nonblocking<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(e) => Err(e),
    }
}
