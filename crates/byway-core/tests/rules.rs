//! The rules as tables.

#![cfg(test)]

use std::net::IpAddr;

use byway_core::cause::Cause;
use byway_core::choose::{PathView, Skip, choose};
use byway_core::classify::{Blame, Class, Confidence, Outcome, Resend};
use byway_core::destination::{AddressClass, HostKind, Network, host_kind, may_reach};
use byway_core::failover::{Chance, Law, Next, Other, Permission, Same, law, next};
use byway_core::id::{PathName, ProviderName};
use byway_core::policy::{OnPathFailure, Policy};
use byway_core::relay::Unfit;
use byway_core::route::{Asked, HostPattern, Origin, RouteTable, Rule, Scheme};
use byway_core::settings::{Deadlines, Provider, ProviderTls, Unlisted};
use expect_test::expect_file;
use jiff::{SignedDuration, Timestamp};

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn every_range_has_its_class_just_inside_and_not_just_outside() {
    for (class, inside) in [
        ("unspecified", "0.0.0.0 0.255.255.255 ::"),
        ("loopback", "127.0.0.0 127.255.255.255 ::1"),
        (
            "private",
            "10.0.0.0 10.255.255.255 172.16.0.0 172.31.255.255 192.168.0.0 192.168.255.255 fc00:: fdff::1 fec0::1",
        ),
        ("link_local", "169.254.0.0 169.254.255.255 fe80:: febf::1"),
        (
            "metadata",
            "169.254.169.254 169.254.170.2 100.100.100.200 168.63.129.16 192.0.0.192 fd00:ec2::254 fd20:ce::254",
        ),
        ("cgnat", "100.64.0.0 100.127.255.255"),
        ("multicast", "224.0.0.0 239.255.255.255 ff00:: ffff::1"),
        ("broadcast", "255.255.255.255"),
        (
            "reserved",
            "192.0.0.1 192.0.2.255 192.88.99.1 198.18.0.0 198.19.255.255 198.51.100.1 203.0.113.1 240.0.0.0 255.255.255.254 2001:db8::1 2001:2::1 100::1 3fff::1 4000::1",
        ),
        ("ipv4_mapped", "::ffff:8.8.8.8 ::8.8.8.8 ::ffff:0:8.8.8.8"),
        ("nat64", "64:ff9b::808:808 64:ff9b:1::1"),
        ("6to4", "2002:: 2002:ffff::1"),
        ("teredo", "2001:0::1"),
        (
            "public",
            "1.0.0.0 9.255.255.255 11.0.0.0 172.15.255.255 172.32.0.0 192.167.255.255 192.169.0.0 126.255.255.255 128.0.0.0 169.253.255.255 169.255.0.0 100.63.255.255 100.128.0.0 223.255.255.255 192.0.1.0 192.0.3.0 198.17.255.255 198.20.0.0 2606:4700::1 2001:200::1 2003::1",
        ),
    ] {
        for address in inside.split(' ') {
            assert_eq!(AddressClass::of(ip(address)).as_str(), class, "{address}");
        }
    }
}

#[test]
fn only_what_is_listed_is_reached_and_metadata_only_by_itself() {
    let net = |text: &str| text.parse::<Network>().expect("a network");
    assert_eq!(may_reach(ip("8.8.8.8"), &[]), Ok(()));
    assert_eq!(may_reach(ip("10.1.2.3"), &[]), Err(AddressClass::Private));
    assert_eq!(may_reach(ip("10.1.2.3"), &[net("10.0.0.0/8")]), Ok(()));
    assert_eq!(may_reach(ip("11.1.2.3"), &[net("10.0.0.0/8")]), Ok(()), "public anyway");
    assert_eq!(may_reach(ip("192.168.1.1"), &[net("10.0.0.0/8")]), Err(AddressClass::Private));
    assert_eq!(may_reach(ip("10.1.2.3"), &Network::PRIVATE), Ok(()));
    assert_eq!(may_reach(ip("169.254.1.1"), &Network::PRIVATE), Err(AddressClass::LinkLocal));
    let metadata = ip("169.254.169.254");
    assert_eq!(may_reach(metadata, &[net("169.254.0.0/16")]), Err(AddressClass::Metadata));
    assert_eq!(may_reach(metadata, &[net("0.0.0.0/0")]), Err(AddressClass::Metadata));
    assert_eq!(may_reach(metadata, &[net("169.254.169.254")]), Ok(()));
    assert_eq!(may_reach(ip("fd00:ec2::254"), &Network::PRIVATE), Err(AddressClass::Metadata));
    assert_eq!(may_reach(ip("::ffff:10.0.0.1"), &Network::PRIVATE), Err(AddressClass::Ipv4Mapped));
    for bad in ["", "10.0.0.0/33", "::/129", "10.0.0.0/-1", "10.0.0", "a/8", "10.0.0.0/8/8"] {
        assert!(bad.parse::<Network>().is_err(), "{bad}");
    }
}

#[test]
fn addresses_are_addresses_in_every_notation() {
    for (host, address) in [
        ("127.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("127.0.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("0X7F.1", "127.0.0.1"),
        ("0177.0.0.01", "127.0.0.1"),
        ("017700000001", "127.0.0.1"),
        ("0", "0.0.0.0"),
        ("0x", "0.0.0.0"),
        ("1.16777215", "1.255.255.255"),
        ("::1", "::1"),
        ("::ffff:127.0.0.1", "::ffff:127.0.0.1"),
    ] {
        assert_eq!(host_kind(host), HostKind::Address(ip(address)), "{host}");
    }
    for host in ["1.2.3.4.5", "1.2.3.256", "1.2.65536", "4294967296", "08.1", "0xg.1", "1..1"] {
        assert_eq!(host_kind(host), HostKind::NotAnAddress, "{host}");
    }
    for host in ["a", "1.2.3.a", "0x7f.example", "127.0.0.1.example", "1e100.net", "x0x1"] {
        assert_eq!(host_kind(host), HostKind::Name, "{host}");
    }
}

fn provider(name: &str, url: Option<(&str, u16)>, hosts: &[&str]) -> Provider {
    Provider {
        name: ProviderName::new(name).expect("a name"),
        origin: url.map(|(host, port)| Origin {
            scheme: Scheme::Https,
            host: host.to_owned(),
            port,
        }),
        hosts: hosts.iter().map(|host| HostPattern::parse(host).expect("a pattern")).collect(),
        paths: vec![PathName::direct()],
        deadlines: Deadlines::default(),
        allow: Vec::new(),
        tls: ProviderTls::default(),
        policy: Policy::default(),
        routes: Vec::new(),
        affects: Vec::new(),
        intercept: false,
    }
}

#[test]
fn the_most_specific_provider_is_chosen() {
    let providers = [
        provider("a", Some(("api.example.com", 443)), &[]),
        provider("b", Some(("api.example.com", 8443)), &[]),
        provider("c", None, &["*.example.com"]),
        provider("d", None, &["*.eu.example.com", "one.eu.example.com"]),
    ];
    let table = RouteTable::new(&providers, Unlisted::Observe);
    for (asked, expected, rule) in [
        (Asked::Host("api.example.com", 443), Some(0), Rule::Listed),
        (Asked::Host("API.Example.COM", 443), Some(0), Rule::Listed),
        (Asked::Host("api.example.com", 8443), Some(1), Rule::Listed),
        (Asked::Host("api.example.com", 80), Some(0), Rule::Listed),
        (Asked::Host("other.example.com", 443), Some(2), Rule::Listed),
        (Asked::Host("a.b.example.com", 443), Some(2), Rule::Listed),
        (Asked::Host("x.eu.example.com", 443), Some(3), Rule::Listed),
        (Asked::Host("one.eu.example.com", 443), Some(3), Rule::Listed),
        (Asked::Host("example.com", 443), None, Rule::Unlisted),
        (Asked::Host("badexample.com", 443), None, Rule::Unlisted),
        (Asked::ProviderByPath("c"), Some(2), Rule::Path),
        (Asked::ProviderByHost("d"), Some(3), Rule::Host),
    ] {
        let route = table.route(asked).expect("a route");
        assert_eq!((route.provider, route.rule), (expected, rule), "{asked:?}");
    }
    assert_eq!(table.route(Asked::ProviderByPath("e")), Err(Cause::ProviderUnknown));
    let strict = RouteTable::new(&providers, Unlisted::Refuse);
    assert_eq!(strict.route(Asked::Host("example.com", 443)), Err(Cause::HostUnlisted));
    let long = "x".repeat(300);
    assert_eq!(table.route(Asked::Host(&long, 443)).expect("a route").provider, None);
}

#[test]
fn broken_paths_are_skipped_but_never_all_of_them() {
    let now = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(100);
    let broken = Some(now + SignedDuration::from_secs(1));
    let over = Some(now);
    let plan = |views: &[Option<Timestamp>]| {
        let views: Vec<PathView> =
            views.iter().map(|&broken_until| PathView { broken_until, ..PathView::FINE }).collect();
        let plan = choose(&views, None, now);
        let skipped: Vec<usize> = plan.skipped().map(|(index, _)| index).collect();
        (plan.order().collect::<Vec<_>>(), skipped)
    };
    assert_eq!(plan(&[None, None]), (vec![0, 1], vec![]));
    assert_eq!(plan(&[broken, None, broken, over]), (vec![1, 3], vec![0, 2]));
    assert_eq!(plan(&[broken, broken]), (vec![0, 1], vec![]));
}

#[test]
fn a_path_that_the_request_does_not_fit_through_is_the_last_that_is_tried() {
    let now = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(100);
    let broken_until = Some(now + SignedDuration::from_secs(1));
    let broken = PathView { broken_until, ..PathView::FINE };
    let unfit = PathView { unfit: Some(Unfit::TooLarge), ..PathView::FINE };
    let plan = |views: &[PathView], lead| {
        let plan = choose(views, lead, now);
        let skipped: Vec<_> = plan.skipped().collect();
        (plan.order().collect::<Vec<_>>(), skipped)
    };
    let because = |index| (index, Skip::Unfit(Unfit::TooLarge));
    assert_eq!(plan(&[PathView::FINE, unfit], Some(1)), (vec![0], vec![because(1)]));
    assert_eq!(plan(&[broken, unfit], None), (vec![0], vec![because(1)]), "rather a broken one");
    assert_eq!(plan(&[unfit, unfit], None), (vec![0, 1], vec![]), "and it says why itself");
}

#[test]
fn every_cause_is_told_apart_and_blamed() {
    // RFC 9209 §2.3
    let known = "dns_timeout dns_error destination_not_found destination_unavailable destination_ip_prohibited destination_ip_unroutable connection_refused connection_terminated connection_timeout connection_read_timeout connection_write_timeout connection_limit_reached tls_protocol_error tls_certificate_error tls_alert_received http_request_error http_request_denied http_response_incomplete http_response_header_section_size http_response_header_size http_response_body_size http_response_trailer_section_size http_response_trailer_size http_response_transfer_coding http_response_content_coding http_response_timeout http_upgrade_failed http_protocol_error proxy_internal_response proxy_internal_error proxy_configuration_error proxy_loop_detected";
    let mut codes = Vec::new();
    for (index, cause) in Cause::ALL.iter().enumerate() {
        assert_eq!(*cause as usize, index, "counters are indexed by the variant");
        assert!(known.split(' ').any(|known| known == cause.proxy_status()), "{cause:?}");
        assert!(!cause.says().ends_with('.'), "{cause:?}");
        codes.push(cause.code());
    }
    for (index, class) in Class::ALL.iter().enumerate() {
        assert_eq!(*class as usize, index, "counters are indexed by the variant");
    }
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), Cause::ALL.len());
}

#[test]
fn a_detour_leads_and_what_it_goes_round_is_skipped() {
    let now = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(100);
    let later = Some(now + SignedDuration::from_secs(1));
    let plan = |views: &[(Option<Timestamp>, bool)], lead| {
        let view =
            |&(broken_until, is_gone_round)| PathView { broken_until, is_gone_round, unfit: None };
        let views: Vec<PathView> = views.iter().map(view).collect();
        choose(&views, lead, now).order().collect::<Vec<_>>()
    };
    let (fine, round, broken) = ((None, false), (None, true), (later, false));
    assert_eq!(plan(&[round, round, fine, fine], Some(3)), [3, 2]);
    assert_eq!(plan(&[round, round, fine, broken], Some(3)), [2], "a broken lead is skipped");
    assert_eq!(plan(&[round, fine], Some(0)), [0, 1], "the old path may lead while it comes back");
    assert_eq!(plan(&[round, broken], Some(1)), [0, 1], "never zero paths");
    assert_eq!(plan(&[fine, fine], Some(9)), [0, 1]);
}

/// The table of the law, cell by cell, beside the design's own words.
#[test]
fn the_law() {
    use Other::{AfterVerdict, AtOnceIfUnsent, IfShownHealthy, Never};
    for class in Class::ALL {
        let (same, plain, detour) = match class {
            Class::Ok | Class::ClientError | Class::Contract => (Same::No, Never, Never),
            Class::Auth | Class::Challenge | Class::Denied => (Same::No, Never, Never),
            Class::RateLimited => (Same::AfterGate, Never, Never),
            Class::BlockedIp => (Same::No, Never, AfterVerdict),
            Class::ConnectTimeout => (Same::Once, Never, AtOnceIfUnsent),
            Class::Refused | Class::Reset | Class::Tls => (Same::Once, Never, AtOnceIfUnsent),
            Class::Outage | Class::Overload => (Same::Once, Never, IfShownHealthy),
            Class::ReadTimeout => (Same::Once, Never, IfShownHealthy),
            Class::Dns => (Same::OtherResolver, Never, IfShownHealthy),
            Class::RelayError | Class::OwnFault => (Same::No, Other::Next, Other::Next),
            Class::LocalLimit | Class::Cancelled => (Same::No, Never, Never),
        };
        assert_eq!(law(class), Law { same, plain, detour }, "{class:?}");
    }
}

#[test]
fn a_request_is_sent_again_only_where_that_is_safe_and_allowed() {
    for n in 0..1024_u16 {
        let bit = |at: u16| n & (1 << at) != 0;
        let permission = Permission {
            is_granted: bit(6),
            is_shown: bit(7),
            on_path_failure: if bit(8) { OnPathFailure::Next } else { OnPathFailure::Stop },
        };
        let chance = Chance {
            has_copy: false,
            stale_connection: bit(0),
            repeated: bit(1),
            has_next_path: bit(2),
            replayable: bit(3),
            idempotent: bit(4),
            safe: bit(5),
            way_out_broke: bit(9),
            permission,
        };
        for class in Class::ALL {
            for resend in [Resend::Safe, Resend::IfIdempotent, Resend::Never] {
                let outcome = Outcome::plain(class, Blame::Provider, Confidence::Strong, resend);
                let may = chance.replayable
                    && (resend == Resend::Safe
                        || (resend == Resend::IfIdempotent && chance.idempotent));
                let what = format!("{class:?} {resend:?} {chance:?}");
                let law = law(class);
                match next(&outcome, chance) {
                    Next::GiveUp => {}
                    Next::Copy => panic!("there is no copy: {what}"),
                    Next::SamePath => {
                        assert!(may && chance.stale_connection && !chance.repeated, "{what}");
                        // A relay's idle connection may have been closed as a provider's.
                        let is_once = law.same == Same::Once || class == Class::RelayError;
                        assert!(is_once, "{what}");
                    }
                    Next::Retry => {
                        assert!(may && chance.safe && !chance.repeated, "{what}");
                        assert_eq!(law.same, Same::Once, "{what}");
                    }
                    Next::RetryAfterGate => {
                        assert!(may && chance.safe && !chance.repeated, "{what}");
                        assert_eq!(class, Class::RateLimited, "{what}");
                    }
                    Next::NextPath => {
                        assert!(may && chance.has_next_path && chance.way_out_broke, "{what}");
                        assert_eq!(permission.on_path_failure, OnPathFailure::Next, "{what}");
                        assert_eq!(law.plain, Other::Next, "{what}");
                    }
                    Next::Detour => {
                        assert!(may && chance.has_next_path && permission.is_granted, "{what}");
                        assert_ne!(law.detour, Other::Never, "{what}");
                        let at_once = law.detour == Other::AtOnceIfUnsent && resend == Resend::Safe;
                        assert!(permission.is_shown || at_once, "{what}");
                    }
                }
                if class == Class::RateLimited {
                    let decided = next(&outcome, chance);
                    assert!(
                        matches!(decided, Next::GiveUp | Next::RetryAfterGate),
                        "a rate limit never moves traffic: {what}"
                    );
                }
            }
        }
    }
}

/// Every class with every permission, sent or not, by what may be repeated; what is not listed is
/// given up.
#[test]
fn what_is_next_cell_by_cell() {
    let permissions = [
        ("nothing granted", false, false, OnPathFailure::Next),
        ("granted", true, false, OnPathFailure::Next),
        ("granted and shown", true, true, OnPathFailure::Next),
        ("shown, not granted", false, true, OnPathFailure::Next),
        ("on_path_failure stop", true, true, OnPathFailure::Stop),
    ];
    let methods = [("GET", true, true), ("PUT", true, false), ("POST", false, false)];
    let mut out = String::new();
    for class in Class::ALL {
        for (name, is_granted, is_shown, on_path_failure) in permissions {
            let mut cells: Vec<String> = Vec::new();
            for (sent, resend) in [("unsent", Resend::Safe), ("sent", Resend::IfIdempotent)] {
                for (method, idempotent, safe) in methods {
                    let chance = Chance {
                        has_copy: false,
                        stale_connection: false,
                        repeated: false,
                        has_next_path: true,
                        replayable: true,
                        idempotent,
                        safe,
                        way_out_broke: matches!(class, Class::RelayError | Class::OwnFault),
                        permission: Permission { is_granted, is_shown, on_path_failure },
                    };
                    let outcome =
                        Outcome::plain(class, Blame::Provider, Confidence::Strong, resend);
                    let decided = next(&outcome, chance);
                    let last = Chance { repeated: true, has_next_path: false, ..chance };
                    assert_eq!(next(&outcome, last), Next::GiveUp, "{class:?}: nothing is left");
                    if decided != Next::GiveUp {
                        cells.push(format!("{sent} {method} {decided:?}"));
                    }
                }
            }
            if !cells.is_empty() {
                let line = format!("{} | {name} | {}\n", class.as_str(), cells.join(", "));
                out.push_str(&line);
            }
        }
    }
    expect_file!["next.txt"].assert_eq(&out);
}
