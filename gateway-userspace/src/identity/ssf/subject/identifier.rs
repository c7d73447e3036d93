//! One subject identifier of RFC 9493: a format, and the members that the format has.

use super::Malformed;
use serde_json::{Map, Value};

/// A name longer than this is nobody's.
const LONGEST: usize = 1024;
/// As many aliases as are looked at.
const ALIASES: usize = 16;

/// A subject identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identifier {
    /// The subject of an issuer: what a person is known by at this gateway.
    IssSub {
        /// Who gave the name.
        iss: String,
        /// The name.
        sub: String,
    },
    /// A name without a further meaning.
    Opaque(String),
    /// An address of e-mail.
    Email(String),
    /// A telephone number.
    PhoneNumber(String),
    /// An `acct:` URI.
    Account(String),
    /// A decentralized identifier.
    Did(String),
    /// Any URI.
    Uri(String),
    /// Several names of the same subject. None of them is itself a list of aliases.
    Aliases(Vec<Identifier>),
    /// A format that this gateway has no use for: `jwt_id`, `saml_assertion_id`, those of a transmitter's own.
    Foreign(String),
}

impl Identifier {
    pub(super) fn read(value: &Value) -> Result<Self, Malformed> {
        let object = value.as_object().ok_or(Malformed)?;
        match format(object)?.ok_or(Malformed)? {
            "aliases" => Self::aliases(object),
            format => Self::single(format, object),
        }
    }

    fn aliases(object: &Map<String, Value>) -> Result<Self, Malformed> {
        let list = object.get("identifiers").and_then(Value::as_array).ok_or(Malformed)?;
        if list.is_empty() || list.len() > ALIASES {
            return Err(Malformed);
        }
        let one = |value: &Value| {
            let object = value.as_object().ok_or(Malformed)?;
            Self::single(format(object)?.ok_or(Malformed)?, object)
        };
        list.iter().map(one).collect::<Result<_, _>>().map(Self::Aliases)
    }

    fn single(format: &str, object: &Map<String, Value>) -> Result<Self, Malformed> {
        let member = |name: &str| text(object, name);
        Ok(match format {
            "iss_sub" => Self::IssSub { iss: member("iss")?, sub: member("sub")? },
            "opaque" => Self::Opaque(member("id")?),
            "email" => Self::Email(member("email")?),
            "phone_number" => Self::PhoneNumber(member("phone_number")?),
            "account" => Self::Account(member("uri")?),
            "did" => Self::Did(member("url")?),
            "uri" => Self::Uri(member("uri")?),
            // Neither may stand within another identifier.
            "aliases" | "complex" => return Err(Malformed),
            foreign if foreign.len() <= LONGEST => Self::Foreign(foreign.to_owned()),
            _ => return Err(Malformed),
        })
    }
}

/// The format of an identifier. Transmitters of the first drafts say `subject_type`, with dashes, as RISC 1.0 warns.
pub(super) fn format(object: &Map<String, Value>) -> Result<Option<&str>, Malformed> {
    match (object.get("format"), object.get("subject_type")) {
        (Some(Value::String(format)), _) => Ok(Some(format)),
        (None, Some(Value::String(old))) => Ok(Some(match old.as_str() {
            "iss-sub" => "iss_sub",
            "phone" | "phone-number" => "phone_number",
            other => other,
        })),
        (None, None) => Ok(None),
        _ => Err(Malformed),
    }
}

fn text(object: &Map<String, Value>, name: &str) -> Result<String, Malformed> {
    match object.get(name) {
        Some(Value::String(text)) if !text.is_empty() && text.len() <= LONGEST => Ok(text.clone()),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_format_of_rfc_9493_is_read() {
        let cases = [
            (
                json!({"format": "account", "uri": "acct:a@example.com"}),
                Identifier::Account("acct:a@example.com".into()),
            ),
            (json!({"format": "email", "email": "a@example.com"}), Identifier::Email("a@example.com".into())),
            (json!({"format": "opaque", "id": "11"}), Identifier::Opaque("11".into())),
            (json!({"format": "phone_number", "phone_number": "+1206"}), Identifier::PhoneNumber("+1206".into())),
            (json!({"format": "did", "url": "did:example:1"}), Identifier::Did("did:example:1".into())),
            (json!({"format": "uri", "uri": "urn:x:1"}), Identifier::Uri("urn:x:1".into())),
            (
                json!({"format": "iss_sub", "iss": "https://i", "sub": "s"}),
                Identifier::IssSub { iss: "https://i".into(), sub: "s".into() },
            ),
            (
                json!({"format": "aliases", "identifiers": [{"format": "email", "email": "a@b"}]}),
                Identifier::Aliases(vec![Identifier::Email("a@b".into())]),
            ),
            (json!({"format": "jwt_id", "iss": "https://i", "jti": "1"}), Identifier::Foreign("jwt_id".into())),
        ];
        for (written, expected) in cases {
            assert_eq!(Identifier::read(&written), Ok(expected));
        }
    }

    #[test]
    fn a_transmitter_of_the_first_drafts_is_understood() {
        let written = json!({"subject_type": "iss-sub", "iss": "https://i", "sub": "s"});
        assert_eq!(Identifier::read(&written), Ok(Identifier::IssSub { iss: "https://i".into(), sub: "s".into() }));
    }

    #[test]
    fn members_that_are_missing_empty_huge_or_no_text_are_malformed() {
        let huge = "x".repeat(LONGEST + 1);
        for written in [
            json!({"format": "iss_sub", "iss": "https://i"}),
            json!({"format": "iss_sub", "iss": "https://i", "sub": ""}),
            json!({"format": "opaque", "id": 7}),
            json!({"format": "opaque", "id": huge}),
            json!({"format": huge}),
            json!({"format": null, "subject_type": "email", "email": "a@b"}),
            json!({"format": "aliases", "identifiers": []}),
            json!({"format": "aliases", "identifiers": [{"format": "aliases", "identifiers": []}]}),
            json!({"format": "aliases", "identifiers": vec![json!({"format": "opaque", "id": "1"}); ALIASES + 1]}),
        ] {
            assert_eq!(Identifier::read(&written), Err(Malformed), "{written}");
        }
    }
}
