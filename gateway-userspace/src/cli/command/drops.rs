//! `portcullis drops`: what was dropped, counted; and `portcullis drops capture`: the packets themselves.

use crate::cli::CliError;
use crate::cli::client::Call;
use crate::cli::context::Context;
use crate::cli::output::plain;
use crate::config::parse_duration;
use crate::wire;
use crate::wire::pcapng::{Blocks, NotACapture, Tally, What};
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How much longer than the capture the answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is to be done with drops.
#[derive(Args, Debug)]
pub(in crate::cli) struct Drops {
    #[command(subcommand)]
    command: Option<Verb>,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Capture denied packets as they are dropped, for Wireshark: a pcapng file with the reason in a comment on each
    Capture(Capture),
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    portcullis drops capture --output drops.pcapng\n  \
    portcullis drops capture --user alice --for 2m --output alice.pcapng\n  \
    portcullis drops capture --reason no_grant --reason app_unknown --client 10.9.0.0/24 --count 50 --output -\n\n\
    With `| wireshark -k -i -` behind it, it is seen live. It needs the scope `packets:read`, there is one capture at a time, and the audit trail tells who captured what. Ctrl-C \
    ends it, and the file is whole.")]
struct Capture {
    /// Write to this file, which must not be there, or to the standard output
    #[arg(long, value_name = "FILE|-", default_value = "-")]
    output: PathBuf,
    /// On this interface
    #[arg(long)]
    interface: Option<String>,
    /// Denied for this reason; may be repeated
    #[arg(long = "reason", value_name = "REASON")]
    reasons: Vec<String>,
    /// Of this user
    #[arg(long)]
    user: Option<String>,
    /// Of the session with this token
    #[arg(long, value_name = "TOKEN")]
    session: Option<String>,
    /// From or to this address, or an address of this prefix, of clients
    #[arg(long, value_name = "PREFIX")]
    client: Option<String>,
    /// End after so many packets
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// End after so long: 30s, 2m; 9m at most
    #[arg(long = "for", value_name = "TIME", default_value = "30s", value_parser = time)]
    time: Duration,
    /// So many packets a second at most; the others are counted
    #[arg(long, value_name = "N/s", default_value = "100/s", value_parser = rate)]
    rate: u32,
    /// So many bytes of each packet at most
    #[arg(long, value_name = "BYTES", default_value = "2048")]
    snaplen: u32,
}

fn time(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "write it like `30s` or `2m`".to_owned())
}

fn rate(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    number.parse().map_err(|_| "write it like `100/s`".to_owned())
}

impl Drops {
    pub(super) async fn run(self, context: &Context) -> Result<(), CliError> {
        match self.command {
            Some(Verb::Capture(capture)) => capture.run(context).await,
            // Since the programs were loaded.
            None => {
                let call = context.administer(Method::GET, &["v1", "drops"])?;
                context.output.list(&call.items::<wire::Drops>().await?)
            }
        }
    }
}

impl Capture {
    async fn run(self, context: &Context) -> Result<(), CliError> {
        let is_stdout = self.output == Path::new("-");
        if is_stdout && io::stdout().is_terminal() {
            return Err(CliError::CaptureToTerminal);
        }
        if !is_stdout && self.output.exists() {
            return Err(CliError::FileExists(self.output));
        }
        let call = self.asked(context.administer(Method::GET, &["v1", "drops", "capture"])?);
        let mut answer = call.stream(self.time.saturating_add(PATIENCE)).await?;
        let mut taking = Taking { blocks: Blocks::default(), file: self.file()?, found: Found::default() };
        let is_shown = !is_stdout && io::stderr().is_terminal();
        if !is_stdout {
            eprintln!("capturing to {}; Ctrl-C ends it", plain(&self.output.display().to_string()));
        }
        let stop = |kind| signal(kind).map_err(CliError::Runtime);
        let (mut interrupt, mut terminate) = (stop(SignalKind::interrupt())?, stop(SignalKind::terminate())?);
        let ended = loop {
            let piece = tokio::select! {
                piece = answer.piece() => piece,
                _ = interrupt.recv() => break Ok("stopped"),
                _ = terminate.recv() => break Ok("stopped"),
            };
            match piece {
                Ok(Some(piece)) => match taking.take(&piece) {
                    Ok(()) => {}
                    // What came before is packets all the same, and is ended like them.
                    Err(NotTaken::NotACapture(problem)) => break Err(answer.wrong(&problem)),
                    Err(NotTaken::Unwritable(error)) => return Err(self.unwritable(error)),
                },
                Ok(None) => break Ok("complete"),
                Err(error) => break Err(error),
            }
            if is_shown {
                eprint!("\r{} ", taking.found.sentence());
            }
        };
        taking.finish().map_err(|error| self.unwritable(error))?;
        if is_shown {
            eprintln!();
        }
        let found = taking.found;
        match ended {
            Ok(ended) if context.output.json && is_stdout => eprintln!("{:#}", found.json(ended)),
            Ok(ended) if context.output.json => context.output.either(&found.json(ended), String::new)?,
            _ => eprintln!("{}", found.sentence()),
        }
        ended.map(drop)
    }

    fn asked<'c>(&self, call: Call<'c>) -> Call<'c> {
        let Self { output: _, interface, reasons, user, session, client, count, time, rate, snaplen } = self;
        let reasons = (!reasons.is_empty()).then(|| reasons.join(","));
        let call = call.query("interface", interface.as_deref()).query("reason", reasons.as_deref());
        let call = call.query("user", user.as_deref()).query("session", session.as_deref());
        let call = call.query("client", client.as_deref());
        let call = call.query("count", count.map(|count| count.to_string()).as_deref());
        let call = call.query("seconds", Some(&time.as_secs().to_string()));
        call.query("rate", Some(&rate.to_string())).query("snaplen", Some(&snaplen.to_string()))
    }

    /// What is captured is people's: nobody else may read it.
    fn file(&self) -> Result<Box<dyn Write>, CliError> {
        if self.output == Path::new("-") {
            return Ok(Box::new(io::stdout()));
        }
        let file = File::options().write(true).create_new(true).mode(0o600).open(&self.output);
        file.map(|file| -> Box<dyn Write> { Box::new(BufWriter::new(file)) }).map_err(|source| self.unwritable(source))
    }

    fn unwritable(&self, source: io::Error) -> CliError {
        if self.output == Path::new("-") {
            return CliError::Output(source);
        }
        CliError::Unwritable { path: self.output.clone(), source }
    }
}

/// A capture on its way to a file, where there are only whole blocks.
struct Taking {
    blocks: Blocks,
    file: Box<dyn Write>,
    found: Found,
}

/// What has come.
#[derive(Default)]
struct Found {
    packets: u64,
    bytes: u64,
    interfaces: Vec<String>,
    /// What the gateway has said of each interface at last, and the block that says so.
    told: BTreeMap<u32, (Tally, Vec<u8>)>,
}

/// Why a piece was not taken.
#[derive(Debug, thiserror::Error)]
enum NotTaken {
    #[error(transparent)]
    NotACapture(#[from] NotACapture),
    #[error(transparent)]
    Unwritable(#[from] io::Error),
}

impl Taking {
    fn take(&mut self, piece: &[u8]) -> Result<(), NotTaken> {
        self.blocks.push(piece);
        while let Some((what, block)) = self.blocks.next_block()? {
            match what {
                // The last ones are for the end of the file.
                What::Statistics(interface, tally) => {
                    self.found.told.insert(interface, (tally, block.to_vec()));
                    continue;
                }
                What::Packet(bytes) => {
                    self.found.packets += 1;
                    self.found.bytes += u64::from(bytes);
                }
                What::Interface(name) => self.found.interfaces.push(name),
                What::Other => {}
            }
            self.file.write_all(block)?;
        }
        Ok(self.file.flush()?)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.found.told.values().try_for_each(|(_, block)| self.file.write_all(block))?;
        self.file.flush()
    }
}

impl Found {
    /// What became of all packets that were wanted.
    fn sum(&self) -> Tally {
        self.told.values().fold(Tally::default(), |sum, (tally, _)| Tally {
            matched: sum.matched.saturating_add(tally.matched),
            captured: sum.captured.saturating_add(tally.captured),
            over_rate: sum.over_rate.saturating_add(tally.over_rate),
            no_room: sum.no_room.saturating_add(tally.no_room),
            too_slow: sum.too_slow.saturating_add(tally.too_slow),
        })
    }

    fn sentence(&self) -> String {
        let Tally { matched, captured: _, over_rate, no_room, too_slow } = self.sum();
        let (packets, bytes, matched) = (self.packets, self.bytes, matched.max(self.packets));
        format!(
            "{packets} of {matched} packets captured, {bytes} bytes; {over_rate} over the rate, {no_room} without room, \
             {too_slow} read too slowly"
        )
    }

    fn json(&self, ended: &str) -> Value {
        let of = |Tally { matched, captured, over_rate, no_room, too_slow }: Tally| {
            json!({ "matched": matched, "captured": captured, "over_rate": over_rate, "no_room": no_room,
                "too_slow": too_slow })
        };
        let interfaces = self.told.iter().map(|(number, (tally, _))| {
            let mut shape = of(*tally);
            shape["name"] = json!(self.interfaces.get(*number as usize));
            shape
        });
        let interfaces: Vec<Value> = interfaces.collect();
        let mut shape = of(self.sum());
        shape["captured"] = json!(self.packets);
        shape["bytes"] = json!(self.bytes);
        shape["ended"] = json!(ended);
        shape["interfaces"] = json!(interfaces);
        shape
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::pcapng::{self, Link, Packet, Verdict};
    use std::sync::{Arc, Mutex, PoisonError};

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn tally(captured: u64) -> Tally {
        Tally { matched: captured + 6, captured, over_rate: 3, no_room: 2, too_slow: 1 }
    }

    #[test]
    fn a_capture_that_is_cut_off_is_whole_blocks_with_the_last_numbers_at_the_end() {
        let verdict = Verdict::Xdp(1);
        let seen =
            Packet { interface: 0, at: 1, length: 9, bytes: b"123456789", comment: "", is_inbound: true, verdict };
        let (section, interface) = (pcapng::section(""), pcapng::interface("eth1", Link::Ethernet, 64));
        let (packet, numbers) = (pcapng::packet(&seen), |captured| pcapng::statistics(0, 1, &tally(captured)));
        let all = [&section[..], &interface, &packet, &numbers(1), &packet, &numbers(2), &packet[..20]].concat();
        let memory = Memory::default();
        let file = Box::new(memory.clone());
        let mut taking = Taking { blocks: Blocks::default(), file, found: Found::default() };
        all.chunks(7).for_each(|piece| taking.take(piece).unwrap());
        taking.finish().unwrap();
        let expected = [section, interface, packet.clone(), packet, numbers(2)].concat();
        assert_eq!(*memory.0.lock().unwrap(), expected);
        let found = taking.found;
        assert_eq!(
            found.sentence(),
            "2 of 8 packets captured, 18 bytes; 3 over the rate, 2 without room, 1 read too slowly"
        );
        let json = found.json("stopped");
        assert_eq!((&json["matched"], &json["captured"], &json["bytes"]), (&json!(8), &json!(2), &json!(18)));
        assert_eq!((&json["interfaces"][0]["name"], &json["ended"]), (&json!("eth1"), &json!("stopped")));
    }

    #[test]
    fn an_answer_that_is_no_capture_is_not_the_files_fault_and_what_came_before_is_ended() {
        let (section, interface) = (pcapng::section(""), pcapng::interface("eth1", Link::Ethernet, 64));
        let numbers = pcapng::statistics(0, 1, &tally(1));
        let memory = Memory::default();
        let file = Box::new(memory.clone());
        let mut taking = Taking { blocks: Blocks::default(), file, found: Found::default() };
        taking.take(&[&section[..], &interface, &numbers].concat()).unwrap();
        let refused = taking.take(b"<html>502 Bad Gateway</html>").unwrap_err();
        assert!(matches!(refused, NotTaken::NotACapture(_)), "{refused:?}");
        taking.finish().unwrap();
        assert_eq!(*memory.0.lock().unwrap(), [section, interface, numbers].concat());
    }

    #[test]
    fn rates_are_read_with_their_unit_or_without() {
        assert_eq!([rate("100/s"), rate("7")], [Ok(100), Ok(7)]);
        for wrong in ["", "/s", "1/m", "-1", "1.5/s"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }
}
