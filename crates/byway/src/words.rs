//! Sentences in Korean and English, from one catalogue.

use anyhow::bail;
use clap::ValueEnum;
use fluent_bundle::{FluentArgs, FluentBundle, FluentResource};
use serde_json::Value;

/// A language that Byway speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// 한국어
    Ko,
    /// English
    En,
}

impl Language {
    /// What the environment asks for (POSIX: `LC_ALL`, `LC_MESSAGES`, `LANG`).
    #[expect(clippy::disallowed_methods, reason = "the command line asks for the user's language")]
    pub(crate) fn of_user() -> Self {
        let set = ["LC_ALL", "LC_MESSAGES", "LANG"]
            .into_iter()
            .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
        if set.is_some_and(|value| value.starts_with("ko")) { Self::Ko } else { Self::En }
    }

    const fn source(self) -> &'static str {
        match self {
            Self::Ko => include_str!("../locales/ko.ftl"),
            Self::En => include_str!("../locales/en.ftl"),
        }
    }
}

/// The sentences of one language.
pub(crate) struct Words {
    bundle: FluentBundle<FluentResource>,
}

impl Words {
    /// Loads a language.
    ///
    /// # Errors
    /// If the catalogue is broken, which a test rules out.
    pub(crate) fn new(language: Language) -> anyhow::Result<Self> {
        let id = match language {
            Language::Ko => "ko".parse()?,
            Language::En => "en".parse()?,
        };
        let mut bundle = FluentBundle::new(vec![id]);
        // Isolation marks are for mixed writing directions; terminals show them as boxes.
        bundle.set_use_isolating(false);
        let Ok(resource) = FluentResource::try_new(language.source().to_owned()) else {
            bail!("the catalogue cannot be read");
        };
        if bundle.add_resource(resource).is_err() {
            bail!("the catalogue names a sentence twice");
        }
        Ok(Self { bundle })
    }

    /// A sentence with its names filled in; its own name if there is no such sentence.
    pub(crate) fn say(&self, id: &str, values: &[(&str, &str)]) -> String {
        let pattern = self.bundle.get_message(id).and_then(|message| message.value());
        let Some(pattern) = pattern else { return id.to_owned() };
        let mut args = FluentArgs::new();
        for (name, value) in values {
            args.set(*name, *value);
        }
        self.bundle.format_pattern(pattern, Some(&args), &mut Vec::new()).into_owned()
    }
}

/// An instant as people read it where they are: the time, and the day if it is another one.
pub(crate) fn clock(at: &str) -> String {
    let Ok(at) = at.parse::<jiff::Timestamp>() else { return at.to_owned() };
    at.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M:%S").to_string()
}

fn list(value: &Value) -> Vec<&str> {
    value.as_array().map(|list| list.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

/// The sentences of a verdict, from the JSON of `explain` or of a stored fact; `exits` are shown
/// behind the names of paths.
pub(crate) fn verdict(
    words: &Words,
    provider: &str,
    verdict: &Value,
    exits: &dyn Fn(&str) -> Option<String>,
) -> Vec<String> {
    let named = |paths: Vec<&str>| -> String {
        let each = paths.into_iter().map(|path| match exits(path) {
            Some(exit) => format!("{path} ({exit})"),
            None => path.to_owned(),
        });
        each.collect::<Vec<_>>().join(", ")
    };
    let text = |name: &str| verdict[name].as_str().unwrap_or_default();
    let failing = named(list(&verdict["failing"]));
    let healthy = named(list(&verdict["healthy"]));
    let evidence = evidence(&verdict["seen"]);
    let kind = text("kind");
    let values = [
        ("provider", provider),
        ("failing", failing.as_str()),
        ("healthy", healthy.as_str()),
        ("evidence", evidence.as_str()),
    ];
    let mut said = vec![words.say(&format!("verdict-{kind}"), &values)];
    if matches!(kind, "blocks_addresses" | "challenges_us") && !healthy.is_empty() {
        said.push(words.say("works-over", &values));
    }
    if let Some(since) = verdict["since"].as_str() {
        said.push(words.say("since", &[("since", &clock(since))]));
    }
    let confidence = text("confidence");
    if kind != "cannot_tell" && matches!(confidence, "weak" | "likely") {
        said.push(words.say(&format!("confidence-{confidence}"), &[]));
    }
    if verdict["only_tunnels"].as_bool() == Some(true) {
        said.push(words.say("only-tunnels", &[]));
    }
    if !text("open_test").is_empty() {
        said.push(words.say(&format!("test-{}", text("open_test")), &[]));
    }
    said
}

/// `batch-1 403 Akamai: access denied 4/4; lambda-1 200 3/3`
fn evidence(seen: &Value) -> String {
    let Some(seen) = seen.as_array() else { return String::new() };
    let each = seen.iter().filter_map(|seen| {
        let (failed, good) = (seen["failed"].as_u64()?, seen["good"].as_u64()?);
        let path = seen["path"].as_str()?;
        let all = failed + good;
        if all == 0 {
            return None;
        }
        if failed == 0 {
            let status = seen["good_status"].as_u64().map_or("ok".to_owned(), |s| s.to_string());
            return Some(format!("{path} {status} {good}/{all}"));
        }
        Some(format!("{path} {} {failed}/{all}", shown(&seen["failure"])))
    });
    each.collect::<Vec<_>>().join("; ")
}

/// `403 Akamai: access denied`, `connect_timeout`
pub(crate) fn shown(shown: &Value) -> String {
    let mut parts = Vec::new();
    if let Some(status) = shown["status"].as_u64() {
        parts.push(status.to_string());
    }
    let text = |name: &str| shown[name].as_str().filter(|text| !text.is_empty());
    let what = text("says").or_else(|| text("code")).or_else(|| text("class"));
    parts.extend(what.filter(|what| *what != "ok").map(str::to_owned));
    parts.join(" ")
}

#[cfg(test)]
mod tests;
