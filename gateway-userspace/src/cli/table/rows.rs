//! How each shape is listed or shown. Closed lists of columns: what programs need more of is in the JSON.

use super::{Listed, Shown, Value, health};
use crate::cli::sentence::{ago, bytes, moment, span, until};
use crate::policy;
use crate::wire::{
    ApiToken, App, Drops, Export, Flow, FlowState, Generation, Grant, Group, Interface, LookupFailure, PersonPlan,
    Provider, RefusedAddress, ResolvedName, Risk, RiskPut, ServiceIdentity, Session, Status, TableUse, User,
};
use time::{Duration, OffsetDateTime};

pub(super) fn joined<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<T> = items.into_iter().collect();
    if items.is_empty() { "-".to_owned() } else { items.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ") }
}

fn switch(enabled: bool) -> Value {
    if enabled { "enabled".into() } else { Value::Odd("disabled".to_owned()) }
}

impl Listed for User {
    const HEADER: &'static [&'static str] = &["user", "name", "groups", "state", "password", "provider"];

    fn row(&self, _: OffsetDateTime) -> Vec<Value> {
        let Self { name, display_name, groups, enabled, provider, suspended, has_password, .. } = self;
        let state = if *enabled && *suspended { Value::Odd("suspended".to_owned()) } else { switch(*enabled) };
        let password = if *has_password { "set" } else { "none" };
        let provider = provider.as_deref().unwrap_or("-");
        vec![name.into(), display_name.into(), joined(groups).into(), state, password.into(), provider.into()]
    }
}

impl Shown for User {
    fn fields(&self, now: OffsetDateTime) -> Vec<(&'static str, Value)> {
        let mut fields: Vec<_> = Self::HEADER.iter().copied().zip(self.row(now)).collect();
        let attributes = self.attributes.iter().map(|(name, value)| format!("{name}={value}"));
        fields.push(("attributes", joined(attributes).into()));
        let risk = |risk: Risk| policy::Risk::label(RiskPut { risk: Some(risk) }.model());
        fields.push(("risk", self.risk.map_or("-", risk).into()));
        fields
    }
}

impl Listed for Generation {
    const HEADER: &'static [&'static str] = &["generation", "when", "who", "what", "message"];

    fn row(&self, now: OffsetDateTime) -> Vec<Value> {
        let Self { generation, at, author, message, action, object, confirm_until } = self;
        let what = match action.as_str() {
            "rolled_back" => format!("rolled back to {object}"),
            "app_put" | "app_removed" => format!("{} {object}", action.replace('_', " ")),
            other => other.replace('_', " "),
        };
        let what = match confirm_until {
            Some(at) => Value::Odd(format!("{what}, undone {} unless confirmed", until(*at, now))),
            None => what.into(),
        };
        vec![generation.into(), ago(*at, now).into(), author.into(), what, message.into()]
    }
}

impl Listed for PersonPlan {
    const HEADER: &'static [&'static str] = &["user", "sessions", "gains", "loses", "cut"];

    fn row(&self, _: OffsetDateTime) -> Vec<Value> {
        let Self { user, sessions, gained, lost, flows_cut } = self;
        let lost = if lost.is_empty() { "-".into() } else { Value::Odd(joined(lost)) };
        vec![user.into(), sessions.into(), joined(gained).into(), lost, flows_cut.into()]
    }
}

impl Listed for Provider {
    const HEADER: &'static [&'static str] = &["provider", "title"];

    fn row(&self, _: OffsetDateTime) -> Vec<Value> {
        let Self { name, title } = self;
        vec![name.into(), title.into()]
    }
}

impl Listed for Group {
    const HEADER: &'static [&'static str] = &["group", "members"];

    fn row(&self, _: OffsetDateTime) -> Vec<Value> {
        vec![self.name.as_str().into(), joined(&self.members).into()]
    }
}

impl Listed for App {
    const HEADER: &'static [&'static str] = &["app", "where", "services", "labels", "state", "health"];

    fn row(&self, now: OffsetDateTime) -> Vec<Value> {
        let Self { name, prefixes, names, services, labels, trip_wire, enabled, health_state, .. } = self;
        let state = match enabled.unwrap_or(true) {
            true if *trip_wire => Value::Odd("trip-wire".to_owned()),
            enabled => switch(enabled),
        };
        let places = joined(prefixes.iter().chain(names));
        let health = health_state.as_ref().map_or_else(|| "-".into(), |found| health::app(found, now));
        vec![name.into(), places.into(), joined(services).into(), joined(labels).into(), state, health]
    }
}

impl Shown for App {
    fn fields(&self, now: OffsetDateTime) -> Vec<(&'static str, Value)> {
        let mut fields: Vec<_> = Self::HEADER.iter().copied().zip(self.row(now)).collect();
        let Self { description, opens, budget, owner, sensitivity, resolved, .. } = self;
        fields.insert(1, ("description", description.as_str().into()));
        let budget = budget.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        fields.splice(4..4, [("opens", joined(opens).into()), ("budget", budget.into())]);
        let said = |text: &str| Value::from(if text.is_empty() { "-" } else { text });
        fields.splice(6..6, [("owner", said(owner)), ("sensitivity", said(sensitivity))]);
        for name in resolved {
            fields.push(("name", leads(name, now)));
            let refused = |it: &RefusedAddress| Value::Odd(format!("{}: {}", it.address, it.detail));
            fields.extend(name.refused.iter().map(|it| ("refused", refused(it))));
        }
        fields.extend(health::fields(self, now));
        fields
    }
}

/// Where a name of an app leads: `wiki.example.net: 192.0.2.7, since 3 min, next look in 20 s`.
fn leads(name: &ResolvedName, now: OffsetDateTime) -> Value {
    let ResolvedName { name, state, addresses, refused: _, since, next_look, failure } = name;
    let mut text = format!("{name}: {}, since {}", joined(addresses), ago(*since, now));
    if state != "resolved" {
        text = format!("{text}, {state}");
    }
    if let Some(LookupFailure { kind, at }) = failure {
        text = format!("{text}, {kind} {}", ago(*at, now));
    }
    text = format!("{text}, next look {}", until(*next_look, now));
    if state == "resolved" { text.into() } else { Value::Odd(text) }
}

impl Listed for Session {
    const HEADER: &'static [&'static str] = &["session", "user", "address", "interface", "ends", "apps"];

    fn row(&self, now: OffsetDateTime) -> Vec<Value> {
        let Self { token, user, address, interface, deadline, apps, .. } = self;
        let apps = joined(apps.iter().map(|grant| grant.app.as_str()));
        vec![token.into(), user.into(), address.into(), interface.into(), until(*deadline, now).into(), apps.into()]
    }
}

impl Shown for Session {
    fn fields(&self, now: OffsetDateTime) -> Vec<(&'static str, Value)> {
        let Self { token, user, address, zone, interface, mac, factors, provider, acr, amr, .. } = self;
        let Self { authenticated_at, deadline, apps, .. } = self;
        let at = authenticated_at.map_or_else(|| "at an unknown time".to_owned(), moment);
        let vouches = [provider.as_deref(), acr.as_deref()].into_iter().flatten().chain(amr.iter().map(String::as_str));
        let vouches: Vec<_> = vouches.collect();
        let vouches = if vouches.is_empty() { String::new() } else { format!(" ({})", joined(vouches)) };
        let login = format!("{at} by {}{vouches}", joined(factors));
        let mut fields = vec![
            ("session", token.into()),
            ("user", user.into()),
            ("address", address.into()),
            ("interface", format!("{interface} (zone {zone})").into()),
            ("mac", mac.as_deref().unwrap_or("-").into()),
            ("login", login.into()),
            ("ends", until(*deadline, now).into()),
        ];
        let grants = apps.iter().map(|grant| format!("{} by {}", grant.app, joined(&grant.policies)));
        fields.push(("apps", joined(grants).into()));
        fields
    }
}

impl Listed for ServiceIdentity {
    const HEADER: &'static [&'static str] =
        &["service", "proves itself with", "groups", "scopes", "state", "last used"];

    fn row(&self, now: OffsetDateTime) -> Vec<Value> {
        let Self { name, groups, enabled, scopes, certificate, client, binding, held, last_used_at, .. } = self;
        let client = client.as_ref().map(|client| format!("client {} of {}", client.id, client.provider));
        let binding = binding.as_ref().map(|binding| match &binding.mac {
            Some(mac) => format!("{} at {mac}", binding.address),
            None => binding.address.clone(),
        });
        let proofs = joined([certificate.clone(), client, binding].into_iter().flatten());
        let state = if *enabled && *held { Value::Odd("held".to_owned()) } else { switch(*enabled) };
        let used = last_used_at.map_or("-".to_owned(), |at| ago(at, now));
        vec![name.into(), proofs.into(), joined(groups).into(), joined(scopes).into(), state, used.into()]
    }
}

impl Shown for ServiceIdentity {
    fn fields(&self, now: OffsetDateTime) -> Vec<(&'static str, Value)> {
        let mut fields: Vec<_> = Self::HEADER.iter().copied().zip(self.row(now)).collect();
        fields.insert(1, ("name", self.display_name.as_str().into()));
        fields.push(("created", moment(self.created_at).into()));
        fields
    }
}

impl Listed for Grant {
    const HEADER: &'static [&'static str] = &["app", "by policy", "login at most"];

    fn row(&self, _: OffsetDateTime) -> Vec<Value> {
        let age = self
            .max_authentication_age_s
            .map_or("-".to_owned(), |seconds| format!("{} old", crate::cli::sentence::micros(seconds as f64 * 1e6)));
        vec![self.app.as_str().into(), joined(&self.policies).into(), age.into()]
    }
}

impl Listed for Flow {
    const HEADER: &'static [&'static str] =
        &["user", "app", "protocol", "client", "destination", "state", "sent", "received", "last seen"];

    fn row(&self, now: OffsetDateTime) -> Vec<Value> {
        let known = |name: &Option<String>| name.as_deref().unwrap_or("-").to_owned();
        let state = match self.state {
            FlowState::Opening => "opening",
            FlowState::Open => "open",
            FlowState::Closing => "closing",
        };
        vec![
            known(&self.user).into(),
            known(&self.app).into(),
            self.protocol.as_str().into(),
            endpoint(&self.client, self.client_port).into(),
            endpoint(&self.destination, self.port).into(),
            state.into(),
            bytes(self.bytes_from_client).into(),
            bytes(self.bytes_to_client).into(),
            ago(self.last_seen, now).into(),
        ]
    }
}

/// IPv6 in brackets; port 0 is none.
pub(in crate::cli) fn endpoint(address: &str, port: u16) -> String {
    match (port, address.contains(':')) {
        (0, _) => address.to_owned(),
        (_, true) => format!("[{address}]:{port}"),
        (_, false) => format!("{address}:{port}"),
    }
}

impl Listed for Drops {
    const HEADER: &'static [&'static str] = &["interface", "reason", "packets", "observed", "meaning"];

    fn row(&self, _: OffsetDateTime) -> Vec<Value> {
        let Self { interface, reason, help, packets, observed } = self;
        let observed = if *observed == 0 { "-".to_owned() } else { observed.to_string() };
        vec![interface.into(), reason.into(), packets.into(), observed.into(), help.into()]
    }
}

impl Listed for Export {
    const HEADER: &'static [&'static str] = &["export", "to", "address", "taken up to", "waiting", "for", "problem"];

    fn row(&self, now: OffsetDateTime) -> Vec<Value> {
        let Self { name, to, address, after, behind, lag_seconds, sent: _, missed, problem, since } = self;
        let after = after.map_or("-".to_owned(), |after| after.to_string());
        let waiting =
            if *lag_seconds == 0.0 { "-".to_owned() } else { span(Duration::saturating_seconds_f64(*lag_seconds)) };
        let problem = match (problem, since, missed) {
            (Some(problem), Some(since), _) => Value::Odd(format!("{} {problem}", ago(*since, now))),
            (Some(problem), None, _) => Value::Odd(problem.clone()),
            (None, _, 0) => "-".into(),
            (None, _, missed) => Value::Odd(format!("{missed} given up before they were taken")),
        };
        vec![name.into(), to.into(), address.into(), after.into(), behind.into(), waiting.into(), problem]
    }
}

impl Listed for ApiToken {
    const HEADER: &'static [&'static str] = &["token", "for", "scopes", "created", "expires", "last used"];

    fn row(&self, now: OffsetDateTime) -> Vec<Value> {
        let Self { id, name, scopes, created_at, expires_at, last_used_at } = self;
        let expires = expires_at.map_or("never".into(), |at| {
            if at <= now { Value::Odd(format!("expired {}", ago(at, now))) } else { until(at, now).into() }
        });
        let used = last_used_at.map_or("-".to_owned(), |at| ago(at, now));
        vec![id.into(), name.into(), joined(scopes).into(), moment(*created_at).into(), expires, used.into()]
    }
}

impl Shown for Status {
    fn fields(&self, now: OffsetDateTime) -> Vec<(&'static str, Value)> {
        let Self { version, started_at, policy_generation, users, apps, apps_down, sessions, .. } = self;
        let Self { drift_entries, events_lost, .. } = self;
        let alarming = |number: u64| if number == 0 { number.into() } else { Value::Odd(number.to_string()) };
        vec![
            ("version", version.into()),
            ("started", ago(*started_at, now).into()),
            ("policy generation", policy_generation.into()),
            ("users", users.into()),
            ("apps", apps.into()),
            ("apps that do not answer", alarming(u64::try_from(*apps_down).unwrap_or(u64::MAX))),
            ("sessions", sessions.into()),
            ("drift between tables and intent", alarming(*drift_entries)),
            ("events lost", alarming(*events_lost)),
        ]
    }
}

impl Listed for Interface {
    const HEADER: &'static [&'static str] = &["interface", "zone", "mode", "xdp", "programs"];

    fn row(&self, _: OffsetDateTime) -> Vec<Value> {
        let Self { name, zone, mode, xdp, attached, vlans: _ } = self;
        let programs = if *attached { "attached".into() } else { Value::Odd("missing".to_owned()) };
        let mode = if mode == "enforce" { mode.into() } else { Value::Odd(mode.clone()) };
        vec![name.into(), zone.into(), mode, xdp.into(), programs]
    }
}

impl Listed for TableUse {
    const HEADER: &'static [&'static str] = &["table", "entries", "capacity", "full"];

    fn row(&self, _: OffsetDateTime) -> Vec<Value> {
        let Self { table, entries, capacity } = self;
        let percent = entries.saturating_mul(100) / (*capacity).max(1);
        let full = format!("{percent} %");
        let full = if percent < 80 { full.into() } else { Value::Odd(full) };
        vec![table.into(), entries.into(), capacity.into(), full]
    }
}
