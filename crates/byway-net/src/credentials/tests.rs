//! RFC 4648 §10 and RFC 7617 §2.

use super::*;

#[test]
fn base64_is_that_of_the_standard() {
    let vectors = [
        ("", ""),
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg=="),
        ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ];
    for (plain, coded) in vectors {
        assert_eq!(base64(plain.as_bytes()), coded);
    }
    assert_eq!(base64(&[0xfb, 0xff, 0xbf]), "+/+/");
}

#[test]
fn basic_credentials_are_those_of_the_standard() {
    let credentials =
        Credentials { user: "Aladdin".to_owned(), password: Secret::new("open sesame") };
    let value = proxy_authorization(&credentials);
    assert_eq!(value.reveal(), b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
}
