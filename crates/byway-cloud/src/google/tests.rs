//! Tokens of a metadata server and of a key file, against a double that checks what it is asked.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, UNIX_EPOCH};

use data_encoding::BASE64URL_NOPAD;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::{Value, json};

use super::token;

/// A key for this test, and for nothing else: made by `openssl genpkey -algorithm RSA`.
const KEY: &str = include_str!("test-key.pem");
/// Its public half, PKCS #1 in Base64.
const PUBLIC: &str = include_str!("test-key.pub");

fn jwt(exp: u64) -> String {
    let part = |value: Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    format!("{}.{}.sig", part(json!({"alg": "RS256"})), part(json!({"exp": exp})))
}

/// Answers one request; what it was comes out of the channel.
fn server(answer: String) -> (std::net::SocketAddr, Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (to, from) = channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if let Some(n) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                length = n.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
            head.push_str(&line);
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        to.send((head, String::from_utf8(body).unwrap())).unwrap();
        stream.write_all(answer.as_bytes()).unwrap();
    });
    (addr, from)
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn the_machines_own_identity_is_asked_for_the_audience() {
    let (addr, asked) = server(ok(&jwt(2_000_000_000)));
    let now = UNIX_EPOCH + Duration::from_secs(1_900_000_000);
    let got = token("https://r.run.app/x?y", None, &addr.to_string(), now).await.unwrap();
    assert_eq!(got.0.reveal(), jwt(2_000_000_000).as_bytes());
    assert_eq!(got.1, UNIX_EPOCH + Duration::from_secs(2_000_000_000));
    let (head, _) = asked.recv().unwrap();
    assert!(head.contains("audience=https%3A%2F%2Fr.run.app%2Fx%3Fy&format=full"), "{head}");
    assert!(head.contains("Metadata-Flavor: Google"), "{head}");
}

#[tokio::test]
async fn a_key_file_signs_an_assertion_for_the_audience() {
    let answer = ok(&json!({"id_token": jwt(2_000_000_000)}).to_string());
    let (addr, asked) = server(answer);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key.json");
    let uri = format!("http://{addr}/token");
    let key = json!({"client_email": "a@b.c", "token_uri": uri, "private_key": KEY});
    std::fs::write(&file, key.to_string()).unwrap();
    let now = UNIX_EPOCH + Duration::from_secs(1_900_000_000);
    let got = token("https://r.run.app", Some(&file), "unused", now).await.unwrap();
    assert_eq!(got.0.reveal(), jwt(2_000_000_000).as_bytes());
    let (_, body) = asked.recv().unwrap();
    let assertion = body.split("&assertion=").nth(1).unwrap();
    let (signed, signature) = assertion.rsplit_once('.').unwrap();
    let public = data_encoding::BASE64.decode(PUBLIC.trim().as_bytes()).unwrap();
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public);
    let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
    assert!(public.verify(signed.as_bytes(), &signature).is_ok(), "it is signed by the key");
    let claims = BASE64URL_NOPAD.decode(signed.split('.').nth(1).unwrap().as_bytes()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["target_audience"], "https://r.run.app");
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!("a@b.c"), &json!(uri)));
    assert_eq!(claims["iat"], 1_900_000_000_u64);
}

#[tokio::test]
async fn what_is_refused_is_said() {
    let body = "{\"error\":\"invalid_grant\",\"error_description\":\"Account not found\"}";
    let refused =
        format!("HTTP/1.1 400 Bad Request\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let (addr, _asked) = server(refused);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key.json");
    let uri = format!("http://{addr}/token");
    let key = json!({"client_email": "a@b.c", "token_uri": uri, "private_key": KEY});
    std::fs::write(&file, key.to_string()).unwrap();
    let why = token("x", Some(&file), "unused", UNIX_EPOCH).await.unwrap_err();
    assert!(why.contains("400: Account not found"), "{why}");
    std::fs::write(&file, "{\"type\": \"authorized_user\"}").unwrap();
    let why = token("x", Some(&file), "unused", UNIX_EPOCH).await.unwrap_err();
    assert!(why.contains("must be a service account's key"), "{why}");
    let (addr, _asked) = server("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned());
    let why = token("x", None, &addr.to_string(), UNIX_EPOCH).await.unwrap_err();
    assert!(why.contains("answered 404"), "{why}");
}
