//! What somebody's identity provider vouches for, beyond who they are.

use super::{Factors, ProviderName};
use gateway_common::KernelNanos;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What a provider says of an authentication. Nothing, for a login at the gateway itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Assurance {
    /// Which provider.
    pub provider: Option<ProviderName>,
    /// The authentication context class (`acr` of OpenID Connect Core 1.0, section 2); empty if it says none.
    pub acr: String,
    /// The authentication methods (`amr`; RFC 8176).
    pub amr: BTreeSet<String>,
    /// Whether that amounts to more than one factor.
    pub mfa: bool,
}

/// How somebody proved who they are, and when.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proof {
    /// The factors that the gateway itself knows of.
    pub factors: Factors,
    /// What their provider vouches for.
    pub assurance: Arc<Assurance>,
    /// When they did, on the boot clock; `None` for now.
    pub authenticated_at: Option<KernelNanos>,
}

impl Assurance {
    /// How policies know the provider of a login at the gateway itself. No provider can be called that.
    pub const LOCAL: &'static str = "local";
}

impl Proof {
    /// Stands for a time that nobody knows, or before this boot. What asks for a recent authentication is denied.
    pub const UNDATED: KernelNanos = KernelNanos(0);
}

impl<F: Into<Factors>> From<F> for Proof {
    fn from(factors: F) -> Self {
        Self { factors: factors.into(), assurance: Arc::default(), authenticated_at: None }
    }
}
