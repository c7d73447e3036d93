//! A page of the documentation as something that can be done: its files are written and its commands run, in the order of
//! the page, and what they print is compared with what the page says.
//!
//! A block `console` has commands after `$ `, each with what it prints below it; `…` in that stands for anything. Another
//! block with `file=PATH` after its language is the text of that file. Everything else is for people.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

/// A page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    parts: Vec<Part>,
}

/// A part of a page.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Part {
    /// For people: a line.
    Prose(String),
    /// The text of a file, and its line in the page.
    File { path: String, text: String, line: usize },
    /// A command, what it prints, and its line in the page.
    Step { command: String, printed: String, line: usize },
}

impl Page {
    /// Reads the text of a page.
    pub fn parse(text: &str) -> Result<Self> {
        let mut parts = Vec::new();
        let mut lines = text.lines().enumerate();
        while let Some((at, line)) = lines.next() {
            parts.push(Part::Prose(line.to_owned()));
            let Some(info) = line.strip_prefix("```") else { continue };
            let body: Vec<(usize, &str)> = lines.by_ref().take_while(|(_, line)| *line != "```").collect();
            let path = info.split_once("file=").map(|(_, path)| path);
            match (info, path) {
                ("console", _) => parts.extend(steps(&body)?),
                (_, Some(path)) => {
                    let text = body.iter().map(|(_, line)| format!("{line}\n")).collect();
                    parts.push(Part::File { path: path.to_owned(), text, line: at + 1 });
                }
                _ => parts.extend(body.iter().map(|(_, line)| Part::Prose((*line).to_owned()))),
            }
            parts.push(Part::Prose("```".to_owned()));
        }
        Ok(Self { parts })
    }

    /// How many commands it has.
    pub fn commands(&self) -> usize {
        self.parts.iter().filter(|part| matches!(part, Part::Step { .. })).count()
    }

    /// Does what it says, in `folder`, where a shell finds programs and variables as `prepare` says it. What was printed
    /// stands in the page that comes back, as it was where the page agrees.
    pub fn perform(&self, folder: &Path, mut prepare: impl FnMut(&mut Command)) -> Result<Self> {
        let mut done = self.clone();
        for part in &mut done.parts {
            match part {
                Part::Prose(_) => {}
                Part::File { path, text, line } => {
                    write(&folder.join(&*path), text).with_context(|| format!("the file in line {line}"))?;
                }
                Part::Step { command, printed, line } => {
                    let mut shell = Command::new("sh");
                    // Both streams in the order in which they come, as in a terminal.
                    shell.args(["-c", &format!("exec 2>&1; {command}")]).current_dir(folder).stdin(Stdio::null());
                    prepare(&mut shell);
                    let output = shell.output().with_context(|| format!("`{command}` in line {line}"))?;
                    let found = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
                    if !is_like(printed, &found) {
                        *printed = found;
                    }
                }
            }
        }
        Ok(done)
    }

    /// The first command that printed something else than another page says: its line, and both texts.
    pub fn difference(&self, done: &Self) -> Option<String> {
        let pairs = self.parts.iter().zip(&done.parts);
        pairs.into_iter().find_map(|(said, found)| match (said, found) {
            (Part::Step { command, printed, line }, Part::Step { printed: found, .. }) if printed != found => {
                Some(format!("line {line}: `{command}` should print\n{printed}\nand prints\n{found}"))
            }
            _ => None,
        })
    }

    /// Its text.
    pub fn text(&self) -> String {
        let part = |part: &Part| match part {
            Part::Prose(line) => format!("{line}\n"),
            Part::File { text, .. } => text.clone(),
            Part::Step { command, printed, .. } if printed.is_empty() => format!("$ {command}\n"),
            Part::Step { command, printed, .. } => format!("$ {command}\n{printed}\n"),
        };
        self.parts.iter().map(part).collect()
    }
}

/// The commands of a block.
fn steps(body: &[(usize, &str)]) -> Result<Vec<Part>> {
    let mut steps: Vec<Part> = Vec::new();
    for (at, line) in body {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => {
                steps.push(Part::Step { command: command.to_owned(), printed: String::new(), line: at + 1 });
            }
            (None, Some(Part::Step { printed, .. })) => {
                let newline = if printed.is_empty() { "" } else { "\n" };
                *printed = format!("{printed}{newline}{line}");
            }
            _ => ensure!(false, "line {}: a block of commands begins with `$ `", at + 1),
        }
    }
    Ok(steps)
}

/// Whether a text is what a pattern says, in which `…` stands for anything.
fn is_like(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('…');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(fs::write(path, text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# A\n\n```toml file=a/b.toml\nx = 1\n```\n\n```console\n$ cat a/b.toml\nx = 1\n$ echo $WORD; \
                        echo no >&2\na…\nno\n$ true\n```\n```sh\n$ rm -rf /\n```\n";

    #[test]
    fn files_are_written_and_commands_run_in_the_order_of_the_page() -> Result<()> {
        let folder = std::env::temp_dir().join(format!("portcullis-page-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let page = Page::parse(PAGE)?;
        assert_eq!((page.commands(), page.text().as_str()), (3, PAGE));
        let done = page.perform(&folder, |shell| {
            shell.env("WORD", "abc");
        });
        let other = page.perform(&folder, |shell| {
            shell.env("WORD", "xyz");
        });
        fs::remove_dir_all(&folder)?;
        assert_eq!(page.difference(&done?), None);
        let difference = page.difference(&other?).context("another word")?;
        assert_eq!(difference, "line 10: `echo $WORD; echo no >&2` should print\na…\nno\nand prints\nxyz\nno");
        Ok(())
    }

    #[test]
    fn dots_stand_for_anything_and_nothing_else_does() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("a", "a", true),
            ("…", "a\nb", true),
            ("a…c", "abc", true),
            ("a…c", "abd", false),
            ("a…b…c", "a1b2c", true),
            ("a…b…c", "a1c", false),
            ("a…", "ba", false),
        ] {
            assert_eq!(is_like(pattern, text), expected, "{pattern} {text}");
        }
    }
}
