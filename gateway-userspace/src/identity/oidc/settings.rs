//! What an administrator says of a provider, and what is wrong with it.

use super::discovery::host;
use super::preset::Preset;
use crate::identity::jose::Algorithms;
use secrecy::SecretString;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// Which claims say what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimNames {
    /// The name to log in with: the first of these that is there. There is no other fallback, and a token without any
    /// of them is refused. An `email` that the provider calls unverified does not count.
    pub username: Vec<String>,
    /// What people call them. Without it, the name to log in with.
    pub display_name: String,
    /// Their groups: a list of texts, or one text. Without it, none.
    pub groups: String,
    /// What policies may ask for, by name, and the claim that says it.
    pub attributes: BTreeMap<String, String>,
}

/// A provider, as it is configured.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What it is called here.
    pub name: String,
    /// What is known of its kind.
    pub preset: Preset,
    /// Its name for itself, letter by letter.
    pub issuer: String,
    /// The gateway's name there.
    pub client_id: String,
    /// The gateway's secret there, presented as `client_secret_basic`; `None` for a public client.
    pub client_secret: Option<SecretString>,
    /// Where the browser comes back to.
    pub redirect_uri: Url,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// Hosts, with `:port` if it is not 443, where endpoints may be besides the issuer's.
    pub hosts: BTreeSet<String>,
    /// How tokens may be signed.
    pub algorithms: Algorithms,
    /// Which claims say what.
    pub claims: ClaimNames,
    /// Claims that an ID token must have with just this text, or a list with it: what tells the people of an
    /// organization from everybody else who has an account there. Google needs `hd`.
    pub require: BTreeMap<String, String>,
    /// The claim by which somebody is found among those whom the provider has pushed.
    pub link: Option<String>,
    /// Authentication contexts to ask for, best first. The provider may give another.
    pub acr_values: Vec<String>,
    /// Authentication contexts that mean more than one factor.
    pub mfa_acrs: BTreeSet<String>,
    /// How long ago somebody may have authenticated, if a login does not say otherwise.
    pub max_age: Option<Duration>,
    /// Authorities to trust instead of the system's, in PEM.
    pub ca: Option<PathBuf>,
    /// How far the clocks may be apart.
    pub leeway: Duration,
    /// How long one request may take.
    pub timeout: Duration,
    /// What `aud` of access tokens of services (RFC 9068) must contain, which get them with their own credentials; `None` if
    /// there are none. Another than the client's id, so that no ID token passes for one.
    pub service_audience: Option<String>,
}

/// What is wrong with the settings of a provider.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Another scheme, or more than a host and a path.
    #[error("issuer `{0}` is not valid: use `https://`, a host and a path, as the provider publishes it")]
    Issuer(String),
    /// It stands for many tenants.
    #[error(
        "issuer `{0}` stands for the users of every tenant: use `https://login.microsoftonline.com/<tenant id>/v2.0`"
    )]
    IssuerOfMany(String),
    /// No client id.
    #[error("`client_id` is empty: use the one that the provider gave to this gateway")]
    ClientId,
    /// Another scheme, or a fragment.
    #[error("redirect URI `{0}` is not valid: use `https://`, a host and a path")]
    RedirectUri(Url),
    /// `openid` is missing, or one has a space.
    #[error("scopes `{0}` are not valid: they need `openid`, and none has a space")]
    Scopes(String),
    /// Everybody with an account there would come in.
    #[error("everybody with a Google account would come in: require the claim `hd` to be your domain")]
    Everybody,
    /// Not a host.
    #[error("host `{0}` is not valid: use a name or an address, and `:port` if it is not 443")]
    Host(String),
    /// No claim for the name.
    #[error("no claim is named for the user name: use `preferred_username`")]
    Claims,
    /// ID tokens would pass for access tokens.
    #[error("audience `{0}` of services is not valid: use another than the empty one and the client id")]
    Audience(String),
    /// The file of authorities cannot be read.
    #[error("authorities `{path}` cannot be read: {source}", path = .path.display())]
    CaUnreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is no certificate in the file.
    #[error("authorities `{path}` have no certificate: use a file in PEM", path = .0.display())]
    CaEmpty(PathBuf),
    /// The system trusts nobody.
    #[error("this system has no authorities: install `ca-certificates`, or name a file as `ca`")]
    NoAuthorities,
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// HTTP cannot be set up.
    #[error("HTTP cannot be set up: {0}")]
    Http(#[from] reqwest::Error),
}

impl Settings {
    /// A provider with the defaults of its kind.
    #[must_use]
    pub fn new(name: &str, preset: Preset, issuer: &str, client_id: &str, redirect_uri: Url) -> Self {
        Self {
            name: name.to_owned(),
            preset,
            issuer: issuer.to_owned(),
            client_id: client_id.to_owned(),
            client_secret: None,
            redirect_uri,
            scopes: ["openid", "profile", "email"].map(str::to_owned).to_vec(),
            hosts: preset.hosts().iter().map(|host| (*host).to_owned()).collect(),
            algorithms: Algorithms::default(),
            claims: preset.claims(),
            require: BTreeMap::new(),
            link: None,
            acr_values: Vec::new(),
            mfa_acrs: BTreeSet::new(),
            max_age: None,
            ca: None,
            leeway: Duration::from_secs(60),
            timeout: Duration::from_secs(5),
            service_audience: None,
        }
    }

    /// Asks for further scopes, for each once.
    pub fn ask_for(&mut self, scopes: impl IntoIterator<Item = String>) {
        for scope in scopes {
            if !self.scopes.contains(&scope) {
                self.scopes.push(scope);
            }
        }
    }

    /// Checks what can be checked without asking anybody.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), SettingsError> {
        self.check_issuer()?;
        if self.client_id.is_empty() {
            return Err(SettingsError::ClientId);
        }
        if self.redirect_uri.scheme() != "https" || self.redirect_uri.fragment().is_some() {
            return Err(SettingsError::RedirectUri(self.redirect_uri.clone()));
        }
        let sound = |scope: &String| !scope.is_empty() && !scope.contains(char::is_whitespace);
        if !self.scopes.iter().all(sound) || !self.scopes.iter().any(|scope| scope == "openid") {
            return Err(SettingsError::Scopes(self.scopes.join(" ")));
        }
        if self.claims.username.is_empty() {
            return Err(SettingsError::Claims);
        }
        if self.preset == Preset::Google && !self.require.contains_key("hd") {
            return Err(SettingsError::Everybody);
        }
        if let Some(host) = self.hosts.iter().find(|host| !is_host(host)) {
            return Err(SettingsError::Host(host.clone()));
        }
        match &self.service_audience {
            Some(audience) if audience.is_empty() || *audience == self.client_id => {
                Err(SettingsError::Audience(audience.clone()))
            }
            _ => Ok(()),
        }
    }

    fn check_issuer(&self) -> Result<(), SettingsError> {
        let wrong = || SettingsError::Issuer(self.issuer.clone());
        let issuer = Url::parse(&self.issuer).map_err(|_| wrong())?;
        let plain = issuer.username().is_empty() && issuer.password().is_none();
        if issuer.scheme() != "https" || !plain || issuer.query().is_some() || issuer.fragment().is_some() {
            return Err(wrong());
        }
        let mut segments = issuer.path_segments().into_iter().flatten();
        if segments.any(|segment| self.preset.templates().contains(&segment)) {
            return Err(SettingsError::IssuerOfMany(self.issuer.clone()));
        }
        Ok(())
    }
}

/// Whether a URL of it has just that host.
fn is_host(text: &str) -> bool {
    Url::parse(&format!("https://{text}/")).is_ok_and(|url| host(&url).as_deref() == Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(preset: Preset, issuer: &str) -> Settings {
        Settings::new("corp", preset, issuer, "portcullis", "https://gate.example/login/corp".parse().unwrap())
    }

    #[test]
    fn an_issuer_is_one_tenant_behind_https() {
        let check = |preset, issuer: &str| settings(preset, issuer).check();
        assert!(check(Preset::Generic, "https://id.example").is_ok());
        assert!(check(Preset::Entra, "https://login.microsoftonline.com/9b1c/v2.0").is_ok());
        for issuer in [
            "http://id.example",
            "id.example",
            "https://a@id.example",
            "https://id.example/?a",
            "https://id.example/#a",
        ] {
            assert!(matches!(check(Preset::Generic, issuer), Err(SettingsError::Issuer(_))), "{issuer}");
        }
        for tenant in ["common", "organizations", "consumers"] {
            let issuer = format!("https://login.microsoftonline.com/{tenant}/v2.0");
            assert!(matches!(check(Preset::Entra, &issuer), Err(SettingsError::IssuerOfMany(_))));
        }
    }

    #[test]
    fn what_would_weaken_the_checks_is_bad_configuration() {
        let change = |change: fn(&mut Settings)| {
            let mut settings = settings(Preset::Generic, "https://id.example");
            change(&mut settings);
            settings.check()
        };
        assert!(matches!(change(|s| s.scopes = vec!["profile".into()]), Err(SettingsError::Scopes(_))));
        assert!(matches!(change(|s| s.scopes.push("a b".into())), Err(SettingsError::Scopes(_))));
        assert!(matches!(change(|s| s.client_id.clear()), Err(SettingsError::ClientId)));
        assert!(matches!(change(|s| s.claims.username.clear()), Err(SettingsError::Claims)));
        assert!(matches!(change(|s| s.redirect_uri.set_scheme("http").unwrap()), Err(SettingsError::RedirectUri(_))));
        assert!(matches!(change(|s| s.service_audience = Some(s.client_id.clone())), Err(SettingsError::Audience(_))));
        for host in ["https://a.example", "a.example/x", "a@b", "", "A.example", "a.example:443"] {
            let mut settings = settings(Preset::Generic, "https://id.example");
            settings.hosts.insert(host.into());
            assert!(matches!(settings.check(), Err(SettingsError::Host(_))), "{host}");
        }
        assert!(change(|s| s.hosts = ["a.example:8443".into()].into()).is_ok());
    }

    #[test]
    fn each_scope_is_asked_for_once_in_the_order_in_which_they_are_named() {
        let mut settings = settings(Preset::Generic, "https://id.example");
        settings.scopes = vec!["openid".into()];
        settings.ask_for(["groups", "openid", "profile", "groups"].map(str::to_owned));
        assert_eq!(settings.scopes, ["openid", "groups", "profile"]);
    }

    #[test]
    fn google_lets_in_the_people_of_one_domain() {
        let mut settings = settings(Preset::Google, "https://accounts.google.com");
        assert!(matches!(settings.check(), Err(SettingsError::Everybody)));
        settings.require.insert("hd".into(), "corp.example".into());
        assert!(settings.check().is_ok());
    }

    #[test]
    fn a_secret_is_not_printed() {
        let mut settings = settings(Preset::Generic, "https://id.example");
        settings.client_secret = Some("canary".to_owned().into());
        assert!(!format!("{settings:?}").contains("canary"));
    }
}
