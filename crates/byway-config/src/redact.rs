//! Blots out of a configuration's text whatever may be a secret, so that its lines can be shown.
//!
//! It works on the text, not on parsed values: a line with a syntax error is shown too, and it is
//! exactly there that somebody may have typed a password without quotes. It rather hides too much.

/// Words in a key whose value is taken for a secret unless it says where the secret is.
const SECRET_WORDS: [&str; 5] = ["password", "token", "secret", "passw", "credential"];

/// What ends a string of many lines.
const LONG_QUOTES: [&str; 2] = ["\"\"\"", "'''"];
/// What ends a private key.
const KEY_END: &str = "-----end";

/// The text, byte for byte as long, with `*` for every byte that may belong to a secret.
pub(crate) fn redact(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let lower = text.to_ascii_lowercase();
    let mut start = 0;
    let mut hidden_until: Option<&[&str]> = None;
    for line in lower.split_inclusive('\n') {
        let end = start + line.trim_end_matches(['\r', '\n']).len();
        if let Some(ends) = hidden_until {
            blot(&mut bytes, start, end);
            if ends.iter().any(|end| line.contains(end)) {
                hidden_until = None;
            }
        } else if let Some(value) = secret_value(line) {
            blot(&mut bytes, start + value, end);
            let value = line.get(value..).unwrap_or_default();
            let opens = LONG_QUOTES.iter().any(|quotes| value.matches(quotes).count() == 1);
            hidden_until = opens.then_some(&LONG_QUOTES);
        } else if let Some(key) = private_key(line) {
            blot(&mut bytes, start + key, end);
            hidden_until = (!line.contains(KEY_END)).then_some(&[KEY_END]);
        }
        for (from, to) in user_information(line) {
            blot(&mut bytes, start + from, start + to);
        }
        start += line.len();
    }
    // Only ASCII was put in place of whole characters or of parts of lines that end at one.
    String::from_utf8(bytes).unwrap_or_else(|_| "*".repeat(text.len()))
}

fn blot(bytes: &mut [u8], from: usize, to: usize) {
    if let Some(part) = bytes.get_mut(from..to) {
        part.fill(b'*');
    }
}

/// Where in the line the first secret value starts, if it has one.
fn secret_value(line: &str) -> Option<usize> {
    let mut from = 0;
    while let Some((at, word)) = SECRET_WORDS
        .iter()
        .filter_map(|word| line.get(from..)?.find(word).map(|at| (from + at, *word)))
        .min()
    {
        from = at + word.len();
        let after_word = line.get(from..)?;
        let after_key = after_word
            .trim_start_matches(|c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
            .trim_start_matches(['"', '\''])
            .trim_start();
        let Some(value) = after_key.strip_prefix('=') else { continue };
        let value = value.trim_start();
        let inner = value.trim_start_matches(['"', '\'']);
        if !inner.starts_with("env:") && !inner.starts_with("file:") {
            return Some(line.len() - value.len());
        }
    }
    None
}

/// Where a private key starts that was pasted into the file.
fn private_key(line: &str) -> Option<usize> {
    let at = line.find("-----begin")?;
    line.contains("private key").then_some(at)
}

/// The parts `user:password` of every `user:password@`.
fn user_information(line: &str) -> Vec<(usize, usize)> {
    let mut parts = Vec::new();
    for (at, _) in line.match_indices('@') {
        let before = line.get(..at).unwrap_or_default();
        let is_outside = |c: char| matches!(c, '"' | '\'' | '/' | ' ' | '\t' | '=' | ',');
        let start = before.rfind(is_outside).map_or(0, |outside| outside + 1);
        parts.push((start, at));
    }
    parts
}

#[cfg(test)]
mod tests;
