//! Text in XML and SVG: names come from other people.

/// Without what XML takes for its own, or cannot hold at all, and without what reverses the direction of what follows.
pub(super) fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, c| {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c if super::output::is_command(c) || matches!(c, '\u{fffe}' | '\u{ffff}') => {
                escaped.push(char::REPLACEMENT_CHARACTER);
            }
            c => escaped.push(c),
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_markup_stays_text() {
        assert_eq!(
            escaped("<a b=\"c\">&\u{1b}\u{202e}é\u{ffff}"),
            "&lt;a b=&quot;c&quot;&gt;&amp;\u{fffd}\u{fffd}é\u{fffd}"
        );
    }
}
