//! What is learnt, and what is found odd then.

use core::time::Duration;

use super::{History, Kind, Suspicion};
use crate::evidence::Answer;

type Fields = &'static [(&'static [u8], &'static [u8])];

const JSON: Fields = &[
    (b"Content-Type", b"application/json; charset=utf-8"),
    (b"X-Request-Id", b"1"),
    (b"Date", b"now"),
    (b"Server", b"api"),
];

fn answer(status: u16, fields: Fields, bytes: u64) -> Answer<'static> {
    Answer {
        fields,
        body_bytes: Some(bytes),
        first_byte: Some(Duration::from_millis(100)),
        ..Answer::bare(status)
    }
}

#[test]
fn what_every_normal_answer_has_is_learnt() {
    let mut history = History::default();
    for n in 0..20 {
        assert_eq!(history.usual().is_some(), n >= 8, "after {n}");
        history.observe(&answer(200, JSON, 1000));
    }
    // Errors, partial and empty answers teach nothing.
    history.observe(&answer(500, &[], 0));
    history.observe(&answer(204, &[], 0));
    let usual = history.usual().unwrap();
    assert_eq!(usual.kind(), Some(Kind::Json));
    assert!(usual.is_never_empty());
    let page: Fields = &[(b"content-type", b"text/html"), (b"server", b"edge")];
    let missing: Vec<&[u8]> = usual.missing(&answer(200, page, 10)).collect();
    assert_eq!(missing, [b"x-request-id"]);
    assert!(usual.is_far_off(&answer(200, page, 10)));
    assert!(!usual.is_far_off(&answer(200, JSON, 900)));
}

#[test]
fn a_field_that_was_absent_once_marks_nothing() {
    let mut history = History::default();
    for n in 0..20 {
        history.observe(&answer(200, if n == 7 { &[] } else { JSON }, 10));
    }
    assert_eq!(history.usual().unwrap().n_markers(), 0);
}

#[test]
fn a_route_of_many_kinds_has_no_usual_one_and_changes_are_followed() {
    let mut history = History::default();
    let page: Fields = &[(b"Content-Type", b"text/html")];
    for n in 0..40 {
        history.observe(&answer(200, if n % 2 == 0 { JSON } else { page }, 10));
    }
    assert_eq!(history.usual().unwrap().kind(), None);
    for _ in 0..600 {
        history.observe(&answer(200, page, 10));
    }
    assert_eq!(history.usual().unwrap().kind(), Some(Kind::Html));
}

#[test]
fn kinds_of_content() {
    for (text, kind) in [
        ("", Kind::None),
        ("application/json", Kind::Json),
        ("Application/Problem+JSON ; charset=x", Kind::Json),
        ("text/HTML;charset=euc-kr", Kind::Html),
        ("application/atom+xml", Kind::Xml),
        ("text/plain", Kind::Text),
        ("image/svg+xml", Kind::Xml),
        ("image/webp", Kind::Media),
        ("application/octet-stream", Kind::Binary),
        ("x", Kind::Binary),
    ] {
        assert_eq!(Kind::of(text.as_bytes()), kind, "{text}");
    }
    for (index, kind) in Kind::ALL.into_iter().enumerate() {
        assert_eq!(kind as usize, index);
    }
}

#[test]
fn ordinary_answers_are_not_suspicious() {
    let json = Some(b"application/json".as_slice());
    let html = Some(b"text/html".as_slice());
    let known = Suspicion::new(Some(Kind::Json));
    for (suspicion, status, content_type, mitigation, expected) in [
        (known, 200, json, false, false),
        (known, 200, html, false, true),
        (known, 200, json, true, true),
        (known, 204, None, false, false),
        (known, 206, Some(b"image/png".as_slice()), false, false),
        (known, 302, None, false, true),
        (known, 304, None, false, false),
        (known, 403, json, false, true),
        (Suspicion::default(), 200, json, false, false),
        (Suspicion::default(), 200, html, false, true),
        (Suspicion::new(Some(Kind::Html)), 200, html, false, false),
    ] {
        assert_eq!(suspicion.of_head(status, content_type, mitigation), expected, "{status}");
    }
}
