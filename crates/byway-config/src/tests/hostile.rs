//! Files that nobody wrote by hand, and files that are hardly files.

use super::documentation::{documented, uncommented};
use super::{PEM, problems};
use crate::{fuzz, load};

#[test]
fn hostile_files_are_refused_in_bounded_time() {
    let deep_array = format!("a = {}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_table = "a = ".to_owned() + &"{ a = ".repeat(100_000);
    let deep_key = vec!["a"; 100_000].join(".") + " = 1";
    let header = format!("[{}]", vec!["provider"; 100_000].join("."));
    let many: String = (0..40_000).map(|n| format!("[provider.P{n}]\n")).collect();
    let wide = format!("[provider.a]\nhosts = [{}]", "5, ".repeat(200_000));
    let long = format!("[gateway]\nlisten = \"{}\"", "x".repeat(900_000));
    let bom = "\u{feff}[gateway]\nlisten = 5".to_owned();
    let huge = " ".repeat(TOO_LONG);
    for text in [deep_array, deep_table, deep_key, header, many, wide, long, bom, huge] {
        let problems = problems(&text);
        assert!(problems.0.len() <= 101);
        assert!(!problems.render(true).is_empty());
        assert!(problems.to_json().starts_with('['));
    }
}

const TOO_LONG: usize = 2 * 1024 * 1024;

#[test]
fn cut_and_damaged_files_never_panic() {
    let text = documented();
    let whole = uncommented(&text);
    for at in (0..whole.len()).step_by(7) {
        fuzz(&whole.as_bytes()[..at]);
        let mut damaged = whole.as_bytes().to_vec();
        damaged[at] = [b'"', b'\n', b'[', b'=', 0, b'@', 0xc3, b'\''][at % 8];
        fuzz(&damaged);
    }
    for data in [&b"\xff\xfe"[..], b"", b"\x00", "키 = \"값\"".as_bytes(), b"'''", b"a.b.c"] {
        fuzz(data);
    }
}

#[test]
fn files_are_loaded_with_what_is_beside_them() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("byway.toml");
    let cannot = |text: &str| load(&file).unwrap_err().render(false).contains(text);
    assert!(cannot("cannot read the configuration"));
    std::fs::write(&file, b"[gateway]\nlisten = \"\xff\"").unwrap();
    assert!(cannot("line 2 is not UTF-8"));
    std::fs::write(&file, vec![b' '; TOO_LONG]).unwrap();
    assert!(cannot("larger than 1 MiB"));
    std::fs::write(&file, "[gateway]\ntrusted_roots = [\"ca.pem\"]").unwrap();
    assert!(cannot("cannot read this file"));
    std::fs::write(directory.path().join("ca.pem"), PEM).unwrap();
    assert_eq!(load(&file).unwrap().roots_pem, [PEM.as_bytes()]);
}
