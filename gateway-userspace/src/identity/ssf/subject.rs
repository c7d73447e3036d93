//! Whom an event is about: the subject identifiers of RFC 9493 and of the Shared Signals Framework.
//!
//! A subject is first read as it was written ([`SubjectId`]), then given the role that the kind of event has for it
//! ([`Subject`]). Which of these names may name a person at this gateway is decided in [`super::naming`], not here.

mod identifier;

pub use identifier::Identifier;

use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// More members than any transmitter sends.
const MEMBERS: usize = 16;
/// The members of a complex subject that this gateway understands.
const UNDERSTOOD: [&str; 3] = ["user", "device", "session"];

/// A subject cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("subject is not an identifier of RFC 9493 nor a complex subject")]
pub struct Malformed;

/// A subject as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubjectId {
    /// One identifier. What it identifies follows from the kind of event.
    Simple(Identifier),
    /// Several, which together identify one principal.
    Complex(Complex),
}

/// The members of a complex subject.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Complex {
    user: Option<Identifier>,
    device: Option<Identifier>,
    session: Option<Identifier>,
    /// The names of the members that this gateway does not understand: `tenant`, `group` and the like.
    others: BTreeSet<String>,
}

/// What a simple subject identifies, by the kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A person.
    User,
    /// A device.
    Device,
    /// A session, if the identifier is opaque; otherwise the person whose sessions are meant.
    Session,
    /// Something that this gateway does not know: a tenant, a group.
    Other,
}

/// Whom an event is about, member by member.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subject {
    /// The person.
    pub user: Option<Identifier>,
    /// The device.
    pub device: Option<Identifier>,
    /// The session at the provider: `sid` of the ID token.
    pub session: Option<Identifier>,
    /// Members that were there and are not understood.
    pub others: BTreeSet<String>,
}

impl SubjectId {
    /// Reads a subject.
    ///
    /// # Errors
    /// If it is of no known form. A known format with a member missing is not a known form.
    pub fn read(value: &Value) -> Result<Self, Malformed> {
        let object = value.as_object().ok_or(Malformed)?;
        match identifier::format(object)? {
            Some("complex") => Complex::read(object).map(Self::Complex),
            Some(_) => Identifier::read(value).map(Self::Simple),
            // Drafts of the framework had complex subjects without a format.
            None if UNDERSTOOD.iter().any(|name| object.contains_key(*name)) => {
                Complex::read(object).map(Self::Complex)
            }
            None => Err(Malformed),
        }
    }

    /// What it identifies in an event in which a simple subject has this role.
    #[must_use]
    pub fn in_role(self, role: Role) -> Subject {
        match self {
            Self::Simple(identifier) => simple(identifier, role),
            Self::Complex(Complex { user, device, session, others }) => Subject { user, device, session, others },
        }
    }
}

impl Complex {
    fn read(object: &Map<String, Value>) -> Result<Self, Malformed> {
        if object.len() > MEMBERS {
            return Err(Malformed);
        }
        let member = |name: &str| object.get(name).map(Identifier::read).transpose();
        let known = |name: &str| UNDERSTOOD.contains(&name) || matches!(name, "format" | "subject_type");
        let others = object.keys().filter(|name| !known(name)).cloned().collect();
        Ok(Self { user: member("user")?, device: member("device")?, session: member("session")?, others })
    }
}

fn simple(identifier: Identifier, role: Role) -> Subject {
    let nobody = Subject::default();
    match (role, identifier) {
        (Role::User, user) => Subject { user: Some(user), ..nobody },
        (Role::Device, device) => Subject { device: Some(device), ..nobody },
        (Role::Session, session @ Identifier::Opaque(_)) => Subject { session: Some(session), ..nobody },
        (Role::Session, user) => Subject { user: Some(user), ..nobody },
        (Role::Other, _) => Subject { others: ["subject".to_owned()].into(), ..nobody },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: Value) -> Result<SubjectId, Malformed> {
        SubjectId::read(&value)
    }

    #[test]
    fn a_complex_subject_has_its_members_whatever_the_role() {
        let subject = read(json!({
            "format": "complex",
            "user": {"format": "iss_sub", "iss": "https://idp.example", "sub": "u1"},
            "device": {"format": "iss_sub", "iss": "https://idp.example", "sub": "d1"},
            "session": {"format": "opaque", "id": "s1"},
            "tenant": {"format": "opaque", "id": "t1"},
        }))
        .unwrap();
        let subject = subject.in_role(Role::Device);
        assert_eq!(subject.user, Some(Identifier::IssSub { iss: "https://idp.example".into(), sub: "u1".into() }));
        assert_eq!(subject.device, Some(Identifier::IssSub { iss: "https://idp.example".into(), sub: "d1".into() }));
        assert_eq!(subject.session, Some(Identifier::Opaque("s1".into())));
        assert_eq!(subject.others, ["tenant".to_owned()].into());
    }

    #[test]
    fn a_complex_subject_of_a_draft_needs_no_format() {
        let written = json!({"user": {"format": "email", "email": "ada@example.com"}});
        let subject = read(written).unwrap().in_role(Role::Session);
        assert_eq!(subject.user, Some(Identifier::Email("ada@example.com".into())));
    }

    #[test]
    fn a_complex_subject_with_one_broken_member_is_malformed_as_a_whole() {
        let user = json!({"format": "iss_sub", "iss": "https://idp.example", "sub": "u1"});
        assert_eq!(read(json!({"format": "complex", "user": user, "device": {"format": "opaque"}})), Err(Malformed));
        assert_eq!(read(json!({"format": "complex", "user": {"format": "complex", "user": user}})), Err(Malformed));
        let mut crowd: Map<String, Value> = (0..=MEMBERS).map(|n| (format!("m{n}"), json!({}))).collect();
        crowd.insert("format".into(), json!("complex"));
        assert_eq!(read(Value::Object(crowd)), Err(Malformed));
    }

    #[test]
    fn an_opaque_subject_is_what_the_event_is_about() {
        let opaque = || read(json!({"format": "opaque", "id": "x"})).unwrap();
        let x = || Some(Identifier::Opaque("x".into()));
        let subject = opaque().in_role(Role::Session);
        assert_eq!((subject.user, subject.session), (None, x()));
        let subject = opaque().in_role(Role::Device);
        assert_eq!((subject.user, subject.device), (None, x()));
        assert_eq!(opaque().in_role(Role::Other).others.len(), 1);
    }

    #[test]
    fn what_is_no_object_is_malformed() {
        for value in [json!("ada"), json!(["ada"]), json!(null), json!({}), json!({"id": "x"}), json!({"format": 1})] {
            assert_eq!(read(value), Err(Malformed));
        }
    }
}
