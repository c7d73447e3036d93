//! Who somebody is: passwords, API tokens, session secrets and the limits on guessing them; services, and what they prove
//! themselves with; identity providers, and who their people are here.
//!
//! Secrets arrive as [`secrecy::SecretString`], are kept only as hashes, and are types that cannot be printed. Time
//! comes in as a value. What a person may reach is none of this module's business.

pub mod jose;
pub mod oidc;
pub mod ssf;

mod account;
mod arrival;
mod json;
mod password;
mod scope;
mod secret;
mod service;
mod span;
mod throttle;
mod token;
mod verifier;

pub mod scim;

pub use account::Accounts;
pub use arrival::{Arrival, ArrivalRefusal, Identities, KnownAs, ProviderSession};
pub use password::{PasswordHash, PasswordProblem};
pub use scope::{Scope, UnknownScope};
pub(crate) use secret::random_text;
pub use secret::{SecretHash, SessionSecret};
pub use service::{
    Binding, CertificateName, CertificateRefusal, Credential, InvalidCertificateName, Service, ServiceRefusal, Services,
};
pub use throttle::{RetryAfter, Throttle, ThrottleLimits};
pub use token::{ApiToken, InvalidTokenId, LastUsed, TokenId, TokenRefusal};
pub use verifier::{Verifier, VerifierError};
