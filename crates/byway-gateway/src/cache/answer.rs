//! A stored answer: how it is made from what came, kept, found to be right, and given again.

use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use byway_core::freshness::Copy;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http_cache_semantics::{BeforeRequest, CacheOptions, CachePolicy, RequestLike as _};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::asked::{Asked, directive};
use super::{Cache, Digest};
use crate::look;
use crate::witness::Caught;

/// Fields of the connection, and those that are made anew when an answer is given again.
const NOT_GIVEN: [&str; 11] = [
    "age",
    "connection",
    "content-length",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Fields of a 304 that speak about the 304 (RFC 9111 §3.2).
const NOT_UPDATED: [&str; 4] =
    ["content-length", "content-encoding", "content-range", "content-md5"];
/// What an `Age` that is no age counts as (RFC 9111 §1.2.2: the greatest that must be known).
const AGE_UNKNOWN: &str = "2147483648";

/// A field.
type Field = (Vec<u8>, Vec<u8>);

/// A stored answer.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) target: Digest,
    pub(crate) variant: Digest,
    credentials: Digest,
    status: u16,
    reason: Vec<u8>,
    fields: Vec<Field>,
    body: Vec<u8>,
    /// What its request had that matters.
    request: Vec<(String, String)>,
    policy: CachePolicy,
    /// When it was stored or found to be still right.
    pub(crate) at: Timestamp,
    pub(crate) was_used: AtomicBool,
    pub(crate) is_dropped: AtomicBool,
    /// Somebody is asking whether it is still right.
    pub(crate) is_refreshing: AtomicBool,
}

/// What is needed of an answer before it can be stored.
struct Parts {
    status: u16,
    reason: Vec<u8>,
    fields: Vec<Field>,
    body: Vec<u8>,
}

impl Stored {
    /// Makes one of what was caught; `None` if it may not be stored. `is_forced`: the operator
    /// opted in, so that what the provider says about storing does not count.
    pub(crate) fn of(
        caught: &Caught,
        asked: &Asked,
        target: Digest,
        cache: &Cache,
        is_forced: bool,
        now: Timestamp,
    ) -> Option<Self> {
        if caught.is_cut || asked.is_special || asked.directive("no-store").is_some() {
            return None;
        }
        let parts = Parts::of(caught)?;
        // Never an error; parts and the outcomes of conditions are not whole answers.
        if !matches!(parts.status, 200 | 203 | 300 | 301 | 308) {
            return None;
        }
        let asked = asked.as_get();
        let stored = Self::new(parts, &asked, target, cache, now)?;
        let may = stored.policy.is_storable() || is_forced && stored.status == 200;
        may.then_some(stored)
    }

    fn new(
        parts: Parts,
        asked: &Asked,
        target: Digest,
        cache: &Cache,
        now: Timestamp,
    ) -> Option<Self> {
        let vary = list(&parts.fields, "vary");
        // The rules skip names that are none, and would then find the same for everybody.
        if vary.iter().any(|name| name == "*" || HeaderName::from_bytes(name.as_bytes()).is_err()) {
            return None;
        }
        let request = asked.kept(&vary);
        let mut of: Vec<&[u8]> = vec![&asked.credentials];
        of.extend(vary.iter().flat_map(|name| {
            let value = asked.headers().get(name.as_str());
            [name.as_bytes(), value.map_or(&b"-"[..], HeaderValue::as_bytes)]
        }));
        let variant = cache.digest(&of);
        let credentials = asked.credentials;
        Some(Self::with(parts, target, variant, credentials, request, now))
    }

    fn with(
        parts: Parts,
        target: Digest,
        variant: Digest,
        credentials: Digest,
        request: Vec<(String, String)>,
        at: Timestamp,
    ) -> Self {
        let asked = Asked::again(&request, credentials);
        let mut response = http::Response::new(());
        *response.status_mut() =
            http::StatusCode::from_u16(parts.status).unwrap_or(http::StatusCode::OK);
        *response.headers_mut() = for_rules(&parts.fields);
        let options = CacheOptions { shared: true, ..CacheOptions::default() };
        let policy = CachePolicy::new_options(&asked, &response, SystemTime::from(at), options);
        let Parts { status, reason, fields, body } = parts;
        Self {
            target,
            variant,
            credentials,
            status,
            reason,
            fields,
            body,
            request,
            policy,
            at,
            was_used: AtomicBool::new(false),
            is_dropped: AtomicBool::new(false),
            is_refreshing: AtomicBool::new(false),
        }
    }

    /// Whether it answers this request, fresh or not.
    pub(crate) fn is_for(&self, asked: &Asked) -> bool {
        if self.credentials != asked.credentials {
            return false;
        }
        let before = self.policy.before_request(&asked.as_get(), SystemTime::from(self.at));
        match before {
            BeforeRequest::Fresh(_) => true,
            BeforeRequest::Stale { matches, .. } => matches,
        }
    }

    /// Whether it may be given without asking the provider.
    pub(crate) fn is_fresh(&self, asked: &Asked, now: Timestamp) -> bool {
        let before = self.policy.before_request(&asked.as_get(), SystemTime::from(now));
        before.satisfies_without_revalidation()
    }

    /// Whether its author lets it be given while it is being asked for anew (RFC 5861 §3).
    pub(crate) fn is_allowed_meanwhile(&self, asked: &Asked, now: Timestamp) -> bool {
        // A caller that wants a fresh one waits for it. That `s-maxage` forbids it (RFC 9111
        // §5.2.2.10) no shared cache obeys, as those who write both mean both.
        let is_forbidden = ["no-cache", "must-revalidate", "proxy-revalidate"]
            .iter()
            .any(|name| self.directive(name).is_some());
        !is_forbidden
            && asked.directive("no-cache").is_none()
            && asked.directive("max-age").is_none()
            && self.is_within("stale-while-revalidate", now)
    }

    /// What `core::freshness` asks about it.
    pub(crate) fn copy(&self, asked: &Asked, now: Timestamp) -> Copy {
        let age = byway_core::time::since(self.at, now);
        let by_request = asked
            .directive("stale-if-error")
            .and_then(|value| value.parse().ok())
            .is_some_and(|seconds| self.overdue(now) <= Duration::from_secs(seconds));
        let is_allowed = self.is_within("stale-if-error", now) || by_request;
        let is_forbidden = ["no-cache", "must-revalidate", "proxy-revalidate", "s-maxage"]
            .iter()
            .any(|name| self.directive(name).is_some());
        Copy { age, is_allowed_on_error: is_allowed, is_forbidden }
    }

    fn directive(&self, name: &str) -> Option<String> {
        let values = self.fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(b"cache-control"));
        let mut values = values.map(|(_, value)| String::from_utf8_lossy(value).into_owned());
        values.find_map(|value| directive(&value, name))
    }

    fn is_within(&self, name: &str, now: Timestamp) -> bool {
        let seconds = self.directive(name).and_then(|value| value.parse().ok());
        seconds.is_some_and(|seconds| self.overdue(now) <= Duration::from_secs(seconds))
    }

    /// How long it has been stale.
    fn overdue(&self, now: Timestamp) -> Duration {
        let now = SystemTime::from(now);
        let lifetime = self.policy.age(SystemTime::from(self.at))
            + self.policy.time_to_live(SystemTime::from(self.at));
        self.policy.age(now).saturating_sub(lifetime)
    }

    /// Seconds until it is stale; negative since then.
    fn time_to_live(&self, now: Timestamp) -> i64 {
        let left = self.policy.time_to_live(SystemTime::from(now)).as_secs();
        let over = self.overdue(now).as_secs();
        i64::try_from(left).unwrap_or(i64::MAX) - i64::try_from(over).unwrap_or(i64::MAX)
    }

    /// Field lines that ask whether it is still right; empty if it has no validator.
    pub(crate) fn validators(&self) -> Vec<u8> {
        let mut lines = Vec::new();
        for (have, ask) in [("etag", "If-None-Match"), ("last-modified", "If-Modified-Since")] {
            if let Some(value) = self.field(have) {
                for part in [ask.as_bytes(), b": ", value, b"\r\n"] {
                    lines.extend_from_slice(part);
                }
            }
        }
        lines
    }

    /// The same answer as a 304 says it is now; `None` if the 304 is about another one.
    pub(crate) fn confirmed(&self, head: &[u8], cache: &Cache, now: Timestamp) -> Option<Self> {
        let new = Parts::head(head)?;
        let tag = |fields: &[Field]| {
            let tag = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(b"etag"));
            tag.map(|(_, value)| value.clone())
        };
        if let (Some(ours), Some(theirs)) = (tag(&self.fields), tag(&new.fields))
            && opaque(&ours) != opaque(&theirs)
        {
            return None;
        }
        let mut fields = self.fields.clone();
        let is_new = |name: &[u8]| {
            new.fields.iter().any(|(n, _)| n.eq_ignore_ascii_case(name))
                && !NOT_UPDATED.iter().any(|not| name.eq_ignore_ascii_case(not.as_bytes()))
        };
        // What was true of its age is true no more.
        fields.retain(|(name, _)| !is_new(name) && !name.eq_ignore_ascii_case(b"age"));
        fields.extend(new.fields.iter().filter(|(name, _)| is_new(name)).cloned());
        let parts = Parts {
            status: self.status,
            reason: self.reason.clone(),
            fields,
            body: self.body.clone(),
        };
        let asked = Asked::again(&self.request, self.credentials);
        let confirmed = Self::new(parts, &asked, self.target, cache, now)?;
        // The digest of fields that were not kept cannot be made again; it stays what it was.
        Some(Self { variant: self.variant, ..confirmed })
    }

    /// Whether the caller has this answer already (RFC 9110 §13.1.2, §13.1.3).
    pub(crate) fn is_known_to(&self, asked: &Asked) -> bool {
        if let Some(tags) = &asked.if_none_match {
            let Some(ours) = self.field("etag") else { return false };
            return tags == b"*"
                || tags.split(|&b| b == b',').any(|tag| opaque(tag.trim_ascii()) == opaque(ours));
        }
        let (Some(since), Some(modified)) = (&asked.if_modified_since, self.field("last-modified"))
        else {
            return false;
        };
        let instant = |value: &[u8]| {
            let text = std::str::from_utf8(value).ok()?;
            jiff::fmt::rfc2822::parse(text).ok().map(|at| at.timestamp())
        };
        match (instant(since), instant(modified)) {
            (Some(since), Some(modified)) => modified <= since,
            _ => false,
        }
    }

    fn field(&self, name: &str) -> Option<&[u8]> {
        let found = self.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, value)| value.as_slice())
    }

    /// What it takes in memory.
    pub(crate) fn n_bytes(&self) -> usize {
        let fields: usize = self.fields.iter().map(|(name, value)| name.len() + value.len()).sum();
        // Twice the fields: the rules keep them parsed.
        self.body.len() + 2 * fields + 1024
    }

    /// Its status, for the record.
    pub(crate) const fn status(&self) -> u16 {
        self.status
    }

    /// Writes it as an answer.
    pub(crate) fn give(&self, out: &mut Vec<u8>, how: &Giving<'_>) {
        let status = if how.is_known { 304 } else { self.status };
        out.extend_from_slice(format!("HTTP/1.1 {status} ").as_bytes());
        out.extend_from_slice(if how.is_known { b"Not Modified" } else { &self.reason });
        out.extend_from_slice(b"\r\n");
        let named = list(&self.fields, "connection");
        for (name, value) in &self.fields {
            let lower = String::from_utf8_lossy(name).to_ascii_lowercase();
            // A session that was begun long ago is nobody's to begin again.
            let is_old_session = how.because.is_some() && lower == "set-cookie";
            if NOT_GIVEN.contains(&lower.as_str()) || named.contains(&lower) || is_old_session {
                continue;
            }
            for part in [name.as_slice(), b": ", value, b"\r\n"] {
                out.extend_from_slice(part);
            }
        }
        let age = self.policy.age(SystemTime::from(how.now)).as_secs();
        let mut head = format!("Age: {age}\r\n");
        head.push_str(&self.cache_status(how));
        if let Some((error, detail)) = how.because {
            let instance = how.instance;
            let what = match (error, how.forwarded) {
                (Some(error), _) => format!("error={error}; "),
                (None, Some(status)) if status > 0 => format!("received-status={status}; "),
                (None, _) => String::new(),
            };
            head.push_str(&format!("Proxy-Status: {instance}; {what}details=\"{detail}\"\r\n"));
            // Obsolete (RFC 9111 §5.5), and what older clients look at.
            head.push_str("Warning: 110 byway \"Response is Stale\"\r\n");
        }
        if !how.is_known {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        head.push_str(match (how.close, how.is_old_http) {
            (true, _) => "Connection: close\r\n\r\n",
            (false, true) => "Connection: keep-alive\r\n\r\n",
            (false, false) => "\r\n",
        });
        out.extend_from_slice(head.as_bytes());
        if !how.is_head && !how.is_known {
            out.extend_from_slice(&self.body);
        }
    }

    /// RFC 9211: whether it was asked for, and how fresh it is.
    fn cache_status(&self, how: &Giving<'_>) -> String {
        let ttl = self.time_to_live(how.now);
        let instance = how.instance;
        let came = match (how.forwarded, how.because) {
            (None, None) => format!("hit; ttl={ttl}"),
            (None, Some((_, detail))) => format!("hit; ttl={ttl}; detail={detail}"),
            (Some(status), None) => format!("fwd=stale; fwd-status={status}; ttl={ttl}"),
            (Some(0), Some((_, detail))) => format!("fwd=stale; ttl={ttl}; detail={detail}"),
            (Some(status), Some((_, detail))) => {
                format!("fwd=stale; fwd-status={status}; ttl={ttl}; detail={detail}")
            }
        };
        format!("Cache-Status: {instance}; {came}\r\n")
    }

    /// As bytes: a JSON head with its length before it, then the body.
    pub(crate) fn write(&self) -> Vec<u8> {
        let fields: Vec<Value> =
            self.fields.iter().map(|(name, value)| json!([latin(name), latin(value)])).collect();
        let head = json!({
            "v": 1,
            "status": self.status,
            "reason": latin(&self.reason),
            "fields": fields,
            "request": self.request,
            "credentials": data_encoding::HEXLOWER.encode(&self.credentials),
            "at_ms": self.at.as_millisecond(),
        })
        .to_string();
        let mut bytes = u32::try_from(head.len()).unwrap_or(0).to_be_bytes().to_vec();
        bytes.extend_from_slice(head.as_bytes());
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// From bytes; `None` if they are not what [`Self::write`] makes.
    pub(crate) fn read(target: Digest, variant: Digest, bytes: &[u8]) -> Option<Self> {
        let (len, rest) = bytes.split_first_chunk::<4>()?;
        let (head, body) =
            rest.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)?;
        let head: Value = serde_json::from_slice(head).ok()?;
        let pairs = |name: &str| -> Option<Vec<(String, String)>> {
            let list = head.get(name)?.as_array()?.iter();
            let pair = |pair: &Value| {
                let text = |index: usize| pair.get(index)?.as_str().map(str::to_owned);
                Some((text(0)?, text(1)?))
            };
            list.map(pair).collect()
        };
        if head.get("v")?.as_u64()? != 1 {
            return None;
        }
        let fields = pairs("fields")?;
        let credentials = head.get("credentials")?.as_str()?;
        let credentials = data_encoding::HEXLOWER.decode(credentials.as_bytes()).ok()?;
        let parts = Parts {
            status: head.get("status")?.as_u64()?.try_into().ok()?,
            reason: from_latin(head.get("reason")?.as_str()?)?,
            fields: fields
                .iter()
                .map(|(name, value)| Some((from_latin(name)?, from_latin(value)?)))
                .collect::<Option<_>>()?,
            body: body.to_vec(),
        };
        let at = Timestamp::from_millisecond(head.get("at_ms")?.as_i64()?).ok()?;
        let credentials = credentials.try_into().ok()?;
        Some(Self::with(parts, target, variant, credentials, pairs("request")?, at))
    }
}

/// How an answer is given again.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one request")]
pub(crate) struct Giving<'a> {
    pub(crate) instance: &'a str,
    /// The status that the provider answered with, 0 without an answer; `None` if nobody asked.
    pub(crate) forwarded: Option<u16>,
    /// What it is given instead of: the RFC 9209 error type where nobody answered, and our class.
    pub(crate) because: Option<(Option<&'static str>, &'static str)>,
    pub(crate) is_head: bool,
    /// Whether the caller has it already.
    pub(crate) is_known: bool,
    pub(crate) close: bool,
    pub(crate) is_old_http: bool,
    pub(crate) now: Timestamp,
}

impl Parts {
    fn head(head: &[u8]) -> Option<Self> {
        let mut storage = [httparse::EMPTY_HEADER; 128];
        let mut parsed = httparse::Response::new(&mut storage);
        parsed.parse(head).ok()?;
        let field =
            |field: &httparse::Header<'_>| (field.name.as_bytes().to_vec(), field.value.to_vec());
        Some(Self {
            status: parsed.code?,
            reason: parsed.reason.unwrap_or_default().as_bytes().to_vec(),
            fields: parsed.headers.iter().map(field).collect(),
            body: Vec::new(),
        })
    }

    fn of(caught: &Caught) -> Option<Self> {
        let head = Self::head(&caught.head)?;
        let body =
            if caught.is_chunked { look::unchunk(&caught.body) } else { caught.body.clone() };
        Some(Self { body, ..head })
    }
}

/// The members of a list field, in lower case.
fn list(fields: &[Field], name: &str) -> Vec<String> {
    let values = fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()));
    let all = values.flat_map(|(_, value)| {
        let text = String::from_utf8_lossy(value).to_ascii_lowercase();
        text.split(',').map(|part| part.trim().to_owned()).collect::<Vec<_>>()
    });
    all.filter(|part| !part.is_empty()).collect()
}

/// The fields as the rules read them: directives in lower case (RFC 9111 §5.2), and an `Age` that
/// is not one number taken for a very old one.
fn for_rules(fields: &[Field]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let is_directives = name.eq_ignore_ascii_case(b"cache-control");
        let value = if is_directives { value.to_ascii_lowercase() } else { value.clone() };
        let pair = (HeaderName::from_bytes(name), HeaderValue::from_bytes(&value));
        if let (Ok(name), Ok(value)) = pair {
            headers.append(name, value);
        }
    }
    let ages: Vec<&HeaderValue> = headers.get_all("age").iter().collect();
    let is_digits = |age: &&HeaderValue| {
        !age.is_empty() && age.len() <= 10 && age.as_bytes().iter().all(u8::is_ascii_digit)
    };
    let is_one_number = matches!(ages.as_slice(), [age] if is_digits(age));
    if !ages.is_empty() && !is_one_number {
        headers.insert("age", HeaderValue::from_static(AGE_UNKNOWN));
    }
    headers
}

/// A tag without its weakness (RFC 9110 §8.8.3.2).
fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

/// Bytes as text, one character each.
fn latin(bytes: &[u8]) -> String {
    bytes.iter().map(|&b| char::from(b)).collect()
}

fn from_latin(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}
