//! Events of function URLs and API Gateways → the body that was posted, and back.
//!
//! Only method, body and `isBase64Encoded` are looked at: everything else in an event may have been
//! rewritten on the way, and nothing that matters stands there.

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::relay::{Relay, Stranger};

/// The posted body, if the event is a POST with one.
pub fn body(event: &Value) -> Option<Vec<u8>> {
    // Payload 2.0 (function URLs, HTTP APIs) and 1.0 (REST APIs) name the method in two places.
    let method = event.pointer("/requestContext/http/method").or_else(|| event.get("httpMethod"));
    if method.and_then(Value::as_str) != Some("POST") {
        return None;
    }
    let body = event.get("body")?.as_str()?;
    let is_base64 = event.get("isBase64Encoded").and_then(Value::as_bool).unwrap_or_default();
    if is_base64 { BASE64.decode(body.as_bytes()).ok() } else { Some(body.as_bytes().to_vec()) }
}

/// An answer that every platform of AWS understands.
pub fn answer(bytes: &[u8], is_text: bool) -> Value {
    if is_text {
        return json!({
            "statusCode": 200,
            "headers": {"Content-Type": byway_wire::relay::CONTENT_TYPE_TEXT},
            "body": String::from_utf8_lossy(bytes),
            "isBase64Encoded": false,
        });
    }
    json!({
        "statusCode": 200,
        "headers": {"Content-Type": byway_wire::relay::CONTENT_TYPE},
        "body": BASE64.encode(bytes),
        "isBase64Encoded": true,
    })
}

/// What a stranger is told.
pub fn refusal() -> Value {
    json!({
        "statusCode": 403,
        "headers": {"Content-Type": "text/plain"},
        "body": REFUSED,
        "isBase64Encoded": false,
    })
}

/// What a stranger is told, everywhere.
pub const REFUSED: &str = "refused\n";

/// Handles one event whole.
pub async fn handle(relay: &Relay, event: &Value, within: Option<std::time::Duration>) -> Value {
    let admitted = match body(event) {
        Some(body) => relay.admit(&body),
        None => Err(relay.refused(Stranger)),
    };
    match admitted {
        Err(Stranger) => refusal(),
        Ok(admitted) => {
            let is_text = admitted.is_text();
            answer(&relay.answer(admitted, within).await, is_text)
        }
    }
}

#[cfg(test)]
mod tests;
