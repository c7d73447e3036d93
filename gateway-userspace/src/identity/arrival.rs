//! People who come from an identity provider: who they are here.
//!
//! A person is (provider, subject), for ever and whatever else changes: neither a name nor an e-mail address makes
//! anybody somebody else. A subject is bound to a user once, at its first login; a user who is removed takes the binding
//! along.

use crate::policy::{Attributes, GroupName, ProviderName, User, UserName};
use secrecy::SecretString;
use std::collections::{BTreeMap, BTreeSet};

/// Somebody for whom a provider has vouched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// The provider.
    pub provider: ProviderName,
    /// Who they are there.
    pub subject: String,
    /// What they are to be called here, if they are not known yet.
    pub name: UserName,
    /// What people call them.
    pub display_name: String,
    /// The groups that the provider says they are in, as they are called here; `None` if it says so elsewhere.
    pub groups: Option<BTreeSet<GroupName>>,
    /// What policies may ask for, by name; `None` where the provider says that there is nothing.
    pub attributes: BTreeMap<String, Option<String>>,
    /// How to find them among the users whom the provider has pushed, if it pushes users.
    pub known_as: Option<KnownAs>,
    /// Whether somebody who is not known becomes a user.
    pub may_be_new: bool,
}

/// What somebody is found by among those whom their provider has pushed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KnownAs {
    /// By their name.
    Name,
    /// By what the provider calls them (`externalId`).
    ExternalId(String),
}

/// Why somebody for whom a provider has vouched does not come in.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ArrivalRefusal {
    /// The name belongs to somebody else.
    #[error(
        "user `{name}` is somebody else than the one whom provider `{provider}` calls so; remove that user, or let the \
         provider use another name"
    )]
    NameTaken {
        /// The name.
        name: UserName,
        /// Who vouches.
        provider: ProviderName,
    },
    /// Users come by SCIM, and this one has not.
    #[error("user `{name}` has not been provisioned by provider `{provider}`; assign the gateway to them there")]
    NotProvisioned {
        /// Their name.
        name: UserName,
        /// The provider.
        provider: ProviderName,
    },
}

impl ArrivalRefusal {
    /// The word in records.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::NameTaken { .. } => "name_taken",
            Self::NotProvisioned { .. } => "not_provisioned",
        }
    }
}

/// Which subject is which user.
#[derive(Clone, Debug, Default)]
pub struct Identities {
    users: BTreeMap<(ProviderName, String), UserName>,
    subjects: BTreeMap<UserName, (ProviderName, String)>,
}

impl Identities {
    /// The user that a subject is bound to.
    #[must_use]
    pub fn user(&self, provider: &ProviderName, subject: &str) -> Option<&UserName> {
        self.users.get(&(provider.clone(), subject.to_owned()))
    }

    /// The subject that a user is bound to.
    #[must_use]
    pub fn subject(&self, user: &UserName) -> Option<(&ProviderName, &str)> {
        self.subjects.get(user).map(|(provider, subject)| (provider, subject.as_str()))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&ProviderName, &str, &UserName)> {
        self.users.iter().map(|((provider, subject), user)| (provider, subject.as_str(), user))
    }

    /// Binds a subject to a user, in place of whatever either was bound to.
    pub fn bind(&mut self, provider: ProviderName, subject: String, user: UserName) {
        self.unbind(&user);
        if let Some(before) = self.users.insert((provider.clone(), subject.clone()), user.clone()) {
            self.subjects.remove(&before);
        }
        self.subjects.insert(user, (provider, subject));
    }

    /// Ends the binding of a user.
    pub fn unbind(&mut self, user: &UserName) {
        if let Some(subject) = self.subjects.remove(user) {
            self.users.remove(&subject);
        }
    }

    /// Who somebody is here, as they are to be. `pushed` is the user that they were found to be among those whom the
    /// provider has pushed; `known` finds a user by name.
    ///
    /// # Errors
    /// Why they do not come in.
    pub fn welcome<'u>(
        &self,
        arrival: &Arrival,
        pushed: Option<&UserName>,
        known: impl Fn(&UserName) -> Option<&'u User>,
    ) -> Result<User, ArrivalRefusal> {
        let Arrival { provider, subject, name, display_name, groups, attributes, known_as: _, may_be_new } = arrival;
        let taken = || ArrivalRefusal::NameTaken { name: name.clone(), provider: provider.clone() };
        let before = match self.user(provider, subject).and_then(&known) {
            Some(user) => user.clone(),
            None => match pushed.and_then(&known) {
                // Pushed by the same provider, and bound to nobody yet.
                Some(user) if user.provider.as_ref() == Some(provider) && self.subject(&user.name).is_none() => {
                    user.clone()
                }
                Some(_) => return Err(taken()),
                None if known(name).is_some() => return Err(taken()),
                None if *may_be_new => User { provider: Some(provider.clone()), ..User::new(name.clone()) },
                None => {
                    return Err(ArrivalRefusal::NotProvisioned { name: name.clone(), provider: provider.clone() });
                }
            },
        };
        let groups = groups.clone().unwrap_or_else(|| before.groups.clone());
        let display_name = if display_name.is_empty() { before.display_name.clone() } else { display_name.clone() };
        let attributes = changed(&before.attributes, attributes);
        Ok(User { groups, display_name, attributes, ..before })
    }
}

/// Attributes, after a provider has said these of them.
fn changed(before: &Attributes, said: &BTreeMap<String, Option<String>>) -> Attributes {
    let mut attributes = before.clone();
    for (name, value) in said {
        match value {
            Some(value) => drop(attributes.insert(name.clone(), value.clone())),
            None => drop(attributes.remove(name)),
        }
    }
    attributes
}

/// What a session keeps of the one that its user has at the provider.
#[derive(Clone, Debug)]
pub struct ProviderSession {
    /// The provider.
    pub provider: ProviderName,
    /// Who they are there.
    pub subject: String,
    /// The provider's name of its session (`sid`; OpenID Connect Front-Channel Logout 1.0, section 3).
    pub sid: Option<String>,
    /// Asks the provider whether it goes on.
    pub refresh_token: Option<SecretString>,
    /// Shows the provider, at a logout, whose it is.
    pub id_token: Option<SecretString>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(name: &str) -> ProviderName {
        ProviderName::new(name).unwrap()
    }

    fn name(name: &str) -> UserName {
        UserName::new(name).unwrap()
    }

    fn arrival(subject: &str, called: &str) -> Arrival {
        Arrival {
            provider: provider("corp"),
            subject: subject.into(),
            name: name(called),
            display_name: String::new(),
            groups: None,
            attributes: BTreeMap::new(),
            known_as: None,
            may_be_new: true,
        }
    }

    #[test]
    fn what_a_provider_says_of_somebody_is_theirs_and_what_it_takes_back_is_not() {
        let known = [("department", "engines"), ("shift", "late")];
        let attributes = known.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let ada = User { provider: Some(provider("corp")), attributes, ..User::new(name("ada")) };
        let mut identities = Identities::default();
        identities.bind(provider("corp"), "1".into(), name("ada"));
        let said = [("department".to_owned(), None), ("floor".to_owned(), Some("7".to_owned()))].into();
        let arrival = Arrival { attributes: said, ..arrival("1", "ada") };
        let ada = identities.welcome(&arrival, None, |_| Some(&ada)).unwrap();
        let expected = [("floor", "7"), ("shift", "late")];
        assert_eq!(ada.attributes, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }

    fn welcome(identities: &Identities, users: &[User], arrival: &Arrival) -> Result<UserName, &'static str> {
        pushed(identities, users, arrival, None)
    }

    fn pushed(
        identities: &Identities,
        users: &[User],
        arrival: &Arrival,
        pushed: Option<&UserName>,
    ) -> Result<UserName, &'static str> {
        let known = |name: &UserName| users.iter().find(|user| user.name == *name);
        identities.welcome(arrival, pushed, known).map(|user| user.name).map_err(|refusal| refusal.label())
    }

    #[test]
    fn a_subject_stays_the_user_it_was_whatever_it_is_called() {
        let ada = User { provider: Some(provider("corp")), ..User::new(name("ada")) };
        let mut identities = Identities::default();
        identities.bind(provider("corp"), "1".into(), name("ada"));
        assert_eq!(welcome(&identities, &[ada], &arrival("1", "countess")), Ok(name("ada")));
    }

    #[test]
    fn nobody_becomes_somebody_else_by_having_their_name() {
        let corp = Some(provider("corp"));
        let local = User::new(name("root"));
        let ada = User { provider: corp.clone(), ..User::new(name("ada")) };
        let mut identities = Identities::default();
        identities.bind(provider("corp"), "1".into(), name("ada"));
        let users = [local, ada];
        assert_eq!(welcome(&identities, &users, &arrival("2", "root")), Err("name_taken"));
        assert_eq!(welcome(&identities, &users, &arrival("2", "ada")), Err("name_taken"));
        for called in ["root", "ada"] {
            let found = pushed(&identities, &users, &arrival("2", "x"), Some(&name(called)));
            assert_eq!(found, Err("name_taken"));
        }
    }

    #[test]
    fn whom_the_provider_has_pushed_is_bound_at_the_first_login_and_others_only_if_they_may_be_new() {
        let ada = User { provider: Some(provider("corp")), ..User::new(name("ada")) };
        let mut identities = Identities::default();
        let arrival = Arrival { may_be_new: false, ..arrival("1", "ada@corp") };
        assert_eq!(pushed(&identities, &[ada], &arrival, Some(&name("ada"))), Ok(name("ada")));
        assert_eq!(welcome(&identities, &[], &arrival), Err("not_provisioned"));
        identities.bind(provider("corp"), "1".into(), name("ada"));
        identities.unbind(&name("ada"));
        assert!(identities.user(&provider("corp"), "1").is_none() && identities.subject(&name("ada")).is_none());
    }
}
