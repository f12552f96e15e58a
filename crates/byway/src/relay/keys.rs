//! `byway relay keys`: Ed25519 keys, and their rotation with an overlap.
//!
//! A relay trusts several keys at once, so that it can be told of the new one before the gateway
//! signs with it, and forget the old one afterwards.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use byway_relay::config::Config;
use clap::{Args, Subcommand};
use data_encoding::BASE64;
use jiff::{SignedDuration, Timestamp};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::json;

use crate::{cli, state};

pub(super) const EXAMPLES: &str = "\
Examples:
  byway relay keys list --dir relay-lambda-1
  byway relay keys rotate --dir relay-lambda-1 --overlap 7d
  byway relay keys prune --dir relay-lambda-1

After `rotate`: deploy the relay, which then trusts both keys, and only then give the new
byway-path.toml to the gateway. After the overlap: `prune`, and deploy once more.";

#[derive(Debug, Args)]
pub(crate) struct KeysArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show which keys the relay of a folder trusts, and until when
    List {
        #[command(flatten)]
        folder: Folder,
        /// Machine-readable
        #[arg(long)]
        json: bool,
    },
    /// Make a new key; the old ones are trusted a while longer
    Rotate {
        #[command(flatten)]
        folder: Folder,
        /// How long the old keys are still trusted
        #[arg(long, value_name = "TIME", default_value = "7d", value_parser = overlap)]
        overlap: SignedDuration,
        #[command(flatten)]
        relay: RelayFile,
    },
    /// Drop keys that are not trusted any more
    Prune {
        #[command(flatten)]
        folder: Folder,
        #[command(flatten)]
        relay: RelayFile,
    },
}

#[derive(Debug, Args)]
struct Folder {
    /// The folder that `byway relay new` wrote
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
}

#[derive(Debug, Args)]
struct RelayFile {
    /// The relay's program, for relay.zip [default: byway-relay beside this program]
    #[arg(long, value_name = "FILE")]
    relay: Option<PathBuf>,
}

fn overlap(text: &str) -> Result<SignedDuration, String> {
    let days = text.strip_suffix('d').and_then(|days| days.parse::<i64>().ok());
    let parsed = match days {
        Some(days) => Ok(SignedDuration::from_hours(days.saturating_mul(24))),
        None => text.parse().map_err(|_| "write a number with its unit: 7d, 12h".to_owned()),
    };
    parsed.and_then(|overlap: SignedDuration| {
        let is_sane = !overlap.is_negative() && overlap <= SignedDuration::from_hours(24 * 365);
        if is_sane { Ok(overlap) } else { Err("between nothing and a year".to_owned()) }
    })
}

pub(super) fn run(args: &KeysArgs) -> anyhow::Result<ExitCode> {
    match &args.what {
        What::List { folder, json } => list(&folder.dir, *json),
        What::Rotate { folder, overlap, relay } => {
            rotate(&folder.dir, *overlap, relay.relay.as_deref(), state::wall())
        }
        What::Prune { folder, relay } => prune(&folder.dir, relay.relay.as_deref(), state::wall()),
    }
}

/// A new key: its private half as a file for the gateway, its public half in Base64.
pub(super) fn make(file: &Path) -> anyhow::Result<String> {
    let (pem, public) = pair()?;
    let mut to = std::fs::OpenOptions::new();
    let to = to.write(true).create_new(true).mode(0o600).open(file);
    let mut to = to.with_context(|| format!("cannot create {}", file.display()))?;
    to.write_all(pem.as_bytes())?;
    to.sync_all()?;
    Ok(BASE64.encode(&public))
}

/// A private key in PEM, and the public one.
pub(crate) fn pair() -> anyhow::Result<(String, Vec<u8>)> {
    let random = SystemRandom::new();
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random).ok().context("no random numbers")?;
    let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).ok().context("the key is broken")?;
    let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
    for line in BASE64.encode(pkcs8.as_ref()).as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    Ok((pem, pair.public_key().as_ref().to_vec()))
}

/// A key's section in relay.toml.
pub(super) fn section(id: &str, public: &str) -> String {
    format!("\n[[key]]\nid = \"{id}\"\npublic = \"{public}\"\n")
}

fn list(dir: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let config = Config::load(&dir.join("relay.toml"), None)?;
    let until = |until: Option<Timestamp>| until.map(|until| until.to_string());
    if json {
        let keys = config.keys.iter().map(|(id, key)| {
            json!({"id": id, "public": BASE64.encode(&key.public), "until": until(key.until)})
        });
        cli::say(&json!({"relay": config.id, "keys": keys.collect::<Vec<_>>()}).to_string());
        return Ok(ExitCode::SUCCESS);
    }
    for (id, key) in &config.keys {
        let until = until(key.until).map_or(String::new(), |until| format!("  until {until}"));
        cli::say(&format!("{id}  {}{until}", BASE64.encode(&key.public)));
    }
    Ok(ExitCode::SUCCESS)
}

fn rotate(
    dir: &Path,
    overlap: SignedDuration,
    relay: Option<&Path>,
    now: Timestamp,
) -> anyhow::Result<ExitCode> {
    let file = dir.join("relay.toml");
    let config = Config::load(&file, None)?;
    let file_of = |id: &str| format!("{}.{id}.key.pem", config.id);
    // A file that is left of an old key may still be some gateway's.
    let is_free = |id: &String| !config.keys.contains_key(id) && !dir.join(file_of(id)).exists();
    let id = (1_u32..).map(|n| format!("k{n}")).find(is_free).context("no free name for a key")?;
    // Everything that can be wrong is found before anything is changed.
    let path_file = dir.join("byway-path.toml");
    let key_name = file_of(&id);
    let path = signing_with(&read(&path_file)?, &id, &key_name)?;
    let program = program_for_zip(dir, relay)?;
    let until = now.checked_add(overlap).context("the overlap is too long")?;
    // Seconds are enough for people.
    let until = Timestamp::from_second(until.as_second())?;
    let before = read(&file)?;
    let public = make(&dir.join(&key_name))?;
    // First the relay's file: a key that is trusted and not used harms nobody, the reverse would.
    write(&file, &(retired(&before, &until.to_string()) + &section(&id, &public)))?;
    rezip(dir, program.as_deref())?;
    write(&path_file, &path)?;
    cli::say(&format!(
        "the relay {} now trusts {id}, and the others until {until}\n\n\
         1. deploy the relay again, so that it knows the new key\n\
         2. give {key_name} and byway-path.toml to the gateway\n\
         3. after {until}: byway relay keys prune --dir {}, and deploy once more",
        config.id,
        dir.display()
    ));
    Ok(ExitCode::SUCCESS)
}

fn prune(dir: &Path, relay: Option<&Path>, now: Timestamp) -> anyhow::Result<ExitCode> {
    let file = dir.join("relay.toml");
    let config = Config::load(&file, None)?;
    let is_over = |id: &String| {
        let key = config.keys.get(id);
        key.is_some_and(|key| key.until.is_some_and(|until| until <= now))
    };
    let over: Vec<String> = config.keys.keys().filter(|id| is_over(id)).cloned().collect();
    if over.is_empty() {
        cli::say("every key is still trusted; nothing to drop");
        return Ok(ExitCode::SUCCESS);
    }
    if over.len() == config.keys.len() {
        bail!("every key is over: nobody could use the relay; rotate first");
    }
    let program = program_for_zip(dir, relay)?;
    let mut text = read(&file)?;
    for id in &over {
        text = without(&text, id);
    }
    write(&file, &text)?;
    rezip(dir, program.as_deref())?;
    cli::say(&format!("dropped {}; deploy the relay again", over.join(", ")));
    Ok(ExitCode::SUCCESS)
}

/// The program that the zip needs, where there is a zip.
fn program_for_zip(dir: &Path, relay: Option<&Path>) -> anyhow::Result<Option<PathBuf>> {
    dir.join("relay.zip").is_file().then(|| super::program(relay)).transpose()
}

/// The code goes with its configuration.
fn rezip(dir: &Path, program: Option<&Path>) -> anyhow::Result<()> {
    program.map_or(Ok(()), |program| byway_cloud::deploy::zip(dir, program))
}

fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// Through a file beside it, which is on disk before it takes the old one's place.
fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    let new = file.with_extension("toml.new");
    let put = || {
        let mut to = std::fs::File::create(&new)?;
        to.set_permissions(std::fs::metadata(file)?.permissions())?;
        to.write_all(text.as_bytes())?;
        to.sync_all()?;
        std::fs::rename(&new, file)
    };
    put().with_context(|| format!("cannot replace {}", file.display()))
}

/// Sections of keys begin with this line.
const KEY: &str = "[[key]]";

/// Gives every key without an end one.
fn retired(text: &str, until: &str) -> String {
    let mut parts = text.split(KEY);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(KEY);
        out.push_str(part.trim_end());
        let has_end = part.lines().any(|line| line.trim_start().starts_with("until"));
        if !has_end {
            out.push_str(&format!("\nuntil = \"{until}\""));
        }
        out.push('\n');
    }
    out
}

/// Leaves a key's section out.
fn without(text: &str, id: &str) -> String {
    let mut parts = text.split(KEY);
    let mut out = parts.next().unwrap_or_default().to_owned();
    let is_it = |part: &str| part.lines().any(|line| line.trim() == format!("id = \"{id}\""));
    for part in parts.filter(|part| !is_it(part)) {
        out.push_str(KEY);
        out.push_str(part);
    }
    out
}

/// The gateway's section with another key.
fn signing_with(path: &str, id: &str, key_name: &str) -> anyhow::Result<String> {
    let mut n = 0;
    let lines = path.lines().map(|line| {
        let (name, _) = line.split_once('=').unwrap_or((line, ""));
        match name.trim() {
            "key_id" => {
                n += 1;
                format!("key_id = \"{id}\"")
            }
            "key" if n < 2 => {
                n += 1;
                format!("key = \"file:{key_name}\"")
            }
            _ => line.to_owned(),
        }
    });
    let text = lines.collect::<Vec<_>>().join("\n") + "\n";
    if n < 2 {
        bail!("byway-path.toml has no `key_id` and `key` to replace");
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
