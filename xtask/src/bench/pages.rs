//! `docs/bench`: the tables of a run, its plots, and its rows for whoever wants to compare.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{
    machine::Machine,
    plots,
    rows::{self, figure, number, word},
};

/// What each suite is about.
const SUITES: [(&str, &str, &str); 8] = [
    (
        "program",
        "The programs by themselves",
        "Nanoseconds that a packet takes in `pc_ingress`, or in `pc_egress` where it goes to the client, by \
         `BPF_PROG_TEST_RUN` with another key each time. The *null program* drops at once; what it takes is the driver's. \
         The *bare probe* compares one slot of an array and one bucket of a cache line: the least that a gateway can do. \
         The *counting probe* finds a flow by the client's number and counts the packet in it: a bit of a filter and two \
         lines, as in the gateway. The *working probe* is that and 500 additions that nothing depends on, which take less \
         time than what the gateway does: with so much to do for each packet the processor no longer reaches the next one \
         before the lines of this one have come, and waits for each of them alone. Every session has an allow-list of its own. No event is emitted: at these rates the budget of events is spent \
         in an instant.",
    ),
    (
        "veth",
        "A packet's path",
        "Nanoseconds from the making of a packet of 64 bytes to its end, all on one CPU, over virtual cables: it arrives on \
         a guarded interface in native XDP, and is forwarded to another one or dropped. Making it is included, for all \
         contenders alike. Each contender has as many sessions, tuples or connections as *of* says.",
    ),
    (
        "tcp",
        "Connections",
        "iperf3 through the gateway, along the same path without any program, and with XDP programs that let everything pass. \
         Native XDP takes segmentation offload away from who sends towards a virtual cable; with offloads off (`tso`, `gso` \
         everywhere, `gro` on the gateway) segments are of the same size on all. A cable copies what a connection sends \
         before a native program sees it, because the sender keeps it until it is acknowledged: what that takes shows the \
         program that passes everything. Real cards do not.",
    ),
    (
        "control",
        "The daemon",
        "Writes to the tables of a gateway with that many sessions, beside a system call that writes to a bare array; memory \
         of the kernel for each unit of capacity; and the real daemon.",
    ),
    (
        "revocation",
        "From the end of access to the last packet",
        "The real daemon with that many sessions. Whoever is to lose access sends a packet every 30 µs or so; the last one \
         that arrives at the app's host, by the kernel's time stamp, is compared with the moment just before the request was \
         sent, over a connection that stays open. Where the last packet was before the request, the figure is negative. The \
         flood is made by the same two CPUs: a million packets a second are tried, of which so many come as the last rows \
         say, none of them permitted. Each packet is judged by the old policies or by the new ones; sessions are moved one \
         after the other, so the last packets of two people lie a little apart.",
    ),
    (
        "identity",
        "People of an identity provider",
        "The real daemon with ten thousand sessions of people whom a provider has pushed by SCIM: a thousand people who \
         stay, and those who leave, who are all in one group. Their provider says so over a connection that stays open, and \
         time is measured as above: from just before the first byte of the request, which is a little more than from its \
         last. A login is a connection of its own, the way to the provider, the way back, the exchange of the code for an ID \
         token, and its verification with keys that are known; the new session replaces the one that was there. Browsers and \
         provider run on the same two CPUs, and the rate is what all three manage together.",
    ),
    (
        "policy",
        "Bundles",
        "A bundle of so many policies in a hundred files, half as many apps and a fifth as many groups, each of which the \
         policies name, and a case for each hundredth policy. It is read from the disk, checked, and its cases are tried; by \
         the library, and by the command line as a process of its own.",
    ),
    (
        "records",
        "Records",
        "First what records cost a packet in the programs: the programs *without records* are the same without counters of \
         interfaces and apps, sums of denials, and events of flows, which the verifier then removes. What a flow itself has \
         carried is counted by both, because the law reads it. Here all events are emitted, and there is room for them. Then \
         the real daemon: packets of so many connections, made on the same two CPUs, until each connection's start is in the \
         archive; and the end of access, until each one's end is. Then the archive by itself: a million records of a thousand \
         people are made and written, and searched in the open segment, which has no index.",
    ),
];

/// Writes everything; the folder.
pub fn publish(rows: &[Value], machine: &Machine) -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no workspace")?;
    let folder = root.join("docs/bench");
    fs::create_dir_all(&folder)?;
    let plots = plots::draw(rows, &folder)?;
    let mut page = format!(
        "# Measurements\n\nMade by `cargo xtask bench --publish`; every figure is the median of its runs, and contenders \
         take turns in each round. Ratios are medians of the rounds' ratios. Nanoseconds drift from machine to machine: \
         read ratios.\n\n{machine}.\n"
    );
    for (suite, title, about) in SUITES {
        page += &format!("\n## {title}\n\n{about}\n");
        for plot in plots.iter().filter(|plot| plot.suite == suite) {
            page += &format!("\n![{}]({})\n", plot.title, plot.file);
        }
        page += &tables(&rows::having(rows, &[("suite", suite)]));
    }
    fs::write(folder.join("README.md"), page)?;
    fs::write(folder.join("rows.json"), rows::text(rows)?)?;
    Ok(folder)
}

/// One table; columns that say nothing are left out.
fn tables(rows: &[&Value]) -> String {
    let mut references: Vec<&str> = Vec::new();
    for row in rows {
        let ratios = row["ratios"].as_object().into_iter().flatten();
        ratios.for_each(|(name, _)| {
            if !references.contains(&name.as_str()) {
                references.push(name)
            }
        });
    }
    let mut columns: Vec<(String, Vec<String>)> = vec![
        ("case".into(), cells(rows, |row| word(row, "case").to_owned())),
        ("of".into(), cells(rows, |row| number(row, "size").map(figure_of_count).unwrap_or_default())),
        ("keys".into(), cells(rows, |row| word(row, "pattern").to_owned())),
        ("contender".into(), cells(rows, |row| word(row, "contender").to_owned())),
        ("metric".into(), cells(rows, |row| word(row, "metric").to_owned())),
        ("median".into(), cells(rows, |row| measured(row, "value") + " " + word(row, "unit"))),
        ("p10 – p90".into(), cells(rows, |row| measured(row, "p10") + " – " + &measured(row, "p90"))),
    ];
    // Of fewer there is no saying.
    let many = |name: &'static str| {
        move |row: &Value| if number(row, "runs") >= Some(100.0) { measured(row, name) } else { String::new() }
    };
    columns.push(("p99".into(), cells(rows, many("p99"))));
    columns.push(("at most".into(), cells(rows, many("max"))));
    for reference in references {
        let ratio =
            |row: &Value| row["ratios"][reference].as_f64().map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
        columns.push((format!("× {reference}"), cells(rows, ratio)));
    }
    columns.push(("runs".into(), cells(rows, |row| number(row, "runs").map(figure_of_count).unwrap_or_default())));
    let says_something = |name: &str, cells: &[String]| {
        let different: BTreeSet<&String> = cells.iter().collect();
        !cells.iter().all(String::is_empty) && (different.len() > 1 || matches!(name, "case" | "median"))
    };
    columns.retain(|(name, cells)| says_something(name, cells));
    let line = |cells: Vec<&str>| format!("| {} |\n", cells.join(" | "));
    let mut table = String::from("\n");
    table += &line(columns.iter().map(|(name, _)| name.as_str()).collect());
    let is_text = |name: &str| matches!(name, "case" | "keys" | "contender" | "metric");
    table += &line(columns.iter().map(|(name, _)| if is_text(name) { "---" } else { "--:" }).collect());
    for at in 0..rows.len() {
        table += &line(columns.iter().map(|(_, cells)| cells.get(at).map_or("", String::as_str)).collect());
    }
    table
}

fn cells(rows: &[&Value], cell: impl Fn(&Value) -> String) -> Vec<String> {
    rows.iter().map(|row| cell(row)).collect()
}

fn measured(row: &Value, name: &str) -> String {
    number(row, name).map(figure).unwrap_or_default()
}

fn figure_of_count(count: f64) -> String {
    if count < 100.0 { format!("{count:.0}") } else { figure(count) }
}
