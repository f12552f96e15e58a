//! RFC 7617 §2.

use super::*;

#[test]
fn basic_credentials_are_those_of_the_standard() {
    let credentials =
        Credentials { user: "Aladdin".to_owned(), password: Secret::new("open sesame") };
    let value = proxy_authorization(&credentials);
    assert_eq!(value.reveal(), b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
}
