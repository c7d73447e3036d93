//! base64url without padding, in its one canonical spelling.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Refuses padding and bits that say nothing: two spellings of one token would be two tokens to a cache of replays.
const STRICT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(false),
);

pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    STRICT.decode(text).ok()
}

pub(super) fn encode(bytes: &[u8]) -> String {
    STRICT.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_spelling_of_each_value() {
        assert_eq!(decode("Zg"), Some(b"f".to_vec()));
        assert_eq!(encode(&[0xfb, 0xff]), "-_8");
        for other in ["Zg==", "Zh", "Zg\n", " Zg", "Z", "+/8", "Zg="] {
            assert_eq!(decode(other), None, "{other}");
        }
    }
}
