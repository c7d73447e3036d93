//! Why somebody reaches an app or does not, and who reaches what. Nothing is changed, and no counter moves.
//!
//! For a live session the gate itself is asked, with the session's own address, interface and hardware address. For
//! everybody else, and for what is only assumed, policies alone answer.

mod asked;
mod looked;

use super::context::Shared;
use super::extract::{Json, Named, Parameters};
use super::page::PageQuery;
use super::policy::parsed;
use super::problem::ApiError;
use crate::core::State as CoreState;
use crate::explain::{self, Footing};
use crate::health::{self, Health};
use crate::policy::{AppName, Assumed, Refusal, Source, UserName, Way as Found};
use crate::wire::{self, ExplainRequest, Explained, FieldError, Moment, Page, Ways};
use asked::Asked;
use axum::extract::State;
use looked::Looked;
use serde::Deserialize;
use std::net::IpAddr;
use std::sync::Arc;
use utoipa::IntoParams;

/// Where people without a session are assumed to be.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WaysQuery {
    /// Their address.
    #[param(value_type = Option<String>)]
    from: Option<IpAddr>,
    /// Name of their zone.
    zone: Option<String>,
    /// Where the page before ended: its `next_cursor`.
    cursor: Option<String>,
    /// How many entries at most: 1 to 1000, usually 100.
    limit: Option<usize>,
}

/// Explain why somebody reaches an app or an address, or does not. Nothing is changed.
#[utoipa::path(post, path = "/v1/explain", tag = "policy", request_body = ExplainRequest, responses(
    (status = 200, body = Explained),
    (status = 404, description = "No such session, user or app", body = wire::Problem,
        content_type = "application/problem+json"),
    (status = 422, description = "Not valid", body = wire::Problem, content_type = "application/problem+json"),
))]
pub(super) async fn explain(
    State(shared): State<Arc<Shared>>,
    Json(request): Json<ExplainRequest>,
) -> Result<axum::Json<Explained>, ApiError> {
    let asked = Arc::new(Asked::read(request)?);
    let place = match asked.place() {
        // An address that is behind no guarded interface is one that is assumed.
        Some(address) => shared.context.resolver.resolve(address).await.ok(),
        None => None,
    };
    let answers = answers(&shared, &asked, place.as_ref()).await?;
    // The tables and the state are not read in the same moment.
    let answers = if answers.iter().any(|answer| answer.disagree) {
        self::answers(&shared, &asked, place.as_ref()).await?
    } else {
        answers
    };
    if answers.is_empty() {
        let message = "no packet goes there from the client: IPv4 and IPv6 do not meet";
        return Err(ApiError::invalid(vec![FieldError::at("to", message)]));
    }
    Ok(axum::Json(Explained::of(answers)))
}

/// Explain who reaches an app: who does now, and who would after a login with two factors.
#[utoipa::path(get, path = "/v1/explain/apps/{app}", tag = "policy", params(("app" = String, Path), WaysQuery), responses(
    (status = 200, body = Ways),
    (status = 404, description = "No such app", body = wire::Problem, content_type = "application/problem+json"),
))]
pub(super) async fn app(
    State(shared): State<Arc<Shared>>,
    Named(app): Named<AppName>,
    Parameters(query): Parameters<WaysQuery>,
) -> Result<axum::Json<Ways>, ApiError> {
    let gateway = shared.context.core.read(|state| state.gateway.clone()).await?;
    let (now, (assumed, page)) = (shared.now().boot, query.split());
    // On a copy: whoever is revoked meanwhile does not wait for it.
    let ways = parsed(move || {
        let ways = gateway.who_reaches(&app, &assumed, now)?;
        Ok::<_, Refusal>(shape(explain::who_reaches(&app, &ways), &ways, &page, |way| way.user.to_string()))
    });
    Ok(axum::Json(ways.await??))
}

/// Explain what a user reaches: now, and after a login with two factors.
#[utoipa::path(get, path = "/v1/explain/users/{user}", tag = "policy", params(("user" = String, Path), WaysQuery),
    responses(
        (status = 200, body = Ways),
        (status = 404, description = "No such user", body = wire::Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn user(
    State(shared): State<Arc<Shared>>,
    Named(user): Named<UserName>,
    Parameters(query): Parameters<WaysQuery>,
) -> Result<axum::Json<Ways>, ApiError> {
    let (now, (assumed, page)) = (shared.now().boot, query.split());
    // One person is judged sooner than everything is copied.
    let read = move |CoreState { gateway, .. }: &CoreState| {
        let ways = gateway.what_reaches(&user, &assumed, now)?;
        let is_logged_in = gateway.sessions_of(&user).next().is_some();
        let who = gateway.user(&user).map(looked::called).unwrap_or_default();
        let told = explain::what_reaches(&who, is_logged_in, &ways);
        Ok::<_, Refusal>(shape(told, &ways, &page, |way| way.app.to_string()))
    };
    Ok(axum::Json(shared.context.core.read(read).await??))
}

impl WaysQuery {
    fn split(self) -> (Assumed, PageQuery) {
        let Self { from, zone, cursor, limit } = self;
        (Assumed::at(from, zone), PageQuery { cursor, limit })
    }
}

fn shape((sentence, next_step): (String, String), ways: &[Found], page: &PageQuery, key: fn(&Found) -> String) -> Ways {
    let Page { items, next_cursor } = page.page(ways.iter(), |way| key(way), wire::Way::from);
    Ways { sentence, next_step, items, next_cursor }
}

async fn answers(
    shared: &Shared,
    asked: &Arc<Asked>,
    place: Option<&Source>,
) -> Result<Vec<wire::Explanation>, ApiError> {
    let (asked, place, now) = (Arc::clone(asked), place.cloned(), shared.now());
    let look = move |state: &CoreState| looked::look(&state.gateway, &asked, place.as_ref(), now);
    let looked = shared.context.core.read(look).await??;
    let gate = Arc::clone(&shared.context.gate);
    let resolver = Arc::clone(&shared.context.resolver);
    let health = shared.context.health.clone();
    parsed(move || looked.iter().map(|one| one.answer(&*gate, &*resolver, (&health, now))).collect()).await
}

impl Looked {
    /// Asks the gate, if that has anything to say, and puts it into words.
    fn answer(
        &self,
        gate: &dyn crate::dataplane::Explain,
        resolver: &dyn super::SourceResolver,
        (book, now): (&Health, Moment),
    ) -> wire::Explanation {
        let (gate, trouble) = match self.question(resolver).map(|question| gate.explain(&question)) {
            None => (None, None),
            Some(Ok(explanation)) => (Some(explanation), None),
            Some(Err(error)) => (None, Some(error.to_string())),
        };
        let found = self.app.as_ref().zip(self.health.as_ref()).map(|(app, (check, _))| book.of(app, check));
        let outage = found.as_ref().and_then(|found| self.outage(found, now));
        let case = explain::Case {
            who: &self.who,
            user: &self.user,
            to: self.to,
            app: self.app.as_ref(),
            footing: self.footing.clone(),
            opinion: self.opinion.as_ref(),
            gate: gate.as_ref(),
            trouble: trouble.as_deref(),
            outage: outage.as_ref(),
        };
        let shape = wire::Explanation::of(case.told(), &self.footing, gate.as_ref(), self.opinion.as_ref());
        wire::Explanation {
            user: self.user.to_string(),
            session: self.token.map(|token| token.to_string()).filter(|_| self.footing == Footing::Live),
            from: self.address.map(|address| address.to_string()),
            to: self.to.to_string(),
            app: self.app.as_ref().map(ToString::to_string),
            health_state: found.map(|found| wire::AppHealth::of(&found, now)),
            ..shape
        }
    }

    fn outage(&self, found: &health::Found, now: Moment) -> Option<explain::Outage> {
        let down = found.outage(self.to.address)?;
        let (since, failure) = (now.wall_of(down.since?), down.failure.clone()?);
        let owner = self.health.as_ref().map(|(_, owner)| owner.clone()).unwrap_or_default();
        Some(explain::Outage { since, failure, owner })
    }
}
