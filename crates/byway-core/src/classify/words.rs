//! What a refusal says in plain words, whoever wrote it.
//!
//! A body becomes sentences, and a sentence becomes words, so that `ip` is never a part of
//! `recipient` and "blocked" is never said of something three clauses away. What is said of an
//! address must follow it, with nothing but small words between: "your IP address 203.0.113.9 has
//! been blocked", not "your IP reservation has been rejected". A sentence that supposes ("if your
//! IP address is blocked") says nothing about this request.

use std::net::IpAddr;

use super::Class;
use super::library::{
    DENIED, FILLERS, IS_REFUSED, LIMITED, NOT_OURS, SUPPOSES, SYLLABLES, THINGS, WORDS,
};
use crate::destination::AddressClass;

/// An address in the text, when it may be ours as the other side sees it.
const ADDRESS: &str = "@";
/// Longer, it is not a sentence that a person wrote to be read.
const N_WORDS_MAX: usize = 60;
/// Tags are seldom longer; the rest of one is words that nobody looks for.
const TAG_BYTES_MAX: usize = 512;
/// `#x1f600;`
const ENTITY_BYTES_MAX: usize = 9;
/// The longest address: IPv6 with an IPv4 tail (RFC 4291 §2.2).
const ADDRESS_BYTES_MAX: usize = 45;

/// What the body says about the reason of a refusal.
pub(super) fn reason(body: &str) -> Option<Class> {
    let sentences: Vec<Vec<String>> = sentences(body)
        .iter()
        .map(|sentence| words(sentence))
        .filter(|words| words.len() <= N_WORDS_MAX && !supposes(words))
        .collect();
    let any = |says: fn(&[String]) -> bool| sentences.iter().any(|words| says(words));
    // A limit first: who limits us must not be answered with another address.
    if any(says_limited) {
        Some(Class::RateLimited)
    } else if any(says_blocked) {
        Some(Class::BlockedIp)
    } else if any(says_denied) {
        Some(Class::Denied)
    } else {
        None
    }
}

/// Text that is not UTF-8 is read as EUC-KR, as far as the words that are looked for need it.
pub(super) fn decode(bytes: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return text.to_owned();
    }
    let korean = euc_kr(bytes);
    korean.unwrap_or_else(|| String::from_utf8_lossy(bytes).into_owned())
}

/// `None` if it does not look like EUC-KR: fewer than two in three of its pairs are Hangul.
fn euc_kr(bytes: &[u8]) -> Option<String> {
    let (mut text, mut n_pairs, mut n_hangul) = (String::with_capacity(bytes.len()), 0, 0);
    let mut rest = bytes;
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if first.is_ascii() {
            text.push(char::from(first));
            continue;
        }
        let second = tail.first().copied().unwrap_or_default();
        rest = tail.get(1..).unwrap_or_default();
        n_pairs += 1;
        // Rows 16 to 40 of KS X 1001 are the Hangul syllables.
        n_hangul += u32::from((0xb0..=0xc8).contains(&first) && second >= 0xa1);
        let code = u16::from_be_bytes([first, second]);
        let known = SYLLABLES.iter().find(|(known, _)| *known == code);
        // A letter, so that words keep their ends.
        text.push(known.map_or('\u{3147}', |&(_, syllable)| syllable));
    }
    (n_hangul * 3 >= n_pairs * 2).then_some(text)
}

fn says_limited(words: &[String]) -> bool {
    LIMITED.iter().any(|parts| in_order(words, parts))
}

fn says_denied(words: &[String]) -> bool {
    DENIED.iter().any(|parts| in_order(words, parts))
}

fn says_blocked(words: &[String]) -> bool {
    let is_ours = |at: usize| {
        let before = at.checked_sub(1).and_then(|before| words.get(before));
        !before.is_some_and(|word| NOT_OURS.contains(&word.as_str()))
    };
    let is_said = |tail: &[String], phrase: &str| {
        let next = starts(tail, phrase).map(|n| tail.get(n));
        next.is_some_and(|next| !next.is_some_and(|next| is_thing(next)))
    };
    let is_refused = |at: usize| {
        let rest = words.get(at..).unwrap_or_default();
        let skipped = rest.iter().take_while(|word| is_filler(word)).count();
        let rest = rest.get(skipped..).unwrap_or_default();
        IS_REFUSED.iter().any(|phrase| is_said(rest, phrase))
    };
    (0..words.len()).any(|at| {
        let rest = words.get(at..).unwrap_or_default();
        let is_ip = rest.first().is_some_and(|word| word == "ip");
        (is_ip && is_ours(at) && is_refused(at + 1))
            || (is_ours(at) && WORDS.iter().any(|phrase| is_said(rest, phrase)))
    })
}

fn is_thing(word: &str) -> bool {
    THINGS
        .iter()
        .any(|thing| if thing.is_ascii() { word == *thing } else { word.starts_with(thing) })
}

fn is_filler(word: &str) -> bool {
    FILLERS.contains(&word) || word == ADDRESS
}

/// Every part somewhere behind the one before it.
fn in_order(words: &[String], parts: &[&str]) -> bool {
    let mut rest = words;
    parts.iter().all(|part| {
        let found = (0..rest.len()).find_map(|at| {
            let tail = rest.get(at..)?;
            starts(tail, part).and_then(|n| tail.get(n..))
        });
        rest = found.unwrap_or_default();
        found.is_some()
    })
}

/// How many words the phrase is, if the words start with it. Korean words carry their endings, so
/// the start of one is enough.
fn starts(words: &[String], phrase: &str) -> Option<usize> {
    let mut n = 0;
    for part in phrase.split(' ') {
        let word = words.get(n)?;
        let is_same = if part.is_ascii() { word == part } else { word.starts_with(part) };
        if !is_same {
            return None;
        }
        n += 1;
    }
    Some(n)
}

fn supposes(words: &[String]) -> bool {
    let tails = || (0..words.len()).filter_map(|at| words.get(at..));
    let is_said = |phrase: &&str| tails().any(|tail| starts(tail, phrase).is_some());
    SUPPOSES.iter().any(is_said) || words.iter().any(|word| word.ends_with("는지"))
}

/// Cuts a body where a sentence ends: at quotes, tags that start a block, full stops, empty lines.
fn sentences(body: &str) -> Vec<String> {
    let mut sentences = vec![String::new()];
    let mut rest = body;
    while let Some(next) = rest.chars().next() {
        let (piece, used) = piece(rest, next);
        rest = rest.get(used..).unwrap_or_default();
        match piece {
            Piece::End => sentences.push(String::new()),
            Piece::Char(char) => {
                if let Some(last) = sentences.last_mut() {
                    last.push(char);
                }
            }
        }
    }
    sentences.retain(|sentence| !sentence.trim().is_empty());
    sentences
}

enum Piece {
    Char(char),
    End,
}

/// The next piece of a body and its length: escapes of JSON and HTML are undone.
fn piece(rest: &str, next: char) -> (Piece, usize) {
    let tail = rest.get(next.len_utf8()..).unwrap_or_default();
    let after = tail.chars().next();
    match next {
        '<' => match find(tail, b'>', TAG_BYTES_MAX) {
            Some(end) => (tag(tail.get(..end).unwrap_or_default()), end + 2),
            None => (Piece::End, 1),
        },
        '\\' => match after {
            Some('u') => {
                let hex = tail.get(1..5).and_then(|hex| u32::from_str_radix(hex, 16).ok());
                match hex.and_then(char::from_u32) {
                    Some(char) => (Piece::Char(char), 6),
                    None => (Piece::Char(' '), 2),
                }
            }
            Some(escaped) => (Piece::Char(' '), 1 + escaped.len_utf8()),
            None => (Piece::End, 1),
        },
        '&' => match find(tail, b';', ENTITY_BYTES_MAX) {
            Some(end) => (Piece::Char(entity(tail.get(..end).unwrap_or_default())), end + 2),
            None => (Piece::Char('&'), 1),
        },
        '"' | '。' => (Piece::End, next.len_utf8()),
        '.' | '!' | '?' | ';' if after.is_none_or(|c| c.is_whitespace() || c == '<') => {
            (Piece::End, 1)
        }
        '\n' if tail.trim_start_matches(['\r', ' ', '\t']).starts_with('\n') => (Piece::End, 1),
        other => (Piece::Char(other), other.len_utf8()),
    }
}

/// Bounded, so that a body of nothing but `<` costs no more than another.
fn find(text: &str, byte: u8, n_bytes_max: usize) -> Option<usize> {
    text.bytes().take(n_bytes_max).position(|b| b == byte)
}

/// Tags inside a line are nothing; others end a sentence.
fn tag(inside: &str) -> Piece {
    let name = inside.trim_start_matches('/');
    let name = name.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    let in_line = ["a", "b", "br", "code", "em", "font", "i", "mark", "span", "strong", "tt", "u"];
    if in_line.contains(&name) { Piece::Char(' ') } else { Piece::End }
}

fn entity(name: &str) -> char {
    let number = name.strip_prefix('#').and_then(|number| match number.strip_prefix('x') {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => number.parse().ok(),
    });
    number.and_then(char::from_u32).unwrap_or(' ')
}

/// The words of a sentence. Scripts are kept apart, because Korean particles follow a Latin word
/// without a space.
fn words(sentence: &str) -> Vec<String> {
    let mut words = Vec::new();
    let is_of_address = |b: &u8| b.is_ascii_hexdigit() || matches!(b, b'.' | b':');
    let is_word = |c: char| c.is_alphanumeric();
    let mut rest = sentence;
    while let Some(next) = rest.chars().next() {
        let end = |is: &dyn Fn(char) -> bool| rest.find(|c| !is(c)).unwrap_or(rest.len());
        let head = rest.bytes().take(ADDRESS_BYTES_MAX);
        let n_address = head.take_while(is_of_address).count();
        let address = rest.get(..n_address).unwrap_or_default().trim_end_matches(['.', ':']);
        let used = if let Ok(ip) = address.parse::<IpAddr>() {
            if may_be_ours(ip) {
                words.push(ADDRESS.to_owned());
            }
            address.len()
        } else if is_word(next) {
            let is_ascii = next.is_ascii();
            let n = end(&|c| is_word(c) && c.is_ascii() == is_ascii);
            words.extend(rest.get(..n).map(str::to_owned));
            n
        } else {
            next.len_utf8()
        };
        rest = rest.get(used.max(1)..).unwrap_or_default();
    }
    words
}

/// A provider on the internet does not see these.
fn may_be_ours(ip: IpAddr) -> bool {
    let inside = [AddressClass::Private, AddressClass::Loopback, AddressClass::LinkLocal];
    !inside.contains(&AddressClass::of(ip))
}

#[cfg(test)]
mod tests;
