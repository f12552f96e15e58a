//! A name server for drills: every name below `.drill` is 127.0.0.1, until it fails.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;

/// A name server.
#[derive(Debug, Clone)]
pub struct Names {
    /// Where it listens.
    pub addr: SocketAddr,
    fails: Arc<AtomicBool>,
}

impl Names {
    /// Starts one on loopback; it ends with the token.
    ///
    /// # Errors
    /// The system's, if there is no socket.
    pub async fn start(
        tasks: &tokio_util::task::TaskTracker,
        stop: CancellationToken,
    ) -> std::io::Result<Self> {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).await?;
        let names = Self { addr: socket.local_addr()?, fails: Arc::default() };
        let fails = Arc::clone(&names.fails);
        tasks.spawn(async move {
            let mut packet = [0; 512];
            loop {
                let received = tokio::select! {
                    () = stop.cancelled() => return,
                    received = socket.recv_from(&mut packet) => received,
                };
                let Ok((n, from)) = received else { continue };
                let query = packet.get(..n).unwrap_or_default();
                if let Some(answer) = answer(query, fails.load(Ordering::Relaxed)) {
                    let _gone = socket.send_to(&answer, from).await;
                }
            }
        });
        Ok(names)
    }

    /// Lets it fail, or answer again.
    pub fn set_failing(&self, fails: bool) {
        self.fails.store(fails, Ordering::Relaxed);
    }
}

/// An answer to one question (RFC 1035 §4.1).
fn answer(query: &[u8], fails: bool) -> Option<Vec<u8>> {
    let id = query.get(..2)?;
    let question = query.get(12..)?;
    let name_len = question.iter().position(|&b| b == 0)? + 1;
    let question = question.get(..name_len + 4)?;
    let is_a = question.get(name_len..name_len + 2)? == [0, 1];
    let rcode = if fails { 2 } else { 0 };
    let n_answers = u8::from(is_a && !fails);
    let mut answer = Vec::with_capacity(64);
    answer.extend_from_slice(id);
    answer.extend_from_slice(&[0x81, 0x80 | rcode, 0, 1, 0, n_answers, 0, 0, 0, 0]);
    answer.extend_from_slice(question);
    if n_answers == 1 {
        // A pointer to the name, A, IN, a TTL of a second, four bytes.
        answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, 1]);
    }
    Some(answer)
}
