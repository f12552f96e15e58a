//! Sizes.

use super::*;

#[test]
fn sizes_have_binary_units() {
    for (text, size) in [
        ("512", Some(512)),
        ("512 B", Some(512)),
        ("64 KiB", Some(65_536)),
        (" 1MiB ", Some(1_048_576)),
        ("2 GiB", Some(2_147_483_648)),
        ("64 KB", None),
        ("64 k", None),
        ("", None),
        ("KiB", None),
        ("-1", None),
        ("1.5 KiB", None),
        ("99999999999999999999", None),
        ("18446744073709551615 KiB", None),
    ] {
        assert_eq!(bytes(text), size, "{text}");
    }
}
