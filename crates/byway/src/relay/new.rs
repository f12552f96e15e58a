//! `byway relay new`: a folder with everything that a relay needs.

use std::io::{IsTerminal as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use byway_core::id::PathName;
use byway_core::route::HostPattern;
use byway_core::settings::Settings;
use byway_relay::config::Destination;
use clap::Args;

use super::keys;
use super::kind::Kind;
use crate::cli;

#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// Where it is to run; asked for if left out
    kind: Option<Kind>,
    /// Its name, also the path's [default: relay-1]
    name: Option<String>,
    /// The folder to write [default: relay-NAME]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// A destination that it may reach; several times for several
    #[arg(long, value_name = "HOST:PORT")]
    allow: Vec<String>,
    /// The gateway's configuration, whose providers are taken without --allow
    #[arg(short, long, value_name = "FILE", env = "BYWAY_CONFIG")]
    config: Option<PathBuf>,
    /// The region of the platform
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// Where the relay will be reached, where that is known already
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The address that providers will see, where that is known already
    #[arg(long, value_name = "ADDRESS")]
    exit: Option<std::net::IpAddr>,
    /// Behind API Gateway: a REST API instead of an HTTP API
    #[arg(long)]
    rest: bool,
    /// Who accepts, and why, that a call could be replayed within 30 s where the relay runs in
    /// several instances; without it only safe methods go there
    #[arg(long, value_name = "WHO AND WHY")]
    accept_replay: Option<String>,
    /// The relay's program [default: byway-relay beside this program]
    #[arg(long, value_name = "FILE")]
    relay: Option<PathBuf>,
}

/// Everything that stands in the files.
struct Relay<'a> {
    kind: Kind,
    name: String,
    allow: Vec<String>,
    region: String,
    public: String,
    args: &'a NewArgs,
}

const KEY_ID: &str = "k1";

pub(super) fn run(args: &NewArgs) -> anyhow::Result<ExitCode> {
    let kind = match args.kind {
        Some(kind) => kind,
        None => ask()?,
    };
    let name = args.name.clone().unwrap_or_else(|| "relay-1".to_owned());
    if PathName::new(&name).is_err() || name.len() > 40 || !is_plain(&name) {
        bail!("a relay's name has at most 40 lower-case letters, digits and `-`");
    }
    if args.rest && kind != Kind::ApiGateway {
        bail!("--rest is about api-gateway only");
    }
    let allow = allowed(args)?;
    let dir = args.dir.clone().unwrap_or_else(|| PathBuf::from(format!("relay-{name}")));
    std::fs::create_dir(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let public = match kind {
        Kind::Peer => String::new(),
        Kind::AwsLambda | Kind::ApiGateway | Kind::CloudRun | Kind::Container => {
            keys::make(&dir.join(key_name(&name)))?
        }
    };
    let usual = if kind == Kind::CloudRun { "asia-northeast3" } else { "ap-northeast-2" };
    let region = args.region.clone().unwrap_or_else(|| usual.to_owned());
    let relay = Relay { kind, name, allow, region, public, args };
    relay.write(&dir)?;
    cli::say(&format!(
        "{} is there; its README says what to do next (README.ko.md in Korean)\n\
         {} belongs to the gateway: byway-path.toml says where",
        dir.display(),
        if kind == Kind::Peer { "the token".to_owned() } else { key_name(&relay.name) }
    ));
    Ok(ExitCode::SUCCESS)
}

fn is_plain(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn key_name(name: &str) -> String {
    format!("{name}.{KEY_ID}.key.pem")
}

fn ask() -> anyhow::Result<Kind> {
    if !std::io::stdin().is_terminal() {
        let all: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        bail!("say where the relay is to run: {}", all.join(", "));
    }
    cli::say("Where is the relay to run?");
    for (n, kind) in Kind::ALL.iter().enumerate() {
        cli::say(&format!("  {}  {:<12} {}", n + 1, kind.name(), kind.says()));
    }
    let mut out = std::io::stdout();
    write!(out, "1 to {}: ", Kind::ALL.len())?;
    out.flush()?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    let chosen = line.trim().parse::<usize>().ok().and_then(|n| n.checked_sub(1));
    let chosen = chosen.and_then(|n| Kind::ALL.get(n)).copied();
    chosen.with_context(|| format!("`{}` is none of them", line.trim()))
}

/// Named destinations, or those of the configuration's providers.
fn allowed(args: &NewArgs) -> anyhow::Result<Vec<String>> {
    for entry in &args.allow {
        Destination::parse(entry).with_context(|| format!("--allow {entry}"))?;
    }
    if !args.allow.is_empty() {
        return Ok(args.allow.clone());
    }
    let settings = cli::settings(args.config.as_deref(), None).map_err(anyhow::Error::msg)?;
    let found = of_providers(&settings);
    if found.is_empty() {
        bail!(
            "no provider is configured, so the relay could go nowhere\n  \
             name destinations with --allow HOST:PORT, or the gateway's file with --config"
        );
    }
    Ok(found)
}

fn of_providers(settings: &Settings) -> Vec<String> {
    let mut found = Vec::new();
    for provider in &settings.providers {
        if let Some(origin) = &provider.origin {
            found.push(format!("{}:{}", origin.host, origin.port));
        }
        found.extend(provider.hosts.iter().map(|pattern| match pattern {
            HostPattern::Exact(host) => format!("{host}:443"),
            HostPattern::Below(host) => format!("*.{host}:443"),
        }));
    }
    found.sort_unstable();
    found.dedup();
    found
}

impl Relay<'_> {
    fn write(&self, dir: &Path) -> anyhow::Result<()> {
        let put = |name: &str, text: &str| {
            let file = dir.join(name);
            std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
        };
        for (name, text) in self.kind.files() {
            let mut text = self.fill(text);
            // The example at the end gives way to what the peer is for.
            if let (true, Some(at)) = (*name == "byway.toml", text.find("[provider.example]")) {
                text.truncate(at);
                text.push_str(&self.providers()?);
            }
            put(name, &text)?;
        }
        put("byway-path.toml", &self.path())?;
        // Neither an image nor a repository may take the gateway's key along.
        put(".gitignore", "*.key.pem\nrelay.zip\nbyway-relay\n")?;
        put(".dockerignore", "*.key.pem\n")?;
        if self.kind == Kind::Peer {
            return Ok(());
        }
        put("relay.toml", &self.relay_file())?;
        let program = super::program(self.args.relay.as_deref())?;
        if self.kind.is_aws() {
            return byway_cloud::deploy::zip(dir, &program);
        }
        let to = dir.join("byway-relay");
        std::fs::copy(&program, &to).with_context(|| format!("cannot write {}", to.display()))?;
        std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o755))?;
        Ok(())
    }

    fn fill(&self, text: &str) -> String {
        let exit = self.args.exit.map_or(String::new(), |exit| exit.to_string());
        let text = text.replace("{{name}}", &self.name).replace("{{region}}", &self.region);
        let text = text.replace("{{allow}}", &self.allow.join(", ")).replace("{{exit}}", &exit);
        text.replace("{{key_id}}", KEY_ID).replace("{{public_key}}", &self.public)
    }

    fn relay_file(&self) -> String {
        let Self { name, allow, .. } = self;
        // A JSON string is a TOML one, with whatever people write in it.
        let allow = serde_json::json!(allow);
        let mut text = format!(
            "# The relay `{name}`: whom it trusts and where it may go. It refuses everything else.\n\
             id = \"{name}\"\n\
             # Destinations: host:port, or *.host:port for everything below a host.\n\
             allow = {allow}\n"
        );
        if let Some(exit) = self.args.exit {
            text.push_str(&format!("# The address that providers see.\nexit = \"{exit}\"\n"));
        }
        let who = match (&self.args.accept_replay, self.kind) {
            (Some(why), _) => Some(why.clone()),
            // One process remembers every nonce, and refuses what is older than itself.
            (None, Kind::Container) => {
                Some("one process: it remembers nonces, and refuses calls older than it".to_owned())
            }
            (None, _) => None,
        };
        match who {
            Some(why) => {
                let why = serde_json::json!(why);
                text.push_str(&format!("replay_accepted = {why}\n"));
            }
            None => text.push_str(
                "# Methods that change something are refused, since a call could be replayed once\n\
                 # an instance within its 30 s. Who accepts that says so here, and in the gateway's\n\
                 # path: replay_accepted = \"who, and why\"\n",
            ),
        }
        text.push_str(&keys::section(KEY_ID, &self.public));
        text
    }

    /// A peer's sections of providers, one a destination.
    fn providers(&self) -> anyhow::Result<String> {
        let mut text = String::new();
        for (n, entry) in (1..).zip(&self.allow) {
            let destination = Destination::parse(entry)?;
            let (host, port) = entry.rsplit_once(':').context("host and port")?;
            text.push_str(&format!("[provider.destination-{n}]\n"));
            match (destination.is_pattern(), destination.port()) {
                (true, _) => text.push_str(&format!("hosts = [\"{host}\"]\n")),
                (false, 443) => text.push_str(&format!("url = \"https://{host}\"\n")),
                (false, 80) => text.push_str(&format!("url = \"http://{host}\"\n")),
                (false, _) => text.push_str(&format!("url = \"https://{host}:{port}\"\n")),
            }
            text.push_str(
                "# The gateway that calls judges the answers; this one sees only bytes.\n",
            );
            text.push_str("judge = false\n");
        }
        Ok(text)
    }

    /// The gateway's section.
    fn path(&self) -> String {
        let Self { kind, name, region, .. } = self;
        let mut text =
            String::from("# For the gateway's byway.toml; add the name to `paths` of providers.\n");
        text.push_str(&format!("[path.{name}]\n# Paths of one group fail together.\n"));
        let group = match kind {
            Kind::AwsLambda | Kind::ApiGateway => format!("aws-{region}"),
            Kind::CloudRun => format!("google-{region}"),
            Kind::Container | Kind::Peer => name.clone(),
        };
        text.push_str(&format!("group = \"{group}\"\n"));
        match self.args.exit {
            Some(exit) => text.push_str(&format!("exit = \"{exit}\"\n")),
            None => text.push_str("# exit = \"the address that providers see\"\n"),
        }
        if *kind == Kind::Peer {
            text.push_str(&format!(
                "[path.{name}.peer]\naddr = \"{name}.example.com:7443\"\nname = \"gateway\"\n\
                 token = \"env:BYWAY_TOKEN_GATEWAY\"\n\
                 # [path.{name}.peer.tls]\n# roots = [\"cert.pem\"]\n"
            ));
            return text;
        }
        let url = self.args.url.clone().unwrap_or_else(|| self.placeholder());
        let platform = match (kind, self.args.rest) {
            (Kind::ApiGateway, true) => "api-gateway-v1",
            _ => kind.platform(),
        };
        text.push_str(&format!(
            "[path.{name}.relay]\nurl = \"{url}\"\nplatform = \"{platform}\"\n"
        ));
        text.push_str(&format!("id = \"{name}\"\nkey_id = \"{KEY_ID}\"\n"));
        text.push_str(&format!("key = \"file:{}\"\n", key_name(name)));
        if *kind == Kind::AwsLambda {
            text.push_str("stream = true\n");
        }
        if let Some(why) = &self.args.accept_replay {
            let why = serde_json::json!(why);
            text.push_str(&format!("replay_accepted = {why}\n"));
        }
        if *kind == Kind::Container {
            text.push_str(&format!(
                "# Where the certificate is signed by itself or by an authority of yours:\n\
                 # [path.{name}.relay.tls]\n# roots = [\"cert.pem\"]\n"
            ));
        }
        text
    }

    /// What has to be replaced once the relay is there; `byway relay deploy` does.
    fn placeholder(&self) -> String {
        let Self { kind, name, region, args, .. } = self;
        match kind {
            Kind::AwsLambda => format!("https://REPLACE.lambda-url.{region}.on.aws/"),
            Kind::ApiGateway => {
                let stage = if args.rest { "relay/" } else { "" };
                format!("https://REPLACE.execute-api.{region}.amazonaws.com/{stage}")
            }
            Kind::CloudRun => "https://REPLACE.run.app/".to_owned(),
            Kind::Container | Kind::Peer => format!("https://{name}.example.com:8443/"),
        }
    }
}
