//! Where a drill happens: simulated providers, a name server, a real gateway, callers.

use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use byway_config::Environment;
use byway_core::fact::Fact;
use byway_core::route::HostPattern;
use byway_core::settings::Settings;
use byway_drill::names::Names;
use byway_drill::provider::{Provider, Received};
use byway_drill::scenario::{Act, Behaviour, Scenario};
use byway_drill::transcript::{self, Line};
use byway_gateway::{Authority, Gateway, Places};
use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::caller::{self, Got};
use super::cloud::Cloud;
use super::report::Progress;
use crate::state;

/// Facts of one drill that nobody has looked at yet.
const N_QUEUED_MAX: usize = 65_536;
/// How often facts are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// All that a drill reads: the authority of its providers, and the key of its relays.
struct Files {
    roots: Vec<u8>,
    key: String,
}

impl Environment for Files {
    fn var(&self, _: &str) -> Option<String> {
        None
    }

    fn read(&self, path: &std::path::Path) -> std::io::Result<Vec<u8>> {
        let is = |name| path == std::path::Path::new(name);
        if is(byway_drill::config::ROOTS) {
            return Ok(self.roots.clone());
        }
        if is(byway_drill::config::RELAY_KEY) {
            return Ok(self.key.clone().into_bytes());
        }
        Err(std::io::ErrorKind::NotFound.into())
    }
}

/// One call of a drill.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    /// When it began, in the drill's time.
    pub(crate) at: Duration,
    /// Whether the first provider was called.
    pub(crate) is_first: bool,
    /// What came of it.
    pub(crate) got: Got,
}

/// What a drill showed.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) lines: Vec<Line>,
    pub(crate) facts: Vec<(Duration, Fact)>,
    pub(crate) calls: Vec<Call>,
    /// What the first provider received.
    pub(crate) received: Vec<Received>,
    /// What is known at the end, as `byway explain` shows it.
    pub(crate) explained: serde_json::Value,
    /// What could not be simulated as the drill asks.
    pub(crate) notes: Vec<String>,
}

/// The simulated side of a drill.
struct World {
    providers: Vec<(String, Provider)>,
    names: Option<Names>,
    roots: Vec<u8>,
    sources: Vec<(String, IpAddr)>,
}

impl World {
    /// What happens at one moment of the timetable; a note if it cannot be as told.
    fn act(&self, act: &Act, speed: u32) -> Option<String> {
        if let Some(names) = &self.names {
            let fails = act.behaviour == Behaviour::NamesFail;
            if fails || act.behaviour == Behaviour::Fine {
                names.set_failing(fails);
            }
        }
        let sources: Vec<IpAddr> = act
            .sources
            .iter()
            .filter_map(|name| self.sources.iter().find(|(path, _)| path == name))
            .map(|(_, source)| *source)
            .collect();
        let (_, provider) = self.providers.iter().find(|(name, _)| *name == act.provider)?;
        let behaviour = act.behaviour.clone().at_speed(speed);
        provider.treat(&sources, &behaviour).err().map(|error| {
            format!("SYNs cannot be dropped here ({error}); such connections hang instead")
        })
    }
}

/// Runs a drill to its end.
///
/// # Errors
/// If the arena cannot be set up.
pub(crate) async fn run(
    scenario: &Scenario,
    speed: u32,
    progress: &Progress,
) -> anyhow::Result<Ran> {
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let world = world(scenario, &tasks, &stop).await?;
    let addresses: Vec<SocketAddr> =
        world.providers.iter().map(|(_, provider)| provider.addr).collect();
    let names = world.names.as_ref().map(|names| names.addr);
    let cloud = Cloud::start(scenario, &addresses)?;
    let files = Files { roots: world.roots.clone(), key: cloud.key_pem.clone() };
    let settings =
        settings(&scenario.config(&addresses, names, &cloud.addresses()), &files, speed)?;
    let (facts, received) = sync_channel(N_QUEUED_MAX);
    let places = Places { facts: Some(facts), ..Places::default() };
    let gateway = Gateway::start(settings, Vec::new(), places)?;
    let Some(addr) = gateway.addresses().first().copied() else { bail!("no listener") };
    let began = gateway.observer().now();
    let mut watcher = Watcher::new(received, began, speed);
    let calls = Arc::new(Mutex::new(Vec::new()));
    let notes = timetable(scenario, speed, &world, &mut watcher, progress, |call, n| {
        let (calls, name) = (Arc::clone(&calls), scenario.providers.get(call.1));
        let name = name.map(|called| called.name.clone()).unwrap_or_default();
        tasks.spawn(async move {
            let got = caller::ask(addr, &name, &caller::target(n)).await;
            let call = Call { at: call.0, is_first: call.1 == 0, got };
            calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
        });
    })
    .await;
    let explained = gateway.observer().explain(None);
    // What happens from here on is the arena being taken down.
    watcher.look(progress);
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    tokio::task::spawn_blocking(move || gateway.stop()).await?;
    drop(cloud);
    let received = world.providers.first().map(|(_, first)| first.received());
    let calls = std::mem::take(&mut *calls.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Ran {
        lines: watcher.lines,
        facts: watcher.facts,
        calls,
        received: received.unwrap_or_default(),
        explained,
        notes,
    })
}

async fn world(
    scenario: &Scenario,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> anyhow::Result<World> {
    let names = if scenario.own_names {
        Some(Names::start(tasks, stop.clone()).await.context("cannot start a name server")?)
    } else {
        None
    };
    let mut providers = Vec::new();
    let (roots, authority) = match scenario.tls.then(authority).transpose()? {
        Some((roots, authority)) => (roots, Some(authority)),
        None => (Vec::new(), None),
    };
    for called in &scenario.providers {
        let host =
            if names.is_some() { format!("{}.drill", called.name) } else { "127.0.0.1".to_owned() };
        let tls = authority.as_ref().map(|own| own.server(&host, state::wall())).transpose()?;
        let provider =
            Provider::start(tasks, stop.clone(), tls).context("cannot start a provider")?;
        providers.push((called.name.clone(), provider));
    }
    let sources = scenario.paths.iter().map(|way| (way.name.clone(), way.source.into()));
    Ok(World { providers, names, roots, sources: sources.collect() })
}

/// An authority for simulated providers, and for nobody else.
fn authority() -> anyhow::Result<(Vec<u8>, Authority)> {
    let hosts: Vec<HostPattern> =
        ["127.0.0.1", "*.drill"].into_iter().filter_map(HostPattern::parse).collect();
    let made = Authority::make(&hosts, "drill", state::wall())?;
    let pem = made.certificate_pem.into_bytes();
    let authority = Authority::load(&pem, made.key_pem.as_bytes())?;
    Ok((pem, authority))
}

fn settings(config: &str, files: &Files, speed: u32) -> anyhow::Result<Settings> {
    let parsed = byway_config::parse("drill.toml", config, files);
    let mut settings = match parsed {
        Ok(settings) => settings,
        Err(problems) => bail!("the drill makes no configuration:\n{}", problems.render(false)),
    };
    for provider in &mut settings.providers {
        provider.policy = provider.policy.clone().at_speed(speed);
        let deadlines = &mut provider.deadlines;
        for deadline in [&mut deadlines.connect, &mut deadlines.tls, &mut deadlines.first_byte] {
            *deadline = (*deadline / speed).max(Duration::from_millis(250));
        }
    }
    settings.dns.timeout = (settings.dns.timeout / speed).max(Duration::from_millis(100));
    settings.drain = Duration::from_secs(1);
    Ok(settings)
}

/// Lets the time of the drill pass: acts, calls, and what is said meanwhile.
async fn timetable(
    scenario: &Scenario,
    speed: u32,
    world: &World,
    watcher: &mut Watcher,
    progress: &Progress,
    mut call: impl FnMut((Duration, usize), u64),
) -> Vec<String> {
    let start = now();
    let mut acts = scenario.acts.iter().peekable();
    let (mut n, mut notes) = (0_u64, Vec::new());
    let every = Duration::from_secs(1) / scenario.rate.max(1);
    let mut looked = Duration::ZERO;
    loop {
        let at = (now() - start) * speed;
        while let Some(act) = acts.next_if(|act| act.at <= at) {
            notes.extend(world.act(act, speed));
            progress.says(at, &format!("-- {} {}", act.provider, act.says()));
        }
        if at >= scenario.lasts {
            break;
        }
        let due = every.saturating_mul(u32::try_from(n).unwrap_or(u32::MAX));
        if due <= at {
            call((at, 0), n);
            // Everybody else is called once a second: enough to be a control.
            if n.is_multiple_of(u64::from(scenario.rate.max(1))) {
                for other in 1..scenario.providers.len() {
                    call((at, other), n);
                }
            }
            n += 1;
            continue;
        }
        if at - looked >= LOOK_EVERY * speed {
            looked = at;
            watcher.look(progress);
            progress.at(at);
        }
        let next = acts.peek().map_or(scenario.lasts, |act| act.at).min(due);
        tokio::time::sleep((next.saturating_sub(at) / speed).min(LOOK_EVERY)).await;
    }
    watcher.look(progress);
    notes
}

#[expect(clippy::disallowed_methods, reason = "a drill has a timetable of its own")]
fn now() -> Instant {
    Instant::now()
}

/// Reads what the gateway says.
struct Watcher {
    received: Receiver<Fact>,
    began: Timestamp,
    speed: u32,
    lines: Vec<Line>,
    facts: Vec<(Duration, Fact)>,
}

impl Watcher {
    fn new(received: Receiver<Fact>, began: Timestamp, speed: u32) -> Self {
        Self { received, began, speed, lines: Vec::new(), facts: Vec::new() }
    }

    fn look(&mut self, progress: &Progress) {
        while let Ok(fact) = self.received.try_recv() {
            let at = byway_core::time::since(self.began, fact.at) * self.speed;
            if let Some(text) = transcript::told(&fact) {
                progress.says(at, &text);
                self.lines.push(Line { at, text });
            }
            self.facts.push((at, fact));
        }
    }
}
