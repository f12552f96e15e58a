//! A request as the rules of caching see it: names, keyed digests instead of values, no secret.

use std::collections::BTreeMap;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Uri};
use http_cache_semantics::RequestLike;

use super::{Cache, Digest};

/// Parts of the names of fields that say who is asking; answers are never shared between two of
/// them. Every provider has a name of its own for its key: rather one copy too many than one that is
/// another's.
const CREDENTIALS: [&str; 10] = [
    "auth",
    "cookie",
    "credential",
    "key",
    "password",
    "secret",
    "session",
    "signature",
    "token",
    "client-id",
];
/// Fields whose value the rules read.
const PLAIN: [&str; 2] = ["cache-control", "pragma"];
/// Fields that ask for something else than the answer (RFC 9110 §13, §14).
const CONDITIONS: [&str; 6] =
    ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range", "range"];

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    /// Who asks.
    pub(crate) credentials: Digest,
    /// `If-None-Match` and `If-Modified-Since`, as they came.
    pub(crate) if_none_match: Option<Vec<u8>>,
    pub(crate) if_modified_since: Option<Vec<u8>>,
    /// Whether it asks for a part, or on a condition that a cache must not decide.
    pub(crate) is_special: bool,
}

impl RequestLike for Asked {
    fn uri(&self) -> Uri {
        self.uri.clone()
    }

    /// Targets are compared as raw bytes, by their digest, before this is asked.
    fn is_same_uri(&self, _: &Uri) -> bool {
        true
    }

    fn method(&self) -> &Method {
        &self.method
    }

    fn headers(&self) -> &HeaderMap {
        &self.headers
    }
}

impl Asked {
    /// Reads a head as it goes out; its lines end in CR LF and none is folded.
    pub(crate) fn of(head: &[u8], is_head: bool, cache: &Cache) -> Self {
        let mut values: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for line in head.split(|&b| b == b'\n').skip(1) {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let Some(colon) = line.iter().position(|&b| b == b':') else { break };
            let (name, value) = line.split_at_checked(colon).unwrap_or_default();
            let name = String::from_utf8_lossy(name).to_ascii_lowercase();
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            let all = values.entry(name).or_default();
            if !all.is_empty() {
                all.extend_from_slice(b", ");
            }
            all.extend_from_slice(value);
        }
        let mut headers = HeaderMap::new();
        let mut credentials: Vec<&[u8]> = Vec::new();
        for (name, value) in &values {
            let is_credential = CREDENTIALS.iter().any(|part| name.contains(part));
            if is_credential {
                credentials.extend([name.as_bytes(), value]);
            }
            if name == "host" || CONDITIONS.contains(&name.as_str()) {
                continue;
            }
            let shown = if PLAIN.contains(&name.as_str()) {
                HeaderValue::from_bytes(value)
            } else {
                HeaderValue::from_str(&hex(&cache.digest(&[value])))
            };
            if let (Ok(name), Ok(shown)) = (HeaderName::from_bytes(name.as_bytes()), shown) {
                headers.insert(name, shown);
            }
        }
        let get = |name: &str| values.get(name).cloned();
        let special = ["if-match", "if-unmodified-since", "if-range", "range"];
        Self {
            method: if is_head { Method::HEAD } else { Method::GET },
            uri: Uri::from_static("/"),
            headers,
            credentials: cache.digest(&credentials),
            if_none_match: get("if-none-match"),
            if_modified_since: get("if-modified-since"),
            is_special: special.iter().any(|name| values.contains_key(*name)),
        }
    }

    /// A request that was stored: the fields that matter for its answer.
    pub(crate) fn again(fields: &[(String, String)], credentials: Digest) -> Self {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let pair = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value));
            if let (Ok(name), Ok(value)) = pair {
                headers.insert(name, value);
            }
        }
        Self {
            method: Method::GET,
            uri: Uri::from_static("/"),
            headers,
            credentials,
            if_none_match: None,
            if_modified_since: None,
            is_special: false,
        }
    }

    /// The fields that an answer with this `Vary` depends on, and those that the rules read.
    pub(crate) fn kept(&self, vary: &[String]) -> Vec<(String, String)> {
        let is_kept = |name: &str| {
            name == "authorization"
                || PLAIN.contains(&name)
                || vary.iter().any(|nominated| nominated == name)
        };
        let kept = self.headers.iter().filter(|(name, _)| is_kept(name.as_str()));
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        kept.map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
    }

    /// The same request as a GET: what a HEAD is answered from.
    pub(crate) fn as_get(&self) -> Self {
        Self { method: Method::GET, ..self.clone() }
    }

    /// A directive of its `Cache-Control`.
    pub(crate) fn directive(&self, name: &str) -> Option<String> {
        let value = self.headers.get("cache-control")?;
        directive(&String::from_utf8_lossy(value.as_bytes()), name)
    }

    /// Whether the caller has a condition of its own.
    pub(crate) const fn is_conditional(&self) -> bool {
        self.if_none_match.is_some() || self.if_modified_since.is_some() || self.is_special
    }
}

/// The head of a request as a GET without conditions: those are about what its caller has.
pub(crate) fn plain_get(head: &[u8]) -> Vec<u8> {
    let is_condition = |line: &[u8]| {
        let name = line.split(|&b| b == b':').next().unwrap_or_default();
        CONDITIONS.iter().any(|condition| name.eq_ignore_ascii_case(condition.as_bytes()))
    };
    let (method, rest) = match head.strip_prefix(b"HEAD ") {
        Some(rest) => (&b"GET "[..], rest),
        None => (&b""[..], head),
    };
    let lines = rest.split_inclusive(|&b| b == b'\n').filter(|line| !is_condition(line));
    [&[method], lines.collect::<Vec<_>>().as_slice()].concat().concat()
}

/// The value of a directive in `Cache-Control`, empty if it has none (RFC 9111 §5.2).
pub(crate) fn directive(cache_control: &str, name: &str) -> Option<String> {
    cache_control.split(',').find_map(|part| {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let is_it = key.trim().eq_ignore_ascii_case(name);
        is_it.then(|| value.trim().trim_matches('"').to_owned())
    })
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}
