//! `relay.toml`: who the relay is, whom it trusts, and where it may go. Baked in beside the binary.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use anyhow::{Context as _, bail};
use byway_core::destination::Network;
use data_encoding::BASE64;
use serde::Deserialize;

/// What a relay is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// Its name: calls for another one are refused.
    pub id: String,
    /// Destinations, as written.
    pub allow: Vec<Destination>,
    /// Non-public networks that destinations may be on.
    pub networks: Vec<Network>,
    /// Public keys by name, 32 bytes each.
    pub keys: BTreeMap<String, Key>,
    /// The address that providers see, where it is known.
    pub exit: Option<IpAddr>,
    /// The address of this machine to dial from, where it has several.
    pub source: Option<IpAddr>,
    /// Who accepted, and why, that a call can be replayed once an instance within its 30 s.
    pub replay_accepted: Option<String>,
    /// PEM bundles trusted besides the platform's.
    pub roots_pem: Vec<Vec<u8>>,
    /// Name servers; empty for the system's.
    pub dns: Vec<SocketAddr>,
}

/// A public key, and until when it is trusted.
#[derive(Debug, Clone)]
pub struct Key {
    /// Ed25519, 32 bytes.
    pub public: Vec<u8>,
    /// Refused from then on: how an old key ends.
    pub until: Option<jiff::Timestamp>,
}

/// `api.example.com:443` or `*.example.com:443`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// As written, in lower case.
    pub text: String,
    host: String,
    below: bool,
    port: u16,
}

impl Destination {
    /// Reads `host:port`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let text = text.to_ascii_lowercase();
        let (host, port) = text.rsplit_once(':').context("write host and port")?;
        let port = port.parse().context("the port is no number up to 65535")?;
        let (host, below) = match host.strip_prefix("*.") {
            Some(host) => (host, true),
            None => (host, false),
        };
        let host = host.trim_start_matches('[').trim_end_matches([']', '.']);
        if host.is_empty() || host.contains(['*', '/', '@', ' ']) {
            bail!("`{host}` is no host");
        }
        let host = host.to_owned();
        Ok(Self { text, host, below, port })
    }

    /// Whether it stands for everything below a host.
    pub const fn is_pattern(&self) -> bool {
        self.below
    }

    /// Its port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Whether a call may go there.
    pub fn matches(&self, host: &str, port: u16) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let is_host = if self.below {
            host.strip_suffix(&self.host).is_some_and(|below| below.ends_with('.'))
        } else {
            host == self.host
        };
        is_host && port == self.port
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    id: String,
    allow: Vec<String>,
    #[serde(default)]
    networks: Vec<String>,
    #[serde(default)]
    exit: String,
    source: Option<IpAddr>,
    replay_accepted: Option<String>,
    #[serde(default)]
    roots: Vec<std::path::PathBuf>,
    #[serde(default)]
    dns: Vec<SocketAddr>,
    #[serde(default)]
    key: Vec<RawKey>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKey {
    id: String,
    public: String,
    until: Option<String>,
}

impl Config {
    /// Reads a file; `exit` of the environment completes it, since a platform may know the address
    /// only after it has made it.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn load(file: &Path, exit: Option<&str>) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        let folder = file.parent().unwrap_or(Path::new("."));
        Self::parse(&text, folder, exit).with_context(|| format!("in {}", file.display()))
    }

    fn parse(text: &str, folder: &Path, exit: Option<&str>) -> anyhow::Result<Self> {
        let raw: RawConfig = toml::from_str(text)?;
        let allow = raw
            .allow
            .iter()
            .map(|text| Destination::parse(text).with_context(|| format!("`allow`: `{text}`")));
        let networks = raw
            .networks
            .iter()
            .map(|text| text.parse().map_err(|why| anyhow::anyhow!("`networks`: `{text}`: {why}")));
        let mut keys = BTreeMap::new();
        for key in raw.key {
            let public = BASE64.decode(key.public.as_bytes()).unwrap_or_default();
            if public.len() != 32 {
                bail!("key `{}`: `public` is not 32 bytes in Base64", key.id);
            }
            let until = key.until.map(|until| until.parse()).transpose();
            let until = until.with_context(|| format!("key `{}`: `until`", key.id))?;
            let id = key.id.clone();
            if keys.insert(key.id, Key { public, until }).is_some() {
                bail!("key `{id}` stands there twice");
            }
        }
        if keys.is_empty() {
            bail!("there is no `[[key]]`: nobody could use this relay");
        }
        let exit = exit.filter(|exit| !exit.is_empty()).unwrap_or(&raw.exit);
        let exit = if exit.is_empty() { None } else { Some(exit.parse().context("`exit`")?) };
        let roots = raw.roots.iter().map(|file| {
            let file = folder.join(file);
            std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))
        });
        let config = Self {
            id: raw.id,
            allow: allow.collect::<anyhow::Result<_>>()?,
            networks: networks.collect::<anyhow::Result<_>>()?,
            keys,
            exit,
            source: raw.source,
            replay_accepted: raw.replay_accepted.filter(|why| !why.trim().is_empty()),
            roots_pem: roots.collect::<anyhow::Result<_>>()?,
            dns: raw.dns,
        };
        if config.allow.is_empty() {
            bail!("`allow` is empty: this relay could go nowhere");
        }
        Ok(config)
    }

    /// SHA-256 over the allow-list, as a ping tells it.
    pub fn allow_digest(&self) -> [u8; 32] {
        let mut entries: Vec<&str> = self.allow.iter().map(|entry| entry.text.as_str()).collect();
        entries.sort_unstable();
        let text: String = entries.iter().map(|entry| format!("{entry}\n")).collect();
        let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
        digest.as_ref().try_into().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    //! What a relay's file may say.

    use std::path::Path;

    use super::{Config, Destination};

    const FINE: &str = "id = \"r\"\nallow = [\"API.example.com:443\", \"*.cdn.example:443\"]\n\
        [[key]]\nid = \"k1\"\npublic = \"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"\n";

    fn wrong(from: &str, to: &str) -> String {
        let text = FINE.replace(from, to);
        assert_ne!(text, FINE);
        format!("{:#}", Config::parse(&text, Path::new("."), None).expect_err(to))
    }

    #[test]
    fn what_would_open_or_close_a_relay_by_accident_is_refused() {
        assert!(Config::parse(FINE, Path::new("."), None).is_ok());
        assert!(wrong("[[key]]", "[[kee]]").contains("unknown field"));
        assert!(wrong("AAAAA=", "AAAA=").contains("32 bytes"));
        assert!(wrong("\"API.example.com:443\", \"*.cdn.example:443\"", "").contains("empty"));
        assert!(wrong("API.example.com:443", "*:443").contains("no host"));
        assert!(wrong("API.example.com:443", "api.example.com").contains("host and port"));
        assert!(wrong("[[key]]", "networks = [\"10.0.0.0/40\"]\n[[key]]").contains("networks"));
        let no_key = FINE.split("[[key]]").next().unwrap_or_default();
        assert!(Config::parse(no_key, Path::new("."), None).is_err());
    }

    #[test]
    fn the_environment_completes_the_exit() {
        let exit = |env| Config::parse(FINE, Path::new("."), env).map(|config| config.exit).ok();
        assert_eq!(exit(Some("203.0.113.7")), Some("203.0.113.7".parse().ok()));
        assert_eq!(exit(Some("")), Some(None));
        assert_eq!(exit(Some("nowhere")), None);
    }

    #[test]
    fn a_destination_is_a_host_and_a_port() {
        let at = |text: &str, host: &str, port| {
            Destination::parse(text).is_ok_and(|entry| entry.matches(host, port))
        };
        assert!(at("api.example.com:443", "API.Example.com.", 443));
        assert!(!at("api.example.com:443", "api.example.com", 80));
        assert!(!at("api.example.com:443", "xapi.example.com", 443));
        assert!(at("*.example.com:443", "a.b.example.com", 443));
        assert!(!at("*.example.com:443", "example.com", 443));
        assert!(!at("*.example.com:443", "notexample.com", 443));
        assert!(at("[2001:db8::1]:443", "2001:db8::1", 443));
    }
}
