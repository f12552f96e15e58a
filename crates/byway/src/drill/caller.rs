//! The callers of a drill: requests at a steady rate, with a query that most gateways mangle.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A caller gives up after this, whatever the speed.
const PATIENCE: Duration = Duration::from_secs(20);
/// `코트` in EUC-KR and in UTF-8, raw and encoded, with a space that is a plus and a slash that stays
/// encoded.
const QUERY: &[u8] =
    b"?q=\xc4\xda\xc6\xae&u=\xec\xbd\x94\xed\x8a\xb8&e=%EC%BD%94%ED%8A%B8&s=a+b&r=%2Fx%2f;p=1&n=";

/// What a caller got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Got {
    /// The status; `None` without an answer.
    pub(crate) status: Option<u16>,
    /// Whether it was a stored answer.
    pub(crate) is_stale: bool,
}

impl Got {
    const NOTHING: Self = Self { status: None, is_stale: false };

    /// Whether the caller has what it asked for.
    pub(crate) fn is_served(self) -> bool {
        self.status == Some(200)
    }
}

/// The target of the `n`th request. One in a hundred is the same, as in real life.
pub(crate) fn target(n: u64) -> Vec<u8> {
    let mut target = b"/v1/products".to_vec();
    target.extend_from_slice(QUERY);
    target.extend_from_slice((n % 100).to_string().as_bytes());
    target
}

/// Asks the gateway once.
pub(crate) async fn ask(gateway: SocketAddr, provider: &str, target: &[u8]) -> Got {
    let asked = tokio::time::timeout(PATIENCE, exchange(gateway, provider, target)).await;
    asked.ok().and_then(Result::ok).unwrap_or(Got::NOTHING)
}

async fn exchange(gateway: SocketAddr, provider: &str, target: &[u8]) -> std::io::Result<Got> {
    let mut stream = TcpStream::connect(gateway).await?;
    let mut request = format!("GET /to/{provider}").into_bytes();
    request.extend_from_slice(target);
    request.extend_from_slice(
        format!(" HTTP/1.1\r\nHost: {gateway}\r\nUser-Agent: shop-batch/1.4\r\nAccept: application/json\r\nConnection: close\r\n\r\n")
            .as_bytes(),
    );
    stream.write_all(&request).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let head_len = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or(answer.len());
    let head = String::from_utf8_lossy(answer.get(..head_len).unwrap_or_default());
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let is_stale = head.lines().any(|line| {
        line.to_ascii_lowercase().starts_with("cache-status:") && line.contains("detail=")
    });
    // A page in place of data is no answer, whatever its status.
    let is_data = head.to_ascii_lowercase().contains("content-type: application/json");
    Ok(Got { status: status.filter(|status| *status != 200 || is_data), is_stale })
}
