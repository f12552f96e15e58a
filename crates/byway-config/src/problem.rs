//! Problems, for people (as rustc shows them) and for machines.

use std::fmt;
use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::redact::redact;

/// Something that keeps a configuration from being used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub path: String,
    /// The bytes that it is about, unless it is about the file as a whole.
    pub span: Option<Range<usize>>,
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Every problem of one configuration, in the order of the file.
#[derive(Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>, Source);

/// The text with everything blotted out that may be a secret.
#[derive(Clone, PartialEq, Eq)]
struct Source(String);

/// A problem before its place is known.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) span: Option<Range<usize>>,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// A longer line is not shown, only named.
const LINE_BYTES_SHOWN_MAX: usize = 400;
/// More problems are counted, not shown: nobody reads them, and a file can hold a million.
const N_SHOWN_MAX: usize = 100;

impl Problems {
    pub(crate) fn new(path: &str, text: &str, mut found: Vec<Found>) -> Self {
        found.sort_by_key(|found| found.span.as_ref().map_or(0, |span| span.start));
        let n_hidden = found.len().saturating_sub(N_SHOWN_MAX);
        found.truncate(N_SHOWN_MAX);
        if n_hidden > 0 {
            let message = format!("there are {n_hidden} more problems");
            found.push(Found { span: None, message, hint: None });
        }
        let mut places = Places { text, at: 0, line: 1, line_start: 0 };
        let problems = found.into_iter().map(|Found { span, message, hint }| {
            let (line, column) = places.of(span.as_ref().map_or(0, |span| span.start));
            Problem { path: path.to_owned(), span, line, column, message, hint }
        });
        Self(problems.collect(), Source(redact(text)))
    }

    /// All of them as rustc would show them.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.decor_style(DecorStyle::Ascii);
        let mut text = String::new();
        for problem in &self.0 {
            if !text.is_empty() {
                text.push_str("\n\n");
            }
            text.push_str(&renderer.render(&[self.report(problem)]));
        }
        text
    }

    /// All of them as a JSON array of objects.
    pub fn to_json(&self) -> String {
        let problems = self.0.iter().map(|problem| {
            serde_json::json!({
                "file": problem.path,
                "line": problem.line,
                "column": problem.column,
                "start": problem.span.as_ref().map(|span| span.start),
                "end": problem.span.as_ref().map(|span| span.end),
                "message": problem.message,
                "hint": problem.hint,
            })
        });
        serde_json::Value::Array(problems.collect()).to_string()
    }

    fn report<'a>(&'a self, problem: &'a Problem) -> Group<'a> {
        let title = Level::ERROR.primary_title(&problem.message);
        let origin = || Origin::path(problem.path.as_str());
        let group = match &problem.span {
            None => title.element(origin()),
            Some(span) => match self.line_of(span) {
                None => title.element(origin().line(problem.line).char_column(problem.column)),
                Some((line, within)) => title.element(
                    Snippet::source(line)
                        .line_start(problem.line)
                        .path(problem.path.as_str())
                        .annotation(AnnotationKind::Primary.span(within)),
                ),
            },
        };
        match &problem.hint {
            Some(hint) => group.element(Level::HELP.message(hint)),
            None => group,
        }
    }

    /// The first line of a span and the part of it that the span covers.
    fn line_of(&self, span: &Range<usize>) -> Option<(&str, Range<usize>)> {
        let Source(text) = &self.1;
        let before = text.get(..span.start)?;
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let rest = text.get(start..)?;
        let line = rest.lines().next().unwrap_or_default();
        let from = (span.start - start).min(line.len());
        let to = (span.end - start).clamp(from, line.len());
        let is_whole = line.is_char_boundary(from) && line.is_char_boundary(to);
        (is_whole && line.len() <= LINE_BYTES_SHOWN_MAX).then_some((line, from..to))
    }
}

impl fmt::Debug for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Problems").field(&self.0).finish()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Problems {}

/// Turns offsets, asked for in ascending order, into lines and columns in one pass.
struct Places<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    line_start: usize,
}

impl Places<'_> {
    fn of(&mut self, offset: usize) -> (usize, usize) {
        let offset = offset.min(self.text.len());
        for (at, _) in self.text.get(self.at..offset).unwrap_or_default().match_indices('\n') {
            self.line += 1;
            self.line_start = self.at + at + 1;
        }
        self.at = self.at.max(offset);
        let start = self.line_start.min(offset);
        let column = self.text.get(start..offset).map_or(0, |line| line.chars().count()) + 1;
        (self.line, column)
    }
}
