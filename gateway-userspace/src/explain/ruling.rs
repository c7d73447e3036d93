//! What policies say, as the end of a sentence, and what to do next.

use super::words::{list, policies, span};
use crate::policy::{AppName, Missing, Opinion, Ruling, UserName};

/// The end of "Alice cannot reach crm: ", or of "Alice reaches crm: ".
pub(super) fn clause(opinion: &Opinion) -> String {
    let Opinion { ruling, policies: names, rejects, age, most, faults, .. } = opinion;
    let most = most.map(span).unwrap_or_default();
    match ruling {
        Ruling::Permitted => format!("{} it", policies(names, "permit")),
        Ruling::NoPolicy => String::from("no policy permits it"),
        Ruling::Forbidden if *rejects => format!("{} it, and the client is told at once", policies(names, "forbid")),
        Ruling::Forbidden => format!("{} it", policies(names, "forbid")),
        Ruling::LoginTooOld => {
            let age = age.map(span).unwrap_or_default();
            format!("the last login is {age} old, and {} {most}", policies(names, "accept"))
        }
        Ruling::LoginUndated => {
            format!("{} for a recent login, and nobody knows when this one was", policies(names, "ask"))
        }
        Ruling::Fault => {
            let names: Vec<&String> = faults.keys().collect();
            let why = faults.values().next().map_or("", String::as_str);
            format!("policy {} cannot be evaluated ({why}), and so it permits nothing", list(&names))
        }
        Ruling::AppDisabled => String::from("an administrator has disabled the app"),
        Ruling::TripWire => String::from("the app is a trip-wire, which is granted to nobody"),
        Ruling::UserDisabled => String::from("an administrator has disabled this user"),
        Ruling::UserSuspended => String::from("their identity provider says that they have no access"),
    }
}

/// What somebody does who is denied.
pub(super) fn next_step(opinion: &Opinion, user: &UserName, app: &AppName) -> String {
    let Opinion { ruling, policies: names, missing, groups, faults, .. } = opinion;
    if let Some(advice) = advice(missing) {
        return advice.to_owned();
    }
    match ruling {
        Ruling::Permitted => PERMITTED.to_owned(),
        Ruling::NoPolicy if groups.is_empty() => {
            String::from("If they need it, ask whoever writes the policies to permit it.")
        }
        Ruling::NoPolicy => {
            let [one, ..] = &groups[..] else { return String::new() };
            let of = if groups.len() == 1 {
                format!("group {}", list(groups))
            } else {
                format!("one of the groups {}", list(groups))
            };
            format!("If they need it, make them a member of {of}: `portcullis group join {one} {user}`.")
        }
        Ruling::Forbidden => format!("If that is not meant, ask whoever writes the policies about {}.", list(names)),
        Ruling::LoginTooOld | Ruling::LoginUndated => {
            String::from("Log in again, at an identity provider that says when people have logged in.")
        }
        Ruling::Fault => {
            let names: Vec<&String> = faults.keys().collect();
            format!("Ask whoever writes the policies to correct {}.", list(&names))
        }
        Ruling::AppDisabled => {
            format!("When whatever it was disabled for is over: `portcullis app enable {app}`.")
        }
        Ruling::TripWire => {
            String::from("Do not connect to it: whoever does loses the session. If something has, find out what.")
        }
        Ruling::UserDisabled => format!("If they are to have access again: `portcullis user enable {user}`."),
        Ruling::UserSuspended => String::from("Give them their access back at the identity provider."),
    }
}

/// What to do where nothing is in the way.
pub(super) const PERMITTED: &str = "Nothing is in the way here. If it does not work all the same, look at the app, and at the network behind the gate.";

/// What somebody can do by themselves.
fn advice(missing: &[Missing]) -> Option<&'static str> {
    use Missing::{CompliantDevice, FreshLogin, SecondFactor};
    match missing {
        [] => None,
        [FreshLogin] => Some("Log in again."),
        [SecondFactor] => Some("Log in again, with a second factor."),
        [CompliantDevice] => Some("Make the device compliant, and wait until its management has said so."),
        [SecondFactor, ..] => Some(
            "Make the device compliant, wait until its management has said so, and log in again with a second factor.",
        ),
        [_, ..] => Some("Make the device compliant, wait until its management has said so, and log in again."),
    }
}
