//! Known edges and their refusals, ready to be matched: the shipped ones and the operator's.

use std::borrow::Cow;

use super::library::{PRESENCE, Row, VERDICTS, VERSION};
use super::{Class, Confidence, words};
use crate::evidence::Answer;
use crate::history::Kind;

/// Whose edge: an index into [`Signatures`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EdgeId(u16);

/// Which signature: an index into [`Signatures`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SignatureId(u16);

/// A rule of the operator's; every part that is given must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OwnSignature {
    /// Its name.
    pub name: String,
    /// What it says, as a noun phrase.
    pub says: String,
    /// What an answer that matches is.
    pub verdict: Option<(Class, Confidence)>,
    /// Its status is one of these; empty for any.
    pub status: Vec<u16>,
    /// A field that is there, with a part of its value.
    pub field: Option<(String, String)>,
    /// A part of its body, whatever the case.
    pub body: Option<String>,
}

/// One rule, ready to be matched.
#[derive(Debug, Clone)]
struct Rule {
    edge: Cow<'static, str>,
    name: Cow<'static, str>,
    says: Cow<'static, str>,
    verdict: Option<(Class, Confidence)>,
    status: Cow<'static, [u16]>,
    fields: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    reason: &'static str,
    body: Vec<Cow<'static, str>>,
    is_whole: bool,
    reads_data: bool,
}

impl From<&'static Row> for Rule {
    fn from(row: &'static Row) -> Self {
        Self {
            edge: row.edge.into(),
            name: row.name.into(),
            says: row.says.into(),
            verdict: row.verdict,
            status: Cow::Borrowed(row.status),
            fields: row.fields.iter().map(|&(name, part)| (name.into(), part.into())).collect(),
            reason: row.reason,
            body: row.body.iter().map(|&part| part.into()).collect(),
            is_whole: row.is_whole,
            reads_data: row.reads_data,
        }
    }
}

impl From<OwnSignature> for Rule {
    fn from(own: OwnSignature) -> Self {
        let lower = |text: String| Cow::Owned(text.to_ascii_lowercase());
        Self {
            edge: "".into(),
            name: own.name.into(),
            says: own.says.into(),
            verdict: own.verdict,
            status: Cow::Owned(own.status),
            fields: own.field.into_iter().map(|(name, part)| (lower(name), lower(part))).collect(),
            reason: "",
            body: own
                .body
                .map(|part| without_space(&part.to_ascii_lowercase()).into())
                .into_iter()
                .collect(),
            is_whole: false,
            reads_data: true,
        }
    }
}

/// An answer in lower case, made once for all rules.
pub(super) struct Text {
    fields: Vec<(String, String)>,
    reason: String,
    body: String,
    /// JSON or XML: what it holds may be somebody else's words.
    is_data: bool,
}

impl Text {
    /// Copies what is compared.
    pub(super) fn of(answer: &Answer<'_>) -> Self {
        let lower = |bytes: &[u8]| String::from_utf8_lossy(bytes).to_ascii_lowercase();
        let kind = Kind::of(answer.field("content-type").unwrap_or_default());
        let first = answer.body.trim_ascii_start().first();
        let is_data = matches!(kind, Kind::Json | Kind::Xml) || matches!(first, Some(b'{' | b'['));
        let body = without_space(&words::decode(answer.body).to_ascii_lowercase());
        Self {
            fields: answer.fields.iter().map(|(name, value)| (lower(name), lower(value))).collect(),
            reason: lower(answer.reason),
            body,
            is_data,
        }
    }
}

/// Printers of JSON differ in the space behind a name.
fn without_space(text: &str) -> String {
    text.replace("\": ", "\":")
}

impl Rule {
    fn matches(&self, status: u16, text: &Text) -> bool {
        let is_status = self.status.is_empty() || self.status.contains(&status);
        is_status
            && self.fields.iter().all(|(name, part)| {
                text.fields.iter().any(|(n, value)| n == name && value.contains(part.as_ref()))
            })
            && text.reason.contains(self.reason)
            && (self.body.is_empty() || self.reads_data || !text.is_data)
            && self.body.iter().all(|part| {
                if self.is_whole {
                    text.body.trim() == part
                } else {
                    text.body.contains(part.as_ref())
                }
            })
    }
}

/// All signatures in force: the operator's first, then the shipped ones.
#[derive(Debug, Clone)]
pub struct Signatures {
    presence: Vec<Rule>,
    verdicts: Vec<Rule>,
}

impl Default for Signatures {
    fn default() -> Self {
        Self::with(Vec::new())
    }
}

impl Signatures {
    /// The shipped ones, behind the operator's.
    pub fn with(own: Vec<OwnSignature>) -> Self {
        let own = own.into_iter().map(Rule::from);
        Self {
            presence: PRESENCE.iter().map(Rule::from).collect(),
            verdicts: own.chain(VERDICTS.iter().map(Rule::from)).collect(),
        }
    }

    /// The version of the shipped ones.
    pub const fn version() -> u32 {
        VERSION
    }

    /// How many rules there are.
    pub fn n_rules(&self) -> usize {
        self.presence.len() + self.verdicts.len()
    }

    /// Whose edge answered.
    pub(super) fn edge(&self, status: u16, text: &Text) -> Option<EdgeId> {
        let found = self.presence.iter().position(|rule| rule.matches(status, text))?;
        u16::try_from(found).ok().map(EdgeId)
    }

    /// The first rule that says what the answer is.
    pub(super) fn verdict(
        &self,
        status: u16,
        text: &Text,
    ) -> Option<(SignatureId, bool, Class, Confidence)> {
        let found = self.verdicts.iter().enumerate().find(|(_, rule)| rule.matches(status, text));
        let (index, rule) = found?;
        let (class, confidence) = rule.verdict?;
        let id = SignatureId(u16::try_from(index).ok()?);
        Some((id, !rule.edge.is_empty(), class, confidence))
    }

    /// Whether a signature rests on fields, which no page can quote.
    pub(super) fn reads_fields(&self, signature: SignatureId) -> bool {
        let rule = self.verdicts.get(usize::from(signature.0));
        rule.is_some_and(|rule| rule.body.is_empty())
    }

    /// The names of the shipped rules that decide, in their order.
    pub fn shipped() -> impl Iterator<Item = &'static str> {
        VERDICTS.iter().map(|row| row.name)
    }

    /// What plain words say about the reason of a refusal.
    pub(super) fn words(text: &Text) -> Option<Class> {
        words::reason(&text.body)
    }

    /// The name of an edge.
    pub fn edge_name(&self, edge: EdgeId) -> &str {
        self.presence.get(usize::from(edge.0)).map_or("", |rule| rule.edge.as_ref())
    }

    /// The name of a signature.
    pub fn name(&self, signature: SignatureId) -> &str {
        self.verdicts.get(usize::from(signature.0)).map_or("", |rule| rule.name.as_ref())
    }

    /// What a signature says, as a noun phrase.
    pub fn says(&self, signature: SignatureId) -> &str {
        self.verdicts.get(usize::from(signature.0)).map_or("", |rule| rule.says.as_ref())
    }
}
