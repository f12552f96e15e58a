//! Answers that the gateway makes itself: RFC 9457 problem details, RFC 9209 `Proxy-Status`.
//!
//! The cause also stands in the reason phrase: some clients show nothing else.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use byway_core::cause::Cause;
use byway_wire::Refusal;

use crate::record::quote;

/// What the caller is told.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    pub(crate) proxy_status: &'static str,
    pub(crate) says: &'static str,
    pub(crate) detail: String,
    /// An extra field line, ready with its CR LF.
    pub(crate) field: Option<Cow<'static, str>>,
}

impl Problem {
    /// A problem by its cause.
    pub(crate) fn of(cause: Cause, detail: impl Into<String>) -> Self {
        let field = (cause == Cause::CallerUnauthorised)
            .then_some("Proxy-Authenticate: Basic realm=\"byway\", charset=\"UTF-8\"\r\n".into());
        Self {
            status: cause.status(),
            code: cause.code(),
            proxy_status: cause.proxy_status(),
            says: cause.says(),
            detail: detail.into(),
            field,
        }
    }

    /// A problem that will be over: with `Retry-After`, in whole seconds, rounded up.
    pub(crate) fn not_now(cause: Cause, later: Duration) -> Self {
        let seconds = later.as_secs() + u64::from(later.subsec_nanos() > 0);
        let field = format!("Retry-After: {}\r\n", seconds.max(1));
        let detail = format!("try again in {} s", seconds.max(1));
        Self { field: Some(field.into()), ..Self::of(cause, detail) }
    }

    /// A problem with the bytes of the request.
    pub(crate) fn refusal(refusal: Refusal) -> Self {
        let too_large = matches!(refusal, Refusal::HeadTooLarge | Refusal::TooManyFields);
        let status = if refusal == Refusal::TargetTooLong {
            414
        } else if too_large {
            431
        } else if refusal == Refusal::Version {
            505
        } else {
            400
        };
        Self {
            status,
            code: refusal.code(),
            proxy_status: "http_request_error",
            says: refusal.says(),
            detail: String::new(),
            field: None,
        }
    }

    /// The answer's bytes.
    pub(crate) fn write(&self, out: &mut Vec<u8>, about: &About<'_>) {
        let body = if about.is_head { String::new() } else { self.body(about) };
        let mut head = String::with_capacity(512);
        let Self { status, says, code, .. } = self;
        let _infallible = write!(head, "HTTP/1.1 {status} byway: {says} ({code})\r\n");
        head.push_str("Content-Type: application/problem+json\r\n");
        let _infallible = write!(head, "Content-Length: {}\r\n", self.body(about).len());
        let _infallible = write!(head, "Proxy-Status: {}\r\n", self.proxy_status_field(about));
        head.push_str("Cache-Control: no-store\r\n");
        head.push_str(self.field.as_deref().unwrap_or_default());
        head.push_str(if about.close { "Connection: close\r\n\r\n" } else { "\r\n" });
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(body.as_bytes());
    }

    fn body(&self, about: &About<'_>) -> String {
        let mut body = String::with_capacity(256);
        body.push('{');
        let status = self.status.to_string();
        let problem_type = format!("urn:byway:problem:{}", self.code);
        for (name, value) in [
            ("type", problem_type.as_str()),
            ("title", self.says),
            ("detail", self.detail.as_str()),
            ("code", self.code),
            ("instance", about.instance),
            ("provider", about.provider),
            ("path", about.path),
        ] {
            if !value.is_empty() {
                quote(&mut body, name);
                body.push(':');
                quote(&mut body, value);
                body.push(',');
            }
        }
        let _infallible = write!(body, "\"status\":{status}}}");
        body
    }

    /// `byway; error=connection_refused; details="…"` (RFC 9209 §2, RFC 8941 strings).
    fn proxy_status_field(&self, about: &About<'_>) -> String {
        let mut field = format!("byway; error={}; details=\"{}\"", self.proxy_status, self.code);
        if !about.path.is_empty() {
            let _infallible = write!(field, "; path=\"{}\"", about.path);
        }
        field
    }
}

/// The request that an answer of ours is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About<'a> {
    pub(crate) instance: &'a str,
    pub(crate) provider: &'a str,
    pub(crate) path: &'a str,
    pub(crate) is_head: bool,
    pub(crate) close: bool,
}

#[cfg(test)]
mod tests;
