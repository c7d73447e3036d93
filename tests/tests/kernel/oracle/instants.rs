//! When verdicts change by themselves.

use super::tables::{Oracle, SECOND};

impl Oracle {
    /// Instants, past and to come, before which a packet may be judged otherwise than at them.
    pub fn instants(&self) -> impl Iterator<Item = u64> {
        let sessions = self.clients.iter().flat_map(|client| {
            let paid = client.bytes_paid.map(|paid| paid.saturating_sub(SECOND / 4));
            let debts = [client.flows_paid.saturating_sub(SECOND), paid[0], paid[1], client.window + SECOND];
            debts.into_iter().chain([client.entry.deadline.0, client.quarantined_until])
        });
        let logins = self.clients.iter().flat_map(|client| {
            let login = client.entry.authenticated_at;
            self.grants.values().map(move |grant| login.after(grant.max_authentication_age).0)
        });
        let flows = self.flows.iter().map(|(name, flow)| flow.last_seen + flow.silence(name.protocol));
        sessions
            .chain(logins)
            .chain(self.grants.values().map(|grant| grant.deadline))
            .chain(flows)
            .chain(self.fragments.values().map(|first| first.until))
            .chain([self.lease_until])
            .chain(self.sources.values().map(|paid| paid.saturating_sub(SECOND)))
    }
}
