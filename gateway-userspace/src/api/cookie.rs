//! What a browser keeps. All cookies are bound to this host (`__Host-`), sent over TLS only, and out of reach of scripts.

use axum::http::header::{COOKIE, ORIGIN, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use secrecy::{ExposeSecret as _, SecretString};

/// A cookie.
#[derive(Clone, Copy)]
pub(super) struct Cookie(&'static str);

/// The secret of the session.
pub(super) const SESSION: Cookie = Cookie("__Host-portcullis");
/// That a sign-in at a provider began in this browser.
pub(super) const SIGN_IN: Cookie = Cookie("__Host-portcullis-sign-in");

impl Cookie {
    /// Its value, if the browser sends exactly one.
    pub fn read(self, headers: &HeaderMap) -> Option<SecretString> {
        let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
        let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let mut values = pairs.filter(|(name, _)| *name == self.0).map(|(_, value)| value);
        match (values.next(), values.next()) {
            (Some(value), None) => Some(value.into()),
            _ => None,
        }
    }

    /// Makes the browser keep it until it is closed. It is sent with links from elsewhere, as a provider's answer is one,
    /// and not with forms from elsewhere.
    pub fn set(self, response: &mut Response, value: &SecretString) {
        self.put(response, value.expose_secret(), "");
    }

    /// Makes the browser forget it.
    pub fn clear(self, response: &mut Response) {
        self.put(response, "", "; Max-Age=0");
    }

    fn put(self, response: &mut Response, value: &str, more: &str) {
        let text = format!("{}={value}; Path=/; Secure; HttpOnly; SameSite=Lax{more}", self.0);
        if let Ok(mut line) = HeaderValue::from_str(&text) {
            line.set_sensitive(true);
            response.headers_mut().append(SET_COOKIE, line);
        }
    }
}

/// Whether a form was sent from a page of the gateway. Browsers say where a form comes from; what does not say so is no
/// browser that this page was for.
pub(super) fn is_from_here(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return site == "same-origin";
    }
    let host = text("host");
    let origin = headers.get(ORIGIN).and_then(|origin| origin.to_str().ok()?.strip_prefix("https://"));
    host.is_some() && origin == host
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_cookie_is_read_if_there_is_exactly_one_of_its_name() {
        let read =
            |line: &str| SESSION.read(&headers(&[("cookie", line)])).map(|value| value.expose_secret().to_owned());
        assert_eq!(read("a=b; __Host-portcullis=pcs_x; c=d").as_deref(), Some("pcs_x"));
        assert_eq!(read("__Host-portcullis=1; __Host-portcullis=2"), None);
        assert_eq!(read("__Host-portcullis-sign-in=1"), None);
    }

    #[test]
    fn cookies_are_out_of_reach_of_scripts_other_hosts_and_plain_text() {
        let mut response = Response::new(Body::empty());
        SESSION.set(&mut response, &"pcs_x".into());
        let line = response.headers()["set-cookie"].to_str().unwrap();
        assert_eq!(line, "__Host-portcullis=pcs_x; Path=/; Secure; HttpOnly; SameSite=Lax");
    }

    #[test]
    fn forms_of_other_sites_are_not_from_here() {
        for (lines, expected) in [
            (&[("sec-fetch-site", "same-origin")][..], true),
            (&[("sec-fetch-site", "cross-site"), ("origin", "https://gate"), ("host", "gate")], false),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("origin", "https://gate:8443"), ("host", "gate:8443")], true),
            (&[("origin", "http://gate"), ("host", "gate")], false),
            (&[("origin", "https://evil"), ("host", "gate")], false),
            (&[("origin", "null"), ("host", "gate")], false),
            (&[("host", "gate")], false),
            (&[], false),
        ] {
            assert_eq!(is_from_here(&headers(lines)), expected, "{lines:?}");
        }
    }
}
