//! The outer answer: status, framing and Base64 taken off, so that frames are left.

use byway_core::cause::Cause;
use byway_wire::body::Framing;
use byway_wire::content::Content;
use byway_wire::relay::Stage;
use byway_wire::response::ResponseHead;
use byway_wire::scan::HeadScan;
use data_encoding::BASE64;

use super::{POST, RelayFault};

/// A platform's head is its own; larger ones are no platform's.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// As much of a refusal as is shown to people.
const SHOWN_BYTES_MAX: usize = 300;

/// Reads one outer answer after the other.
#[derive(Debug)]
pub(super) struct OuterAnswer {
    /// Bytes as they came, not yet understood.
    raw: Vec<u8>,
    scan: HeadScan,
    state: State,
    text: Text,
}

#[derive(Debug)]
enum State {
    Head,
    /// A body whose frames are wanted.
    Body {
        body: Content,
        keep_alive: bool,
    },
    /// A body of something else, kept to be shown.
    Refusal {
        status: u16,
        body: Content,
        shown: Vec<u8>,
    },
    Done {
        keep_alive: bool,
    },
}

/// Whether the frames come as Base64, which the first byte tells: `B` of the magic, or `Q`.
#[derive(Debug, Default)]
enum Text {
    #[default]
    Unknown,
    Binary,
    Base64 {
        /// Less than a group of four.
        rest: Vec<u8>,
    },
}

impl OuterAnswer {
    pub(super) fn new() -> Self {
        let (scan, text) = (HeadScan::default(), Text::Unknown);
        Self { raw: Vec::new(), scan, state: State::Head, text }
    }

    /// Where the next bytes are read to.
    pub(super) fn raw(&mut self) -> &mut Vec<u8> {
        &mut self.raw
    }

    /// Whether the answer is over; and whether the connection can be used again.
    pub(super) fn done(&self) -> Option<bool> {
        match self.state {
            State::Done { keep_alive } => Some(keep_alive),
            State::Head | State::Body { .. } | State::Refusal { .. } => None,
        }
    }

    /// Begins with the next answer on the connection.
    pub(super) fn again(&mut self) {
        self.scan = HeadScan::default();
        self.state = State::Head;
        self.text = Text::Unknown;
    }

    /// Understands what has come, and appends what frames there are.
    pub(super) fn take(&mut self, frames: &mut Vec<u8>, relay: &str) -> Result<(), RelayFault> {
        loop {
            match &mut self.state {
                State::Head => {
                    if !self.take_head(relay)? {
                        return Ok(());
                    }
                }
                State::Body { body, keep_alive } => {
                    let mut content = Vec::new();
                    let n = body
                        .take(&self.raw, &mut content)
                        .map_err(|why| failed(relay, &format!("its body is malformed: {why}")))?;
                    self.raw.drain(..n);
                    let keep_alive = *keep_alive;
                    let is_done = body.is_done();
                    self.text.decode(&content, frames, relay)?;
                    if is_done {
                        self.state = State::Done { keep_alive };
                    }
                    return Ok(());
                }
                State::Refusal { status, body, shown } => {
                    let n = body.take(&self.raw, shown).unwrap_or(self.raw.len());
                    self.raw.drain(..n);
                    if body.is_done() || shown.len() >= SHOWN_BYTES_MAX {
                        return Err(refusal(relay, *status, shown));
                    }
                    return Ok(());
                }
                State::Done { .. } => return Ok(()),
            }
        }
    }

    /// True if a head was dealt with.
    fn take_head(&mut self, relay: &str) -> Result<bool, RelayFault> {
        let malformed = |why| failed(relay, &format!("it does not speak HTTP/1: {why}"));
        let found = self.scan.feed(&self.raw, HEAD_BYTES_MAX).map_err(malformed)?;
        let Some(len) = found else { return Ok(false) };
        self.scan = HeadScan::default();
        let mut spans = Vec::new();
        let raw = self.raw.get(..len).unwrap_or_default();
        let head = ResponseHead::parse(raw, &POST, byway_wire::N_FIELDS_MAX, &mut spans)
            .map_err(malformed)?;
        let (status, keep_alive) = (head.shape.status, head.shape.keep_alive);
        let framing = head.shape.framing;
        self.raw.drain(..len);
        self.state = match status {
            100..=199 => State::Head,
            200 => State::Body { body: Content::new(framing), keep_alive },
            _ => State::Refusal { status, body: Content::new(framing), shown: Vec::new() },
        };
        // An answer without a body is over before anything else comes.
        if let State::Refusal { shown, .. } = &self.state
            && framing == Framing::Empty
        {
            return Err(refusal(relay, status, shown));
        }
        Ok(true)
    }

    /// The relay closed its side.
    pub(super) fn end(&mut self, relay: &str) -> Result<(), RelayFault> {
        match &self.state {
            State::Body { body, .. } if body.end().is_ok() => {
                self.state = State::Done { keep_alive: false };
                Ok(())
            }
            State::Refusal { status, shown, .. } => Err(refusal(relay, *status, shown)),
            State::Done { .. } => Ok(()),
            State::Head if self.raw.is_empty() => {
                let fault = failed(relay, "it closed the connection without an answer");
                Err(RelayFault { is_gone: true, ..fault })
            }
            State::Head | State::Body { .. } => {
                Err(failed(relay, "it closed the connection before the end of its answer"))
            }
        }
    }
}

impl Text {
    fn decode(
        &mut self,
        content: &[u8],
        frames: &mut Vec<u8>,
        relay: &str,
    ) -> Result<(), RelayFault> {
        if let (Self::Unknown, Some(first)) = (&*self, content.first()) {
            // What is neither is found out by whoever reads the frames.
            let is_text = *first == b'Q';
            *self = if is_text { Self::Base64 { rest: Vec::new() } } else { Self::Binary };
        }
        match self {
            Self::Unknown | Self::Binary => frames.extend_from_slice(content),
            Self::Base64 { rest } => {
                rest.extend_from_slice(content);
                let n = rest.len() / 4 * 4;
                let groups = rest.get(..n).unwrap_or_default();
                let bytes = BASE64.decode(groups).map_err(|_| failed(relay, "broken Base64"))?;
                frames.extend_from_slice(&bytes);
                rest.drain(..n);
            }
        }
        Ok(())
    }
}

fn failed(relay: &str, why: &str) -> RelayFault {
    let detail = format!("the relay {relay}: {why}");
    RelayFault::new(Cause::RelayFailed, Stage::Sent, detail)
}

/// A platform's refusals come before the relay has seen anything, but for those of a function that
/// was stopped in the middle: nobody can tell these from outside.
fn refusal(relay: &str, status: u16, shown: &[u8]) -> RelayFault {
    let shown: String = String::from_utf8_lossy(shown)
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(SHOWN_BYTES_MAX)
        .collect();
    let meaning = match status {
        401 | 403 => ": its lock does not open, or the key inside is not the one it knows",
        404 => ": there is no relay at this URL",
        413 => ": the request is too large for its platform",
        429 => ": its platform limits how many calls may run at once",
        502 => ": it broke, or answered in a form that its platform does not know",
        503 => ": its platform is not there for it now",
        504 => ": its platform gave up waiting for it",
        _ => "",
    };
    let detail = format!("the relay {relay} answered {status}{meaning} `{}`", shown.trim());
    let is_before = matches!(status, 401 | 403 | 404 | 413 | 429);
    let stage = if is_before { Stage::BeforeSend } else { Stage::Sent };
    RelayFault::new(Cause::RelayFailed, stage, detail)
}
