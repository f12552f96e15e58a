//! Event files of `aws_lambda_events` 1.2.1 and `lambda_http` 1.3.2 (Apache-2.0, MIT) as data: only
//! a POST over HTTP has a body for us, and nothing else is taken for one.

use std::collections::BTreeMap;

use expect_test::expect;
use serde_json::{Value, json};

use super::{answer, body, refusal};

const FIXTURES: &str = include_str!("fixtures.json");

#[test]
fn only_a_posted_body_is_one() {
    let all: BTreeMap<String, Value> = serde_json::from_str(FIXTURES).unwrap();
    assert!(all.len() > 150, "{} events", all.len());
    let mut said = String::new();
    for (name, event) in &all {
        if let Some(body) = body(event) {
            said.push_str(&format!("{name}: {} bytes\n", body.len()));
        }
    }
    expect![[r#"
        aws_lambda_events/example-apigw-console-request.json: 15 bytes
        aws_lambda_events/example-apigw-console-test-request.json: 13 bytes
        aws_lambda_events/example-apigw-request-catch-all.json: 13 bytes
        aws_lambda_events/example-apigw-request-multi-value-parameters.json: 13 bytes
        aws_lambda_events/example-apigw-request.json: 13 bytes
        aws_lambda_events/example-apigw-restapi-openapi-request.json: 13 bytes
        aws_lambda_events/example-apigw-websocket-request.json: 13 bytes
        lambda_http/apigw_multi_value_proxy_request.json: 13 bytes
        lambda_http/apigw_request_path_with_space.json: 17 bytes
        lambda_http/apigw_v2_proxy_request.json: 17 bytes
        lambda_http/apigw_v2_proxy_request_with_stage_in_path.json: 17 bytes
    "#]]
    .assert_eq(&said);
}

#[test]
fn both_formats_and_both_codings_give_the_same_bytes() {
    let v2 = |body: &str, coded: bool| json!({"requestContext": {"http": {"method": "POST"}}, "body": body, "isBase64Encoded": coded});
    let v1 = |body: &str, coded: bool| json!({"httpMethod": "POST", "body": body, "isBase64Encoded": coded});
    for event in [v2("QllXUg==", true), v2("BYWR", false), v1("QllXUg==", true), v1("BYWR", false)]
    {
        assert_eq!(body(&event).as_deref(), Some(b"BYWR".as_slice()), "{event}");
    }
    assert_eq!(body(&v2("not Base64!", true)), None);
    assert_eq!(body(&json!({"httpMethod": "GET", "body": "x"})), None);
    assert_eq!(body(&json!({"httpMethod": "POST", "body": null})), None);
    assert_eq!(body(&json!([1])), None);
}

#[test]
fn an_answer_is_what_every_front_understands() {
    let binary = answer(b"BYWA\xff", false);
    assert_eq!((&binary["statusCode"], &binary["isBase64Encoded"]), (&json!(200), &json!(true)));
    let text = answer(b"QllX", true);
    assert_eq!((&text["body"], &text["isBase64Encoded"]), (&json!("QllX"), &json!(false)));
    assert_eq!(refusal()["statusCode"], 403);
}
