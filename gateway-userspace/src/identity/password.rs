//! Passwords: what is accepted as one, and Argon2id.
//!
//! 19 MiB, two passes, one lane: about 40 ms of one core. Whoever calls this from async code does it through
//! [`super::Verifier`].

use argon2::password_hash::phc::{self, Output, ParamsString, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use secrecy::{ExposeSecret as _, SecretString};
use std::fmt;
use std::sync::LazyLock;

const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SHORTEST: usize = 12;
const LONGEST: usize = 256;

/// The hash of a password, as a PHC string.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

/// What Argon2 works in, for one hash after the other: given back and taken anew each time, the allocator would keep a
/// multiple of it.
#[derive(Default)]
pub struct Memory(Vec<Block>);

impl Memory {
    /// Runs Argon2 in it.
    fn run(&mut self, argon2: &Argon2<'_>, password: &[u8], salt: &[u8], length: usize) -> Option<Output> {
        self.0.resize(argon2.params().block_count(), Block::default());
        let mut output = vec![0; length];
        argon2.hash_password_into_with_memory(password, salt, &mut output, &mut self.0).ok()?;
        Output::new(&output).ok()
    }
}

/// Why a password, or its hash, was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordProblem {
    /// Too short.
    #[error("password has {0} characters; use at least {SHORTEST}")]
    TooShort(usize),
    /// Too long.
    #[error("password has {0} characters; use at most {LONGEST}")]
    TooLong(usize),
    /// The hash is not a PHC string of Argon2id.
    #[error("password hash is not an Argon2id hash in PHC form")]
    NotAHash,
    /// Argon2 failed: no memory, or no randomness.
    #[error("password could not be hashed; is there memory left?")]
    Hashing,
}

impl PasswordHash {
    /// Hashes a new password, if it is good enough to be one.
    ///
    /// # Errors
    /// If it is too short or too long, or if hashing fails.
    pub fn hash(password: &SecretString) -> Result<Self, PasswordProblem> {
        Self::hash_in(&mut Memory::default(), password)
    }

    /// The same in memory that is there.
    ///
    /// # Errors
    /// As [`Self::hash`].
    pub fn hash_in(memory: &mut Memory, password: &SecretString) -> Result<Self, PasswordProblem> {
        let password = password.expose_secret();
        match password.chars().count() {
            length if length < SHORTEST => Err(PasswordProblem::TooShort(length)),
            length if length > LONGEST => Err(PasswordProblem::TooLong(length)),
            _ => Self::of(memory, password.as_bytes()),
        }
    }

    /// Whether this is the hash of a password. Takes as long for a wrong one as for the right one.
    #[must_use]
    pub fn verify(&self, password: &SecretString) -> bool {
        self.verify_in(&mut Memory::default(), password)
    }

    /// The same in memory that is there.
    #[must_use]
    pub fn verify_in(&self, memory: &mut Memory, password: &SecretString) -> bool {
        self.matches(memory, password.expose_secret().as_bytes()).unwrap_or(false)
    }

    /// `None` if the hash is none of Argon2's.
    fn matches(&self, memory: &mut Memory, password: &[u8]) -> Option<bool> {
        let hash = phc::PasswordHash::new(&self.0).ok()?;
        let version = hash.version.map(Version::try_from).transpose().ok()?.unwrap_or_default();
        let algorithm = Algorithm::try_from(hash.algorithm.as_str()).ok()?;
        let argon2 = Argon2::new(algorithm, version, Params::try_from(&hash).ok()?);
        let (salt, expected) = (hash.salt?, hash.hash?);
        // In constant time: that is how outputs compare.
        Some(memory.run(&argon2, password, &salt, expected.len())? == expected)
    }

    /// A hash that no password has, to spend the same time on a user who does not exist.
    #[must_use]
    pub fn of_nobody() -> &'static Self {
        static NOBODY: LazyLock<PasswordHash> = LazyLock::new(|| {
            let mut random = [0_u8; 32];
            rand::fill(&mut random);
            // Without memory for one hash, nobody can log in anyway.
            PasswordHash::of(&mut Memory::default(), &random).unwrap_or(PasswordHash(String::new()))
        });
        &NOBODY
    }

    /// Takes a hash from the store.
    ///
    /// # Errors
    /// If it is not an Argon2id hash in PHC form.
    pub fn from_phc(text: &str) -> Result<Self, PasswordProblem> {
        let hash = phc::PasswordHash::new(text).map_err(|_| PasswordProblem::NotAHash)?;
        if hash.algorithm.as_str() == "argon2id" { Ok(Self(text.to_owned())) } else { Err(PasswordProblem::NotAHash) }
    }

    /// The PHC string, for the store.
    #[must_use]
    pub fn expose_phc(&self) -> &str {
        &self.0
    }

    fn of(memory: &mut Memory, password: &[u8]) -> Result<Self, PasswordProblem> {
        let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|_| PasswordProblem::Hashing)?;
        let (salt, shown) = (Salt::generate(), ParamsString::try_from(&params).map_err(|_| PasswordProblem::Hashing)?);
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let hash = memory.run(&argon2, password, &salt, Params::DEFAULT_OUTPUT_LEN).ok_or(PasswordProblem::Hashing)?;
        let hash = phc::PasswordHash {
            algorithm: Algorithm::Argon2id.ident(),
            version: Some(Version::V0x13.into()),
            params: shown,
            salt: Some(salt),
            hash: Some(hash),
        };
        Ok(Self(hash.to_string()))
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash([REDACTED])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_verifies_its_own_password_and_no_other() {
        let hash = PasswordHash::hash(&"correct horse battery".into()).unwrap();
        assert!(hash.verify(&"correct horse battery".into()));
        assert!(!hash.verify(&"correct horse batterx".into()));
        assert!(hash.expose_phc().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert_eq!(PasswordHash::from_phc(hash.expose_phc()), Ok(hash));
    }

    #[test]
    fn memory_that_has_been_used_changes_no_hash() {
        let mut memory = Memory::default();
        let hash = PasswordHash::hash_in(&mut memory, &"correct horse battery".into()).unwrap();
        for _ in 0..2 {
            assert!(hash.verify_in(&mut memory, &"correct horse battery".into()));
            assert!(!hash.verify_in(&mut memory, &"correct horse batterx".into()));
        }
        assert!(hash.verify(&"correct horse battery".into()));
    }

    #[test]
    fn length_counts_characters_and_the_message_names_the_limit() {
        assert_eq!(PasswordHash::hash(&"äöüäöüäöüäö".into()), Err(PasswordProblem::TooShort(11)));
        assert_eq!(PasswordHash::hash(&"x".repeat(257).into()), Err(PasswordProblem::TooLong(257)));
        assert_eq!(PasswordProblem::TooShort(3).to_string(), "password has 3 characters; use at least 12");
        assert!(PasswordHash::hash(&"ä".repeat(256).into()).is_ok());
    }

    #[test]
    fn nobody_s_hash_is_a_real_one_that_nothing_verifies() {
        assert!(PasswordHash::of_nobody().expose_phc().starts_with("$argon2id$"));
        assert!(!PasswordHash::of_nobody().verify(&"".into()));
    }

    #[test]
    fn what_is_no_argon2id_hash_is_refused_and_no_hash_is_printed() {
        assert_eq!(PasswordHash::from_phc("plain"), Err(PasswordProblem::NotAHash));
        assert_eq!(PasswordHash::from_phc("$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHQ"), Err(PasswordProblem::NotAHash));
        assert_eq!(format!("{:?}", PasswordHash::of_nobody()), "PasswordHash([REDACTED])");
    }
}
