//! Where the names of apps lead, as the DNS says.

use super::Gateway;
use super::draft::{Draft, Fact};
use crate::policy::change::Refusal;
use crate::policy::compile::{Located, locate};
use crate::policy::model::{Answers, AppSetId, DnsName};
use std::collections::BTreeSet;

impl Gateway {
    /// The names that apps have.
    #[must_use]
    pub fn names(&self) -> BTreeSet<DnsName> {
        self.apps.values().flat_map(|app| app.names.iter().cloned()).collect()
    }

    /// Where they lead, as far as anybody knows. Names that no app has any more may be among them until the next answer.
    #[must_use]
    pub fn answers(&self) -> &Answers {
        &self.answers
    }

    /// The apps with where their names lead, and the addresses that are not theirs.
    #[must_use]
    pub fn located(&self) -> Located<'_> {
        locate(self.apps.values(), &self.answers)
    }

    /// The number of the tables of apps that are in force. It changes with where apps are, also where no generation begins.
    #[must_use]
    pub fn app_set(&self) -> AppSetId {
        self.app_set
    }

    /// Other answers make another app set, to which sessions move; who may reach which app has not changed, and neither has
    /// the generation. Answers that lead to the same tables change nothing there.
    pub(super) fn resolved(&self, draft: &mut Draft, answers: &Answers) -> Result<(), Refusal> {
        let mut after = self.answers.clone();
        after.extend(answers.clone());
        let names = self.names();
        after.retain(|name, addresses| names.contains(name) && !addresses.is_empty());
        if after == self.answers {
            return Ok(());
        }
        let (before, located) = (self.located(), locate(self.apps.values(), &after));
        if before.apps != located.apps {
            draft.app_set = Some(self.app_set_at(&located, &self.app_ids)?);
        }
        let gone = self.answers.keys().filter(|name| !after.contains_key(*name));
        draft.facts.extend(gone.map(|name| Fact::Answer(name.clone(), BTreeSet::new())));
        let news = after.into_iter().filter(|(name, addresses)| self.answers.get(name) != Some(addresses));
        draft.facts.extend(news.map(|(name, addresses)| Fact::Answer(name, addresses)));
        Ok(())
    }
}
