//! A drill's gateway as a configuration file: what anybody would write for such paths.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;

use crate::scenario::{Called, Scenario, WayKind};

/// The file that relays' keys are read from.
pub const RELAY_KEY: &str = "drill-relay.key.pem";
/// The file that the authority of simulated providers is read from.
pub const ROOTS: &str = "drill-authority.pem";

impl Scenario {
    /// The configuration, for providers that listen at these addresses, with this name server, and
    /// for ways out over Lambdas behind these fronts.
    pub fn config(
        &self,
        providers: &[SocketAddr],
        names: Option<SocketAddr>,
        lambdas: &BTreeMap<String, SocketAddr>,
    ) -> String {
        let mut text = String::from("[gateway]\nlisten = \"127.0.0.1:0\"\nworkers = 1\n");
        text.push_str("instance = \"drill\"\n\n[admin]\nlisten = \"127.0.0.1:0\"\n\n");
        text.push_str("[log]\nrequests = \"off\"\n\n[state]\nenabled = false\n\n");
        if let Some(names) = names {
            line(&mut text, format_args!("[dns]\nservers = [\"{names}\"]\nttl_max = \"100ms\"\n"));
        }
        for way in &self.paths {
            line(&mut text, format_args!("[path.{}]\ngroup = \"{}\"", way.name, way.group));
            let (name, source) = (&way.name, way.source);
            match (way.kind, lambdas.get(name)) {
                (WayKind::Source, _) => {
                    line(&mut text, format_args!("[path.{name}.source-ip]\naddr = \"{source}\"\n"));
                }
                (WayKind::Lambda, Some(front)) => {
                    line(&mut text, format_args!("[path.{name}.relay]\nurl = \"http://{front}/\""));
                    line(&mut text, format_args!("platform = \"api-gateway-v2\"\nlock = \"open\""));
                    line(&mut text, format_args!("key = \"file:{RELAY_KEY}\"\n"));
                }
                (WayKind::Direct, _) | (WayKind::Lambda, None) => {
                    line(&mut text, format_args!("[path.{name}.direct]\n"));
                }
            }
        }
        for (called, addr) in self.providers.iter().zip(providers) {
            self.provider(&mut text, called, *addr, names.is_some());
        }
        text
    }

    fn provider(&self, text: &mut String, called: &Called, addr: SocketAddr, is_named: bool) {
        let Called { name, on_block, budget } = called;
        let host = if is_named { format!("{name}.drill") } else { addr.ip().to_string() };
        let scheme = if self.tls { "https" } else { "http" };
        line(text, format_args!("[provider.{name}]\nurl = \"{scheme}://{host}:{}\"", addr.port()));
        let paths: Vec<String> = self.paths.iter().map(|way| format!("\"{}\"", way.name)).collect();
        line(text, format_args!("allow_private = true\npaths = [{}]", paths.join(", ")));
        line(text, format_args!("on_block = \"{on_block}\""));
        if !budget.is_empty() {
            line(text, format_args!("budget = \"{budget}\""));
        }
        let mut tables: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
        for [table, key, value] in &self.set {
            tables.entry(table).or_default().push((key, value));
        }
        for (table, settings) in &tables {
            if !table.is_empty() {
                line(text, format_args!("[provider.{name}.{table}]"));
            }
            for (key, value) in settings {
                let is_number = value.parse::<u64>().is_ok();
                let quote = if is_number { "" } else { "\"" };
                line(text, format_args!("{key} = {quote}{value}{quote}"));
            }
        }
        if on_block == "detour" {
            line(text, format_args!("[provider.{name}.detour]\nowner = \"drill\""));
            line(text, format_args!("reason = \"practice\"\nexpires = \"2999-01-01\""));
        }
        if self.tls {
            line(text, format_args!("[provider.{name}.tls]\nroots = [\"{ROOTS}\"]"));
        }
        line(text, format_args!("[provider.{name}.route.products]\nprefix = \"/v1/products\""));
        line(text, format_args!("affects = [\"PC product page\"]"));
        if self.stale {
            line(text, format_args!("stale_if_blocked = \"6h\""));
        }
        text.push('\n');
    }
}

fn line(text: &mut String, what: std::fmt::Arguments<'_>) {
    let _infallible = writeln!(text, "{what}");
}
