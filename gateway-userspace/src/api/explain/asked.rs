//! What a request asks.

use crate::api::extract::Segment as _;
use crate::api::problem::ApiError;
use crate::bundle::Target;
use crate::config::parse_duration;
use crate::policy::{Country, Factor, Factors, ProviderName, SessionToken, UserName};
use crate::wire::{ExplainRequest, FieldError};
use std::net::IpAddr;
use std::time::Duration;
use time::OffsetDateTime;

/// What a request asks.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub who: Who,
    pub to: Target,
    pub from: Option<IpAddr>,
    pub assumption: Assumption,
    pub at: Option<OffsetDateTime>,
}

/// About whom.
#[derive(Clone, Debug)]
pub(super) enum Who {
    /// If it is theirs.
    Session(SessionToken, Option<UserName>),
    User(UserName),
}

/// What is to be taken for true.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Assumption {
    pub zone: Option<String>,
    pub country: Option<Country>,
    pub factors: Option<Factors>,
    pub provider: Option<ProviderName>,
    pub compliant: Option<bool>,
    pub login_age: Option<Duration>,
}

impl Asked {
    pub(super) fn read(request: ExplainRequest) -> Result<Self, ApiError> {
        let ExplainRequest { session, user, to, from, zone, country, factors, provider, compliant, login_age, at } =
            request;
        let mut errors = Vec::new();
        let who = who(session, user, &mut errors);
        let to = noted("to", Target::parse(&to), &mut errors);
        let provider = provider.map(|name| noted("provider", ProviderName::new(&name), &mut errors));
        let factors = some_factors(&factors, &mut errors);
        let age =
            |text: String| parse_duration(&text).ok_or_else(|| format!("`{text}` is not an age; write one like `9h`"));
        let login_age = login_age.map(|text| noted("login_age", age(text), &mut errors));
        let country = country.map(|code| noted("country", known_country(&code), &mut errors));
        if from.is_some() && matches!(who, Some(Who::Session(..))) {
            errors.push(FieldError::at("from", "a session has its own address; leave it out, or ask about the user"));
        }
        match (who, to) {
            (Some(who), Some(to)) if errors.is_empty() => {
                let (provider, login_age, country) = (provider.flatten(), login_age.flatten(), country.flatten());
                let from = from.map(|address| address.to_canonical());
                let assumption = Assumption { zone, country, factors, provider, compliant, login_age };
                Ok(Self { who, to, from, assumption, at })
            }
            _ => Err(ApiError::invalid(errors)),
        }
    }

    /// Whether it is about something that is not so.
    pub(super) fn is_hypothetical(&self) -> bool {
        self.at.is_some() || self.assumption != Assumption::default()
    }

    /// The address of which it has to be found out where it is.
    pub(super) fn place(&self) -> Option<IpAddr> {
        self.from.filter(|_| !self.is_hypothetical())
    }
}

fn who(session: Option<String>, user: Option<String>, errors: &mut Vec<FieldError>) -> Option<Who> {
    match (session, user) {
        (Some(session), user) => {
            let wrong = format!("`{session}` is not the name of a session: that has 16 hexadecimal digits");
            let token = noted("session", SessionToken::read(&session).map_err(|_| wrong), errors)?;
            let user = user.map(|user| noted("user", UserName::new(&user), errors));
            Some(Who::Session(token, user.flatten()))
        }
        (None, Some(user)) => noted("user", UserName::new(&user), errors).map(Who::User),
        (None, None) => {
            let message = String::from("name a `session` or a `user`");
            errors.push(FieldError { message, ..FieldError::default() });
            None
        }
    }
}

fn known_country(code: &str) -> Result<Country, String> {
    let country = Some(Country::of(code)).filter(|country| *country != Country::UNKNOWN);
    country.ok_or_else(|| format!("`{code}` is not a country; write its two letters, like `DE`"))
}

fn some_factors(names: &[String], errors: &mut Vec<FieldError>) -> Option<Factors> {
    let known = |name: &String| Factor::ALL.into_iter().find(|factor| factor.label() == name);
    for (index, name) in names.iter().enumerate().filter(|(_, name)| known(name).is_none()) {
        let labels: Vec<_> = Factor::ALL.iter().map(|factor| format!("`{}`", factor.label())).collect();
        let message = format!("`{name}` is not a factor; they are {}", labels.join(", "));
        errors.push(FieldError::at(format!("factors[{index}]"), message));
    }
    (!names.is_empty()).then(|| names.iter().filter_map(known).collect())
}

fn noted<T, E: std::fmt::Display>(field: &str, read: Result<T, E>, errors: &mut Vec<FieldError>) -> Option<T> {
    read.map_err(|error| errors.push(FieldError::at(field, error))).ok()
}
