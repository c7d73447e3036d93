//! What an API token, or a service, may do: a closed list.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// A permission of an API token or a service.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Scope {
    /// Read users, groups, apps, policy, sessions, flows, drops and status.
    Read,
    /// Create, change, disable and remove users and groups.
    UsersWrite,
    /// Create, change, disable and remove apps.
    AppsWrite,
    /// Replace the policy.
    PolicyWrite,
    /// Revoke sessions.
    SessionsWrite,
    /// Read the audit trail.
    AuditRead,
    /// Read the metrics.
    MetricsRead,
    /// Capture denied packets, with what is in them.
    PacketsRead,
    /// Everything, and API tokens.
    Admin,
}

/// A scope that is not in the list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "scope `{0}` is not known; use `read`, `users:write`, `apps:write`, `policy:write`, `sessions:write`, \
     `audit:read`, `metrics:read`, `packets:read` or `admin`"
)]
pub struct UnknownScope(pub String);

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 9] = [
        Self::Read,
        Self::UsersWrite,
        Self::AppsWrite,
        Self::PolicyWrite,
        Self::SessionsWrite,
        Self::AuditRead,
        Self::MetricsRead,
        Self::PacketsRead,
        Self::Admin,
    ];

    /// Whether whoever has these scopes has this one: `admin` is all of them.
    #[must_use]
    pub fn is_among(self, scopes: &BTreeSet<Self>) -> bool {
        scopes.contains(&Self::Admin) || scopes.contains(&self)
    }

    /// Its name in the API and the store.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::UsersWrite => "users:write",
            Self::AppsWrite => "apps:write",
            Self::PolicyWrite => "policy:write",
            Self::SessionsWrite => "sessions:write",
            Self::AuditRead => "audit:read",
            Self::MetricsRead => "metrics:read",
            Self::PacketsRead => "packets:read",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|scope| scope.label() == text).ok_or_else(|| UnknownScope(text.to_owned()))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_leads_back_to_its_scope_and_the_error_names_them_all() {
        let error = "root".parse::<Scope>().unwrap_err().to_string();
        for scope in Scope::ALL {
            assert_eq!(scope.label().parse(), Ok(scope));
            assert!(error.contains(scope.label()));
        }
    }
}
