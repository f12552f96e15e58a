//! The floor: a relay that parses nothing. Each client connection owns one connection to the origin
//! and bytes are copied both ways: four socket system calls a request, and nothing else.

#![expect(clippy::indexing_slicing, reason = "sides are 0 or 1; lengths come from our own reads")]

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener as StdListener},
    process::ExitCode,
};

use byway_bench::{
    BUFFER,
    cli::{self, Options},
    net,
    slab::Slab,
};
use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};

const LISTENER: Token = Token(usize::MAX);
const CLIENT: usize = 0;
const ORIGIN: usize = 1;

/// Two sockets and what each still has to be sent.
struct Pair {
    sock: [TcpStream; 2],
    /// `pending[side]` waits for `sock[side]` to take more; empty but under back-pressure.
    pending: [Vec<u8>; 2],
    readable: [bool; 2],
    /// The peer said that it is done: read to the end, as no further edge will come.
    closed: [bool; 2],
}

struct Worker {
    poll: Poll,
    listener: TcpListener,
    origin: SocketAddr,
    pairs: Slab<Pair>,
    buffer: Box<[u8]>,
}

fn main() -> ExitCode {
    let options = match Options::from_env() {
        Ok(options) => options,
        Err(why) => return cli::fail(&why),
    };
    if options.tls {
        return cli::fail("a relay that parses nothing cannot speak TLS; leave out --tls");
    }
    match net::run_workers(&options, work) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => cli::fail(&why),
    }
}

fn work(options: &Options, listener: StdListener) -> io::Result<()> {
    let poll = Poll::new()?;
    let mut listener = TcpListener::from_std(listener);
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut worker = Worker {
        poll,
        listener,
        origin: options.origin,
        pairs: Slab::default(),
        buffer: vec![0; BUFFER].into_boxed_slice(),
    };
    let mut events = Events::with_capacity(1024);
    loop {
        match worker.poll.poll(&mut events, None) {
            Err(e) if e.kind() != io::ErrorKind::Interrupted => return Err(e),
            Ok(()) | Err(_) => {}
        }
        for event in &events {
            match event.token() {
                LISTENER => worker.accept()?,
                Token(token) => {
                    if let Some(pair) = worker.pairs.get_mut(token / 2) {
                        pair.readable[token % 2] |= event.is_readable();
                        pair.closed[token % 2] |= event.is_read_closed();
                        worker.ready(token / 2, token % 2, event.is_writable());
                    }
                }
            }
        }
        worker.pairs.batch_done();
    }
}

impl Worker {
    fn accept(&mut self) -> io::Result<()> {
        loop {
            let client = match self.listener.accept() {
                Ok((client, _)) => client,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e),
            };
            let mut sock = [client, TcpStream::connect(self.origin)?];
            let key = self.pairs.next_key();
            for (side, sock) in sock.iter_mut().enumerate() {
                sock.set_nodelay(true)?;
                let both = Interest::READABLE | Interest::WRITABLE;
                self.poll.registry().register(sock, Token(key * 2 + side), both)?;
            }
            self.pairs.insert(Pair {
                sock,
                pending: Default::default(),
                readable: [false; 2],
                closed: [false; 2],
            });
        }
    }

    fn ready(&mut self, key: usize, side: usize, writable: bool) {
        let Some(pair) = self.pairs.get_mut(key) else { return };
        let mut open = true;
        if writable && !pair.pending[side].is_empty() {
            open = pair.flush(side) && pair.copy(1 - side, &mut self.buffer);
        }
        if open && pair.readable[side] {
            open = pair.copy(side, &mut self.buffer);
        }
        if !open {
            self.pairs.remove(key);
        }
    }
}

impl Pair {
    /// Sends what had to wait. False: the pair is finished.
    fn flush(&mut self, side: usize) -> bool {
        let pending = &mut self.pending[side];
        match self.sock[side].write(pending) {
            Ok(n) => {
                pending.drain(..n);
                if pending.is_empty() {
                    // An idle connection holds no buffer.
                    *pending = Vec::new();
                }
                true
            }
            Err(e) => e.kind() == io::ErrorKind::WouldBlock,
        }
    }

    /// Copies from `side` to the other until drained or held up. False: the pair is finished.
    fn copy(&mut self, side: usize, buffer: &mut [u8]) -> bool {
        let other = if side == CLIENT { ORIGIN } else { CLIENT };
        while self.readable[side] && self.pending[other].is_empty() {
            let n = match self.sock[side].read(buffer) {
                Ok(0) => return false,
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.readable[side] = false;
                    return true;
                }
                Err(_) => return false,
            };
            // A short read has drained the socket: the next byte raises a new edge.
            self.readable[side] = n == buffer.len() || self.closed[side];
            let sent = match self.sock[other].write(&buffer[..n]) {
                Ok(sent) => sent,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => 0,
                Err(_) => return false,
            };
            self.pending[other].extend_from_slice(&buffer[sent..n]);
        }
        true
    }
}
