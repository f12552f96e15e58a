//! The addresses that providers see: configured, echoed, or only our own end of the connection.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Mutex;

use byway_core::destination::may_reach;
use byway_core::settings::PathKind;

use crate::snapshot::PathPlan;

/// What is known about the ways out, by path name.
#[derive(Debug, Default)]
pub(crate) struct Exits {
    seen: Mutex<BTreeMap<String, Seen>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    /// What an echo said.
    echoed: Option<(IpAddr, &'static str)>,
    /// Our end of the last connection.
    local: Option<IpAddr>,
}

impl Exits {
    /// Notes our end of a connection.
    pub(crate) fn local(&self, path: &str, local: IpAddr) {
        if let Ok(mut seen) = self.seen.lock() {
            seen.entry(path.to_owned()).or_default().local = Some(local);
        }
    }

    /// Notes what somebody outside saw; `how` says who.
    pub(crate) fn echoed(&self, path: &str, exit: IpAddr, how: &'static str) {
        if let Ok(mut seen) = self.seen.lock() {
            seen.entry(path.to_owned()).or_default().echoed = Some((exit, how));
        }
    }

    /// Whether somebody outside has told already.
    pub(crate) fn is_echoed(&self, path: &str) -> bool {
        self.seen.lock().is_ok_and(|seen| seen.get(path).is_some_and(|s| s.echoed.is_some()))
    }

    /// The address that others see, as far as it can be told to somebody else: an address behind
    /// NAT would mislead.
    pub(crate) fn outside(&self, path: &PathPlan) -> Option<IpAddr> {
        let (exit, how) = self.of(Some(path), path.name.as_str());
        let exit: IpAddr = exit?.parse().ok()?;
        (how != "local" || may_reach(exit, &[]).is_ok()).then_some(exit)
    }

    /// The address and how it is known: `configured`, `peer`, `relay`, `echo`, `trace`, `local`,
    /// `unknown`.
    pub(crate) fn of(&self, plan: Option<&PathPlan>, path: &str) -> (Option<String>, &'static str) {
        if let Some(exit) = plan.and_then(|plan| plan.exit) {
            return (Some(exit.to_string()), "configured");
        }
        let seen = self.seen.lock().ok().and_then(|seen| seen.get(path).copied());
        let seen = seen.unwrap_or_default();
        if let Some((exit, how)) = seen.echoed {
            return (Some(exit.to_string()), how);
        }
        match plan.map(|plan| &plan.kind) {
            // What a proxy's own address is, only the other side sees.
            Some(
                PathKind::HttpProxy(_)
                | PathKind::Socks5(_)
                | PathKind::Peer(_)
                | PathKind::Relay(_),
            ) => (None, "unknown"),
            Some(PathKind::SourceIp(ip)) => (Some(ip.to_string()), "local"),
            Some(PathKind::Direct) | None => match seen.local {
                Some(local) => (Some(local.to_string()), "local"),
                None => (None, "unknown"),
            },
        }
    }
}
