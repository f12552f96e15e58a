//! The canonical line in both formats.

use byway_core::classify::{Blame, Class, Confidence, Outcome, Resend};
use expect_test::{Expect, expect};

use super::*;

fn full() -> Record<'static> {
    Record {
        at: Timestamp::UNIX_EPOCH,
        instance: "shop-1",
        caller: IpAddr::from([127, 0, 0, 1]),
        way: Way::Base,
        method: "GET",
        provider: "catalog",
        rule: Some(Rule::Path),
        host: "api.example.com",
        path: "direct",
        skipped: "",
        n_attempts: 1,
        reused: true,
        peer: Some(SocketAddr::from(([192, 0, 2, 1], 443))),
        status: Some(200),
        outcome: Outcome::plain(Class::Ok, Blame::Provider, Confidence::Strong, Resend::Never),
        code: None,
        detail: "",
        bytes_up: 1,
        bytes_down: 2,
        connect: None,
        first_byte: Some(Duration::from_micros(3)),
        took: Duration::from_micros(4),
    }
}

fn check(record: &Record<'_>, format: LogFormat, expected: Expect) {
    let mut line = String::new();
    record.write(format, &mut line);
    assert!(line.ends_with('\n') && line.lines().count() == 1, "one line: {line}");
    expected.assert_eq(&line);
}

#[test]
fn text_is_for_people() {
    check(
        &full(),
        LogFormat::Text,
        expect![[r#"
        at=1970-01-01T00:00:00Z event=request instance=shop-1 caller=127.0.0.1 way=base method=GET provider=catalog rule=path host=api.example.com path=direct attempts=1 reused=yes peer=192.0.2.1:443 status=200 class=ok blame=provider bytes_up=1 bytes_down=2 first_byte_us=3 took_us=4
    "#]],
    );
}

#[test]
fn json_is_for_machines() {
    check(
        &full(),
        LogFormat::Json,
        expect![[r#"
        {"at":"1970-01-01T00:00:00Z","event":"request","instance":"shop-1","caller":"127.0.0.1","way":"base","method":"GET","provider":"catalog","rule":"path","host":"api.example.com","path":"direct","attempts":1,"reused":"yes","peer":"192.0.2.1:443","status":200,"class":"ok","blame":"provider","bytes_up":1,"bytes_down":2,"first_byte_us":3,"took_us":4}
    "#]],
    );
}

#[test]
fn what_others_wrote_never_breaks_the_line() {
    let detail = "a=\"b\" \\ c\nevent=forged\r\u{7f}\u{85}\u{1b}[0m";
    let record = Record { detail, status: None, reused: false, ..full() };
    check(
        &record,
        LogFormat::Text,
        expect![[r#"
        at=1970-01-01T00:00:00Z event=request instance=shop-1 caller=127.0.0.1 way=base method=GET provider=catalog rule=path host=api.example.com path=direct attempts=1 peer=192.0.2.1:443 class=ok blame=provider detail="a=\"b\" \\ c\nevent=forged\r\u007f\u0085\u001b[0m" bytes_up=1 bytes_down=2 first_byte_us=3 took_us=4
    "#]],
    );
    check(
        &record,
        LogFormat::Json,
        expect![[r#"
        {"at":"1970-01-01T00:00:00Z","event":"request","instance":"shop-1","caller":"127.0.0.1","way":"base","method":"GET","provider":"catalog","rule":"path","host":"api.example.com","path":"direct","attempts":1,"peer":"192.0.2.1:443","class":"ok","blame":"provider","detail":"a=\"b\" \\ c\nevent=forged\r\u007f\u0085\u001b[0m","bytes_up":1,"bytes_down":2,"first_byte_us":3,"took_us":4}
    "#]],
    );
}
