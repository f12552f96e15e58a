//! A drill as a text file: who calls whom over what, what the provider does when, and what Byway
//! must say about it.
//!
//! ```text
//! title en The evening
//! for 10m                                how long it lasts
//! rate 5                                 requests a second to the first provider
//! provider catalog detour 20/s burst 40  name, on_block, budget
//! path batch-1 127.0.0.11 group-a        name, source address, failure group, and what it is if
//! path lambda-1 127.0.0.31 aws lambda    not that address of ours: `direct` or `lambda`
//! set health.hold 1m                     a setting of every provider that is not the default
//! at 0:30 catalog batch-1,api-2 page akamai
//! at 3:00 catalog all ok
//! expect verdict blocks_addresses batch-1,api-2 within 5s of 0:30
//! never detour_ended before 7:00
//! lost 5                                 requests that may fail before the verdict
//! ```

use std::net::Ipv4Addr;
use std::time::Duration;

/// A drill.
#[derive(Debug, Clone, Default)]
pub struct Scenario {
    /// What it is called in English and Korean.
    pub title: [String; 2],
    /// How long it lasts.
    pub lasts: Duration,
    /// Requests a second.
    pub rate: u32,
    /// Those who are called, the first one most.
    pub providers: Vec<Called>,
    /// Ways out.
    pub paths: Vec<Way>,
    /// What happens.
    pub acts: Vec<Act>,
    /// What Byway must say, in this order.
    pub expects: Vec<Expect>,
    /// What it must not say.
    pub forbids: Vec<Never>,
    /// Requests that may fail before the first verdict; any number if not given.
    pub lost_max: Option<u32>,
    /// Requests that may fail after the verdict; any number if not given.
    pub lost_after_max: Option<u32>,
    /// Whether names are resolved by the drill's own name server.
    pub own_names: bool,
    /// Whether the route may serve stored answers.
    pub stale: bool,
    /// Whether providers speak TLS.
    pub tls: bool,
    /// Settings of every provider that are not the defaults: table, key, value.
    pub set: Vec<[String; 3]>,
}

/// A provider of a drill.
#[derive(Debug, Clone)]
pub struct Called {
    /// Its name.
    pub name: String,
    /// `alert`, `stale` or `detour`.
    pub on_block: String,
    /// Its budget; empty for none.
    pub budget: String,
}

/// A way out of a drill.
#[derive(Debug, Clone)]
pub struct Way {
    /// Its name.
    pub name: String,
    /// Its source address.
    pub source: Ipv4Addr,
    /// Its failure group.
    pub group: String,
    /// What it is.
    pub kind: WayKind,
}

/// What a way out of a drill is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WayKind {
    /// From its source address.
    Source,
    /// From whatever address the system picks, which is its source address.
    Direct,
    /// Through a relay on a simulated Lambda, which dials from its source address.
    Lambda,
}

/// Something that a provider begins to do.
#[derive(Debug, Clone)]
pub struct Act {
    /// When.
    pub at: Duration,
    /// Which provider.
    pub provider: String,
    /// To whom: path names; empty for everybody.
    pub sources: Vec<String>,
    /// What.
    pub behaviour: Behaviour,
}

impl Act {
    /// `batch-1,api-2 page akamai`
    pub fn says(&self) -> String {
        let whom = if self.sources.is_empty() { "all".to_owned() } else { self.sources.join(",") };
        format!("{whom} {}", self.behaviour.says())
    }
}

/// How a provider treats a source address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behaviour {
    /// It answers.
    Fine,
    /// A page of an edge.
    Page(String),
    /// RST as soon as a connection is made.
    Cut,
    /// The connection is closed after the request.
    Close,
    /// The connection is closed after the first bytes, as a TLS server does after ClientHello.
    TlsClose,
    /// Nothing comes back.
    Hang,
    /// SYNs are dropped, by a socket filter; where there is none, nothing comes back.
    Drop,
    /// The answer takes this long.
    Slow(Duration),
    /// Half an answer.
    Truncated,
    /// This status, in JSON.
    Status(u16),
    /// 429, with `Retry-After` in seconds or without.
    Limit(Option<u32>),
    /// 429 with a `Retry-After` that nobody could mean.
    Lying,
    /// Everything is redirected to https.
    ToHttps,
    /// 200 with a page where JSON is usual.
    Html,
    /// Name servers fail.
    NamesFail,
}

impl Behaviour {
    /// The words of the timetable.
    pub fn says(&self) -> String {
        match self {
            Self::Fine => "ok".to_owned(),
            Self::Page(name) => format!("page {name}"),
            Self::Cut => "cut".to_owned(),
            Self::Close => "close".to_owned(),
            Self::TlsClose => "tls-close".to_owned(),
            Self::Hang => "hang".to_owned(),
            Self::Drop => "drop".to_owned(),
            Self::Slow(by) => format!("slow {by:?}"),
            Self::Truncated => "truncated".to_owned(),
            Self::Status(status) => format!("status {status}"),
            Self::Limit(None) => "limit".to_owned(),
            Self::Limit(Some(seconds)) => format!("limit {seconds}"),
            Self::Lying => "lying".to_owned(),
            Self::ToHttps => "to-https".to_owned(),
            Self::Html => "html".to_owned(),
            Self::NamesFail => "names-fail".to_owned(),
        }
    }

    /// The same in a world that goes `speed` times faster.
    #[must_use]
    pub fn at_speed(self, speed: u32) -> Self {
        if let Self::Slow(by) = self {
            return Self::Slow(by / speed.max(1));
        }
        if let Self::Limit(Some(seconds)) = self {
            return Self::Limit(Some(seconds.div_ceil(speed.max(1))));
        }
        self
    }
}

/// What Byway must say.
#[derive(Debug, Clone)]
pub struct Expect {
    /// The beginning of the line.
    pub says: String,
    /// At most this long after that moment.
    pub within: Option<(Duration, Duration)>,
}

/// What Byway must not say.
#[derive(Debug, Clone)]
pub struct Never {
    /// The beginning of the line.
    pub says: String,
    /// Until when; always if not given.
    pub before: Option<Duration>,
}

/// What is wrong with a file, and in which line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct BadScenario {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

impl Scenario {
    /// Reads a drill.
    ///
    /// # Errors
    /// [`BadScenario`] for the first line that is wrong.
    pub fn parse(text: &str) -> Result<Self, BadScenario> {
        let mut scenario = Self { rate: 5, ..Self::default() };
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split(" #").next().unwrap_or_default().trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            let read = scenario.line(word, rest.trim());
            read.map_err(|what| BadScenario { line: number, what })?;
        }
        let whole = |ok: bool, what: &str| {
            if ok { Ok(()) } else { Err(BadScenario { line: 0, what: what.to_owned() }) }
        };
        whole(!scenario.providers.is_empty(), "a drill needs a provider")?;
        whole(!scenario.paths.is_empty(), "a drill needs a path")?;
        whole(!scenario.lasts.is_zero(), "a drill lasts some time: `for 10m`")?;
        Ok(scenario)
    }

    fn line(&mut self, word: &str, rest: &str) -> Result<(), String> {
        let number = |text: &str| text.parse().map_err(|_| format!("`{text}` is not a number"));
        match word {
            "title" => {
                let (language, title) =
                    rest.split_once(' ').ok_or("`title en …` or `title ko …`")?;
                let [en, ko] = &mut self.title;
                title.clone_into(if language == "ko" { ko } else { en });
            }
            "for" => self.lasts = duration(rest)?,
            "rate" => self.rate = number(rest)?,
            "lost" => self.lost_max = Some(number(rest)?),
            "lost-after" => self.lost_after_max = Some(number(rest)?),
            "names" => self.own_names = true,
            "stale" => self.stale = true,
            "tls" => self.tls = true,
            "set" => {
                let read = rest.split_once(' ').map(|(key, value)| {
                    let (table, key) = key.split_once('.').unwrap_or(("", key));
                    [table.to_owned(), key.to_owned(), value.trim().to_owned()]
                });
                self.set.push(read.ok_or("`set health.hold 1m`")?);
            }
            "provider" => {
                let mut words = rest.splitn(3, ' ');
                self.providers.push(Called {
                    name: words.next().unwrap_or_default().to_owned(),
                    on_block: words.next().unwrap_or("alert").to_owned(),
                    budget: words.next().unwrap_or_default().to_owned(),
                });
            }
            "path" => {
                let words: Vec<&str> = rest.split_whitespace().collect();
                let [name, source, others @ ..] = words.as_slice() else {
                    return Err("`path NAME ADDRESS GROUP`".to_owned());
                };
                let source = source.parse().map_err(|_| format!("`{source}` is not an address"))?;
                let group = others.first().unwrap_or(name).to_string();
                let kind = match others.get(1) {
                    None => WayKind::Source,
                    Some(&"direct") => WayKind::Direct,
                    Some(&"lambda") => WayKind::Lambda,
                    Some(other) => return Err(format!("`{other}` is neither direct nor lambda")),
                };
                self.paths.push(Way { name: (*name).to_owned(), source, group, kind });
            }
            "at" => self.acts.push(self.act(rest)?),
            "expect" => {
                let (says, within) = match rest.split_once(" within ") {
                    None => (rest, None),
                    Some((says, limit)) => {
                        let (within, of) = limit.split_once(" of ").ok_or("`within 5s of 0:30`")?;
                        (says, Some((duration(within)?, duration(of)?)))
                    }
                };
                self.expects.push(Expect { says: says.to_owned(), within });
            }
            "never" => {
                let (says, before) = match rest.split_once(" before ") {
                    None => (rest, None),
                    Some((says, before)) => (says, Some(duration(before)?)),
                };
                self.forbids.push(Never { says: says.to_owned(), before });
            }
            other => return Err(format!("`{other}` is not known")),
        }
        Ok(())
    }

    fn act(&self, rest: &str) -> Result<Act, String> {
        let words: Vec<&str> = rest.split_whitespace().collect();
        let [at, provider, sources, what @ ..] = words.as_slice() else {
            return Err("`at TIME PROVIDER SOURCES WHAT`".to_owned());
        };
        let sources: Vec<String> = match *sources {
            "all" => Vec::new(),
            list => list.split(',').map(str::to_owned).collect(),
        };
        for source in &sources {
            if !self.paths.iter().any(|path| path.name == *source) {
                return Err(format!("no path is called `{source}`"));
            }
        }
        if !self.providers.iter().any(|called| called.name == *provider) {
            return Err(format!("no provider is called `{provider}`"));
        }
        let at = duration(at)?;
        Ok(Act { at, provider: (*provider).to_owned(), sources, behaviour: behaviour(what)? })
    }
}

fn behaviour(words: &[&str]) -> Result<Behaviour, String> {
    let number = |text: &str| text.parse().map_err(|_| format!("`{text}` is not a number"));
    Ok(match words {
        ["ok"] => Behaviour::Fine,
        ["page", name] if crate::pages::names().any(|known| known == *name) => {
            Behaviour::Page((*name).to_owned())
        }
        ["page", name] => return Err(format!("no page is called `{name}`")),
        ["cut"] => Behaviour::Cut,
        ["close"] => Behaviour::Close,
        ["tls-close"] => Behaviour::TlsClose,
        ["hang"] => Behaviour::Hang,
        ["drop"] => Behaviour::Drop,
        ["slow", by] => Behaviour::Slow(duration(by)?),
        ["truncated"] => Behaviour::Truncated,
        ["status", status] => {
            Behaviour::Status(status.parse().map_err(|_| format!("`{status}` is not a status"))?)
        }
        ["limit"] => Behaviour::Limit(None),
        ["limit", seconds] => Behaviour::Limit(Some(number(seconds)?)),
        ["lying"] => Behaviour::Lying,
        ["to-https"] => Behaviour::ToHttps,
        ["html"] => Behaviour::Html,
        ["names-fail"] => Behaviour::NamesFail,
        other => {
            return Err(format!("`{}` is not something that a provider does", other.join(" ")));
        }
    })
}

/// `5s`, `10m`, `1:30`
fn duration(text: &str) -> Result<Duration, String> {
    if let Some((minutes, seconds)) = text.split_once(':')
        && let (Ok(minutes), Ok(seconds)) = (minutes.parse::<u64>(), seconds.parse::<u64>())
    {
        return Ok(Duration::from_secs(minutes * 60 + seconds));
    }
    let parsed = text.parse::<jiff::SignedDuration>().ok();
    let parsed = parsed.and_then(|duration| Duration::try_from(duration).ok());
    parsed.ok_or_else(|| format!("`{text}` is not a time"))
}

/// The drills that are shipped: name and text.
pub const SHIPPED: [(&str, &str); 12] = [
    ("autumn", include_str!("../scenarios/autumn.drill")),
    ("autumn-relay", include_str!("../scenarios/autumn-relay.drill")),
    ("rate-limit", include_str!("../scenarios/rate-limit.drill")),
    ("outage", include_str!("../scenarios/outage.drill")),
    ("our-dns", include_str!("../scenarios/our-dns.drill")),
    ("our-network", include_str!("../scenarios/our-network.drill")),
    ("challenge", include_str!("../scenarios/challenge.drill")),
    ("flapping", include_str!("../scenarios/flapping.drill")),
    ("short-lift", include_str!("../scenarios/short-lift.drill")),
    ("tls-close", include_str!("../scenarios/tls-close.drill")),
    ("syn-drop", include_str!("../scenarios/syn-drop.drill")),
    ("contract", include_str!("../scenarios/contract.drill")),
];

#[cfg(test)]
mod tests;
