//! What a route's normal answers look like, learnt from them; and whether an answer is worth a look.
//!
//! Memory is bounded: one kind of content, the names of the fields that every normal answer had, and
//! running means. Nothing is said before enough was seen, and what is learnt follows the provider
//! when it changes.

use crate::evidence::Answer;

/// Kinds of content, as coarse as block pages differ from API answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// No content type.
    None,
    /// JSON and its relatives.
    Json,
    /// A page for people.
    Html,
    /// XML that is no page.
    Xml,
    /// Other text.
    Text,
    /// Pictures, video, sound.
    Media,
    /// Anything else.
    Binary,
}

impl Kind {
    /// Every kind, in the order of their numbers.
    pub const ALL: [Self; 7] =
        [Self::None, Self::Json, Self::Html, Self::Xml, Self::Text, Self::Media, Self::Binary];

    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Json => "json",
            Self::Html => "html",
            Self::Xml => "xml",
            Self::Text => "text",
            Self::Media => "media",
            Self::Binary => "binary",
        }
    }

    /// The kind of a `Content-Type` value.
    pub fn of(content_type: &[u8]) -> Self {
        let end = content_type
            .iter()
            .position(|b| matches!(b, b';' | b','))
            .unwrap_or(content_type.len());
        let media = content_type.get(..end).unwrap_or_default().trim_ascii();
        let starts = |prefix: &[u8]| {
            media.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
        };
        let ends = |suffix: &[u8]| {
            let at = media.len().saturating_sub(suffix.len());
            media.get(at..).is_some_and(|tail| tail.eq_ignore_ascii_case(suffix))
        };
        if media.is_empty() {
            Self::None
        } else if starts(b"text/html") || starts(b"application/xhtml") {
            Self::Html
        } else if ends(b"json") || starts(b"application/javascript") || ends(b"ndjson") {
            Self::Json
        } else if ends(b"xml") {
            Self::Xml
        } else if starts(b"text/") {
            Self::Text
        } else if starts(b"image/") || starts(b"video/") || starts(b"audio/") || starts(b"font/") {
            Self::Media
        } else {
            Self::Binary
        }
    }
}

/// Field names that are remembered at most.
const N_NAMES_MAX: usize = 32;
/// Longer names mark nothing.
const NAME_BYTES_MAX: usize = 64;
/// Nothing is said before so many normal answers.
const N_ENOUGH: u32 = 8;
/// Fields that come and go with caches and connections, and prove nothing.
const VOLATILE: [&str; 14] = [
    "age",
    "connection",
    "content-encoding",
    "content-length",
    "date",
    "etag",
    "expires",
    "keep-alive",
    "last-modified",
    "set-cookie",
    "transfer-encoding",
    "vary",
    "via",
    "warning",
];

/// What is usual on a route.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Usual {
    kind: Option<Kind>,
    markers: Vec<Box<[u8]>>,
    is_never_empty: bool,
    mean_bytes: f64,
    mean_first_byte: f64,
}

impl Usual {
    /// The kind of content that normal answers have, if they agree.
    pub const fn kind(&self) -> Option<Kind> {
        self.kind
    }

    /// Whether no normal answer was ever empty.
    pub const fn is_never_empty(&self) -> bool {
        self.is_never_empty
    }

    /// Fields that every normal answer carried and this one lacks.
    pub fn missing<'u>(&'u self, answer: &Answer<'_>) -> impl Iterator<Item = &'u [u8]> {
        let fields = answer.fields;
        self.markers
            .iter()
            .map(AsRef::as_ref)
            .filter(move |marker| !fields.iter().any(|(name, _)| name.eq_ignore_ascii_case(marker)))
    }

    /// How many fields every normal answer carried.
    pub fn n_markers(&self) -> usize {
        self.markers.len()
    }

    /// Whether size or time to the first byte is far off: less than a tenth, or for the size more
    /// than ten times. It supports other signs; alone it says nothing.
    pub fn is_far_off(&self, answer: &Answer<'_>) -> bool {
        let bytes = answer.body_bytes.map(|bytes| {
            #[expect(clippy::cast_precision_loss, reason = "an order of magnitude")]
            let bytes = bytes as f64;
            bytes * 10.0 < self.mean_bytes || bytes > self.mean_bytes * 10.0 + 1024.0
        });
        let fast = answer.first_byte.map(|took| took.as_secs_f64() * 10.0 < self.mean_first_byte);
        bytes.unwrap_or(false) || fast.unwrap_or(false)
    }
}

/// The memory of one route.
#[derive(Debug, Clone, Default)]
pub struct History {
    n: u32,
    kinds: [u32; Kind::ALL.len()],
    markers: Vec<Box<[u8]>>,
    n_empty: u32,
    mean_bytes: f64,
    mean_first_byte: f64,
}

impl History {
    /// Learns from a normal answer: a 2xx that nobody found suspicious.
    pub fn observe(&mut self, answer: &Answer<'_>) {
        if !(200..300).contains(&answer.status) || matches!(answer.status, 204 | 206) {
            return;
        }
        let kind = Kind::of(answer.field("content-type").unwrap_or_default());
        if let Some(n) = self.kinds.get_mut(kind as usize) {
            *n += 1;
        }
        if self.n == 0 {
            let is_marker = |name: &&[u8]| {
                name.len() <= NAME_BYTES_MAX
                    && !VOLATILE.iter().any(|v| name.eq_ignore_ascii_case(v.as_bytes()))
            };
            let names = answer.fields.iter().map(|&(name, _)| name).filter(is_marker);
            self.markers =
                names.take(N_NAMES_MAX).map(|name| name.to_ascii_lowercase().into()).collect();
        } else {
            self.markers.retain(|marker| {
                answer.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case(marker))
            });
        }
        self.n = self.n.saturating_add(1);
        // Old answers fade: at most the last few dozen decide.
        if self.n.is_multiple_of(64) {
            self.kinds.iter_mut().for_each(|n| *n /= 2);
        }
        let weight = 1.0 / f64::from(self.n.min(32));
        let mix = |mean: &mut f64, new: f64| *mean += (new - *mean) * weight;
        if let Some(bytes) = answer.body_bytes {
            #[expect(clippy::cast_precision_loss, reason = "an order of magnitude")]
            mix(&mut self.mean_bytes, bytes as f64);
            self.n_empty += u32::from(bytes == 0);
        }
        if let Some(took) = answer.first_byte {
            mix(&mut self.mean_first_byte, took.as_secs_f64());
        }
    }

    /// What is usual; `None` before enough was seen.
    pub fn usual(&self) -> Option<Usual> {
        if self.n < N_ENOUGH {
            return None;
        }
        let all: u32 = self.kinds.iter().sum();
        let most = self.kinds.iter().zip(Kind::ALL).max_by_key(|(n, _)| **n);
        // Nine in ten agree; otherwise the route answers in several kinds and none is odd.
        let kind = most.filter(|(n, _)| **n * 10 >= all * 9).map(|(_, kind)| kind);
        Some(Usual {
            kind,
            markers: self.markers.clone(),
            is_never_empty: self.n_empty == 0 && self.mean_bytes > 0.0,
            mean_bytes: self.mean_bytes,
            mean_first_byte: self.mean_first_byte,
        })
    }
}

/// Whether an answer is worth a look: the cheap question that every answer is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Suspicion {
    usual: Option<Kind>,
}

impl Suspicion {
    /// Where normal answers are of this kind.
    pub const fn new(usual: Option<Kind>) -> Self {
        Self { usual }
    }

    /// Looks at status and content type; `has_mitigation` if a field says that an edge interfered.
    pub fn of_head(self, status: u16, content_type: Option<&[u8]>, has_mitigation: bool) -> bool {
        if status >= 300 || has_mitigation {
            // 304 is the ordinary answer to a conditional request.
            return status != 304;
        }
        // A page where none is usual, or anywhere before it is known what is: wafs answer 200, too.
        let kind = || Kind::of(content_type.unwrap_or_default());
        match self.usual {
            _ if matches!(status, 204 | 206) => false,
            Some(usual) => kind() != usual,
            None => kind() == Kind::Html,
        }
    }
}

#[cfg(test)]
mod tests;
