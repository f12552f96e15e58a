//! What a relay costs: CPU on each side beside a direct call, bytes on the way, and the memory of an
//! answer that is too long to be kept.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use super::{
    http::Client,
    load,
    options::Options,
    peers::{self, Peer, Running, Site},
    proc::Server,
    procfs, stats,
    workload::{self, Request, Workload},
};
use crate::{
    run,
    ui::{self, Outcome},
};

/// The key of this run.
pub(crate) const RELAY: &str = "relay";
/// The long answer: sparse on disk, all of it on the wire.
const LONG_BYTES: u64 = 1 << 30;
const LONG: &str = "/long.bin";

/// One size of answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cost {
    pub(crate) what: &'static str,
    /// CPU µs of the gateway per request, directly.
    pub(crate) direct: f64,
    /// The same over the relay.
    pub(crate) gateway: f64,
    /// CPU µs of the relay per request.
    pub(crate) relay: f64,
}

/// What a relay costs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Relayed {
    pub(crate) costs: Vec<Cost>,
    /// Bytes between gateway and relay for one GET of 64 KiB, and those of the provider's own head
    /// and body among them.
    pub(crate) on_the_way: u64,
    pub(crate) content: u64,
    /// How much the peak of resident memory grew over an answer of 1 GiB, in KiB.
    pub(crate) gateway_grew: u64,
    pub(crate) relay_grew: u64,
}

impl Relayed {
    /// What the envelope adds to an answer of 64 KiB, in per cent.
    pub(crate) fn overhead(&self) -> f64 {
        (self.on_the_way as f64 - self.content as f64) * 100.0 / self.content as f64
    }
}

/// Everything that runs.
struct World {
    direct: Running,
    relayed: Running,
    relay: Server,
    relay_port: u16,
    kit: PathBuf,
}

/// Measures.
pub(crate) fn measure(options: &Options, site: &mut Site) -> Outcome<Relayed> {
    let base = workload::ALL.first().ok_or("there is no workload")?;
    site.start_origin(base)?;
    let mut world = start(base, site)?;
    let large = Workload { request: Request::Large, ..*base };
    let small = cost("GET 1 KiB", base, &mut world, options, site)?;
    let large_cost = cost("GET 64 KiB", &large, &mut world, options, site)?;
    let (on_the_way, content) = bytes(&world, &large, site)?;
    let (gateway_grew, relay_grew) = long(&world, site)?;
    Ok(Relayed { costs: vec![small, large_cost], on_the_way, content, gateway_grew, relay_grew })
}

fn start(base: &'static Workload, site: &Site) -> Outcome<World> {
    let direct = Peer::Byway.start(base, site)?;
    let kit = site.path().join("kit");
    let (byway, program) = (binary("byway")?, binary("byway-relay")?);
    let relay_port = peers::free_port()?;
    let mut new = Command::new(&byway);
    new.args(["relay", "new", "container", "out", "--dir"]).arg(&kit).arg("--relay").arg(&program);
    new.args(["--allow", &format!("127.0.0.1:{}", site.plain_port())]);
    new.args(["--url", &format!("http://127.0.0.1:{relay_port}/")]);
    run::require(&mut new, Duration::from_secs(20))?;
    let file = kit.join("relay.toml");
    let text = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    let text = text.replace("allow = ", "networks = [\"127.0.0.0/8\"]\nallow = ");
    fs::write(&file, text).map_err(|e| format!("{}: {e}", file.display()))?;
    let arguments = [
        program.display().to_string(),
        String::from("--config"),
        file.display().to_string(),
        String::from("--listen"),
        format!("127.0.0.1:{relay_port}"),
    ];
    let cores = peers::cores(1);
    let relay = Server::start("relay", &arguments, &cores, relay_port, site.path())?;
    let relayed = gateway("relayed", relay_port, &kit, site)?;
    Ok(World { direct, relayed, relay, relay_port, kit })
}

/// A gateway whose only way out is the relay at a port.
fn gateway(name: &str, relay_port: u16, kit: &std::path::Path, site: &Site) -> Outcome<Running> {
    let port = peers::free_port()?;
    let path = fs::read_to_string(kit.join("byway-path.toml")).map_err(|e| e.to_string())?;
    let here = format!("url = \"http://127.0.0.1:{relay_port}/\"");
    let path: Vec<String> = path
        .lines()
        .map(|line| if line.starts_with("url = ") { here.clone() } else { line.to_owned() })
        .collect();
    let text = format!(
        "[gateway]\nlisten = \"127.0.0.1:{port}\"\nworkers = 1\n[admin]\nlisten = \"127.0.0.1:{}\"\n\
         [log]\nrequests = \"errors\"\n{}\n[provider.origin]\nurl = \"http://127.0.0.1:{}\"\n\
         allow_private = true\npaths = [\"out\"]\n",
        peers::free_port()?,
        path.join("\n"),
        site.plain_port()
    );
    let file = kit.join(format!("{name}.toml"));
    fs::write(&file, text).map_err(|e| format!("{}: {e}", file.display()))?;
    let arguments = [
        binary("byway")?.display().to_string(),
        String::from("serve"),
        String::from("--config"),
        file.display().to_string(),
        String::from("--state"),
        kit.join(format!("{name}-state")).display().to_string(),
    ];
    let server = Server::start(name, &arguments, &peers::cores(1), port, site.path())?;
    Ok(Running { peer: Peer::Byway, port, server })
}

fn binary(name: &str) -> Outcome<PathBuf> {
    let file = run::target().join("release").join(name);
    if file.is_file() { Ok(file) } else { Err(format!("{} is not built", file.display())) }
}

/// Rounds of both, one after the other.
fn cost(
    what: &'static str,
    workload: &Workload,
    world: &mut World,
    options: &Options,
    site: &Site,
) -> Outcome<Cost> {
    let ticks = load::ticks_per_second();
    load::verify(&mut world.direct, site, workload)?;
    load::verify(&mut world.relayed, site, workload)?;
    let (mut direct, mut through, mut relay) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        let before = procfs::cpu_us(world.direct.server.pid(), ticks);
        let n = load::load(&world.direct, site, workload, options.seconds)? as f64;
        direct.push((procfs::cpu_us(world.direct.server.pid(), ticks) - before) / n);
        let before = procfs::cpu_us(world.relayed.server.pid(), ticks);
        let there = procfs::cpu_us(world.relay.pid(), ticks);
        let n = load::load(&world.relayed, site, workload, options.seconds)? as f64;
        through.push((procfs::cpu_us(world.relayed.server.pid(), ticks) - before) / n);
        relay.push((procfs::cpu_us(world.relay.pid(), ticks) - there) / n);
    }
    let median = |values: &[f64]| stats::median(values).unwrap_or_default();
    let cost =
        Cost { what, direct: median(&direct), gateway: median(&through), relay: median(&relay) };
    ui::say(format_args!(
        "   {what}: direct {:.1} µs; gateway {:.1} µs and relay {:.1} µs",
        cost.direct, cost.gateway, cost.relay
    ));
    Ok(cost)
}

/// Counts what goes between gateway and relay for one GET, and the provider's answer in it.
fn bytes(world: &World, workload: &Workload, site: &Site) -> Outcome<(u64, u64)> {
    let counted = Arc::new(AtomicU64::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    let port = listener.local_addr().map_err(|e| e.to_string())?.port();
    let (to, n) = (world.relay_port, Arc::clone(&counted));
    thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            let Ok(far) = TcpStream::connect(("127.0.0.1", to)) else { return };
            for (from, to, count) in [
                (near.try_clone(), far.try_clone(), None),
                (Ok(far), Ok(near), Some(Arc::clone(&n))),
            ] {
                thread::spawn(move || {
                    let (Ok(mut from), Ok(mut to)) = (from, to) else { return };
                    let mut buf = vec![0; 64 * 1024];
                    while let Ok(n) = from.read(&mut buf) {
                        if n == 0 || to.write_all(buf.get(..n).unwrap_or_default()).is_err() {
                            return;
                        }
                        if let Some(count) = &count {
                            count.fetch_add(n as u64, Ordering::Relaxed);
                        }
                    }
                });
            }
        }
    });
    let running = gateway("counted", port, &world.kit, site)?;
    let path = format!("/to/origin{}", workload.request.path());
    let mut client = Client::connect(running.port)?;
    // The first makes the connection; the second is counted.
    client.get(running.port, &path)?;
    let before = counted.load(Ordering::Relaxed);
    let answer = client.get(running.port, &path)?;
    let on_the_way = counted.load(Ordering::Relaxed) - before;
    let mut direct = Client::connect(site.plain_port())?;
    let due = direct.get(site.plain_port(), workload.request.path())?;
    if answer.body != due.body {
        return Err(String::from("the counted answer is not the origin's"));
    }
    Ok((on_the_way, (due.head_bytes + due.body.len()) as u64))
}

/// Reads the long answer through the relay, and says how much both sides grew meanwhile.
fn long(world: &World, site: &Site) -> Outcome<(u64, u64)> {
    let file = site.path().join("www").join(LONG.trim_start_matches('/'));
    let made = fs::File::create(&file).and_then(|file| file.set_len(LONG_BYTES));
    made.map_err(|e| format!("{}: {e}", file.display()))?;
    let pids = [world.relayed.server.pid(), world.relay.pid()];
    let before = pids.map(procfs::peak_kib);
    let mut stream =
        TcpStream::connect(("127.0.0.1", world.relayed.port)).map_err(|e| e.to_string())?;
    let request = format!(
        "GET /to/origin{LONG} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n\r\n",
        world.relayed.port
    );
    stream.write_all(request.as_bytes()).map_err(|e| e.to_string())?;
    let (mut got, mut buf) = (0_u64, vec![0; 256 * 1024]);
    loop {
        match stream.read(&mut buf).map_err(|e| e.to_string())? {
            0 => break,
            n => got += n as u64,
        }
    }
    let after = pids.map(procfs::peak_kib);
    drop(fs::remove_file(&file));
    if got < LONG_BYTES {
        return Err(format!("the long answer ended after {got} bytes"));
    }
    let [gateway, relay] = [0, 1].map(|n: usize| {
        let at = |all: &[u64; 2]| all.get(n).copied().unwrap_or_default();
        at(&after).saturating_sub(at(&before))
    });
    ui::say(format_args!("   1 GiB: the gateway grew by {gateway} KiB, the relay by {relay} KiB"));
    Ok((gateway, relay))
}
