//! The pages for people with a browser: plain HTML, no script, and a policy that permits none.

use axum::body::Body;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;

/// Nothing but the style sheet is loaded, and forms lead nowhere but back here.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// How they look.
pub(super) const STYLE: &str = include_str!("../../templates/style.css");

/// Where people sign in.
#[derive(askama::Template)]
#[template(path = "sign_in.html")]
pub(super) struct SignInPage {
    pub providers: Vec<ProviderLink>,
    pub problem: Option<String>,
}

/// A provider to sign in with.
pub(super) struct ProviderLink {
    pub name: String,
    pub title: String,
}

/// What somebody who is signed in can reach.
#[derive(askama::Template)]
#[template(path = "signed_in.html")]
pub(super) struct SignedInPage {
    pub user: String,
    pub provider: Option<String>,
    pub address: String,
    pub until: String,
    pub until_machine: String,
    pub apps: Vec<AppLine>,
    /// What could be reached after another sign-in.
    pub step_up: Vec<String>,
}

/// An app on that page.
pub(super) struct AppLine {
    pub name: String,
    pub description: String,
    pub places: String,
}

/// Why somebody is not signed in.
#[derive(askama::Template)]
#[template(path = "refused.html")]
pub(super) struct RefusedPage {
    pub detail: String,
    pub reason: Option<&'static str>,
}

/// After signing out; `next` is where that goes on at the provider.
#[derive(askama::Template)]
#[template(path = "signed_out.html")]
pub(super) struct SignedOutPage {
    pub next: Option<String>,
}

/// A page as an answer.
pub(super) fn page(status: StatusCode, page: &impl askama::Template) -> Response {
    let Ok(html) = page.render() else {
        tracing::error!("a page could not be written");
        return plain(StatusCode::INTERNAL_SERVER_ERROR, Body::from("the gateway failed"));
    };
    plain(status, Body::from(html))
}

fn plain(status: StatusCode, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
