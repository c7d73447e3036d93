//! The gateway at work, as `portcullis top` shows it: once, and on a terminal.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, ensure};
use gateway_tests::{Gate, gate::binary, wait_until};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;

use crate::cli::admin;
use crate::scene::{Apps, SOON, V4, is_kept_out, stream};

#[test]
fn rates_are_those_of_the_packets_that_pass_and_the_latest_denials_are_there() -> Result<()> {
    let gate = Gate::open()?;
    let _apps = Apps::start(&gate.world, V4)?;
    let admin = admin(&gate)?;
    V4.alice(&gate)?;
    V4.bob(&gate)?;
    is_kept_out(&gate.world.client2, V4.crm());
    let _going = stream(&gate.world.client, V4.crm())?;
    let rates = wait_until("the denial is shown", SOON, || {
        let rates = admin.json(&["--json", "top", "--interval", "1s"]).ok()?;
        (rates["denials"][0]["user"] == "bob").then_some(rates)
    })?;
    let items = |name: &str| rates[name].as_array().cloned().unwrap_or_default();
    let guard0 = items("interfaces").into_iter().find(|one| one["name"] == "guard0").context("guard0")?;
    ensure!(guard0["forwarded"].as_f64() > Some(1.0), "{rates}");
    let crm = &items("apps")[0];
    ensure!(crm["name"] == "crm" && crm["to_client_bytes"].as_f64() > Some(1_000.0), "{rates}");
    ensure!(rates["sessions"] == json!(2) && rates["denials"][0]["reason"] == "no_grant", "{rates}");
    let words = admin.run(&["top", "--once", "--interval", "1s"])?;
    for text in ["sessions 2", "Interfaces, packets a second", "guard0", "crm", "no_grant", "bob"] {
        assert!(words.code == 0 && words.stdout.contains(text), "{text}: {words:?}");
    }
    Ok(())
}

#[test]
fn the_screen_comes_up_follows_keys_and_sizes_and_leaves_the_terminal_as_it_was() -> Result<()> {
    let gate = Gate::open()?;
    V4.alice(&gate)?;
    let terminal = Terminal::open(&gate)?;
    wait_until("the screen", SOON, || terminal.shows(&["▸ Interfaces", "Apps, bytes", "guard0", "sessions 1"]))?;
    ensure!(terminal.is_full()?, "the screen has a page of its own");
    terminal.tmux(&["send-keys", "p"])?;
    wait_until("the pause", SOON, || terminal.shows(&["paused"]))?;
    terminal.tmux(&["send-keys", "Right"])?;
    terminal.tmux(&["resize-window", "-x", "60", "-y", "12"])?;
    wait_until("the table that is chosen, alone", SOON, || {
        let shown = terminal.shown().ok()?;
        (shown.contains("▸ Apps") && !shown.contains("Interfaces")).then_some(())
    })?;
    terminal.tmux(&["send-keys", "q"])?;
    terminal.has_ended_as_it_was()
}

#[test]
fn a_signal_ends_the_screen_and_leaves_the_terminal_as_it_was() -> Result<()> {
    let gate = Gate::open()?;
    let terminal = Terminal::open(&gate)?;
    wait_until("the screen", SOON, || terminal.shows(&["▸ Interfaces"]))?;
    let pid = fs::read_to_string(terminal.folder.join("pid"))?.trim().parse()?;
    kill(Pid::from_raw(pid), Signal::SIGTERM)?;
    terminal.has_ended_as_it_was()
}

/// A terminal in which `portcullis top` runs, on the gateway.
struct Terminal<'g> {
    gate: &'g Gate,
    socket: PathBuf,
    folder: PathBuf,
}

impl<'g> Terminal<'g> {
    fn open(gate: &'g Gate) -> Result<Self> {
        let folder = gate.world.scratch().to_owned();
        let terminal = Self { gate, socket: folder.join("tmux"), folder };
        let line = format!(
            "cd {}; stty -g > before; sh -c 'echo $$ > pid; exec {} top --interval 1s'; echo ended $?; stty -g > after; cat",
            terminal.folder.display(),
            binary("portcullis")?.display()
        );
        terminal.tmux(&["new-session", "-d", "-x", "120", "-y", "30", &line])?;
        Ok(terminal)
    }

    fn command(&self) -> Result<Command> {
        let mut command = self.gate.world.gateway.command("tmux")?;
        let state = self.gate.world.scratch().join("state");
        command.env("LC_ALL", "C.UTF-8").env("PORTCULLIS_CA", state.join("api.crt"));
        command.env("PORTCULLIS_TOKEN_FILE", state.join("admin.token")).env_remove("TMUX");
        command.arg("-u").arg("-f").arg("/dev/null").arg("-S").arg(&self.socket);
        Ok(command)
    }

    fn tmux(&self, args: &[&str]) -> Result<String> {
        let output = self.command()?.args(args).output()?;
        ensure!(output.status.success(), "tmux {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }

    fn shown(&self) -> Result<String> {
        self.tmux(&["capture-pane", "-p"])
    }

    fn shows(&self, texts: &[&str]) -> Option<()> {
        let shown = self.shown().ok()?;
        texts.iter().all(|text| shown.contains(text)).then_some(())
    }

    /// Whether a program has taken the whole screen, beside what was there.
    fn is_full(&self) -> Result<bool> {
        Ok(self.tmux(&["display-message", "-p", "#{alternate_on}"])?.trim() == "1")
    }

    fn has_ended_as_it_was(&self) -> Result<()> {
        wait_until("the end", SOON, || self.shows(&["ended 0"]))?;
        ensure!(!self.is_full()?, "the page of its own is left");
        let before = fs::read_to_string(self.folder.join("before"))?;
        let after = wait_until("what the terminal is like", SOON, || {
            fs::read_to_string(self.folder.join("after")).ok().filter(|text| text.ends_with('\n'))
        })?;
        ensure!(before == after, "{before} became {after}");
        Ok(())
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        let _ = self.tmux(&["kill-server"]);
    }
}
