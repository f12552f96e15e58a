//! What an answer showed, put before the rules: its head, and the first bytes of its body.

use byway_core::classify::{self, Outcome, Signatures};
use byway_core::detect::Shown;
use byway_core::evidence::{Answer, Evidence};
use byway_core::hint::{self, Allowance};
use byway_core::history::Usual;
use byway_core::route::Scheme;
use jiff::{SignedDuration, Timestamp};

use crate::look;

/// As much of a suspicious body is looked at.
pub(crate) const LOOK_BYTES_MAX: usize = 16 * 1024;

/// A copy of what came, made only where it is worth a look.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent observations of one answer")]
pub(crate) struct Caught {
    /// The head as the provider sent it.
    pub(crate) head: Vec<u8>,
    /// The body's first bytes as they came, framing and coding included.
    pub(crate) body: Vec<u8>,
    /// Whether it is worth more than learning from it.
    pub(crate) is_suspicious: bool,
    /// Whether the body is in chunks.
    pub(crate) is_chunked: bool,
    /// Whether it is learnt from although it is an ordinary one.
    pub(crate) is_learnt: bool,
    /// How much of the body is kept.
    pub(crate) body_bytes_max: usize,
    /// Whether the body was longer than that, or broke off.
    pub(crate) is_cut: bool,
}

impl Caught {
    /// Takes what there is room for.
    pub(crate) fn take(&mut self, body: &[u8]) {
        let room = self.body_bytes_max.saturating_sub(self.body.len());
        self.is_cut |= body.len() > room;
        self.body.extend_from_slice(body.get(..room.min(body.len())).unwrap_or_default());
    }
}

/// What is known about an answer besides its bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About<'a> {
    pub(crate) signatures: &'a Signatures,
    pub(crate) usual: Option<&'a Usual>,
    pub(crate) asked: Option<(Scheme, &'a str)>,
    pub(crate) first_byte: Option<std::time::Duration>,
    pub(crate) body_bytes: Option<u64>,
    pub(crate) now: Timestamp,
}

/// An answer, judged.
#[derive(Debug)]
pub(crate) struct Witnessed {
    pub(crate) shown: Shown,
    /// How long the provider asked us to stay away.
    pub(crate) pause: Option<SignedDuration>,
    /// What the provider says about its limits, for people.
    pub(crate) allowance: Option<Allowance>,
    /// What in it speaks for the judgement, for people.
    pub(crate) signs: Vec<String>,
}

/// More fields than this are not looked at.
const N_FIELDS_MAX: usize = 128;

/// Judges an answer.
pub(crate) fn judge(caught: &Caught, about: &About<'_>) -> Witnessed {
    with_answer(caught, about, |answer| {
        let outcome = classify::classify(&Evidence::Answered(*answer), about.signatures);
        Witnessed {
            shown: Shown { outcome, status: Some(answer.status), cause: None },
            pause: hint::retry_after(answer, about.now),
            allowance: hint::allowance(answer, about.now),
            signs: classify::signs(answer, &outcome, about.signatures),
        }
    })
}

/// An answer that nothing is suspicious about: its status says all; `then` may learn from it.
pub(crate) fn ordinary(
    caught: &Caught,
    about: &About<'_>,
    then: impl FnOnce(&Answer<'_>),
) -> Witnessed {
    with_answer(caught, about, |answer| {
        then(answer);
        let outcome = judge_status(answer.status, about.signatures);
        Witnessed {
            shown: Shown { outcome, status: Some(answer.status), cause: None },
            pause: None,
            allowance: hint::allowance(answer, about.now),
            signs: Vec::new(),
        }
    })
}

/// Judges an answer by its status alone.
pub(crate) fn judge_status(status: u16, signatures: &Signatures) -> Outcome {
    classify::classify(&Evidence::Answered(Answer::bare(status)), signatures)
}

/// Gives the answer as the rules see it.
pub(crate) fn with_answer<R>(
    caught: &Caught,
    about: &About<'_>,
    then: impl FnOnce(&Answer<'_>) -> R,
) -> R {
    let mut storage = [httparse::EMPTY_HEADER; N_FIELDS_MAX];
    let mut head = httparse::Response::new(&mut storage);
    // The head was parsed strictly before it was caught; what this parser does not like is left out.
    let _partial = head.parse(&caught.head);
    let fields: Vec<(&[u8], &[u8])> =
        head.headers.iter().map(|field| (field.name.as_bytes(), field.value)).collect();
    let coding = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(b"content-encoding"));
    let looked_at = caught.body.get(..LOOK_BYTES_MAX).unwrap_or(&caught.body);
    let body = if looked_at.is_empty() || !caught.is_suspicious {
        Vec::new()
    } else {
        look::decode(coding.map(|&(_, value)| value), caught.is_chunked, looked_at)
    };
    then(&Answer {
        status: head.code.unwrap_or_default(),
        reason: head.reason.unwrap_or_default().as_bytes(),
        fields: &fields,
        body: &body,
        usual: about.usual,
        first_byte: about.first_byte,
        body_bytes: about.body_bytes,
        asked: about.asked,
    })
}
