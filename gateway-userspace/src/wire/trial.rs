//! What came out of the test cases of a bundle.

use serde::Serialize;

/// What came out of all cases.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PolicyTest {
    /// How many came out as expected.
    pub passed: usize,
    /// How many did not.
    pub failed: usize,
    /// Each of them, in the order of the files.
    pub cases: Vec<CaseResult>,
}

/// What came out of a case.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct CaseResult {
    /// What it is about.
    pub name: String,
    /// The path of its file in the bundle.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Whether it came out as expected.
    pub passed: bool,
    /// What was to be reached.
    pub to: String,
    /// The app that this is; nothing if there is none at the address.
    pub app: Option<String>,
    /// Whether a permit was expected.
    pub expected: bool,
    /// Whether it was one.
    pub permitted: bool,
    /// The policies that determined it.
    pub policies: Vec<String>,
    /// What was decided and why, for people.
    pub why: String,
    /// What was expected otherwise, for people.
    pub mismatches: Vec<String>,
}
