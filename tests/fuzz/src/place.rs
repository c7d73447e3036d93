//! Places in a text, as errors name them.

/// That there is such a place: lines and columns from 1, and just behind the end of a line is still in it.
#[track_caller]
pub fn exists(text: &str, line: usize, column: usize) {
    assert!(line >= 1 && column >= 1, "{line}:{column} is no place");
    let found = text.split('\n').nth(line - 1);
    let found = found.unwrap_or_else(|| panic!("line {line} is behind the end of {text:?}"));
    assert!(column <= found.chars().count() + 1, "column {column} is behind the end of line {line} of {text:?}");
}
