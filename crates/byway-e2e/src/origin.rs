//! Origins: what they do with a connection is a function; every byte they get is kept.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::pki::Identity;
use crate::raw::{self, Kind, Message};

/// Anything that can be read and written.
pub trait Stream: Read + Write + Send {}

impl<S: Read + Write + Send> Stream for S {}

/// A server on loopback that ends with the test.
#[derive(Debug)]
pub struct Origin {
    /// Where it listens.
    pub addr: SocketAddr,
    messages: Arc<Mutex<Vec<Message>>>,
    n_connections: Arc<AtomicUsize>,
}

impl Origin {
    /// Serves every connection by a function of its own.
    ///
    /// # Panics
    /// If it cannot listen.
    pub fn serving(serve: impl Fn(&mut dyn Stream) + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1:0", None, move |_, stream, _| serve(stream))
    }

    /// Answers every request by a function of it. Connections stay open.
    ///
    /// # Panics
    /// If it cannot listen.
    pub fn answering(answer: impl Fn(&Message) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1:0", None, move |messages, stream, _| {
            answer_all(messages, stream, &answer);
        })
    }

    /// The same over TLS.
    ///
    /// # Panics
    /// If it cannot listen.
    pub fn answering_tls(
        identity: &Identity,
        answer: impl Fn(&Message) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        Self::at("127.0.0.1:0", Some(identity), move |messages, stream, _| {
            answer_all(messages, stream, &answer);
        })
    }

    /// Answers every request with its own bytes.
    ///
    /// # Panics
    /// If it cannot listen.
    pub fn echo() -> Self {
        Self::answering(echo)
    }

    /// Serves on an address, over TLS or not; the function also learns who called.
    ///
    /// # Panics
    /// If it cannot listen.
    pub fn at(
        addr: &str,
        tls: Option<&Identity>,
        serve: impl Fn(&Mutex<Vec<Message>>, &mut dyn Stream, SocketAddr) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(addr).expect("loopback");
        let addr = listener.local_addr().expect("an address");
        let messages = Arc::new(Mutex::new(Vec::new()));
        let n_connections = Arc::new(AtomicUsize::new(0));
        let (kept, counted) = (Arc::clone(&messages), Arc::clone(&n_connections));
        let tls = tls.map(Identity::server);
        let serve = Arc::new(serve);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                counted.fetch_add(1, Ordering::Relaxed);
                let (kept, serve, tls) = (Arc::clone(&kept), Arc::clone(&serve), tls.clone());
                std::thread::spawn(move || with_tls(stream, tls, |s, peer| serve(&kept, s, peer)));
            }
        });
        Self { addr, messages, n_connections }
    }

    /// What it got so far.
    ///
    /// # Panics
    /// If one of its threads panicked.
    pub fn messages(&self) -> Vec<Message> {
        self.messages.lock().expect("no panic").clone()
    }

    /// How many connections it got so far.
    pub fn n_connections(&self) -> usize {
        self.n_connections.load(Ordering::Relaxed)
    }
}

fn with_tls(
    mut stream: TcpStream,
    tls: Option<Arc<rustls::ServerConfig>>,
    serve: impl Fn(&mut dyn Stream, SocketAddr),
) {
    let Ok(peer) = stream.peer_addr() else { return };
    stream.set_nodelay(true).expect("a socket");
    stream.set_read_timeout(Some(raw::PATIENCE)).expect("a socket");
    let Some(config) = tls else { return serve(&mut stream, peer) };
    let connection = rustls::ServerConnection::new(config).expect("a configuration");
    let mut stream = rustls::StreamOwned::new(connection, stream);
    serve(&mut stream, peer);
    stream.conn.send_close_notify();
    // The client may have gone first.
    let _gone = stream.flush();
}

fn answer_all(
    messages: &Mutex<Vec<Message>>,
    stream: &mut dyn Stream,
    answer: &impl Fn(&Message) -> Vec<u8>,
) {
    // An idle connection times out in the read, which is a panic there; here it is the end.
    let mut stream = stream;
    loop {
        let read = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            raw::read_message(&mut stream, Kind::Request)
        }));
        let Ok(Some(message)) = read else { return };
        messages.lock().expect("no panic").push(message.clone());
        if stream.write_all(&answer(&message)).and_then(|()| stream.flush()).is_err() {
            return;
        }
    }
}

/// An answer with a length.
pub fn ok(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// The request's own bytes as an answer, with odd but legal fields around.
pub fn echo(message: &Message) -> Vec<u8> {
    let body = [message.head.as_slice(), &message.body].concat();
    let body = if message.head.starts_with(b"HEAD ") { Vec::new() } else { body };
    let head = format!(
        "HTTP/1.1 200 Fine \u{d55c}\u{ae00}\r\nx-lower:no-space\r\nX-Lower:  two  \r\nSET-COOKIE: a=1\r\nset-cookie: b=2\r\nConnection: keep-alive\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body.as_slice()].concat()
}
