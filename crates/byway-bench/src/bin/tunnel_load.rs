//! Load through CONNECT tunnels: opens so many tunnels, sends GETs through each of them over a
//! kept-alive connection, one at a time, and prints how many were answered, as wrk does.

#![expect(clippy::indexing_slicing, reason = "lengths come from our own reads")]

use std::{
    io,
    net::SocketAddr,
    process::ExitCode,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use byway_bench::cli;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time,
};

const USAGE: &str = "usage: --proxy ADDR:PORT --target HOST:PORT --path PATH --bytes N \
                     [--connections N] [--seconds S] [--direct]";

struct Options {
    proxy: SocketAddr,
    target: String,
    path: String,
    /// The length that every response body must have.
    bytes: usize,
    connections: usize,
    seconds: u64,
    /// No CONNECT: the relay under test always leads to the target.
    direct: bool,
}

static ANSWERED: AtomicU64 = AtomicU64::new(0);
static STOP: AtomicBool = AtomicBool::new(false);

fn main() -> ExitCode {
    let run = parse(std::env::args().skip(1)).and_then(|options| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.and_then(|runtime| runtime.block_on(load(options))).map_err(|e| e.to_string())
    });
    run.map_or_else(|why| cli::fail(&why), |()| ExitCode::SUCCESS)
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let (mut proxy, mut target, mut path, mut bytes) = (None, None, None, None);
    let (mut connections, mut seconds, mut direct) = (64, 3, false);
    while let Some(name) = args.next() {
        if name == "--direct" {
            direct = true;
            continue;
        }
        let value = args.next().ok_or_else(|| format!("{name} needs a value\n{USAGE}"))?;
        let bad = |what: &dyn std::fmt::Display| format!("{name} {value}: {what}\n{USAGE}");
        match name.as_str() {
            "--proxy" => proxy = Some(value.parse().map_err(|e| bad(&e))?),
            "--target" => target = Some(value),
            "--path" => path = Some(value),
            "--bytes" => bytes = Some(value.parse().map_err(|e| bad(&e))?),
            "--connections" => connections = value.parse().map_err(|e| bad(&e))?,
            "--seconds" => seconds = value.parse().map_err(|e| bad(&e))?,
            _ => return Err(bad(&"no such option")),
        }
    }
    let missing = |name: &str| format!("{name} is missing\n{USAGE}");
    Ok(Options {
        proxy: proxy.ok_or_else(|| missing("--proxy"))?,
        target: target.ok_or_else(|| missing("--target"))?,
        path: path.ok_or_else(|| missing("--path"))?,
        bytes: bytes.ok_or_else(|| missing("--bytes"))?,
        connections,
        seconds,
        direct,
    })
}

#[expect(clippy::print_stdout, reason = "the count is the product of this tool")]
async fn load(options: Options) -> io::Result<()> {
    let options: &'static Options = Box::leak(Box::new(options));
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..options.connections {
        clients.spawn(client(options));
    }
    let end = time::sleep(Duration::from_secs(options.seconds));
    tokio::pin!(end);
    let mut first_error = None;
    loop {
        tokio::select! {
            () = &mut end, if !STOP.load(Ordering::Relaxed) => STOP.store(true, Ordering::Relaxed),
            done = clients.join_next() => match done {
                None => break,
                Some(Ok(Ok(()))) => {}
                Some(Ok(Err(e))) => first_error = first_error.or(Some(e)),
                Some(Err(e)) => first_error = first_error.or(Some(io::Error::other(e))),
            },
        }
    }
    let answered = ANSWERED.load(Ordering::Relaxed);
    println!("  {answered} requests in {}.00s", options.seconds);
    first_error.map_or(Ok(()), Err)
}

async fn client(options: &Options) -> io::Result<()> {
    let mut sock = TcpStream::connect(options.proxy).await?;
    sock.set_nodelay(true)?;
    let target = &options.target;
    let mut buffer = vec![0; 128 * 1024];
    if !options.direct {
        let connect = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
        exchange(&mut sock, connect.as_bytes(), 0, &mut buffer).await?;
    }
    let get = format!("GET {} HTTP/1.1\r\nHost: {target}\r\n\r\n", options.path);
    while !STOP.load(Ordering::Relaxed) {
        exchange(&mut sock, get.as_bytes(), options.bytes, &mut buffer).await?;
        ANSWERED.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// Sends a request and reads a response of exactly so many body bytes and status 200.
async fn exchange(
    sock: &mut TcpStream,
    request: &[u8],
    body: usize,
    buffer: &mut [u8],
) -> io::Result<()> {
    sock.write_all(request).await?;
    let (mut filled, mut head) = (0, None);
    loop {
        let n = sock.read(&mut buffer[filled..]).await?;
        if n == 0 {
            return Err(io::Error::other("the proxy closed in the middle of a response"));
        }
        filled += n;
        if head.is_none() {
            head = buffer[..filled].windows(4).position(|four| four == b"\r\n\r\n");
        }
        let Some(end) = head.map(|head| head + 4) else { continue };
        if !buffer.starts_with(b"HTTP/1.1 200") && !buffer.starts_with(b"HTTP/1.0 200") {
            let line = buffer[..end].split(|b| *b == b'\r').next().unwrap_or_default();
            let line = String::from_utf8_lossy(line);
            return Err(io::Error::other(format!("not a 200: {line}")));
        }
        if filled > end + body {
            return Err(io::Error::other("the response is longer than it should be"));
        }
        if filled == end + body {
            return Ok(());
        }
    }
}
