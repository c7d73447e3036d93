//! Completion scripts and pages of the manual, made from the definition of the arguments.

use crate::cli::CliError;
use crate::cli::arguments::Arguments;
use crate::cli::output::Output;
use clap::CommandFactory as _;
use clap_complete::Shell;
use clap_mangen::Man;

/// A completion script.
pub(in crate::cli) fn completions(shell: Shell) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "portcullis", &mut script);
    Output::print(&String::from_utf8_lossy(&script))
}

/// A page about one command, or about `portcullis` as a whole.
pub(in crate::cli) fn man(words: &[String]) -> Result<(), CliError> {
    Output::print(&String::from_utf8_lossy(&page(words)?))
}

fn page(words: &[String]) -> Result<Vec<u8>, CliError> {
    let mut root = Arguments::command();
    root.build();
    let unknown = || CliError::NoCommand(words.join(" "));
    let mut command = &root;
    for word in words {
        command = command.find_subcommand(word).ok_or_else(unknown)?;
    }
    let title = std::iter::once("portcullis").chain(words.iter().map(String::as_str)).collect::<Vec<_>>().join("-");
    let mut page = Vec::new();
    Man::new(command.clone()).title(title).render(&mut page)?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_and_others_have_none() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        for (command, part) in [("", "session"), ("user add", "display"), ("policy apply", "if")] {
            let page = String::from_utf8(page(&words(command)).unwrap()).unwrap();
            assert!(page.starts_with(".ie") && page.contains(part), "{page}");
        }
        assert!(matches!(page(&words("user fly")), Err(CliError::NoCommand(_))));
    }
}
