//! Values of every kind that a configuration knows: each either is right or is reported.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use byway_core::destination::Network;
use byway_core::secret::Secret;
use jiff::SignedDuration;
use toml::Spanned;
use toml::de::DeValue;

use crate::section::{Reading, Value, wrong_type};
use crate::suggest;

/// No duration is longer: a deadline of more than a day is a mistake or a wish for none.
const DURATION_MAX: Duration = Duration::from_secs(24 * 60 * 60);

impl Reading<'_> {
    pub(crate) fn string<'t>(&mut self, value: &'t Value<'t>) -> Option<Spanned<&'t str>> {
        if let DeValue::String(text) = value.get_ref() {
            return Some(Spanned::new(value.span(), text.as_ref()));
        }
        wrong_type(self, value, "a string");
        None
    }

    pub(crate) fn boolean(&mut self, value: &Value<'_>) -> Option<bool> {
        if let DeValue::Boolean(yes) = value.get_ref() {
            return Some(*yes);
        }
        wrong_type(self, value, "`true` or `false`");
        None
    }

    /// One of a few words, with what each stands for.
    pub(crate) fn word<T: Copy>(&mut self, value: &Value<'_>, words: &[(&str, T)]) -> Option<T> {
        let text = self.string(value)?;
        if let Some((_, meaning)) = words.iter().find(|(word, _)| word == text.get_ref()) {
            return Some(*meaning);
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let message = format!("expected {}", suggest::one_of(&known));
        self.problem(text.span(), message);
        None
    }

    pub(crate) fn number(
        &mut self,
        value: &Value<'_>,
        range: RangeInclusive<usize>,
    ) -> Option<usize> {
        let DeValue::Integer(integer) = value.get_ref() else {
            wrong_type(self, value, "an integer");
            return None;
        };
        let number = i128::from_str_radix(integer.as_str(), integer.radix()).ok();
        let number = number.and_then(|number| usize::try_from(number).ok());
        self.in_range(value, number, range)
    }

    /// A number of bytes: `65536` or `"64 KiB"`.
    pub(crate) fn size(
        &mut self,
        value: &Value<'_>,
        range: RangeInclusive<usize>,
    ) -> Option<usize> {
        let DeValue::String(text) = value.get_ref() else {
            if matches!(value.get_ref(), DeValue::Integer(_)) {
                return self.number(value, range);
            }
            wrong_type(self, value, "a size such as `65536` or `\"64 KiB\"`");
            return None;
        };
        let Some(size) = bytes(text) else {
            let hint = "write a number of bytes, or a number with `KiB` or `MiB`: \"64 KiB\"";
            self.problem_with_hint(value.span(), "this is not a size", hint.to_owned());
            return None;
        };
        self.in_range(value, Some(size), range)
    }

    fn in_range(
        &mut self,
        value: &Value<'_>,
        number: Option<usize>,
        range: RangeInclusive<usize>,
    ) -> Option<usize> {
        if let Some(number) = number.filter(|number| range.contains(number)) {
            return Some(number);
        }
        let (least, most) = range.into_inner();
        self.problem(value.span(), format!("must be between {least} and {most}"));
        None
    }

    pub(crate) fn duration(&mut self, value: &Value<'_>) -> Option<Duration> {
        let text = self.string(value).or_else(|| {
            // The problem is there already; a bare number deserves a word about units.
            let last = self.found.last_mut()?;
            last.hint = Some("write a duration with its unit: \"30s\", \"1m 30s\"".to_owned());
            None
        })?;
        let Ok(parsed) = text.get_ref().parse::<SignedDuration>() else {
            let hint = "write a number with its unit: \"500ms\", \"30s\", \"1m 30s\"";
            self.problem_with_hint(text.span(), "this is not a duration", hint.to_owned());
            return None;
        };
        match Duration::try_from(parsed) {
            Ok(duration) if !duration.is_zero() && duration <= DURATION_MAX => Some(duration),
            _ => {
                self.problem(text.span(), "must be more than zero and at most 24 hours");
                None
            }
        }
    }

    pub(crate) fn socket_addr(&mut self, value: &Value<'_>) -> Option<Spanned<SocketAddr>> {
        let text = self.string(value)?;
        if let Ok(addr) = text.get_ref().parse() {
            return Some(Spanned::new(text.span(), addr));
        }
        let hint = "write an address and a port: \"127.0.0.1:7070\", \"[::1]:7070\"";
        self.problem_with_hint(text.span(), "this is not an address with a port", hint.to_owned());
        None
    }

    pub(crate) fn ip(&mut self, value: &Value<'_>) -> Option<Spanned<IpAddr>> {
        let text = self.string(value)?;
        if let Ok(ip) = text.get_ref().parse() {
            return Some(Spanned::new(text.span(), ip));
        }
        self.problem(text.span(), "this is not an IP address");
        None
    }

    pub(crate) fn network(&mut self, value: &Value<'_>) -> Option<Network> {
        let text = self.string(value)?;
        text.get_ref().parse().map_err(|err| self.problem(text.span(), format!("{err}"))).ok()
    }

    /// Every element of an array that is right.
    pub(crate) fn list<'t, T>(
        &mut self,
        value: &'t Value<'t>,
        mut element: impl FnMut(&mut Self, &'t Value<'t>) -> Option<T>,
    ) -> Vec<T> {
        let DeValue::Array(array) = value.get_ref() else {
            wrong_type(self, value, "an array");
            return Vec::new();
        };
        array.iter().filter_map(|value| element(self, value)).collect()
    }

    /// `env:NAME` or `file:PATH`.
    pub(crate) fn secret(&mut self, value: &Value<'_>) -> Option<Secret> {
        let text = self.string(value)?;
        let bytes = if let Some(name) = text.get_ref().strip_prefix("env:") {
            let Some(value) = self.environment.var(name) else {
                let name = name.escape_debug();
                let message = format!("the environment variable `{name}` is not set");
                self.problem(text.span(), message);
                return None;
            };
            value.into_bytes()
        } else if let Some(path) = text.get_ref().strip_prefix("file:") {
            let bytes = self.read_file(&text, path)?;
            let bytes = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
            bytes.strip_suffix(b"\r").unwrap_or(bytes).to_vec()
        } else {
            let message = "a secret must not stand in the configuration";
            let hint = "name the place that holds it: \"env:NAME\" or \"file:PATH\"";
            self.problem_with_hint(text.span(), message, hint.to_owned());
            return None;
        };
        if bytes.is_empty() {
            self.problem(text.span(), "the secret is empty");
            return None;
        }
        Some(Secret::new(bytes))
    }

    /// A file with certificates.
    pub(crate) fn certificates(&mut self, value: &Value<'_>) -> Option<Vec<u8>> {
        let text = self.string(value)?;
        let bytes = self.read_file(&text, text.get_ref())?;
        self.has_pem(&text, &bytes, "CERTIFICATE", "certificate").then_some(bytes)
    }

    /// A file with a private key, or `env:NAME`.
    pub(crate) fn private_key(&mut self, value: &Value<'_>) -> Option<Secret> {
        let text = self.string(value)?;
        let key = if text.get_ref().starts_with("env:") || text.get_ref().starts_with("file:") {
            self.secret(value)?
        } else if text.get_ref().contains("-----BEGIN") {
            let hint = "put the key into a file, and the path of the file here";
            let message = "a private key must not stand in the configuration";
            self.problem_with_hint(text.span(), message, hint.to_owned());
            return None;
        } else {
            Secret::new(self.read_file(&text, text.get_ref())?)
        };
        self.has_pem(&text, key.reveal(), "PRIVATE KEY", "private key").then_some(key)
    }

    fn has_pem(&mut self, text: &Spanned<&str>, bytes: &[u8], label: &str, what: &str) -> bool {
        let has = String::from_utf8_lossy(bytes).lines().any(|line| {
            line.starts_with("-----BEGIN ") && line.trim_end().ends_with(&format!("{label}-----"))
        });
        if !has {
            self.problem(text.span(), format!("the file holds no {what} in PEM"));
        }
        has
    }

    fn read_file(&mut self, text: &Spanned<&str>, path: &str) -> Option<Vec<u8>> {
        match self.environment.read(Path::new(path)) {
            Ok(bytes) => Some(bytes),
            Err(err) => {
                let message = format!("cannot read this file: {err}");
                let hint = "relative paths are meant from the configuration file";
                self.problem_with_hint(text.span(), message, hint.to_owned());
                None
            }
        }
    }
}

/// `64 KiB`, `1MiB`, `512 B`, `512`
fn bytes(text: &str) -> Option<usize> {
    let text = text.trim();
    let n_digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, unit) = text.split_at_checked(n_digits)?;
    let factor = match unit.trim_start() {
        "" | "B" => 1,
        "KiB" => 1024,
        "MiB" => 1024 * 1024,
        "GiB" => 1024 * 1024 * 1024,
        _ => return None,
    };
    digits.parse::<usize>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests;
