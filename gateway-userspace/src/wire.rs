//! Every shape that leaves or enters through the API. The API, the command line and files share them.
//!
//! Shapes are converted to and from the model with total destructuring, so that a new field breaks the build. Requests
//! refuse unknown members; answers do not, so that an older client reads a newer gateway. No rule is decided here.

mod app;
mod audit;
mod bundle;
mod digest;
mod explain;
mod export;
mod flow;
mod generation;
mod health;
mod moment;
mod page;
pub mod pcapng;
mod people;
mod policy;
mod problem;
mod quantity;
mod reach;
mod record;
mod scim;
mod secret;
mod service;
mod service_identity;
mod session;
mod status;
mod token;
mod trial;

pub use app::{App, AppsFile, LookupFailure, OnDaemonLoss, RefusedAddress, ResolvedName};
pub use audit::{AuditEdge, AuditEntry, AuditFlaw, AuditHead, AuditReport};
pub use bundle::{Bundle, PolicyFile, Settings};
pub use digest::{Digest, DigestBucket, DigestDenied, DigestEvent, DigestLatency, DigestReason};
pub use explain::{ExplainRequest, Explained, Explanation, Way, Ways};
pub use export::Export;
pub use flow::{Drops, Flow, FlowState, Opener};
pub use generation::{Applied, ChangedNames, Changes, Generation, PersonPlan, Plan};
pub use health::{AddressHealth, AppHealth, HealthCheck, TimedHealthCheck};
pub use moment::Moment;
pub use page::Page;
pub use people::{Group, PasswordChange, Risk, RiskPut, User, UserPut};
pub use policy::{Policy, PolicyCheck, PolicyIssue, PolicyPut};
pub use problem::{FieldError, Invalid, Problem};
pub use quantity::{Bytes, InvalidBytes, parse_bit_rate};
pub use reach::{Alike, ReachApp, ReachGrant, ReachMap};
pub use record::{Denied, Reached, Record};
pub use scim::{ScimDocument, ScimProblem};
pub use secret::Secret;
pub use service::{InvalidService, parse_prefix, parse_service};
pub use service_identity::{ServiceBinding, ServiceClient, ServiceIdentity, ServicePut};
pub use session::{
    DeviceLogin, DevicePending, Grant, LoginRequest, LoginResponse, LogoutRequest, Provider, Receipt, Receipts,
    Revocation, Session,
};
pub use status::{Interface, Status, TableUse, Vlan};
pub use token::{ApiToken, ApiTokenCreated, ApiTokenRequest};
pub use trial::{CaseResult, PolicyTest};
