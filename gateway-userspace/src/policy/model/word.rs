//! Words that policies compare with, and that nothing else depends on.

/// Longest word, in bytes.
pub const LONGEST_WORD: usize = 256;

/// Why a word was refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("is too long, or has a control character; write at most {LONGEST_WORD} bytes of text")]
pub struct InvalidWord;

/// A word of a bounded length that can be shown in one line; also none.
///
/// # Errors
/// If it is not one.
pub fn word(text: String) -> Result<String, InvalidWord> {
    let is_plain = text.len() <= LONGEST_WORD && !text.chars().any(char::is_control);
    if is_plain { Ok(text) } else { Err(InvalidWord) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_short_and_in_one_line() {
        for right in ["", "high", "Größe 7", &"x".repeat(256)] {
            assert_eq!(word(right.to_owned()), Ok(right.to_owned()));
        }
        for wrong in ["a\nb", "\u{7}", "\u{85}", &"x".repeat(257)] {
            assert_eq!(word(wrong.to_owned()), Err(InvalidWord), "{wrong:?}");
        }
    }
}
