//! Functions that are tests, and can be called one by one from elsewhere.

/// A check, and its sentence.
pub type Check = (&'static str, fn());

/// Makes tests of functions, and a list of them.
macro_rules! checks {
    ($($name:ident,)+) => {
        /// All checks.
        #[allow(dead_code, reason = "the list is for the runner of planted mistakes, the tests are for everybody else")]
        pub const CHECKS: &[crate::checks::Check] = &[$((stringify!($name), $name),)+];

        #[cfg(test)]
        mod tests {
            $(#[test]
            fn $name() {
                super::$name();
            })+
        }
    };
}
