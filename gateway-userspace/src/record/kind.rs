//! What a record is about, and how much it matters when there is not room for all.

use super::line::{Record, What};

/// The types of records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Somebody logged in.
    Login,
    /// Somebody did not.
    LoginFailed,
    /// A session ended.
    SessionEnd,
    /// A session's apps changed.
    Regranted,
    /// Something was administered.
    Admin,
    /// A flow was opened.
    FlowStart,
    /// A flow goes on.
    FlowUpdate,
    /// A flow is over.
    FlowEnd,
    /// Something was denied.
    Denied,
    /// An app answers, or does not.
    AppHealth,
    /// Something is missing.
    Lost,
}

/// What is lost first when there is not room for all: the least.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Weight {
    /// What a flow's end repeats.
    Light,
    /// What happened to packets.
    Usual,
    /// What people and administrators did.
    Heavy,
}

impl Kind {
    /// Each of them.
    pub(crate) const ALL: [Self; 11] = [
        Self::Login,
        Self::LoginFailed,
        Self::SessionEnd,
        Self::Regranted,
        Self::Admin,
        Self::FlowStart,
        Self::FlowUpdate,
        Self::FlowEnd,
        Self::Denied,
        Self::AppHealth,
        Self::Lost,
    ];

    /// As `type` says it.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::LoginFailed => "login_failed",
            Self::SessionEnd => "session_end",
            Self::Regranted => "regranted",
            Self::Admin => "admin",
            Self::FlowStart => "flow_start",
            Self::FlowUpdate => "flow_update",
            Self::FlowEnd => "flow_end",
            Self::Denied => "denied",
            Self::AppHealth => "app_health",
            Self::Lost => "lost",
        }
    }

    /// The type of this name.
    pub(crate) fn of(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.label() == label)
    }

    pub(super) const fn weight(self) -> Weight {
        match self {
            Self::FlowStart | Self::FlowUpdate => Weight::Light,
            Self::FlowEnd | Self::Denied => Weight::Usual,
            Self::Login
            | Self::LoginFailed
            | Self::SessionEnd
            | Self::Regranted
            | Self::Admin
            | Self::AppHealth
            | Self::Lost => Weight::Heavy,
        }
    }
}

impl Record {
    pub(super) const fn kind(&self) -> Kind {
        match &self.what {
            What::Login { .. } => Kind::Login,
            What::LoginFailed { .. } => Kind::LoginFailed,
            What::SessionEnd(_) => Kind::SessionEnd,
            What::Regranted { .. } => Kind::Regranted,
            What::Admin(_) => Kind::Admin,
            What::FlowStart(_) => Kind::FlowStart,
            What::FlowUpdate { .. } => Kind::FlowUpdate,
            What::FlowEnd { .. } => Kind::FlowEnd,
            What::Denied(_) => Kind::Denied,
            What::AppHealth { .. } => Kind::AppHealth,
            What::Lost { .. } => Kind::Lost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_found_by_its_name() {
        for kind in Kind::ALL {
            assert_eq!(Kind::of(kind.label()), Some(kind));
        }
        assert_eq!(Kind::of("flow"), None);
    }
}
