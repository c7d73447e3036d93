//! What is known of the providers that many have: where their endpoints are, and which claims say what.

use super::settings::ClaimNames;
use std::collections::BTreeMap;
use std::str::FromStr;

/// A kind of provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Preset {
    /// As the standards say.
    #[default]
    Generic,
    /// Microsoft Entra ID, one tenant.
    Entra,
    /// Okta.
    Okta,
    /// Google Workspace.
    Google,
    /// Keycloak.
    Keycloak,
}

/// A name of no preset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("preset `{0}` is not known: use generic, entra, okta, google or keycloak")]
pub struct UnknownPreset(pub String);

impl Preset {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Generic, Self::Entra, Self::Okta, Self::Google, Self::Keycloak];

    /// Its name in the configuration.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::Entra => "entra",
            Self::Okta => "okta",
            Self::Google => "google",
            Self::Keycloak => "keycloak",
        }
    }

    /// Hosts of its endpoints besides the issuer's.
    #[must_use]
    pub const fn hosts(self) -> &'static [&'static str] {
        match self {
            Self::Google => &["oauth2.googleapis.com", "www.googleapis.com"],
            Self::Generic | Self::Entra | Self::Okta | Self::Keycloak => &[],
        }
    }

    /// Which claims say what.
    #[must_use]
    pub fn claims(self) -> ClaimNames {
        let username = match self {
            Self::Google => "email",
            Self::Generic | Self::Entra | Self::Okta | Self::Keycloak => "preferred_username",
        };
        ClaimNames {
            username: vec![username.into()],
            display_name: "name".into(),
            groups: "groups".into(),
            attributes: BTreeMap::new(),
        }
    }

    /// Whether it says how strongly somebody has proved who they are, and can be asked for more.
    #[must_use]
    pub const fn knows_strength(self) -> bool {
        match self {
            Self::Generic | Self::Okta | Self::Keycloak => true,
            // Their tokens have neither `acr` nor `amr`.
            Self::Entra | Self::Google => false,
        }
    }

    /// The scope without which it gives refresh tokens to nobody.
    #[must_use]
    pub const fn refresh_scope(self) -> Option<&'static str> {
        match self {
            Self::Entra | Self::Okta => Some("offline_access"),
            Self::Generic | Self::Google | Self::Keycloak => None,
        }
    }

    /// The claim of an access token that names the client, where the token does not say as RFC 9068 has it that it is
    /// one; `None` where it does.
    pub(super) const fn older_client(self) -> Option<&'static str> {
        match self {
            Self::Entra | Self::Keycloak => Some("azp"),
            Self::Okta => Some("cid"),
            Self::Generic | Self::Google => None,
        }
    }

    /// What it must be told besides what the standard says, so that it gives a refresh token.
    pub(super) const fn parameters(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Google => &[("access_type", "offline")],
            Self::Generic | Self::Entra | Self::Okta | Self::Keycloak => &[],
        }
    }

    /// Segments of an issuer that stand for many tenants, so that no token could be told from another's.
    pub(super) const fn templates(self) -> &'static [&'static str] {
        match self {
            Self::Entra => &["common", "organizations", "consumers"],
            Self::Generic | Self::Okta | Self::Google | Self::Keycloak => &[],
        }
    }
}

impl FromStr for Preset {
    type Err = UnknownPreset;

    fn from_str(name: &str) -> Result<Self, UnknownPreset> {
        Self::ALL.into_iter().find(|preset| preset.label() == name).ok_or_else(|| UnknownPreset(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preset_is_known_by_its_label() {
        for preset in Preset::ALL {
            assert_eq!(preset.label().parse(), Ok(preset));
        }
        assert_eq!("azure".parse::<Preset>(), Err(UnknownPreset("azure".into())));
    }
}
