//! How a list of ways begins: how many there are, now and after a login.

use crate::policy::{AppName, Way};

/// A sentence about the people who reach an app, and what to do.
#[must_use]
pub fn who_reaches(app: &AppName, ways: &[Way]) -> (String, String) {
    let (now, later) = counts(ways);
    let sentence = match (now, later) {
        (0, 0) => format!("Nobody can reach {app}."),
        (0, later) => {
            format!(
                "Nobody reaches {app} now. {} would after a login with two factors.",
                counted(later, "person", "people")
            )
        }
        (now, 0) => format!("{} now, and nobody else could.", reach(now, app)),
        (now, later) => format!("{} now, and {later} more would after a login with two factors.", reach(now, app)),
    };
    let next_step = match now + later {
        0 => format!(
            "If somebody should, permit it by a policy, and look whether the app is enabled: `portcullis app show {app}`."
        ),
        _ => format!("Why somebody else cannot: `portcullis explain --user USER --to {app}`."),
    };
    (sentence, next_step)
}

/// The same about the apps that somebody reaches.
#[must_use]
pub fn what_reaches(who: &str, is_logged_in: bool, ways: &[Way]) -> (String, String) {
    let (now, later) = counts(ways);
    let apps = |count| counted(count, "app", "apps");
    let sentence = match (now, later, is_logged_in) {
        (0, 0, _) => format!("{who} can reach no app."),
        (0, later, false) => {
            format!("{who} is not logged in. After a login with two factors they would reach {}.", apps(later))
        }
        (0, later, true) => {
            format!("{who} reaches no app now. After a login with two factors they would reach {}.", apps(later))
        }
        (now, 0, _) => format!("{who} reaches {} now.", apps(now)),
        (now, later, _) => {
            format!("{who} reaches {} now, and would reach {later} more after a login with two factors.", apps(now))
        }
    };
    let next_step = match later {
        0 => String::from("Why another app cannot be reached: `portcullis explain --user USER --to APP`."),
        _ => String::from("Log in again, with a second factor, to reach all of them."),
    };
    (sentence, next_step)
}

/// How many reach it now, and how many others would after a login.
fn counts(ways: &[Way]) -> (usize, usize) {
    let now = ways.iter().filter(|way| !way.sessions.is_empty()).count();
    (now, ways.len().saturating_sub(now))
}

fn reach(count: usize, app: &AppName) -> String {
    let verb = if count == 1 { "reaches" } else { "reach" };
    format!("{} {verb} {app}", counted(count, "person", "people"))
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{SessionToken, UserName};

    fn ways(now: usize, later: usize) -> Vec<Way> {
        let way = |sessions: Vec<SessionToken>| Way {
            user: UserName::new("ada").unwrap(),
            app: AppName::new("crm").unwrap(),
            sessions,
            after_login: true,
            policies: Vec::new(),
            most: None,
        };
        let now = (0..now).map(|_| way(vec![SessionToken(1)]));
        now.chain((0..later).map(|_| way(Vec::new()))).collect()
    }

    #[test]
    fn lists_begin_with_how_many_there_are() {
        let crm = AppName::new("crm").unwrap();
        let who = |now, later| who_reaches(&crm, &ways(now, later)).0;
        assert_eq!(who(0, 0), "Nobody can reach crm.");
        assert_eq!(who(1, 0), "1 person reaches crm now, and nobody else could.");
        assert_eq!(who(2, 3), "2 people reach crm now, and 3 more would after a login with two factors.");
        let what = |now, later, in_| what_reaches("Ada", in_, &ways(now, later)).0;
        assert_eq!(what(0, 2, false), "Ada is not logged in. After a login with two factors they would reach 2 apps.");
        assert_eq!(what(1, 0, true), "Ada reaches 1 app now.");
        assert_eq!(what(0, 0, true), "Ada can reach no app.");
    }
}
