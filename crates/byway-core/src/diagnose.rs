//! What the paths have shown → who is to blame, with the evidence, or which one test would tell.

use jiff::Timestamp;

use crate::cause::Cause;
use crate::classify::{Class, Confidence};
use crate::detect::{Arm, Finding, Shown};

/// How a path does with other providers at the same time: the control.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Elsewhere {
    /// It carries somebody else's traffic.
    Good,
    /// It fails everywhere.
    Failing,
    /// Nobody else uses it.
    #[default]
    Unknown,
}

/// One path in a case.
#[derive(Debug, Clone, Copy)]
pub struct Witness<'a> {
    /// Its index in the provider's list.
    pub path: usize,
    /// Paths of one group fail together and count as one witness.
    pub group: &'a str,
    /// What it has shown.
    pub arm: &'a Arm,
    /// How it does elsewhere.
    pub elsewhere: Elsewhere,
}

/// What is diagnosed: frozen, so that the same case gives the same verdict.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// The paths.
    pub witnesses: &'a [Witness<'a>],
    /// Whether the provider asked us to stay away.
    pub is_gated: bool,
    /// How name resolution does for other providers.
    pub dns_elsewhere: Elsewhere,
    /// Whether all that can be seen is the outside of tunnels.
    pub only_tunnels: bool,
}

/// Who is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Nobody: it works.
    Healthy,
    /// The provider refuses these addresses of ours, and not others.
    BlocksAddresses,
    /// The provider wants proof that we are no robot.
    ChallengesUs,
    /// The provider fails over these paths and works over others.
    FailsHere,
    /// The provider limits us.
    LimitsUs,
    /// The provider is down.
    ProviderDown,
    /// The provider is slow.
    ProviderSlow,
    /// The provider answers something else than it used to.
    ContractBroken,
    /// Our network.
    OurNetwork,
    /// Our name resolution.
    OurDns,
    /// Our TLS, or our clock.
    OurTls,
    /// Our request: the same refusal everywhere.
    OurRequest,
    /// This way out of ours.
    ThisPath,
    /// It cannot be told.
    CannotTell,
}

impl Kind {
    /// Every kind, for tables.
    pub const ALL: [Self; 14] = [
        Self::Healthy,
        Self::BlocksAddresses,
        Self::ChallengesUs,
        Self::FailsHere,
        Self::LimitsUs,
        Self::ProviderDown,
        Self::ProviderSlow,
        Self::ContractBroken,
        Self::OurNetwork,
        Self::OurDns,
        Self::OurTls,
        Self::OurRequest,
        Self::ThisPath,
        Self::CannotTell,
    ];

    /// The stable name, for facts and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::BlocksAddresses => "blocks_addresses",
            Self::ChallengesUs => "challenges_us",
            Self::FailsHere => "fails_here",
            Self::LimitsUs => "limits_us",
            Self::ProviderDown => "provider_down",
            Self::ProviderSlow => "provider_slow",
            Self::ContractBroken => "contract_broken",
            Self::OurNetwork => "our_network",
            Self::OurDns => "our_dns",
            Self::OurTls => "our_tls",
            Self::OurRequest => "our_request",
            Self::ThisPath => "this_path",
            Self::CannotTell => "cannot_tell",
        }
    }

    /// Reads the stable name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// The one test that would settle an open doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenTest {
    /// The same request over a path with another address.
    OtherPath,
    /// Any other provider over the same path.
    OtherProvider,
    /// Another name at the same name servers.
    OtherName,
    /// More of the same.
    MoreTraffic,
}

impl OpenTest {
    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OtherPath => "other_path",
            Self::OtherProvider => "other_provider",
            Self::OtherName => "other_name",
            Self::MoreTraffic => "more_traffic",
        }
    }
}

/// Who is to blame, and how that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Who.
    pub kind: Kind,
    /// How far it can be believed.
    pub confidence: Confidence,
    /// The class of the failures.
    pub class: Option<Class>,
    /// The paths that fail, by index.
    pub failing: Vec<usize>,
    /// The paths that work at the same time, by index.
    pub healthy: Vec<usize>,
    /// When the first failure was.
    pub since: Option<Timestamp>,
    /// What would settle what is open.
    pub open_test: Option<OpenTest>,
    /// Whether only the outside of tunnels was seen.
    pub only_tunnels: bool,
    /// What each path showed, in the provider's order.
    pub seen: Vec<Seen>,
}

/// What one path showed in a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// Failures.
    pub n_failed: u32,
    /// Successes.
    pub n_good: u32,
    /// The last failure.
    pub failure: Option<Shown>,
    /// The status of the last success.
    pub good_status: Option<u16>,
}

impl Verdict {
    /// Whether two verdicts say the same.
    pub fn says_the_same(&self, other: &Self) -> bool {
        (self.kind, &self.failing) == (other.kind, &other.failing)
            && self.open_test == other.open_test
    }
}

/// Decides.
pub fn diagnose(case: &Case<'_>) -> Verdict {
    let of = |finding| -> Vec<&Witness<'_>> {
        case.witnesses.iter().filter(|w| w.arm.finding() == finding).collect()
    };
    let (failing, healthy) = (of(Finding::Failing), of(Finding::Healthy));
    let indices = |witnesses: &[&Witness<'_>]| witnesses.iter().map(|w| w.path).collect();
    let class = failing.iter().find_map(|w| Some(w.arm.failure?.outcome.class));
    let (kind, confidence, open_test) = blame(case, &failing, &healthy, class);
    // A path that fails everywhere is broken by itself; the provider does not refuse it.
    let named: Vec<&Witness<'_>> = match kind {
        Kind::BlocksAddresses | Kind::FailsHere | Kind::ChallengesUs => {
            failing.iter().copied().filter(|w| w.elsewhere != Elsewhere::Failing).collect()
        }
        Kind::Healthy
        | Kind::LimitsUs
        | Kind::ProviderDown
        | Kind::ProviderSlow
        | Kind::ContractBroken
        | Kind::OurNetwork
        | Kind::OurDns
        | Kind::OurTls
        | Kind::OurRequest
        | Kind::ThisPath
        | Kind::CannotTell => failing.clone(),
    };
    Verdict {
        kind,
        confidence,
        class,
        since: failing.iter().filter_map(|w| w.arm.failed_since).min(),
        failing: indices(&named),
        healthy: indices(&healthy),
        open_test,
        // Names and connections are seen whatever the way in.
        only_tunnels: case.only_tunnels
            && !matches!(class, Some(Class::Dns | Class::ConnectTimeout | Class::Refused)),
        seen: case.witnesses.iter().map(|w| Seen::from(w.arm)).collect(),
    }
}

impl From<&Arm> for Seen {
    fn from(arm: &Arm) -> Self {
        let Arm { n_failed, n_good, failure, good_status, .. } = *arm;
        Self { n_failed, n_good, failure, good_status }
    }
}

type Blamed = (Kind, Confidence, Option<OpenTest>);

fn blame(
    case: &Case<'_>,
    failing: &[&Witness<'_>],
    healthy: &[&Witness<'_>],
    class: Option<Class>,
) -> Blamed {
    use Confidence::{Strong, Weak};
    if case.is_gated {
        return (Kind::LimitsUs, Strong, None);
    }
    let Some(class) = class else {
        return match healthy.is_empty() {
            true => (Kind::CannotTell, Weak, Some(OpenTest::MoreTraffic)),
            false => (Kind::Healthy, Strong, None),
        };
    };
    let elsewhere = |at: Elsewhere| failing.iter().filter(|w| w.elsewhere == at).count();
    let all_fail_elsewhere = elsewhere(Elsewhere::Failing) == failing.len();
    if class == Class::Dns {
        return dns(case);
    }
    if matches!(class, Class::RelayError | Class::OwnFault) {
        return (Kind::ThisPath, Strong, None);
    }
    if !healthy.is_empty() {
        if all_fail_elsewhere {
            return (Kind::ThisPath, Strong, None);
        }
        let kind = match class {
            Class::Challenge => Kind::ChallengesUs,
            Class::Outage | Class::Overload | Class::ReadTimeout | Class::Contract => {
                Kind::FailsHere
            }
            Class::Ok
            | Class::ClientError
            | Class::Auth
            | Class::Denied
            | Class::RateLimited
            | Class::BlockedIp
            | Class::ConnectTimeout
            | Class::Reset
            | Class::Refused
            | Class::Dns
            | Class::Tls
            | Class::RelayError
            | Class::OwnFault
            | Class::LocalLimit
            | Class::Cancelled => Kind::BlocksAddresses,
        };
        return (kind, Strong, None);
    }
    if all_fail_elsewhere {
        let ours = if is_cert(failing) { Kind::OurTls } else { Kind::OurNetwork };
        return (ours, Strong, None);
    }
    alone(case, failing, class, elsewhere(Elsewhere::Good) > 0)
}

/// No path works: what the failures say for themselves.
fn alone(case: &Case<'_>, failing: &[&Witness<'_>], class: Class, carries_others: bool) -> Blamed {
    use Confidence::{Likely, Strong, Weak};
    let mut groups: Vec<&str> = failing.iter().map(|w| w.group).collect();
    groups.sort_unstable();
    groups.dedup();
    let n_witnesses = groups.len();
    let is_everywhere = n_witnesses > 1 && failing.len() == case.witnesses.len();
    let sure = if is_everywhere { Strong } else { Likely };
    let says_itself =
        failing.iter().any(|w| w.arm.failure.is_some_and(|f| f.outcome.confidence == Strong));
    match class {
        Class::BlockedIp if says_itself => (Kind::BlocksAddresses, Likely, no_witness(case)),
        Class::BlockedIp if is_everywhere => (Kind::BlocksAddresses, Weak, None),
        Class::BlockedIp => (Kind::CannotTell, Weak, Some(OpenTest::OtherPath)),
        Class::Challenge => (Kind::ChallengesUs, sure, None),
        Class::Contract => (Kind::ContractBroken, sure, None),
        Class::ClientError | Class::Auth | Class::Denied if is_everywhere => {
            (Kind::OurRequest, Strong, None)
        }
        Class::ClientError | Class::Auth | Class::Denied => {
            (Kind::CannotTell, Weak, Some(OpenTest::OtherPath))
        }
        Class::ReadTimeout if carries_others || is_everywhere => (Kind::ProviderSlow, sure, None),
        Class::Outage | Class::Overload => (Kind::ProviderDown, sure, None),
        Class::Ok
        | Class::RateLimited
        | Class::ConnectTimeout
        | Class::ReadTimeout
        | Class::Reset
        | Class::Refused
        | Class::Dns
        | Class::Tls
        | Class::RelayError
        | Class::OwnFault
        | Class::LocalLimit
        | Class::Cancelled => match carries_others || is_everywhere {
            true => (Kind::ProviderDown, sure, None),
            false => (Kind::CannotTell, Weak, Some(OpenTest::OtherProvider)),
        },
    }
}

fn no_witness(case: &Case<'_>) -> Option<OpenTest> {
    (case.witnesses.len() < 2).then_some(OpenTest::OtherPath)
}

fn dns(case: &Case<'_>) -> Blamed {
    match case.dns_elsewhere {
        Elsewhere::Failing => (Kind::OurDns, Confidence::Strong, None),
        Elsewhere::Good => (Kind::ProviderDown, Confidence::Strong, None),
        Elsewhere::Unknown => (Kind::CannotTell, Confidence::Weak, Some(OpenTest::OtherName)),
    }
}

fn is_cert(failing: &[&Witness<'_>]) -> bool {
    failing.iter().all(|w| {
        w.arm.failure.is_some_and(|failure| {
            matches!(failure.cause, Some(Cause::TlsCert | Cause::TlsAlert | Cause::TlsProtocol))
        })
    })
}

#[cfg(test)]
mod tests;
