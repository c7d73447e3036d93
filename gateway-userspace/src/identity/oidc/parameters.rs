//! What a browser brings back from a provider. It is a stranger's text until the state has proved otherwise.

use super::Refusal;
use std::collections::BTreeMap;
use std::fmt;
use url::form_urlencoded;

/// Bytes of all of it. Codes of real providers have up to two thousand.
const LONGEST: usize = 8 * 1024;
const MOST: usize = 32;

/// The parameters of an answer, each of which stands there once.
#[derive(Clone, PartialEq, Eq)]
pub struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// Reads a query, or the body of a form.
    ///
    /// # Errors
    /// If a parameter stands there twice, or it is too long.
    pub fn parse(query: &str) -> Result<Self, Refusal> {
        if query.len() > LONGEST {
            return Err(Refusal::ParameterTooLong);
        }
        let mut parameters = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if parameters.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err(Refusal::ParameterTwice);
            }
            if parameters.len() > MOST {
                return Err(Refusal::ParameterTooLong);
            }
        }
        Ok(Self(parameters))
    }

    /// What the login is found by that it claims to belong to.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.get("state")
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// Names only: there is a code among them.
impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_stands_there_once_and_is_not_printed() {
        let parameters = Parameters::parse("code=canary&state=s%20t&x=").unwrap();
        assert_eq!((parameters.state(), parameters.get("x")), (Some("s t"), None));
        assert!(!format!("{parameters:?}").contains("canary"));
        for twice in ["code=a&code=a", "state=a&st%61te=b", "x=&x="] {
            assert_eq!(Parameters::parse(twice), Err(Refusal::ParameterTwice), "{twice}");
        }
        let many: String = (0..33).map(|n| format!("{n}=&")).collect();
        for long in ["a".repeat(LONGEST + 1), many] {
            assert_eq!(Parameters::parse(&long), Err(Refusal::ParameterTooLong));
        }
    }
}
