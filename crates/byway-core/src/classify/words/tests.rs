//! Sentences that say it, and sentences that only sound like it.

use super::{decode, reason};
use crate::classify::Class;
use crate::classify::library::{FILLERS, IS_REFUSED, LIMITED, SUPPOSES, SYLLABLES, THINGS, WORDS};

#[test]
fn what_is_said_of_our_address_is_heard_whatever_the_form() {
    for body in [
        "your ip address has been blocked",
        "<p>your ip address\n<b>203.0.113.9</b> has been <i>permanently</i> banned.</p>",
        "{\"message\":\"ip 203.0.113.9 is not allowed to access this resource\"}",
        "{\"message\":\"your ip \\\"203.0.113.9\\\" is not whitelisted\"}",
        "{\"code\":\"err_ip_not_allowed\"}",
        "{\"code\":\"ip-blocked\"}",
        "access denied for ip 2001:db8::9",
        "client ip (203.0.113.9) is not in the allowlist",
        "{\"msg\":\"\\ud5c8\\uc6a9\\ub418\\uc9c0 \\uc54a\\uc740 ip\\uc785\\ub2c8\\ub2e4\"}",
        "&#xd5c8;&#xc6a9;&#xb418;&#xc9c0; &#xc54a;&#xc740; ip",
        "ip 주소 203.0.113.9는 차단되었습니다",
        "등록되지 않은 ip입니다",
    ] {
        assert_eq!(reason(body), Some(Class::BlockedIp), "{body}");
    }
}

#[test]
fn what_only_sounds_like_it_is_not_heard() {
    for body in [
        "membership not allowed",
        "ship address not allowed",
        "vip_blocked",
        "unauthorized ipad",
        "the recipient is not allowed to access this resource",
        "if your ip address has been blocked, contact support",
        "your ip address may be blocked",
        "your ip reservation has been rejected",
        "private ip address not allowed",
        "webhook ip blocked",
        "{\"message\":\"계정이 차단되었습니다\",\"ip\":\"203.0.113.9\"}",
        "{\"ip\":\"203.0.113.9\",\"message\":\"계정이 차단되었습니다\"}",
        "{\"reason\":\"your ip address\",\"state\":\"blocked\"}",
        "차단된 ip 목록을 조회할 권한이 없습니다",
        "ip 차단 해제 권한이 없습니다",
        "the ip blocked list may not be read",
        "신용카드 한도 초과",
        "vip 등급이 차단되었습니다",
        "ip가 차단된 경우 문의하세요",
        "ip가 차단되었는지 확인하세요",
        "you are not allowed to change your ip address",
        "ip addresses are not allowed as hosts",
    ] {
        assert_eq!(reason(body), None, "{body}");
    }
}

#[test]
fn a_limit_is_heard_before_a_block() {
    for body in [
        "your ip address has been blocked: too many requests",
        "api rate limit exceeded for 203.0.113.9.",
        "you have exceeded a secondary rate limit",
        "호출 한도를 초과했습니다",
    ] {
        assert_eq!(reason(body), Some(Class::RateLimited), "{body}");
    }
}

#[test]
fn korean_of_old_servers_is_read_and_other_bytes_are_not_taken_for_it() {
    let page = b"\xc7\xe3\xbf\xeb\xb5\xc7\xc1\xf6 \xbe\xca\xc0\xba ip";
    assert_eq!(decode(page), "허용되지 않은 ip");
    assert!(decode(b"one\xe9 two").starts_with("one"));
    assert!(decode(&[0xff; 9]).contains('\u{fffd}'));
    assert_eq!(decode(b"\xc7"), "\u{fffd}");
}

#[test]
fn every_syllable_that_is_looked_for_can_be_read() {
    let tables = [FILLERS, IS_REFUSED, SUPPOSES, THINGS, WORDS].into_iter();
    let phrases = tables.chain(LIMITED.iter().copied()).flatten();
    for syllable in phrases.flat_map(|phrase| phrase.chars()).filter(|c| ('가'..='힣').contains(c))
    {
        assert!(SYLLABLES.iter().any(|(_, known)| *known == syllable), "{syllable}");
    }
}

#[test]
fn whatever_the_body_is_it_costs_about_the_same() {
    for piece in
        ["<", "&", ":", "\\", "\\u", "a:", "\n ", "\"", ". ", "ip ", "가", "&#x", "1.", "<b"]
    {
        let body = piece.repeat(16 * 1024 / piece.len());
        assert_eq!(reason(&body), None, "{piece}");
        assert_eq!(decode(body.as_bytes()), body);
    }
    let bytes: Vec<u8> = (0..=255).cycle().take(16 * 1024).collect();
    assert!(!decode(&bytes).is_empty());
}
