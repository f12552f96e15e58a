//! Which requests fit through which relay.

use super::{Asked, Lock, MARGIN, Platform, RelayHop, Unfit};
use crate::route::{Origin, Scheme};
use crate::secret::Secret;
use crate::settings::ProviderTls;

fn hop(platform: Platform) -> RelayHop {
    RelayHop {
        origin: Origin { scheme: Scheme::Https, host: "relay.example.com".to_owned(), port: 443 },
        target: "/".to_owned(),
        platform,
        id: "lambda-1".to_owned(),
        key_id: "k1".to_owned(),
        key_pem: Secret::new(Vec::new()),
        lock: Lock::Open,
        tls: ProviderTls::default(),
        limits: platform.limits(),
        is_text: false,
        replay_accepted: None,
        check_every: crate::relay::CHECK_EVERY,
        ask_every: crate::relay::ASK_EVERY,
    }
}

const GET: Asked = Asked {
    is_connect: false,
    upgrades: false,
    is_safe: true,
    needs_identity: false,
    head_bytes: 400,
    body_bytes: Some(0),
};

#[test]
fn what_one_request_cannot_carry_does_not_fit_anywhere() {
    for platform in Platform::ALL {
        let hop = hop(platform);
        assert_eq!(hop.fits(&GET), Ok(()));
        assert_eq!(hop.fits(&Asked { is_connect: true, ..GET }), Err(Unfit::Tunnel));
        assert_eq!(hop.fits(&Asked { upgrades: true, ..GET }), Err(Unfit::Upgrade));
        assert_eq!(hop.fits(&Asked { needs_identity: true, ..GET }), Err(Unfit::Identity));
    }
}

#[test]
fn an_unsafe_method_needs_one_memory_of_nonces_or_somebody_who_accepts_the_risk() {
    let post = Asked { is_safe: false, ..GET };
    for platform in Platform::ALL {
        let mut hop = hop(platform);
        let fits = if platform == Platform::Plain { Ok(()) } else { Err(Unfit::UnsafeMethod) };
        assert_eq!(hop.fits(&post), fits, "{platform:?}");
        hop.replay_accepted = Some("shop team: orders are idempotent by key".to_owned());
        assert_eq!(hop.fits(&post), Ok(()), "{platform:?}");
    }
}

#[test]
fn bodies_that_a_platform_would_refuse_are_not_sent_there() {
    let sizes = [4_300_000, 4_500_000, 6_000_000, 10_000_000, 32_000_000, 64_000_000];
    let largest = |platform| {
        let hop = hop(platform);
        let fits = |n: &&u64| hop.fits(&Asked { body_bytes: Some(**n), ..GET }).is_ok();
        sizes.iter().filter(fits).max().copied()
    };
    assert_eq!(largest(Platform::LambdaUrl), Some(4_300_000));
    assert_eq!(largest(Platform::ApiGatewayV2), Some(4_300_000));
    assert_eq!(largest(Platform::ApiGatewayV1), Some(4_300_000));
    assert_eq!(largest(Platform::CloudFunctions), Some(6_000_000));
    assert_eq!(largest(Platform::CloudRun), Some(32_000_000));
    assert_eq!(largest(Platform::Plain), Some(64_000_000));
    // Base64 is a third longer, and a head has a limit of its own.
    let text = RelayHop { is_text: true, ..hop(Platform::LambdaUrl) };
    assert_eq!(text.fits(&Asked { body_bytes: Some(4_300_000), ..GET }), Err(Unfit::TooLarge));
    assert_eq!(text.fits(&Asked { body_bytes: Some(3_000_000), ..GET }), Ok(()));
    let large = Asked { head_bytes: 200_000, ..GET };
    assert_eq!(hop(Platform::Plain).fits(&large), Err(Unfit::TooLarge));
    // A length that is not known cannot exclude; the stream itself ends such a request.
    assert_eq!(hop(Platform::LambdaUrl).fits(&Asked { body_bytes: None, ..GET }), Ok(()));
}

#[test]
fn a_relay_answers_before_its_platform_gives_up() {
    for platform in Platform::ALL {
        let limits = platform.limits();
        assert_eq!(limits.within() + MARGIN, limits.timeout, "{platform:?}");
    }
}
