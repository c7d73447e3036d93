//! Pages of the documentation are done as they are written: every file on them, every command, and what it prints.
//!
//! Where a command prints something else on purpose, `UPDATE=1` writes that into the page.

use anyhow::{Context as _, Result, bail, ensure};
use gateway_tests::page::Page;
use gateway_tests::{Gate, gate::binary, tools};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The first command of the page that asks a gateway.
const FIRST_ONLINE: &str = "policy export";

/// A folder that is removed in the end, in which `configs` is that of the repository.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Result<Self> {
        let path = env::temp_dir().join(format!("portcullis-docs-{name}-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        std::os::unix::fs::symlink(root().join("configs"), path.join("configs"))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

#[test]
fn policy_as_code_is_done_as_its_page_says() -> Result<()> {
    is_done_as_it_says("policy-as-code.md", FIRST_ONLINE)
}

#[test]
fn monitoring_is_done_as_its_page_says() -> Result<()> {
    is_done_as_it_says("monitoring.md", "token create")
}

/// Does a page with a gateway, which commands can ask from the first one on that has these words.
fn is_done_as_it_says(name: &str, first_online: &str) -> Result<()> {
    let page = Page::parse(&fs::read_to_string(root().join("docs").join(name))?)?;
    ensure!(page.commands() > 5, "the page has hardly a command");
    let folder = Folder::new(name)?;
    let programs = binary("portcullis")?;
    let programs = programs.parent().context("no folder of programs")?;
    let tools = tools::target_dir().join("tools/usr/bin");
    let search = format!("{}:{}:/usr/bin:/bin", programs.display(), tools.display());
    let gate = Gate::open()?;
    let state = gate.world.scratch().join("state");
    let mut is_online = false;
    let prepare = |shell: &mut Command| {
        is_online |= shell.get_args().any(|word| word.to_string_lossy().contains(first_online));
        // No variable of whoever runs the tests: what needs no gateway must not be helped by one.
        shell.env_clear().env("PATH", &search);
        if is_online {
            shell.env("PORTCULLIS_URL", "https://127.0.0.1:8443").env("PORTCULLIS_CA", state.join("api.crt"));
            shell.env("PORTCULLIS_TOKEN_FILE", state.join("admin.token"));
        }
    };
    let done = gate.world.gateway.enter(|| page.perform(&folder.0, prepare))??;
    agrees(&format!("docs/{name}"), &page, &done)
}

#[test]
fn an_audit_trail_is_verified_by_the_program_and_by_hand_as_its_page_says() -> Result<()> {
    let name = "docs/reference/audit.md";
    let page = Page::parse(&fs::read_to_string(root().join(name))?)?;
    ensure!(page.commands() > 10, "the page has hardly a command");
    let folder = Folder::new("audit")?;
    let programs = binary("portcullis")?;
    let programs = programs.parent().context("no folder of programs")?;
    let search = format!("{}:/usr/bin:/bin", programs.display());
    // No gateway is there.
    let prepare = |shell: &mut Command| {
        shell.env_clear().env("PATH", &search);
    };
    let done = page.perform(&folder.0, prepare)?;
    agrees(name, &page, &done)
}

/// The page says what was printed, or is made to.
fn agrees(name: &str, page: &Page, done: &Page) -> Result<()> {
    match page.difference(done) {
        None => Ok(()),
        Some(_) if env::var_os("UPDATE").is_some() => Ok(fs::write(root().join(name), done.text())?),
        Some(difference) => bail!("{name}, {difference}\nUPDATE=1 writes it into the page"),
    }
}
