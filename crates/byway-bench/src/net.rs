//! Listening sockets: one per worker on the same port, so that workers share nothing.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    thread,
};

use socket2::{Domain, Protocol, Socket, Type};

use crate::cli::Options;

/// A non-blocking listener on a port that other workers listen on as well.
pub fn listener(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(4096)?;
    Ok(socket.into())
}

/// Runs `worker` on `options.workers` threads, and returns when the first of them fails.
pub fn run_workers(
    options: &Options,
    worker: fn(&Options, TcpListener) -> io::Result<()>,
) -> Result<(), String> {
    let (failed, failures) = std::sync::mpsc::sync_channel(options.workers);
    for _ in 0..options.workers {
        let socket = listener(options.listen)
            .map_err(|e| format!("cannot listen on {}: {e}", options.listen))?;
        let (options, failed) = (options.clone(), failed.clone());
        thread::spawn(move || {
            // The receiver is gone only when another worker has failed already.
            drop(failed.send(worker(&options, socket)));
        });
    }
    drop(failed);
    match failures.recv() {
        Ok(Err(e)) => Err(format!("a worker stopped: {e}")),
        Ok(Ok(())) | Err(_) => Err(String::from("a worker stopped without saying why")),
    }
}
