//! Passwords: from the terminal, or from a program through the standard input. Never from the arguments, which every
//! process can read.

use super::CliError;
use crate::wire::Secret;
use std::io::{self, BufRead};

/// Asks for a password; `twice` for a new one, where nobody notices a slip.
pub(super) fn ask(whose: &str, from_stdin: bool, twice: bool) -> Result<Secret, CliError> {
    if from_stdin {
        return first_line(io::stdin().lock());
    }
    let prompt = |what: &str| rpassword::prompt_password(format!("{what} of {whose}: ")).map_err(CliError::NoTerminal);
    let password = prompt(if twice { "new password" } else { "password" })?;
    if twice && prompt("the same password again")? != password {
        return Err(CliError::PasswordsDiffer);
    }
    Ok(Secret(password.into()))
}

fn first_line(mut input: impl BufRead) -> Result<Secret, CliError> {
    let mut line = String::new();
    input.read_line(&mut line).map_err(CliError::NoTerminal)?;
    let line = line.strip_suffix('\n').unwrap_or(&line);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        let nothing = io::Error::new(io::ErrorKind::UnexpectedEof, "the standard input is empty");
        return Err(CliError::NoTerminal(nothing));
    }
    Ok(Secret(line.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    #[test]
    fn a_password_is_the_first_line_with_its_blanks() {
        for (input, expected) in [("a b \n", "a b "), ("x\r\ny", "x"), ("no newline", "no newline")] {
            assert_eq!(first_line(input.as_bytes()).unwrap().0.expose_secret(), expected);
        }
        assert!(first_line("".as_bytes()).is_err());
    }
}
