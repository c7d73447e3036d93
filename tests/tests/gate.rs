//! The gate, end to end: the real daemon, real programs on real interfaces, real packets, and people who log in.
//!
//! What is refused is shown by silence and by the one counter that moved; all others have to stand still.

#[path = "gate/access.rs"]
mod access;
#[path = "gate/accounts.rs"]
mod accounts;
#[path = "gate/answers.rs"]
mod answers;
#[path = "gate/archive.rs"]
mod archive;
#[path = "gate/audit.rs"]
mod audit;
#[path = "gate/beyond.rs"]
mod beyond;
#[path = "gate/bundle.rs"]
mod bundle;
#[path = "gate/capture.rs"]
mod capture;
#[path = "gate/cli.rs"]
mod cli;
#[path = "gate/clock.rs"]
mod clock;
#[path = "gate/crafted.rs"]
mod crafted;
#[path = "gate/disk.rs"]
mod disk;
#[path = "gate/explain.rs"]
mod explain;
#[path = "gate/export_http.rs"]
mod export_http;
#[path = "gate/export_ipfix.rs"]
mod export_ipfix;
#[path = "gate/export_otlp.rs"]
mod export_otlp;
#[path = "gate/export_syslog.rs"]
mod export_syslog;
#[path = "gate/forward.rs"]
mod forward;
#[path = "gate/fragments.rs"]
mod fragments;
#[path = "gate/graph.rs"]
mod graph;
#[path = "gate/health.rs"]
mod health;
#[path = "gate/identity.rs"]
mod identity;
#[path = "gate/interfaces.rs"]
mod interfaces;
#[path = "gate/lease.rs"]
mod lease;
#[path = "gate/limits.rs"]
mod limits;
#[path = "gate/lock.rs"]
mod lock;
#[path = "gate/login.rs"]
mod login;
#[path = "gate/modes.rs"]
mod modes;
#[path = "gate/monitor.rs"]
mod monitor;
#[path = "gate/names.rs"]
mod names;
#[path = "gate/nmap.rs"]
mod nmap;
#[path = "gate/overload.rs"]
mod overload;
#[path = "gate/passage.rs"]
mod passage;
#[path = "gate/policy.rs"]
mod policy;
#[path = "gate/recipe.rs"]
mod recipe;
#[path = "gate/record.rs"]
mod record;
#[path = "gate/refusal.rs"]
mod refusal;
#[path = "gate/report.rs"]
mod report;
#[path = "gate/restart.rs"]
mod restart;
#[path = "gate/revoke.rs"]
mod revoke;
#[path = "gate/scene.rs"]
mod scene;
#[path = "gate/service.rs"]
mod service;
#[path = "gate/spoof.rs"]
mod spoof;
#[path = "gate/start.rs"]
mod start;
#[path = "gate/stripped.rs"]
mod stripped;
#[path = "gate/taken.rs"]
mod taken;
#[path = "gate/top.rs"]
mod top;
#[path = "gate/transfer.rs"]
mod transfer;
#[path = "gate/truth.rs"]
mod truth;
#[path = "gate/upgrade.rs"]
mod upgrade;
