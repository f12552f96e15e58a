//! Signatures against the vectors of `aws-sigv4` 1.6.4 (`aws-signing-test-suite/v4`, Apache-2.0), as
//! data in `vectors.json`.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use serde_json::Value;

use super::{Signable, fields};

const VECTORS: &str = include_str!("vectors.json");

/// What a vector says of the request, and the value of `Authorization` that it wants.
struct Vector {
    name: String,
    context: Value,
    request: String,
    signed: String,
}

fn vectors() -> Vec<Vector> {
    let all: Vec<Value> = serde_json::from_str(VECTORS).unwrap();
    let text = |value: &Value, name: &str| value[name].as_str().unwrap().to_owned();
    all.iter()
        .map(|one| Vector {
            name: text(one, "name"),
            context: one["context"].clone(),
            request: text(one, "request"),
            signed: text(one, "signed"),
        })
        .collect()
}

/// Method, target, fields, body.
fn parts(request: &str) -> (String, String, Vec<(String, String)>, String) {
    let (head, body) = request.split_once("\n\n").unwrap_or((request, ""));
    let mut lines = head.lines();
    let first = lines.next().unwrap();
    let (method, rest) = first.split_once(' ').unwrap();
    let target = rest.strip_suffix(" HTTP/1.1").unwrap();
    let mut all: Vec<(String, String)> = Vec::new();
    for line in lines {
        match line.split_once(':') {
            Some((name, value)) if !line.starts_with(' ') => {
                all.push((name.to_owned(), value.to_owned()));
            }
            _ => all.last_mut().unwrap().1.push_str(&format!("\n{line}")),
        }
    }
    (method.to_owned(), target.to_owned(), all, body.to_owned())
}

fn authorization(signed: &str) -> &str {
    signed.lines().find_map(|line| line.strip_prefix("Authorization:")).unwrap().trim()
}

/// What of a vector is no request of ours: paths that are not normalised, a digest as a field, a
/// value over several lines, a token that is not signed, a target with a space, which no configuration accepts.
fn is_ours(vector: &Vector) -> bool {
    let context = &vector.context;
    context["normalize"] == true
        && context["sign_body"] != true
        && context["omit_session_token"] != true
        && !vector.name.contains("multiline")
        && !vector.name.contains("space")
}

#[test]
fn signatures_are_those_of_the_vectors() {
    let mut n = 0;
    for vector in vectors().iter().filter(|vector| is_ours(vector)) {
        let Vector { name, context, request, signed } = vector;
        let (method, target, all, body) = parts(request);
        let host = all.iter().find(|(name, _)| name.eq_ignore_ascii_case("host")).unwrap();
        let text = |pointer: &str| context.pointer(pointer).and_then(Value::as_str);
        let credentials = Credentials::new(
            text("/credentials/access_key_id").unwrap(),
            text("/credentials/secret_access_key").unwrap(),
            text("/credentials/token").map(ToOwned::to_owned),
            None,
            "vectors",
        );
        let uri = format!("https://{}{target}", host.1.trim());
        let borrowed: Vec<(&str, &str)> =
            all.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let signable = Signable {
            method: &method,
            uri: &uri,
            fields: &borrowed,
            body: body.as_bytes(),
            region: text("/region").unwrap(),
            service: text("/service").unwrap(),
        };
        let at: jiff::Timestamp = text("/timestamp").unwrap().parse().unwrap();
        let added = fields(&signable, &credentials, SystemTime::from(at));
        let added = added.unwrap_or_else(|why| panic!("{name}: {why}"));
        let ours = added.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        assert_eq!(ours.unwrap().1, authorization(signed), "{name}");
        n += 1;
    }
    assert!(n >= 20, "{n} vectors were compared");
}
