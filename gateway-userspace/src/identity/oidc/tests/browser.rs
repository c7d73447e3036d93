//! The browser, and the authorization endpoint that it is sent to: it grants whatever is asked for.

use super::super::{Ask, Parameters, Proven, Provider, Refusal};
use super::liar::{Grant, Liar, Lie, lock};
use crate::identity::jose::forge::NOW;
use std::collections::HashMap;
use url::{Url, form_urlencoded};

/// What stands in a URL, each parameter once.
pub(super) fn query(url: &Url) -> HashMap<String, String> {
    let pairs: Vec<_> = url.query_pairs().into_owned().collect();
    let map: HashMap<_, _> = pairs.iter().cloned().collect();
    assert_eq!(pairs.len(), map.len(), "{url}");
    map
}

impl Liar {
    /// What the browser brings back after it was sent to a URL.
    pub(super) fn browse(&self, url: &Url) -> String {
        let asked = query(url);
        assert_eq!(asked["code_challenge_method"], "S256");
        assert_eq!(asked["response_type"], "code");
        let of = |name: &str| asked.get(name).cloned();
        let grant = Grant { nonce: of("nonce"), challenge: of("code_challenge"), redirect: of("redirect_uri") };
        let code = self.fresh("code");
        lock(&self.grants).insert(code.clone(), grant);
        let mut answer = vec![
            ("code".to_owned(), code),
            ("state".to_owned(), asked["state"].clone()),
            ("iss".to_owned(), self.issuer.clone()),
        ];
        if let Some(Lie::Callback(lie)) = *lock(&self.lie) {
            lie(&mut answer);
        }
        form_urlencoded::Serializer::new(String::new()).extend_pairs(answer).finish()
    }

    /// A whole login.
    pub(super) async fn login(&self, provider: &Provider, ask: &Ask) -> Result<Proven, Refusal> {
        let begun = provider.begin(ask, NOW).await?;
        let parameters = Parameters::parse(&self.browse(&begun.url))?;
        provider.finish(begun.pending, &parameters, NOW).await
    }
}
