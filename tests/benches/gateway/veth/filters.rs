//! What people use today: sets of tuples in nftables, and in ipset with iptables.

use super::place::Place;
use crate::measure::plane::{APP, GRANTED, client};
use anyhow::{Context as _, Result, ensure};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Stdio;

/// Where nftables looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hook {
    /// As early as it can.
    Ingress,
    /// Where packets are forwarded.
    Forward,
    /// The same, and a connection that is known is let through without a look.
    Established,
}

/// Accepts that many tuples (client, server, port) and drops the others.
pub fn nftables(place: &Place, hook: Hook, entries: usize) -> Result<()> {
    let (family, chain) = match hook {
        Hook::Ingress => ("netdev", "type filter hook ingress device \"guard0\" priority 0; policy drop;"),
        Hook::Forward => ("inet", "type filter hook forward priority 0; policy drop;"),
        Hook::Established => {
            ("inet", "type filter hook forward priority 0; policy drop; ct state established,related accept;")
        }
    };
    let mut script = format!(
        "table {family} bench {{\n set granted {{ type ipv4_addr . ipv4_addr . inet_service; size {}; elements = {{\n",
        2 * entries
    );
    for number in 0..entries {
        writeln!(script, "{} . {APP} . {GRANTED},", client(number))?;
    }
    let rule = "ip saddr . ip daddr . tcp dport @granted accept";
    write!(script, "}}\n }}\n chain bench {{ {chain}\n {rule}\n }}\n}}\n")?;
    fed(place, &["nft", "--file", "-"], &script)
}

/// The same by iptables, with one set of tuples: before anything else for what is dropped, and in FORWARD.
pub fn ipset(place: &Place, hook: Hook, entries: usize) -> Result<()> {
    let mut script = format!("create granted hash:ip,port,ip hashsize {entries} maxelem {}\n", 2 * entries);
    for number in 0..entries {
        writeln!(script, "add granted {},tcp:{GRANTED},{APP}", client(number))?;
    }
    fed(place, &["ipset", "restore"], &script)?;
    let (table, chain) = if hook == Hook::Ingress { ("raw", "PREROUTING") } else { ("filter", "FORWARD") };
    let line = ["iptables", "--table", table, "--append", chain, "--match", "set", "!", "--match-set", "granted"];
    place.gateway.run(&[&line[..], &["src,dst,dst", "--jump", "DROP"]].concat()).map(drop)
}

/// Runs a command line in the place, with this as its input.
fn fed(place: &Place, line: &[&str], input: &str) -> Result<()> {
    let (program, arguments) = line.split_first().context("an empty command line")?;
    let mut command = place.gateway.command(program)?;
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start {program}"))?;
    child.stdin.take().context("no input")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program}: {}", complaint.lines().take(5).collect::<Vec<_>>().join("\n"));
    Ok(())
}
