//! Answers of ours, and the document that lists them.

use std::fmt::Write as _;

use byway_core::classify;
use expect_test::{expect, expect_file};

use super::*;

#[test]
fn an_answer_says_its_cause_in_every_place() {
    let about = About {
        instance: "shop-1",
        provider: "catalog",
        path: "direct",
        is_head: false,
        close: true,
    };
    let problem = Problem::of(Cause::TlsCert, "certificate expired \"yesterday\"\n");
    let mut answer = Vec::new();
    problem.write(&mut answer, &about);
    expect![[r#"
        HTTP/1.1 502 byway: the provider's certificate is not valid (tls_cert)
        Content-Type: application/problem+json
        Content-Length: 222
        Proxy-Status: byway; error=tls_certificate_error; details="tls_cert"; path="direct"
        Cache-Control: no-store
        Connection: close

        {"type":"urn:byway:problem:tls_cert","title":"the provider's certificate is not valid","detail":"certificate expired \"yesterday\"\n","code":"tls_cert","instance":"shop-1","provider":"catalog","path":"direct","status":502}"#]]
    .assert_eq(&String::from_utf8_lossy(&answer).replace('\r', ""));
    let mut head = Vec::new();
    problem.write(&mut head, &About { is_head: true, ..about });
    assert!(answer.starts_with(&head) && head.ends_with(b"\r\n\r\n"));
}

#[test]
fn status_lines_are_printable_ascii() {
    let refusals = Refusal::ALL.iter().map(|refusal| Problem::refusal(*refusal));
    let causes = Cause::ALL.iter().map(|cause| Problem::of(*cause, ""));
    for problem in refusals.chain(causes) {
        assert!(problem.says.bytes().all(|b| (0x20..0x7f).contains(&b)), "{}", problem.says);
        assert!((400..600).contains(&problem.status), "{}", problem.code);
    }
}

#[test]
fn the_document_lists_every_code() {
    let mut text = String::from(
        "# Errors\n\n\
         Every answer that Byway makes itself, by its stable `code`.\n\
         The table is made from the code by a test; `UPDATE_EXPECT=1 cargo test -p byway-gateway` writes it again.\n\n\
         An answer has the status below, a reason phrase with the cause, `Content-Type: application/problem+json` (RFC 9457) and `Proxy-Status` (RFC 9209).\n\
         The problem has `type`, `title`, `status` and `code`, and where they are known `detail`, `instance`, `provider` and `path`.\n\
         The same code stands in the request's log line (`code`) and in `byway_own_answers_total` or `byway_refusals_total`.\n\n\
         ## What went wrong on the way\n\n\
         `side` is who has to look first: `us` (the caller, this machine, its configuration), `path` (our own way out), `network` (one attempt cannot tell more) or `provider`.\n\n\
         | code | status | `Proxy-Status` error | side | class | meaning |\n|---|---|---|---|---|---|\n",
    );
    for cause in Cause::ALL {
        let (class, side) = classify::blame(*cause);
        let _infallible = writeln!(
            text,
            "| `{}` | {} | `{}` | {} | {} | {} |",
            cause.code(),
            cause.status(),
            cause.proxy_status(),
            side.as_str(),
            class.as_str(),
            cause.says()
        );
    }
    text.push_str(
        "\nWith `ConnectTimeout` and its like only a configured deadline is meant; see `[deadlines]` in [config.toml](config.toml).\n\n\
         ## Messages that are refused\n\n\
         A request that cannot be forwarded to the byte, or can be read in two ways, is refused, and its connection is closed.\n\
         A head, and what of the body came with it, is refused before anything is sent; a malformed chunk further on ends the request on both sides.\n\
         The same rules hold for answers (`status_line` is theirs alone); a malformed answer is `answer_malformed` with the sentence as its `detail`.\n\n\
         | code | status | meaning |\n|---|---|---|\n",
    );
    for refusal in Refusal::ALL {
        let problem = Problem::refusal(*refusal);
        let _infallible =
            writeln!(text, "| `{}` | {} | {} |", problem.code, problem.status, problem.says);
    }
    let text = text.replace(
        "With `ConnectTimeout` and its like only a configured deadline is meant",
        "The time limits are the deadlines of the configuration",
    );
    expect_file!["../../../../docs/errors.md"].assert_eq(&text);
}
