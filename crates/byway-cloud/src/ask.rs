//! One request to a platform's own service, over the stack that everything else goes over.

use std::time::Duration;

use byway_core::destination::Network;
use byway_core::route::{Origin, Scheme};
use byway_core::settings::{Deadlines, Dns, PathKind, ProviderTls};
use byway_net::{Dial, HopClient, Once, Resolver, Target, TlsClient, dial};
use tokio::time::timeout;

/// What is asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a str,
    pub(crate) origin: &'a Origin,
    pub(crate) target: &'a str,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: &'a [u8],
}

/// Answers of such services are small.
const BYTES_MAX: usize = 1024 * 1024;
/// Nothing happens for so long only where nothing will.
const IDLE: Duration = Duration::from_secs(60);

/// Status and body.
///
/// # Errors
/// What went wrong, for people.
pub(crate) async fn ask(asked: &Asked<'_>, within: Duration) -> Result<(u16, Vec<u8>), String> {
    let late = |_| format!("{} did not answer within {} s", asked.origin, within.as_secs());
    timeout(within, Box::pin(exchange(asked))).await.map_err(late)?
}

async fn exchange(asked: &Asked<'_>) -> Result<(u16, Vec<u8>), String> {
    let Origin { scheme, host, port } = asked.origin;
    let tls = TlsClient::new(&[], &ProviderTls::default()).map_err(|why| why.to_string())?;
    let resolver = Resolver::new(&Dns::default()).map_err(|why| why.to_string())?;
    // A metadata service is where no destination of a request may be.
    let everywhere: Vec<Network> =
        ["0.0.0.0/0", "::/0"].iter().filter_map(|text| text.parse().ok()).collect();
    let dialling = Dial {
        path: &PathKind::Direct,
        hop: &HopClient::none(),
        target: Target::new(*scheme, host, *port),
        allow: &everywhere,
        tls: (*scheme == Scheme::Https).then_some(&tls),
        tunnel: false,
        deadlines: &Deadlines::default(),
        hops: "",
        own: &[],
    };
    let mut stream = dial(&resolver, &dialling).await.map_err(|why| why.to_string())?.stream;
    let mut head = format!("{} {} HTTP/1.1\r\n", asked.method, asked.target);
    head.push_str(&format!("Host: {}\r\nConnection: close\r\n", asked.origin.authority()));
    for (name, value) in &asked.fields {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", asked.body.len()));
    let once = Once { head: head.as_bytes(), body: asked.body, within: IDLE };
    let mut body = Vec::new();
    let answer = once
        .run(&mut stream, &mut |piece| {
            body.extend_from_slice(piece);
            body.len() <= BYTES_MAX
        })
        .await
        .map_err(|why| format!("{}: {why}", asked.origin))?;
    Ok((answer.status, body))
}

/// `https://host[:port]/target` as a service names itself.
pub(crate) fn split(url: &str) -> Option<(Origin, String)> {
    let (scheme, rest) = match url.split_once("://")? {
        ("http", rest) => (Scheme::Http, rest),
        ("https", rest) => (Scheme::Https, rest),
        _ => return None,
    };
    let at = rest.find('/').unwrap_or(rest.len());
    let (authority, target) = rest.split_at_checked(at)?;
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (authority, scheme.default_port()),
    };
    let target = if target.is_empty() { "/" } else { target };
    Some((Origin { scheme, host: host.to_owned(), port }, target.to_owned()))
}
