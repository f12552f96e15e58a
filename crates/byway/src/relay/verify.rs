//! `byway relay verify`: the fidelity corpus over one path to an origin that tells what arrived.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use byway_cloud::Locks;
use byway_core::destination::Network;
use byway_core::relay::{Asked, Lock};
use byway_core::route::{Origin, Scheme};
use byway_core::settings::{Deadlines, Path, PathKind, ProviderTls, Settings};
use byway_drill::fidelity::{ANSWERS, Case, STREAM, corpus, told};
use byway_net::{
    Dial, HopClient, Once, OnceAnswer, PlatformLocks, RelayStream, Resolver, Stream, Target,
    TlsClient, dial,
};
use byway_wire::content::Content;
use byway_wire::request::{Limits, RequestHead};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::{cli, state};

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The path, as the configuration names it
    path: String,
    /// An origin that runs `byway relay echo`, and that the path may reach
    #[arg(long, value_name = "URL")]
    echo: String,
    /// Configuration file [default: byway.toml in this folder, if there is one]
    #[arg(short, long, value_name = "FILE", env = "BYWAY_CONFIG")]
    config: Option<PathBuf>,
    /// How long an answer is streamed as well: 16MiB, 1GiB
    #[arg(long, value_name = "SIZE", default_value = "16MiB", value_parser = size)]
    stream: u64,
    /// Machine-readable
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PingArgs {
    /// The path, as the configuration names it
    path: String,
    /// Configuration file [default: byway.toml in this folder, if there is one]
    #[arg(short, long, value_name = "FILE", env = "BYWAY_CONFIG")]
    config: Option<PathBuf>,
    /// Machine-readable
    #[arg(long)]
    json: bool,
}

fn size(text: &str) -> Result<u64, String> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1_u64 << 30), ("", 1)];
    let (number, unit) = units
        .iter()
        .find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)))
        .unwrap_or((text, 1));
    let n = number.trim().parse::<u64>().ok().and_then(|n| n.checked_mul(unit));
    n.filter(|n| *n <= 1 << 31).ok_or_else(|| "write a size up to 2GiB: 16MiB, 1GiB".to_owned())
}

/// How long nothing may come: a cold start, and an answer that is collected first.
const WITHIN: Duration = Duration::from_secs(120);

/// One path, ready to be used.
struct Way {
    path: Path,
    hop: HopClient,
    tls: TlsClient,
    resolver: Resolver,
    echo: Origin,
    instance: String,
}

/// What became of a case.
enum Came {
    Same,
    /// Not sent, because the path cannot bear it; said before anything was sent.
    KeptBack(String),
    /// What arrived is something else.
    Changed(String),
    /// Nothing arrived.
    Failed(String),
}

impl Came {
    const fn word(&self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::KeptBack(_) => "kept back",
            Self::Changed(_) => "CHANGED",
            Self::Failed(_) => "FAILED",
        }
    }

    fn why(&self) -> &str {
        match self {
            Self::Same => "",
            Self::KeptBack(why) | Self::Changed(why) | Self::Failed(why) => why,
        }
    }
}

impl Way {
    fn of(settings: &Settings, name: &str, echo: Origin) -> anyhow::Result<Self> {
        let path = settings.paths.iter().find(|path| path.name.as_str() == name);
        let Some(path) = path.cloned() else {
            let known: Vec<&str> = settings.paths.iter().map(|path| path.name.as_str()).collect();
            bail!("there is no path `{name}`; the configuration has {}", known.join(", "));
        };
        let lock = path.kind.relay().map(|relay| relay.lock.clone());
        let locks = Locks::start(lock.as_slice(), state::metadata_host())?;
        let locks: Arc<dyn PlatformLocks> = Arc::new(locks);
        Ok(Self {
            hop: HopClient::new(&path.kind, &settings.roots_pem, &locks)?,
            tls: TlsClient::new(&settings.roots_pem, &ProviderTls::default())?,
            resolver: Resolver::new(&settings.dns)?,
            path,
            echo,
            instance: settings.instance.clone(),
        })
    }

    async fn dial(&self) -> Result<Stream, String> {
        let Origin { scheme, host, port } = &self.echo;
        // The operator names the echo; a relay still has its own rules.
        let everywhere: Vec<Network> =
            ["0.0.0.0/0", "::/0"].iter().filter_map(|text| text.parse().ok()).collect();
        let dialling = Dial {
            path: &self.path.kind,
            hop: &self.hop,
            target: Target::new(*scheme, host, *port),
            allow: &everywhere,
            tls: (*scheme == Scheme::Https).then_some(&self.tls),
            tunnel: false,
            deadlines: &Deadlines::default(),
            hops: &self.instance,
            own: &[],
        };
        let dialled = dial(&self.resolver, &dialling).await.map_err(|why| why.to_string())?;
        if dialled.absolute_form {
            return Err("over this proxy only an https echo can be asked byte for byte".to_owned());
        }
        Ok(dialled.stream)
    }

    /// Whether the path would keep a request back.
    fn unfit(&self, method: &str, head_bytes: usize, body_bytes: usize) -> Option<String> {
        let relay = self.path.kind.relay()?;
        let asked = Asked {
            is_connect: false,
            upgrades: false,
            is_safe: matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE"),
            needs_identity: false,
            head_bytes,
            body_bytes: Some(body_bytes as u64),
        };
        relay.fits(&asked).err().map(|unfit| unfit.to_string())
    }

    async fn exchange(
        &self,
        head: &[u8],
        body: &[u8],
        sink: &mut (dyn FnMut(&[u8]) -> bool + Send),
    ) -> Result<OnceAnswer, String> {
        let mut stream = self.dial().await?;
        let once = Once { head, body, within: WITHIN };
        let answered = once.run(&mut stream, sink).await;
        let fault = stream.relay().and_then(RelayStream::fault).map(|fault| fault.detail.clone());
        answered.map_err(|why| fault.unwrap_or_else(|| why.to_string()))
    }

    async fn case(&self, case: &Case) -> Came {
        let head = case.head(&self.echo.authority(), self.echo.port);
        if let Some(why) = self.unfit(case.method, head.len(), case.body.len()) {
            return Came::KeptBack(why);
        }
        let mut got = Vec::new();
        let mut keep = |piece: &[u8]| {
            got.extend_from_slice(piece);
            true
        };
        match self.exchange(&head, &case.body, &mut keep).await {
            Err(why) => Came::Failed(why),
            Ok(answer) if answer.status != 200 => {
                Came::Failed(format!("the echo answered {}", answer.status))
            }
            Ok(_) if case.method == "HEAD" => Came::Same,
            Ok(_) => same(&sent(&head, &case.body), &got),
        }
    }

    async fn answer(&self, target: &str, raw: &[u8]) -> Came {
        let case = Case {
            name: String::new(),
            method: "GET",
            target: target.as_bytes().to_vec(),
            fields: Vec::new(),
            body: Vec::new(),
            host: byway_drill::fidelity::Host::Plain,
        };
        let head = case.head(&self.echo.authority(), self.echo.port);
        let mut got = Vec::new();
        let mut keep = |piece: &[u8]| {
            got.extend_from_slice(piece);
            true
        };
        match self.exchange(&head, b"", &mut keep).await {
            Err(why) => Came::Failed(why),
            Ok(answer) => same(&given(raw), &told(&answer.head, &got, &answer.trailers)),
        }
    }

    /// An answer that is too long to be kept, in constant memory.
    async fn stream(&self, n: u64) -> Came {
        if let Some(relay) = self.path.kind.relay()
            && n > relay.limits.answer_bytes_max
        {
            let max = relay.limits.answer_bytes_max;
            return Came::KeptBack(format!("longer than the relay's platform gives, {max} bytes"));
        }
        let head = format!("GET {STREAM}{n} HTTP/1.1\r\nHost: {}\r\n\r\n", self.echo.authority());
        let (mut got, mut zeros) = (0_u64, true);
        let mut look = |piece: &[u8]| {
            got += piece.len() as u64;
            zeros &= piece.iter().all(|&b| b == 0);
            zeros
        };
        match self.exchange(head.as_bytes(), b"", &mut look).await {
            Err(why) => Came::Failed(format!("after {got} bytes: {why}")),
            Ok(_) if got == n && zeros => Came::Same,
            Ok(_) => Came::Changed(format!("{got} bytes of {n}")),
        }
    }
}

/// What has to arrive of a request.
fn sent(head: &[u8], body: &[u8]) -> Vec<u8> {
    let mut spans = Vec::new();
    let limits = Limits { head_bytes_max: usize::MAX, ..Limits::default() };
    let parsed = RequestHead::parse(head, &limits, &mut spans);
    let Ok(parsed) = parsed else { return head.to_vec() };
    let (mut content, mut out) = (Content::new(parsed.shape.framing), Vec::new());
    let _whole = content.take(body, &mut out);
    told(head, &out, &content.trailers())
}

/// What has to come back of an answer.
fn given(raw: &[u8]) -> Vec<u8> {
    let at = raw.windows(4).position(|four| four == b"\r\n\r\n").map_or(raw.len(), |at| at + 4);
    let (head, body) = raw.split_at_checked(at).unwrap_or((raw, b""));
    let is_chunked = head.windows(7).any(|seven| seven == b"chunked");
    if !is_chunked {
        return raw.to_vec();
    }
    let mut content = Content::new(byway_wire::body::Framing::Chunked);
    let mut out = Vec::new();
    let _whole = content.take(body, &mut out);
    told(head, &out, &content.trailers())
}

/// Where two texts begin to differ, with a few bytes around.
fn same(due: &[u8], got: &[u8]) -> Came {
    if due == got {
        return Came::Same;
    }
    let at = due.iter().zip(got).position(|(a, b)| a != b).unwrap_or(due.len().min(got.len()));
    let around = |bytes: &[u8]| {
        let from = at.saturating_sub(12);
        let piece = bytes.get(from..(at + 12).min(bytes.len())).unwrap_or_default();
        piece.escape_ascii().to_string()
    };
    Came::Changed(format!("at byte {at}: `{}` became `{}`", around(due), around(got)))
}

pub(super) fn run(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let settings = cli::settings(args.config.as_deref(), None).map_err(anyhow::Error::msg)?;
    let echo = byway_config::origin(&args.echo).map_err(|why| anyhow!("--echo: {why}"))?;
    let way = Way::of(&settings, &args.path, echo)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let cases = corpus();
    let progress = ProgressBar::new(cases.len() as u64 + ANSWERS.len() as u64 + 1);
    progress.set_style(ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}")?);
    let results = runtime.block_on(async {
        // What cannot work at all is said once, and not once a case.
        if let Err(why) = way.dial().await {
            bail!("the path {} leads nowhere: {why}", args.path);
        }
        let mut results: Vec<(&'static str, String, Came)> = Vec::new();
        for case in &cases {
            progress.set_message(case.name.chars().take(40).collect::<String>());
            results.push(("request", case.name.clone(), way.case(case).await));
            progress.inc(1);
        }
        for (name, target, raw) in ANSWERS {
            progress.set_message(name);
            results.push(("answer", name.to_owned(), way.answer(target, raw).await));
            progress.inc(1);
        }
        progress.set_message("stream");
        let name = format!("{} MiB", args.stream >> 20);
        results.push(("stream", name, way.stream(args.stream).await));
        Ok(results)
    })?;
    progress.finish_and_clear();
    let is_fine = results.iter().all(|(_, _, came)| matches!(came, Came::Same | Came::KeptBack(_)));
    if args.json {
        cli::say(&as_json(&way, &results).to_string());
    } else {
        cli::say(&as_text(&way, &results));
    }
    Ok(if is_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn count(results: &[(&str, String, Came)], word: &str) -> usize {
    results.iter().filter(|(_, _, came)| came.word() == word).count()
}

fn as_json(way: &Way, results: &[(&str, String, Came)]) -> Value {
    let cases = results.iter().map(|(kind, name, came)| {
        json!({"kind": kind, "case": name, "came": came.word().to_lowercase(), "why": came.why()})
    });
    json!({
        "path": way.path.name.as_str(),
        "kind": way.path.kind.as_str(),
        "echo": way.echo.to_string(),
        "same": count(results, "same"),
        "kept_back": count(results, "kept back"),
        "changed": count(results, "CHANGED"),
        "failed": count(results, "FAILED"),
        "cases": cases.collect::<Vec<_>>(),
    })
}

fn as_text(way: &Way, results: &[(&str, String, Came)]) -> String {
    let kind = match way.path.kind.relay() {
        Some(relay) => format!("relay, {}", relay.platform.as_str()),
        None => way.path.kind.as_str().to_owned(),
    };
    let mut text = format!("{} ({kind}) to {}\n", way.path.name.as_str(), way.echo);
    for (kind, name, came) in results {
        let short: String = if name.chars().count() > 44 {
            name.chars().take(43).chain(['\u{2026}']).collect()
        } else {
            name.clone()
        };
        let why = came.why();
        let why = if why.is_empty() { String::new() } else { format!(": {why}") };
        text.push_str(&format!("  {kind:<8} {short:<44} {}{why}\n", came.word()));
    }
    let [same, kept, changed, failed] =
        ["same", "kept back", "CHANGED", "FAILED"].map(|word| count(results, word));
    text.push_str(&format!(
        "{same} the same, {kept} kept back before anything was sent, {changed} changed, {failed} failed"
    ));
    text
}

pub(super) fn ping(args: &PingArgs) -> anyhow::Result<ExitCode> {
    let settings = cli::settings(args.config.as_deref(), None).map_err(anyhow::Error::msg)?;
    let nowhere = Origin { scheme: Scheme::Https, host: "nowhere.invalid".to_owned(), port: 443 };
    let way = Way::of(&settings, &args.path, nowhere)?;
    let PathKind::Relay(relay) = &way.path.kind else {
        bail!("`{}` is no relay: only relays can say who they are", args.path);
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let pong = runtime.block_on(async {
        let stream = way.dial().await.map_err(anyhow::Error::msg)?;
        let Stream::Relay(mut stream) = stream else { bail!("the path is no relay") };
        let asked = tokio::time::timeout(WITHIN, stream.ping()).await;
        Ok(asked.context("the relay did not answer in time")??)
    })?;
    let exit = pong.exit.map(|exit| exit.to_string());
    if args.json {
        let told = json!({
            "relay": pong.relay,
            "software": pong.software,
            "stack": pong.stack.as_str(),
            "instance": pong.instance,
            "cold": pong.is_cold,
            "exit": exit,
            "keys": pong.keys.split(' ').collect::<Vec<_>>(),
            "allow_sha256": data_encoding::HEXLOWER.encode(&pong.allow_digest),
            "refused": pong.n_refused,
        });
        cli::say(&told.to_string());
        return Ok(ExitCode::SUCCESS);
    }
    let cold = if pong.is_cold { ", a cold start" } else { "" };
    cli::say(&format!(
        "{} at {}: {} ({}), instance {}{cold}\nproviders see {}; it trusts {}; {} requests refused",
        pong.relay,
        relay.origin,
        pong.software,
        pong.stack.as_str(),
        pong.instance,
        exit.as_deref().unwrap_or("an address that it does not know"),
        pong.keys,
        pong.n_refused
    ));
    Ok(ExitCode::SUCCESS)
}

/// What opens the lock of a path's platform, for a gateway.
pub(crate) fn locks(settings: &Settings) -> std::io::Result<Arc<dyn PlatformLocks>> {
    let all = settings.paths.iter().filter_map(|path| Some(path.kind.relay()?.lock.clone()));
    let all: Vec<Lock> = all.filter(|lock| *lock != Lock::Open).collect();
    Ok(Arc::new(Locks::start(&all, state::metadata_host())?))
}
