//! The sentence and the next step, from who has decided and how.

use super::ruling::{PERMITTED, clause, next_step};
use super::words::span;
use super::{Case, Decider, Footing, Told, reason};
use crate::policy::Opinion;
use gateway_common::{DropReason, Verdict};

const NOT_THERE: &str = "no app is there";
const ASK_AGAIN: &str = "Ask again in some seconds: the daemon puts tables right by itself. If it stays so, restart the \
     daemon, and look at its log.";

impl Case<'_> {
    /// The answer.
    #[must_use]
    pub fn told(&self) -> Told {
        let told = match (&self.footing, self.gate) {
            (Footing::Live, Some(gate)) if self.contradicts(gate.verdict) => self.contradiction(gate.verdict),
            // Nobody is logged in there, as far as the daemon knows.
            (Footing::Absent, Some(gate)) if gate.verdict == Verdict::Forward => self.contradiction(gate.verdict),
            (Footing::Live, Some(gate)) => self.by_gate(gate.verdict, gate.observed),
            (Footing::Live, None) => self.by_policy("reaches", "cannot reach"),
            (Footing::Assumed, _) => self.by_policy("would reach", "could not reach"),
            (Footing::Absent, _) => self.absent(),
            (Footing::Taken(other), _) => self.told_by(
                Decider::Policy,
                false,
                format!("{} is not logged in there: that address belongs to a session of `{other}`", self.who),
                String::from("Whoever uses that session has to log out first. Then log in."),
            ),
            (Footing::Over, _) => self.told_by(
                Decider::Policy,
                false,
                format!("{} cannot reach {} then: the session will be over", self.who, self.place()),
                String::from("Log in again."),
            ),
        };
        let is_about_now = self.footing == Footing::Live && told.permitted && !told.disagree;
        let told = match self.outage.filter(|_| is_about_now) {
            Some(outage) => outage.added_to(told),
            None => told,
        };
        match self.trouble {
            Some(trouble) => {
                Told { sentence: format!("{} The gate itself could not be asked: {trouble}.", told.sentence), ..told }
            }
            None => told,
        }
    }

    fn told_by(&self, decider: Decider, permitted: bool, sentence: String, next_step: String) -> Told {
        Told { permitted, decider, disagree: false, sentence: sentence + ".", next_step }
    }

    /// `crm at 10.20.0.10:443/tcp`
    fn place(&self) -> String {
        self.app.map_or_else(|| self.to.to_string(), |app| format!("{app} at {}", self.to))
    }

    /// Whether the policies permit it.
    fn is_permitted(&self) -> bool {
        self.opinion.is_some_and(Opinion::permits)
    }

    fn contradicts(&self, verdict: Verdict) -> bool {
        use DropReason as R;
        match verdict {
            Verdict::Forward => !self.is_permitted(),
            Verdict::ToHost => false,
            Verdict::Drop(R::AppUnknown) => self.app.is_some(),
            Verdict::Drop(R::NoGrant | R::TripWire | R::GrantExpired | R::ReauthRequired) => {
                self.app.is_none() || self.is_permitted()
            }
            // That session is live, and the packet comes from its own place.
            Verdict::Drop(R::NoSession | R::SessionRevoked | R::SourceSpoofed) => true,
            Verdict::Drop(_) => false,
        }
    }

    fn contradiction(&self, verdict: Verdict) -> Told {
        let gate = match verdict {
            Verdict::Forward | Verdict::ToHost => String::from("lets it through"),
            Verdict::Drop(reason) => format!("drops it as `{}`", reason.label()),
        };
        let policies = match self.opinion {
            Some(opinion) => clause(opinion),
            None => String::from(NOT_THERE),
        };
        let (who, place) = (self.who, self.place());
        let sentence = format!(
            "The gate and the policies contradict each other about {who} and {place}: the gate {gate}, and yet {policies}. \
             Packets follow the gate"
        );
        let told = self.told_by(Decider::Gate, verdict == Verdict::Forward, sentence, ASK_AGAIN.to_owned());
        Told { disagree: true, ..told }
    }

    fn by_gate(&self, verdict: Verdict, is_observed: bool) -> Told {
        let (who, place) = (self.who, self.place());
        // Nobody is told of what passes.
        let untold = self.opinion.filter(|_| is_observed).map(|opinion| Opinion { rejects: false, ..opinion.clone() });
        let (sentence, next_step) = match (verdict, untold.as_ref().or(self.opinion)) {
            (Verdict::Forward, Some(opinion)) => return self.reaches(Decider::Gate, "reaches", opinion),
            (Verdict::Forward | Verdict::ToHost, _) => {
                let sentence = format!("{who} reaches {place}: it is a service of the gateway itself");
                return self.told_by(Decider::Gate, true, sentence, PERMITTED.to_owned());
            }
            (Verdict::Drop(reason), Some(opinion)) if is_policys(reason) => self.cannot("cannot reach", opinion),
            (Verdict::Drop(reason), _) => {
                let because = reason::of(reason);
                (format!("{who} cannot reach {place}: {}", because.clause), because.next_step.to_owned())
            }
        };
        if is_observed {
            let sentence = format!("{sentence}. It passes all the same, because the interface only observes");
            return self.told_by(Decider::Gate, true, sentence, next_step);
        }
        self.told_by(Decider::Gate, false, sentence, next_step)
    }

    fn by_policy(&self, can: &str, cannot: &str) -> Told {
        match self.opinion {
            Some(opinion) if opinion.permits() => self.reaches(Decider::Policy, can, opinion),
            Some(opinion) => {
                let (sentence, next_step) = self.cannot(cannot, opinion);
                self.told_by(Decider::Policy, false, sentence, next_step)
            }
            None => self.nothing_there(cannot),
        }
    }

    fn absent(&self) -> Told {
        let they = Self { who: "they", ..self.clone() };
        let Told { permitted, decider, sentence, next_step, .. } = they.by_policy("would reach", "could not reach");
        let (even, next_step) = if permitted { ("After", String::from("Log in.")) } else { ("Even after", next_step) };
        let sentence = format!("{} is not logged in. {even} a login with two factors {sentence}", self.who);
        Told { permitted: false, decider, disagree: false, sentence, next_step }
    }

    fn reaches(&self, decider: Decider, can: &str, opinion: &Opinion) -> Told {
        let sentence = format!("{} {can} {}: {}", self.who, self.place(), clause(opinion));
        let limit = match (opinion.age, opinion.most) {
            (Some(age), Some(most)) => format!(". The login may be {} old, and is {} old", span(most), span(age)),
            _ => String::new(),
        };
        self.told_by(decider, true, sentence + &limit, PERMITTED.to_owned())
    }

    fn cannot(&self, cannot: &str, opinion: &Opinion) -> (String, String) {
        let next = self.app.map(|app| next_step(opinion, self.user, app)).unwrap_or_default();
        (format!("{} {cannot} {}: {}", self.who, self.place(), clause(opinion)), next)
    }

    fn nothing_there(&self, cannot: &str) -> Told {
        let next_step = reason::of(DropReason::AppUnknown).next_step.to_owned();
        let sentence = format!("{} {cannot} {}: {NOT_THERE}", self.who, self.place());
        self.told_by(Decider::Policy, false, sentence, next_step)
    }
}

/// Whether the policies know better than the gate why.
const fn is_policys(reason: DropReason) -> bool {
    use DropReason as R;
    matches!(reason, R::NoGrant | R::TripWire | R::GrantExpired | R::ReauthRequired)
}
