//! Pages of the documentation about somebody who receives records: their configurations are used as they are written, but
//! for the names of hosts and files, which are those of the test.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use gateway_tests::{Cli, wait_until};
use serde_json::Value;

use crate::scene::SOON;

/// A page below `docs/export`.
pub struct Recipe {
    name: String,
    text: String,
}

impl Recipe {
    pub fn read(name: &str) -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no workspace")?;
        let path = root.join("docs/export").join(name);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(Self { name: name.to_owned(), text })
    }

    /// The blocks of a language, in their order.
    pub fn blocks(&self, language: &str) -> Vec<String> {
        self.blocks_where(|info| info == language)
    }

    fn blocks_where(&self, is_wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let mut blocks = Vec::new();
        let mut lines = self.text.lines();
        while let Some(line) = lines.next() {
            let Some(info) = line.strip_prefix("```") else { continue };
            let block: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            if is_wanted(info) {
                blocks.push(block.join("\n") + "\n");
            }
        }
        blocks
    }

    /// The only block of a language, with each of these texts replaced by another; each has to be there.
    pub fn block(&self, language: &str, replace: &[(&str, &str)]) -> Result<String> {
        self.only(language, &self.blocks(language), replace)
    }

    /// The block that is the text of a file, likewise.
    pub fn file(&self, name: &str, replace: &[(&str, &str)]) -> Result<String> {
        let end = format!(" file={name}");
        self.only(name, &self.blocks_where(|info| info.ends_with(&end)), replace)
    }

    fn only(&self, what: &str, blocks: &[String], replace: &[(&str, &str)]) -> Result<String> {
        let [block] = blocks else { anyhow::bail!("{}: {} blocks of {what}", self.name, blocks.len()) };
        filled(block, replace).with_context(|| self.name.clone())
    }

    /// The rows of its tables that are two words of code.
    pub fn pairs(&self) -> Vec<(&str, &str)> {
        self.text
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.strip_suffix("` |")?.split_once("` | `"))
            .collect()
    }
}

/// The text with each of these replaced; each has to be there.
pub fn filled(text: &str, replace: &[(&str, &str)]) -> Result<String> {
    let mut text = text.to_owned();
    for (from, to) in replace {
        ensure!(text.contains(from), "there is no `{from}` in\n{text}");
        text = text.replace(from, to);
    }
    Ok(text)
}

/// Waits until an export has passed on all that is recorded, and everything is in it that is expected; the records, the oldest
/// first.
pub fn all_sent(admin: &Cli, export: &str, is_whole: impl Fn(&[Value]) -> bool) -> Result<Vec<Value>> {
    let sent = wait_until("all records to be passed on", 3 * SOON, || {
        let list = || admin.json(&["--json", "record", "list", "--limit", "1000"]);
        let before = list().ok()?;
        let items = before["items"].as_array()?;
        if !is_whole(items) {
            return None;
        }
        let newest = items.first()?["sequence"].as_u64()?;
        let exports = admin.json(&["--json", "export", "list"]).ok()?;
        let own = exports["items"].as_array()?.iter().find(|item| item["name"] == export)?.clone();
        (own["after"].as_u64()? >= newest).then(|| items.iter().rev().cloned().collect::<Vec<_>>())
    });
    sent.with_context(|| format!("{:?}", admin.json(&["--json", "export", "list"])))
}
