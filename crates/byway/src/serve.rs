//! `byway serve`: settings, sockets, gateway, admin, signals, in that order.

use std::io::IsTerminal as _;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use byway_core::settings::{Listener, Settings};
use byway_gateway::{Gateway, Inherited, Places, admin};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::ca;
use crate::cli::{self, ServeArgs};
use crate::init::Bare;
use crate::logging;
use crate::otlp::Exporter;
use crate::relay;
use crate::state::State;
use crate::takeover::{self, Handed, Role, Takeover};
use crate::watch::Watch;

/// How often the configuration file is looked at.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// Runs the gateway until it is told to stop.
///
/// # Errors
/// If it cannot start.
pub(crate) fn run(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    let file = config_file(args)?;
    let mut settings = match settings(file.as_deref(), args) {
        Ok(settings) => settings,
        Err(problems) => {
            cli::complain(&problems);
            return Ok(ExitCode::from(2));
        }
    };
    logging::start(settings.log.format);
    settings.authority = ca::for_gateway(&settings);
    let (takeover, handed) = sockets(&settings, args)?;
    let (mut callers, mut admins, mut successors) = (Inherited::new(), Vec::new(), None);
    for Handed { role, addr, socket } in handed {
        match role {
            Role::Callers => callers.push((addr, TcpListener::from(socket))),
            Role::Admin => admins.push((addr, TcpListener::from(socket))),
            Role::Successors => successors = Some(UnixListener::from(socket)),
        }
    }
    let admin_socket = settings.admin.map(|addr| admin_socket(addr, admins)).transpose()?;
    let first = settings.listeners.first().map(|listener| listener.addr);
    let (spans, exporter) = match &settings.otlp {
        Some(otlp) => {
            let (spans, exporter) = Exporter::start(otlp, &settings.instance)?;
            (Some(spans), Some(exporter))
        }
        None => (None, None),
    };
    let state = State::open(&settings);
    let places = Places {
        locks: Some(relay::locks(&settings)?),
        spans,
        facts: state.facts.clone(),
        copies: state.copies.clone(),
        orders: state.orders.clone(),
    };
    let gateway =
        Gateway::start(settings.clone(), callers, places).map_err(|error| told(error, first))?;
    for (provider, order) in &state.orders {
        let is_listed = settings.providers.iter().any(|known| known.name.as_str() == provider);
        tracing::info!(provider, order = order.as_str(), is_listed, "an order stands");
    }
    let successors = match (successors, gateway.addresses().first()) {
        (None, Some(addr)) => takeover::announce(*addr)
            .inspect_err(|error| tracing::warn!(%error, "this gateway cannot be taken over"))
            .ok(),
        (successors, _) => successors,
    };
    if let Some(takeover) = takeover {
        takeover.ready().context("the running gateway went away during the takeover")?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let keep_order = Arc::clone(&state.keep_order);
    let sockets = Sockets { admin: admin_socket, successors, keep_order };
    let ended = runtime.block_on(operate(args, file.as_deref(), settings, gateway, sockets));
    // The threads that may still hold the gateway end with the runtime's blocking pool.
    runtime.shutdown_timeout(Duration::from_secs(1));
    if let Some(exporter) = exporter {
        exporter.finish();
    }
    state.finish();
    ended
}

fn config_file(args: &ServeArgs) -> anyhow::Result<Option<PathBuf>> {
    match &args.config {
        Some(file) if !file.exists() => {
            bail!("no configuration at `{}`; `byway init` writes one", file.display())
        }
        Some(file) => Ok(Some(file.clone())),
        None => Ok(Some(PathBuf::from("byway.toml")).filter(|file| file.exists())),
    }
}

fn settings(file: Option<&Path>, args: &ServeArgs) -> Result<Settings, String> {
    let settings = match file {
        Some(file) => byway_config::load(file),
        None => byway_config::parse("built-in defaults", "", &Bare),
    };
    let mut settings =
        settings.map_err(|problems| problems.render(std::io::stderr().is_terminal()))?;
    let loopback_only = |addr: SocketAddr| {
        if addr.ip().is_loopback() {
            Ok(addr)
        } else {
            Err(format!(
                "`{addr}` is not loopback: other listeners need TLS and credentials, see `[listener]` in docs/config.toml"
            ))
        }
    };
    if let Some(addr) = args.listen {
        settings.listeners = vec![Listener::loopback(loopback_only(addr)?)];
    }
    if let Some(addr) = args.admin {
        settings.admin = Some(loopback_only(addr)?);
    }
    if let Some(dir) = &args.state {
        settings.state.dir = Some(dir.clone());
    }
    Ok(settings)
}

/// Sockets from the running gateway or from the service manager, if there are any.
fn sockets(
    settings: &Settings,
    args: &ServeArgs,
) -> anyhow::Result<(Option<Takeover>, Vec<Handed>)> {
    let Some(first) = settings.listeners.first().map(|listener| listener.addr) else {
        return Ok((None, Vec::new()));
    };
    if args.takeover {
        return match Takeover::begin(first) {
            Ok((takeover, handed)) => {
                tracing::info!(sockets = handed.len(), "taking over");
                Ok((Some(takeover), handed))
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                tracing::warn!(address = %first, "no gateway to take over from, starting afresh");
                Ok((None, Vec::new()))
            }
            Err(error) => Err(error).context("cannot take over the running gateway's sockets"),
        };
    }
    if first.port() != 0 && takeover::is_running(first) {
        bail!("a gateway already listens on {first}; `byway serve --takeover` replaces it");
    }
    Ok((None, activated(settings)?))
}

/// Socket activation (`LISTEN_FDS`, see sd_listen_fds(3)).
fn activated(settings: &Settings) -> anyhow::Result<Vec<Handed>> {
    let mut from_manager = listenfd::ListenFd::from_env();
    let mut handed = Vec::new();
    for index in 0..from_manager.len() {
        let socket = from_manager
            .take_tcp_listener(index)
            .context("the service manager passed something that is not a TCP listener")?;
        let Some(socket) = socket else { continue };
        let addr = socket.local_addr()?;
        let role = if settings.admin == Some(addr) { Role::Admin } else { Role::Callers };
        if role == Role::Callers && !settings.listeners.iter().any(|l| l.addr == addr) {
            tracing::warn!(%addr, "no listener is configured for a socket of the service manager");
        }
        handed.push(Handed { role, addr, socket: socket.into() });
    }
    Ok(handed)
}

fn admin_socket(
    addr: SocketAddr,
    handed: Vec<(SocketAddr, TcpListener)>,
) -> anyhow::Result<TcpListener> {
    match handed.into_iter().find(|(at, _)| *at == addr) {
        Some((_, socket)) => Ok(socket),
        None => TcpListener::bind(addr)
            .with_context(|| format!("cannot listen on {addr} for operators")),
    }
}

/// Adds what to do to the errors that people meet first.
fn told(error: byway_gateway::StartError, first: Option<SocketAddr>) -> anyhow::Error {
    let is_taken = matches!(&error, byway_gateway::StartError::Listen { source, .. }
        if source.kind() == std::io::ErrorKind::AddrInUse);
    let error = anyhow::Error::new(error);
    match first {
        Some(addr) if is_taken => {
            error.context(format!("another program uses {addr}; `--listen` takes another address"))
        }
        _ => error,
    }
}

/// Everything that can make the running gateway act.
enum Event {
    Stop,
    Reload,
    Look,
    Replaced,
}

/// Sockets that are not the gateway's.
struct Sockets {
    admin: Option<TcpListener>,
    successors: Option<UnixListener>,
    keep_order: admin::KeepOrder,
}

async fn operate(
    args: &ServeArgs,
    file: Option<&Path>,
    settings: Settings,
    gateway: Gateway,
    sockets: Sockets,
) -> anyhow::Result<ExitCode> {
    let Sockets { admin: admin_socket, successors, keep_order } = sockets;
    let gateway = Arc::new(gateway);
    let stop_admin = CancellationToken::new();
    let admin_addr = admin_socket.as_ref().and_then(|socket| socket.local_addr().ok());
    let admin_copy = admin_socket.as_ref().map(TcpListener::try_clone).transpose()?;
    let tasks = tokio_util::task::TaskTracker::new();
    if let Some(socket) = admin_socket {
        let (observer, stop) = (gateway.observer(), stop_admin.clone());
        let names = settings.names.clone();
        tasks.spawn(async move {
            if let Err(error) = admin::serve(socket, observer, names, keep_order, stop).await {
                tracing::error!(%error, "the admin listener ended");
            }
        });
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut replaced = await_successor(successors, &gateway, admin_copy);
    let mut watch = file.map(Watch::new);
    greet(&gateway, admin_addr, file);
    loop {
        let event = tokio::select! {
            _ = terminate.recv() => Event::Stop,
            _ = interrupt.recv() => Event::Stop,
            _ = hang_up.recv() => Event::Reload,
            Some(()) = replaced.recv() => Event::Replaced,
            () = tokio::time::sleep(WATCH_EVERY) => Event::Look,
        };
        match event {
            Event::Stop => break,
            Event::Replaced => {
                // The successor answers operators from now on, on the same socket.
                stop_admin.cancel();
                break;
            }
            Event::Reload => reload(args, file, &gateway),
            Event::Look => {
                if watch.as_mut().is_some_and(Watch::has_changed) {
                    reload(args, file, &gateway);
                }
            }
        }
    }
    tracing::info!("stopping: no new connections, finishing what is under way");
    let draining = tokio::task::spawn_blocking(move || gateway.stop());
    tokio::select! {
        drained = draining => drained?,
        _ = terminate.recv() => tracing::warn!("stopped at once"),
        _ = interrupt.recv() => tracing::warn!("stopped at once"),
    }
    stop_admin.cancel();
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

fn greet(gateway: &Gateway, admin: Option<SocketAddr>, file: Option<&Path>) {
    let config = file.map_or_else(|| "none".to_owned(), |file| file.display().to_string());
    for addr in gateway.addresses() {
        tracing::info!(%addr, config, "listening for callers");
    }
    if let Some(addr) = admin {
        tracing::info!(%addr, "listening for operators");
    }
}

fn reload(args: &ServeArgs, file: Option<&Path>, gateway: &Gateway) {
    let Some(file) = file else {
        tracing::info!("nothing to read again: started without a configuration");
        return;
    };
    match settings(Some(file), args) {
        Ok(mut settings) => {
            settings.authority = ca::for_gateway(&settings);
            match gateway.reload(settings) {
                Ok(()) => tracing::info!(config = %file.display(), "configuration taken into use"),
                Err(error) => {
                    let error = format!("{:#}", anyhow::Error::new(error));
                    tracing::error!(error, "configuration not taken, nothing has changed");
                }
            }
        }
        Err(problems) => {
            gateway.observer().reload_failed();
            tracing::error!("configuration not taken, nothing has changed");
            cli::complain(&problems);
        }
    }
}

/// Lets a later `byway serve --takeover` find this process; the channel tells when it is done.
fn await_successor(
    successors: Option<UnixListener>,
    gateway: &Arc<Gateway>,
    admin: Option<TcpListener>,
) -> mpsc::Receiver<()> {
    let (sender, receiver) = mpsc::channel(1);
    let Some(listener) = successors else { return receiver };
    let gateway = Arc::downgrade(gateway);
    let sockets = move || {
        let gateway = gateway.upgrade().ok_or_else(|| std::io::Error::other("stopping"))?;
        let mut handed: Vec<Handed> = gateway
            .sockets()?
            .into_iter()
            .map(|(addr, socket)| Handed { role: Role::Callers, addr, socket: socket.into() })
            .collect();
        if let Some(admin) = &admin {
            let (addr, socket) = (admin.local_addr()?, admin.try_clone()?.into());
            handed.push(Handed { role: Role::Admin, addr, socket });
        }
        Ok(handed)
    };
    let wait = move || match takeover::wait_for_successor(&listener, sockets) {
        Ok(()) => {
            let _stopping_already = sender.blocking_send(());
        }
        Err(error) => tracing::warn!(%error, "this gateway cannot be taken over"),
    };
    if let Err(error) = std::thread::Builder::new().name("byway-takeover".to_owned()).spawn(wait) {
        tracing::warn!(%error, "this gateway cannot be taken over");
    }
    receiver
}
