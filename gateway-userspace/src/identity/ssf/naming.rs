//! Which names of a subject may name somebody at this gateway.
//!
//! A person is (provider, `sub`). An address of e-mail may name a person only to take access away, and only where the
//! provider's users are called by it: addresses are given to others in time, and nobody shall gain by that.

use super::subject::{Identifier, Subject};
use std::collections::BTreeSet;

/// How a provider names people.
#[derive(Debug, Clone, Default)]
pub struct Naming {
    /// The issuers whose `sub` is the one that this gateway knows: the provider's, and its equivalents.
    pub issuers: BTreeSet<String>,
    /// Whether the provider's users are called by their address of e-mail.
    pub email_is_username: bool,
}

/// A person, by one of two names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Person {
    /// The provider's `sub`.
    Sub(String),
    /// An address of e-mail that is the user's name here.
    UserName(String),
}

/// Whom an order is about. At least one member is there; what it touches matches all that are there. A session here
/// that does not know its device, or its session at the provider, matches any.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Target {
    /// The person.
    pub person: Option<Person>,
    /// The device, as the provider calls it.
    pub device: Option<String>,
    /// The session at the provider: `sid` of the ID token.
    pub session: Option<String>,
}

/// Why a subject names nobody here. The event is acknowledged: sending it again would not change that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Nobody {
    /// Somebody of an issuer that is not the provider's.
    ForeignIssuer,
    /// No member is a name that this gateway knows people by.
    NoName,
    /// The name is good enough to take access away, and not to give it.
    NotToGive,
}

impl Nobody {
    /// Its word in logs and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::ForeignIssuer => "foreign_issuer",
            Self::NoName => "no_name",
            Self::NotToGive => "not_to_give",
        }
    }
}

impl Naming {
    /// Whom a subject names, if access is taken away (`gives` is false) or given by it.
    ///
    /// The framework says to discard an event whose subject has a `critical` member that is not understood. This is
    /// followed where access is given. Where it is taken away, the members that are understood decide.
    ///
    /// # Errors
    /// If it names nobody.
    pub fn target(&self, subject: &Subject, critical: &BTreeSet<String>, gives: bool) -> Result<Target, Nobody> {
        if gives && !subject.others.is_disjoint(critical) {
            return Err(Nobody::NotToGive);
        }
        let person = subject.user.as_ref().map(|user| self.person(user, gives)).transpose();
        let thing = |member: &Option<Identifier>| member.as_ref().map(|id| self.thing(id)).transpose();
        let (device, session) = (thing(&subject.device)?.flatten(), thing(&subject.session)?.flatten());
        match person {
            Err(nobody) => Err(nobody),
            Ok(Some(Some(person))) => Ok(Target { person: Some(person), device, session }),
            // To give, everything must be understood.
            Ok(Some(None)) if gives => Err(Nobody::NotToGive),
            Ok(_) if device.is_none() && session.is_none() => Err(Nobody::NoName),
            Ok(_) => Ok(Target { person: None, device, session }),
        }
    }

    fn person(&self, user: &Identifier, gives: bool) -> Result<Option<Person>, Nobody> {
        match user {
            Identifier::IssSub { iss, sub } if self.issuers.contains(iss) => Ok(Some(Person::Sub(sub.clone()))),
            Identifier::IssSub { .. } => Err(Nobody::ForeignIssuer),
            Identifier::Email(_) if gives => Err(Nobody::NotToGive),
            Identifier::Email(email) if self.email_is_username => Ok(Some(Person::UserName(email.clone()))),
            Identifier::Aliases(several) => self.alias(several, gives),
            _ => Ok(None),
        }
    }

    /// The best of several names. Two different `sub` are nobody whom anything could be given to.
    fn alias(&self, several: &[Identifier], gives: bool) -> Result<Option<Person>, Nobody> {
        let named: Vec<Person> = several.iter().filter_map(|one| self.person(one, gives).ok().flatten()).collect();
        let mut subs = named.iter().filter(|person| matches!(person, Person::Sub(_)));
        match (subs.next(), gives) {
            (Some(sub), true) if subs.any(|other| other != sub) => Err(Nobody::NotToGive),
            (Some(sub), _) => Ok(Some(sub.clone())),
            (None, _) => Ok(named.first().cloned()),
        }
    }

    fn thing(&self, id: &Identifier) -> Result<Option<String>, Nobody> {
        match id {
            Identifier::IssSub { iss, sub } if self.issuers.contains(iss) => Ok(Some(sub.clone())),
            Identifier::IssSub { .. } => Err(Nobody::ForeignIssuer),
            Identifier::Opaque(name) | Identifier::Uri(name) | Identifier::Did(name) => Ok(Some(name.clone())),
            Identifier::Aliases(several) => Ok(several.iter().find_map(|one| self.thing(one).ok().flatten())),
            Identifier::Email(_) | Identifier::PhoneNumber(_) | Identifier::Account(_) | Identifier::Foreign(_) => {
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://idp.example";

    fn naming() -> Naming {
        Naming { issuers: [ISSUER.to_owned()].into(), ..Naming::default() }
    }

    fn none() -> BTreeSet<String> {
        BTreeSet::new()
    }

    fn iss_sub(iss: &str, sub: &str) -> Identifier {
        Identifier::IssSub { iss: iss.into(), sub: sub.into() }
    }

    fn user(user: Identifier) -> Subject {
        Subject { user: Some(user), ..Subject::default() }
    }

    fn person(person: Person) -> Target {
        Target { person: Some(person), ..Target::default() }
    }

    #[test]
    fn the_sub_of_the_providers_issuer_names_a_person_and_that_of_another_nobody() {
        let target = naming().target(&user(iss_sub(ISSUER, "u1")), &none(), true);
        assert_eq!(target, Ok(person(Person::Sub("u1".into()))));
        for foreign in ["https://idp.example/", "https://evil.example", "HTTPS://idp.example"] {
            assert_eq!(naming().target(&user(iss_sub(foreign, "u1")), &none(), false), Err(Nobody::ForeignIssuer));
        }
    }

    #[test]
    fn an_address_of_e_mail_takes_away_where_it_is_the_users_name_and_never_gives() {
        let email = user(Identifier::Email("ada@example.com".into()));
        assert_eq!(naming().target(&email, &none(), false), Err(Nobody::NoName));
        let by_email = Naming { email_is_username: true, ..naming() };
        assert_eq!(by_email.target(&email, &none(), false), Ok(person(Person::UserName("ada@example.com".into()))));
        assert_eq!(by_email.target(&email, &none(), true), Err(Nobody::NotToGive));
        assert_eq!(naming().target(&email, &none(), true), Err(Nobody::NotToGive));
    }

    #[test]
    fn an_opaque_name_is_that_of_a_session_and_nobody_is_given_anything_by_it() {
        let subject = Subject { session: Some(Identifier::Opaque("x".into())), ..Subject::default() };
        let session = Target { session: Some("x".into()), ..Target::default() };
        assert_eq!(naming().target(&subject, &none(), false), Ok(session));
        assert_eq!(naming().target(&user(Identifier::Opaque("x".into())), &none(), true), Err(Nobody::NotToGive));
    }

    #[test]
    fn the_best_of_several_aliases_counts_and_two_subs_are_given_nothing() {
        let email = Identifier::Email("ada@example.com".into());
        let aliases = |list: &[Identifier]| user(Identifier::Aliases(list.to_vec()));
        let both = aliases(&[email.clone(), iss_sub(ISSUER, "u1")]);
        assert_eq!(naming().target(&both, &none(), true), Ok(person(Person::Sub("u1".into()))));
        let two = aliases(&[iss_sub(ISSUER, "u1"), iss_sub(ISSUER, "u2")]);
        assert_eq!(naming().target(&two, &none(), true), Err(Nobody::NotToGive));
        assert_eq!(naming().target(&two, &none(), false), Ok(person(Person::Sub("u1".into()))));
        assert_eq!(naming().target(&aliases(&[email]), &none(), false), Err(Nobody::NoName));
    }

    #[test]
    fn a_critical_member_that_is_not_understood_keeps_from_giving_and_not_from_taking_away() {
        let critical = ["tenant".to_owned()].into();
        let subject = Subject { others: ["tenant".to_owned()].into(), ..user(iss_sub(ISSUER, "u1")) };
        assert_eq!(naming().target(&subject, &critical, true), Err(Nobody::NotToGive));
        assert_eq!(naming().target(&subject, &critical, false), Ok(person(Person::Sub("u1".into()))));
    }

    #[test]
    fn a_device_or_a_session_of_another_issuer_is_nobodys_here() {
        let foreign = Some(iss_sub("https://evil.example", "d1"));
        let device = Subject { device: foreign.clone(), ..Subject::default() };
        assert_eq!(naming().target(&device, &none(), true), Err(Nobody::ForeignIssuer));
        let session = Subject { session: foreign, ..user(iss_sub(ISSUER, "u1")) };
        assert_eq!(naming().target(&session, &none(), false), Err(Nobody::ForeignIssuer));
    }

    #[test]
    fn a_tenant_alone_names_nobody() {
        let tenant = Subject { others: ["tenant".to_owned()].into(), ..Subject::default() };
        assert_eq!(naming().target(&tenant, &none(), false), Err(Nobody::NoName));
    }
}
