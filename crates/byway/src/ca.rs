//! `byway ca`: the local authority that opens the tunnels of listed providers.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, bail};
use byway_core::route::{HostPattern, Scheme};
use byway_core::secret::Secret;
use byway_core::settings::Settings;
use byway_gateway::Authority;
use clap::{Args, Subcommand};
use serde_json::json;

use crate::{cli, state};

const CERTIFICATE: &str = "ca.pem";
const KEY: &str = "ca-key.pem";
/// Where systems take local authorities from, and what makes them look: Debian's and Fedora's way.
const SYSTEMS: [(&str, &str, &[&str]); 2] = [
    ("/usr/local/share/ca-certificates", "update-ca-certificates", &[]),
    ("/etc/pki/ca-trust/source/anchors", "update-ca-trust", &["extract"]),
];
const TRUSTED_AS: &str = "byway-local-authority.crt";

#[derive(Debug, Args)]
pub(crate) struct CaArgs {
    #[command(subcommand)]
    pub(crate) what: What,
}

#[derive(Debug, Subcommand)]
pub(crate) enum What {
    /// Make an authority for the hosts of providers with `intercept = true`, and for no others
    Make {
        /// Replace the one that is there; callers have to trust the new one
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Show what the authority covers, and how programs are made to trust it
    Show {
        /// Machine-readable
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Let this system trust the authority (needs root)
    Trust {
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Take that back
    Untrust,
}

#[derive(Debug, Args)]
pub(crate) struct PlaceArgs {
    /// Configuration file [default: byway.toml, if there is one]
    #[arg(short, long, value_name = "FILE", env = "BYWAY_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// State folder [default: that of the configuration]
    #[arg(long, value_name = "DIR", env = "BYWAY_STATE")]
    pub(crate) state: Option<PathBuf>,
}

/// Makes, shows, trusts.
///
/// # Errors
/// If files cannot be read or written.
pub(crate) fn run(args: &CaArgs) -> anyhow::Result<ExitCode> {
    let place = match &args.what {
        What::Make { place, .. } | What::Show { place, .. } | What::Trust { place } => place,
        What::Untrust => return untrust(),
    };
    let settings = match cli::settings(place.config.as_deref(), place.state.as_deref()) {
        Ok(settings) => settings,
        Err(problems) => {
            cli::complain(&problems);
            return Ok(ExitCode::from(2));
        }
    };
    match &args.what {
        What::Make { force, .. } => make(*force, &settings),
        What::Show { json, .. } => show(*json, &settings),
        What::Trust { .. } => trust(&settings),
        What::Untrust => untrust(),
    }
}

/// The hosts whose tunnels may be opened.
fn hosts(settings: &Settings) -> Vec<HostPattern> {
    let mut hosts: Vec<HostPattern> = Vec::new();
    for provider in settings.providers.iter().filter(|provider| provider.intercept) {
        let origin = provider.origin.iter().filter(|origin| origin.scheme == Scheme::Https);
        let own = origin.map(|origin| HostPattern::Exact(origin.host.clone()));
        for host in own.chain(provider.hosts.iter().cloned()) {
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
    }
    hosts
}

fn make(force: bool, settings: &Settings) -> anyhow::Result<ExitCode> {
    let hosts = hosts(settings);
    if hosts.is_empty() {
        bail!("no provider has `intercept = true`, so there is nobody to make an authority for");
    }
    let dir = state::dir(settings)?;
    fs::create_dir_all(&dir).with_context(|| format!("cannot make `{}`", dir.display()))?;
    let (certificate, key) = (dir.join(CERTIFICATE), dir.join(KEY));
    if certificate.exists() && !force {
        bail!("`{}` is there already; `--force` replaces it", certificate.display());
    }
    let made = Authority::make(&hosts, &settings.instance, state::wall())?;
    // The key first: a certificate without its key is nothing, a key without limits is too much.
    write(&key, made.key_pem.as_bytes(), 0o600)?;
    write(&certificate, made.certificate_pem.as_bytes(), 0o644)?;
    cli::say(&format!("made {}, good until {}", certificate.display(), made.until));
    cli::say(&told(&certificate, &hosts));
    cli::say("The running gateway takes it with the next reload (signal HUP).");
    Ok(ExitCode::SUCCESS)
}

fn write(file: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
    let write = || {
        // A new file: the mode of an old one would stay.
        if file.exists() {
            fs::remove_file(file)?;
        }
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true).mode(mode).open(file)?.write_all(bytes)
    };
    write().with_context(|| format!("cannot write `{}`", file.display()))
}

fn names(hosts: &[HostPattern]) -> Vec<String> {
    let name = |host: &HostPattern| match host {
        HostPattern::Exact(host) => host.clone(),
        HostPattern::Below(domain) => format!("*.{domain}"),
    };
    hosts.iter().map(name).collect()
}

fn told(certificate: &Path, hosts: &[HostPattern]) -> String {
    let file = certificate.display();
    format!(
        "It speaks for {} and for nobody else (name constraints).\n\
         Programs trust it by:\n  \
         byway ca trust                          the whole system\n  \
         curl --cacert {file}\n  \
         export NODE_EXTRA_CA_CERTS={file}\n  \
         export REQUESTS_CA_BUNDLE={file}   Python requests: this authority only\n  \
         keytool -importcert -cacerts -alias byway -file {file}",
        names(hosts).join(", ")
    )
}

fn show(is_json: bool, settings: &Settings) -> anyhow::Result<ExitCode> {
    let certificate = state::dir(settings)?.join(CERTIFICATE);
    let Some((pem, key)) = load(settings)? else {
        bail!("there is no authority at `{}`; `byway ca make` makes one", certificate.display());
    };
    let authority = Authority::load(&pem, key.reveal())?;
    let missing: Vec<String> = {
        let wanted = hosts(settings);
        let is_missing = |host: &&HostPattern| !authority.hosts().contains(host);
        names(&wanted.iter().filter(is_missing).cloned().collect::<Vec<_>>())
    };
    if is_json {
        let known = json!({
            "certificate": certificate,
            "hosts": names(authority.hosts()),
            "not_covered": missing,
        });
        cli::say(&format!("{known:#}"));
        return Ok(ExitCode::SUCCESS);
    }
    cli::say(&told(&certificate, authority.hosts()));
    if !missing.is_empty() {
        let missing = missing.join(", ");
        cli::say(&format!("Not covered, so not opened: {missing}; `byway ca make --force`"));
    }
    Ok(ExitCode::SUCCESS)
}

/// The certificate and key of the state folder, if there are any.
///
/// # Errors
/// If one of them is there and cannot be read.
pub(crate) fn load(settings: &Settings) -> anyhow::Result<Option<(Vec<u8>, Secret)>> {
    let dir = state::dir(settings)?;
    let (certificate, key) = (dir.join(CERTIFICATE), dir.join(KEY));
    if !certificate.exists() {
        return Ok(None);
    }
    let read =
        |file: &Path| fs::read(file).with_context(|| format!("cannot read `{}`", file.display()));
    Ok(Some((read(&certificate)?, Secret::new(read(&key)?))))
}

/// The authority for a gateway that may open tunnels; a word in the log where there is none.
pub(crate) fn for_gateway(settings: &Settings) -> Option<(Vec<u8>, Secret)> {
    if !settings.providers.iter().any(|provider| provider.intercept) {
        return None;
    }
    match load(settings) {
        Ok(Some(found)) => Some(found),
        Ok(None) => {
            tracing::warn!("`intercept = true` without an authority: `byway ca make` makes one");
            None
        }
        Err(error) => {
            let error = format!("{error:#}");
            tracing::warn!(error, "no tunnel is opened");
            None
        }
    }
}

fn trust(settings: &Settings) -> anyhow::Result<ExitCode> {
    let certificate = state::dir(settings)?.join(CERTIFICATE);
    let pem = fs::read(&certificate).with_context(|| {
        format!("cannot read `{}`; `byway ca make` makes it", certificate.display())
    })?;
    let Some((dir, command, args)) = SYSTEMS.iter().find(|(dir, ..)| Path::new(dir).is_dir())
    else {
        bail!("this system's way to trust an authority is not known; `byway ca show` has others");
    };
    write(&Path::new(dir).join(TRUSTED_AS), &pem, 0o644)?;
    look(command, args)?;
    cli::say(&format!("trusted: {dir}/{TRUSTED_AS}; `byway ca untrust` takes it back"));
    Ok(ExitCode::SUCCESS)
}

fn untrust() -> anyhow::Result<ExitCode> {
    let mut did = false;
    for (dir, command, args) in SYSTEMS {
        let file = Path::new(dir).join(TRUSTED_AS);
        if file.exists() {
            fs::remove_file(&file)
                .with_context(|| format!("cannot remove `{}`", file.display()))?;
            look(command, args)?;
            did = true;
        }
    }
    cli::say(if did { "no longer trusted by this system" } else { "it was not trusted" });
    Ok(ExitCode::SUCCESS)
}

fn look(command: &str, args: &[&str]) -> anyhow::Result<()> {
    let output = Command::new(command)
        .args(args)
        .output()
        .with_context(|| format!("cannot run `{command}`"))?;
    if !output.status.success() {
        bail!("`{command}` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
