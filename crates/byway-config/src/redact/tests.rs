//! What is blotted out, and that nothing moves.

use super::*;

fn check(line: &str, shown: &str) {
    assert_eq!(redact(line), shown);
    assert_eq!(line.len(), shown.len());
}

#[test]
fn secrets_are_hidden_and_places_stay() {
    check("password = \"hunter2\"", "password = *********");
    check("password = \"env:NAME\"", "password = \"env:NAME\"");
    check("  Token='x' # why", "  Token=*********");
    check("a = { password = 1, token = \"env:A\" }", "a = { password = ********************");
    check("a = { token = \"env:A\", password = 1 }", "a = { token = \"env:A\", password = ***");
    check("[[listener.a.token]]", "[[listener.a.token]]");
    check("url = \"https://user:pw@host/\"", "url = \"https://*******@host/\"");
    check("key = \"-----BEGIN PRIVATE KEY-----\"", "key = \"****************************");
    check("암호 = \"값\"", "암호 = \"값\"");
    check("password = \"값\"\nb = 1\r\n", "password = *****\nb = 1\r\n");
    check("a = 1\npassword = '''\nx\n'''\nb = 1", "a = 1\npassword = ***\n*\n***\nb = 1");
    check("password = '''x'''\nb = 1", "password = *******\nb = 1");
    check(
        "key = \"\"\"\n-----BEGIN EC PRIVATE KEY-----\nMII=\n-----END EC PRIVATE KEY-----\n\"\"\"\nb = 1",
        "key = \"\"\"\n******************************\n****\n****************************\n\"\"\"\nb = 1",
    );
}
