//! Who somebody is: passwords, API tokens, session secrets, and the limits on guessing them.
//!
//! Secrets arrive as [`secrecy::SecretString`], are kept only as hashes, and are types that cannot be printed. Time
//! comes in as a value. What a person may reach is none of this module's business.

mod account;
mod password;
mod scope;
mod secret;
mod throttle;
mod token;
mod verifier;

pub use account::Accounts;
pub use password::{PasswordHash, PasswordProblem};
pub use scope::{Scope, UnknownScope};
pub use secret::{SecretHash, SessionSecret};
pub use throttle::{RetryAfter, Throttle, ThrottleLimits};
pub use token::{ApiToken, InvalidTokenId, LastUsed, TokenId, TokenRefusal};
pub use verifier::{Verifier, VerifierError};
