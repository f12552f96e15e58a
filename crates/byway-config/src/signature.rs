//! `[signature.NAME]`: answers that the operator knows to be refusals.

use byway_core::classify::{Class, Confidence, OwnSignature, Signatures};
use byway_core::id::PathName;
use byway_core::settings::Settings;
use toml::Spanned;

use crate::section::{Reading, Section, Value};

/// Every suspicious answer is compared with every one of them.
const N_SIGNATURES_MAX: usize = 256;
/// A line of a message; a part of a page, not the page.
const SAYS_CHARS_MAX: usize = 120;
const PART_BYTES_MAX: usize = 1024;

/// What an answer that came can be. The others are seen without looking at an answer.
const CLASSES: [(&str, Class); 9] = [
    ("blocked_ip", Class::BlockedIp),
    ("challenge", Class::Challenge),
    ("denied", Class::Denied),
    ("rate_limited", Class::RateLimited),
    ("client_error", Class::ClientError),
    ("auth", Class::Auth),
    ("outage", Class::Outage),
    ("overload", Class::Overload),
    ("contract", Class::Contract),
];
const CONFIDENCES: [(&str, Confidence); 3] =
    [("weak", Confidence::Weak), ("likely", Confidence::Likely), ("strong", Confidence::Strong)];

pub(crate) fn read(reading: &mut Reading<'_>, root: &mut Section<'_>, settings: &mut Settings) {
    for (n, (name, section)) in
        root.named_tables(reading, "signature", "signature.NAME").into_iter().enumerate()
    {
        if n == N_SIGNATURES_MAX {
            let message = format!("more than {N_SIGNATURES_MAX} signatures");
            reading.problem(name.span(), message);
        }
        if let Err(err) = PathName::new(name.get_ref()) {
            reading.problem(name.span(), err.to_string());
        }
        if Signatures::shipped().any(|shipped| shipped == *name.get_ref()) {
            let message = "a shipped signature has this name already";
            reading.problem(name.span(), message);
        }
        settings.signatures.extend(signature(reading, &name, section));
    }
}

fn signature(
    reading: &mut Reading<'_>,
    name: &Spanned<&str>,
    mut section: Section<'_>,
) -> Option<OwnSignature> {
    let says = section.get("says");
    let class = section.get("class");
    for (value, missing) in [(says, "`says` is missing"), (class, "`class` is missing")] {
        if value.is_none() {
            reading.problem(name.span(), missing);
        }
    }
    let says = says.and_then(|value| phrase(reading, value));
    let class = class.and_then(|value| reading.word(value, &CLASSES));
    let confidence = section.get("confidence").map(|value| reading.word(value, &CONFIDENCES));
    let status = section.get("status").map(|value| reading.list(value, status));
    let field = section.entry("field");
    let field_value = field.as_ref().and_then(|(_, value)| field_name(reading, value));
    let contains = section.entry("field_contains");
    let contains_value = contains.as_ref().and_then(|(_, value)| part(reading, value));
    let body = section.get("body_contains");
    let body_value = body.and_then(|value| part(reading, value));
    if let (None, Some((key, _))) = (&field, &contains) {
        reading.problem(key.clone(), "`field_contains` needs `field`, which names the field");
    } else if field.is_none() && body.is_none() {
        let message = "this matches every answer, or every one of a status";
        let hint = "add `field` or `body_contains`: a status alone says too little";
        reading.problem_with_hint(name.span(), message, hint.to_owned());
    }
    section.finish(reading);
    Some(OwnSignature {
        name: (*name.get_ref()).to_owned(),
        says: says?,
        verdict: Some((class?, confidence.unwrap_or(Some(Confidence::Likely))?)),
        status: status.unwrap_or_default(),
        field: field_value.map(|field| (field, contains_value.unwrap_or_default())),
        body: body_value,
    })
}

/// Shown in logs and messages, so in one line.
fn phrase(reading: &mut Reading<'_>, value: &Value<'_>) -> Option<String> {
    let text = reading.string(value)?;
    let says = text.get_ref().trim();
    let n_chars = says.chars().count();
    if (1..=SAYS_CHARS_MAX).contains(&n_chars) && !says.chars().any(char::is_control) {
        return Some(says.to_owned());
    }
    let message = format!("must be 1 to {SAYS_CHARS_MAX} characters in one line");
    let hint = "write what the refusal is, as a noun phrase: \"block page of Example\"";
    reading.problem_with_hint(text.span(), message, hint.to_owned());
    None
}

fn status(reading: &mut Reading<'_>, value: &Value<'_>) -> Option<u16> {
    reading.number(value, 200..=599).and_then(|status| u16::try_from(status).ok())
}

/// RFC 9110 §5.6.2: a token.
fn field_name(reading: &mut Reading<'_>, value: &Value<'_>) -> Option<String> {
    let text = reading.string(value)?;
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let name = text.get_ref();
    if (1..=PART_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_token) {
        return Some((*name).to_owned());
    }
    let hint = "write its name alone: \"X-Example-Block\"";
    reading.problem_with_hint(text.span(), "this is not the name of a field", hint.to_owned());
    None
}

fn part(reading: &mut Reading<'_>, value: &Value<'_>) -> Option<String> {
    let text = reading.string(value)?;
    let part = text.get_ref();
    if !part.trim().is_empty() && part.len() <= PART_BYTES_MAX {
        return Some((*part).to_owned());
    }
    reading
        .problem(text.span(), format!("must be 1 to {PART_BYTES_MAX} bytes, and not only space"));
    None
}
