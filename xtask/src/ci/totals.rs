//! How many tests passed, read from what the test runner printed.

use std::fmt;

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
    /// The runner's own line.
    pub(crate) summary: String,
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, failed, skipped, .. } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

impl Totals {
    /// Nextest's `Summary` line, or the sum of cargo test's `test result` lines.
    pub(crate) fn read(lines: &[String]) -> Option<Self> {
        if let Some(line) = lines.iter().rev().find(|line| line.trim().starts_with("Summary [")) {
            let mut totals = Self { summary: line.trim().to_owned(), ..Self::default() };
            let (_, counts) = line.split_once(" run: ")?;
            counts.split(", ").for_each(|count| totals.add(count));
            return Some(totals);
        }
        let mut totals = Self::default();
        let results = lines.iter().filter_map(|line| line.trim().strip_prefix("test result: "));
        let mut binaries = 0;
        for result in results {
            binaries += 1;
            let (_, counts) = result.split_once(". ")?;
            counts.split("; ").for_each(|count| totals.add(count));
        }
        totals.summary = format!("Summary of {binaries} test binaries");
        (binaries > 0).then_some(totals)
    }

    /// `3 passed (1 slow)`, `1 timed out`, `2 ignored`.
    fn add(&mut self, count: &str) {
        let Some((number, what)) = count.trim().split_once(' ') else { return };
        let Ok(number) = number.parse::<u64>() else { return };
        match what.split(" (").next().unwrap_or(what) {
            "passed" => self.passed += number,
            "failed" | "timed out" | "exec failed" => self.failed += number,
            "skipped" | "ignored" => self.skipped += number,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    //! Lines as the runners print them.
    use super::*;

    fn read(text: &str) -> Option<String> {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        Totals::read(&lines).map(|totals| totals.to_string())
    }

    #[test]
    fn nextest_is_read() {
        let text = "  Summary [   0.1s] 14 tests run: 11 passed (1 slow, 1 flaky), 2 failed, 1 timed out, 3 skipped\n";
        assert_eq!(read(text).as_deref(), Some("11 passed, 3 failed, 3 skipped"));
        let text = "     Summary [   0.010s] 1 test run: 1 passed, 0 skipped";
        assert_eq!(read(text).as_deref(), Some("1 passed, 0 failed, 0 skipped"));
    }

    #[test]
    fn cargo_test_is_added_up() {
        let text = "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n\
                    test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out\n";
        assert_eq!(read(text).as_deref(), Some("6 passed, 2 failed, 1 skipped"));
        assert_eq!(read("nothing"), None);
    }
}
