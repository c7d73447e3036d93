//! Rows, as pages and plots read them.

use anyhow::Result;
use serde_json::Value;

/// Rows as a file has them.
pub fn text(rows: &[Value]) -> Result<String> {
    Ok(serde_json::to_string_pretty(rows)? + "\n")
}

/// A word of a row; nothing where it has none.
pub fn word<'r>(row: &'r Value, name: &str) -> &'r str {
    row[name].as_str().unwrap_or_default()
}

/// A number of a row.
pub fn number(row: &Value, name: &str) -> Option<f64> {
    row[name].as_f64()
}

/// The rows that have these words.
pub fn having<'r>(rows: &'r [Value], words: &[(&str, &str)]) -> Vec<&'r Value> {
    rows.iter().filter(|row| words.iter().all(|(name, wanted)| word(row, name) == *wanted)).collect()
}

/// A figure with as many digits as mean something, and a comma before every three.
pub fn figure(value: f64) -> String {
    if value.abs() < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{:.0}", value.abs());
    let mut written = String::from(if value < 0.0 { "-" } else { "" });
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            written.push(',');
        }
        written.push(digit);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::figure;

    #[test]
    fn figures_have_as_many_digits_as_mean_something() {
        let written = [0.04, 12.34, 99.96, 100.4, 1_000.0, 1_234_567.8, -192.0, -4_498.0].map(figure);
        assert_eq!(written, ["0.0", "12.3", "100.0", "100", "1,000", "1,234,568", "-192", "-4,498"]);
    }
}
