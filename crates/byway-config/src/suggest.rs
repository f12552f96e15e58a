//! "Did you mean": the known word that an unknown one is closest to.

/// A hint with the closest of `known`, or with all of them if there are few.
pub(crate) fn hint(word: &str, known: &[&str]) -> Option<String> {
    // A third of the word may be wrong, as in rustc.
    let limit = (word.chars().count() / 3).max(1);
    let closest = known
        .iter()
        .filter(|known| known.len() <= 2 * word.len() + 2)
        .map(|known| (distance(word, known), *known))
        .min();
    match closest {
        Some((distance, known)) if distance <= limit => Some(format!("did you mean `{known}`?")),
        _ if known.is_empty() => None,
        _ if known.len() <= N_LISTED_MAX => Some(format!("expected {}", one_of(known))),
        _ => None,
    }
}

/// So many words still make a readable list.
const N_LISTED_MAX: usize = 20;
/// Longer words are nobody's typing mistake.
const WORD_CHARS_MAX: usize = 64;

/// `` `a`, `b` or `c` ``
pub(crate) fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, first)) if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        _ => quoted.concat(),
    }
}

/// Levenshtein distance over characters.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len() > WORD_CHARS_MAX || b.len() > WORD_CHARS_MAX {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut last = i + 1;
        let mut next = vec![last];
        for (y, (diagonal, above)) in b.iter().zip(row.iter().zip(row.iter().skip(1))) {
            last = (diagonal + usize::from(x != y)).min(above + 1).min(last + 1);
            next.push(last);
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
