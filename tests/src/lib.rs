//! The namespace world in which Portcullis is tested and shown: real hosts, real packets, nothing
//! outside the namespaces it makes. It knows the gateway only as two binaries, so it builds before
//! the eBPF toolchain is there.
//!
//! [`World`] is the place: two clients, the gateway, a host with apps. [`echo`] and [`http`] put
//! servers on its hosts, [`client`], [`ping`] and [`stream`] send traffic and say what became
//! of it, [`daemon`] and [`cli`] run the gateway, [`gate`] is all of it with users and apps. [`bpf`] is for small programs on
//! the way of a packet, [`disk`] for a state folder on a disk that fails, [`page`] for pages of the documentation that are
//! done, [`dashboard`] for what Grafana shows, [`prometheus`] for one that watches, [`syslog`] for those who receive what is
//! exported, [`peer`] for real identity providers and those who log in there. Everything ends, and is cleaned up, when it is
//! dropped.

pub mod api;
pub mod bpf;
pub mod cli;
pub mod client;
pub mod daemon;
pub mod dashboard;
pub mod disk;
pub mod echo;
pub mod flood;
pub mod gate;
pub mod http;
pub mod link;
pub mod netns;
pub mod page;
pub mod peer;
pub mod ping;
pub mod process;
pub mod prometheus;
pub mod scapy;
pub mod scratch;
pub mod service;
pub mod stream;
pub mod syslog;
pub mod tools;
pub mod wall;
pub mod world;

pub use api::{Answer, Api};
pub use cli::Cli;
pub use client::{Outcome, http_get, tcp_connect, tcp_open, udp_exchange};
pub use daemon::{Daemon, Launch};
pub use dashboard::Dashboard;
pub use disk::{Disk, Medium};
pub use echo::{TcpEcho, UdpEcho};
pub use flood::Flood;
pub use gate::{Gate, Login};
pub use http::HttpServer;
pub use netns::Namespace;
pub use ping::ping;
pub use process::{Process, wait_until};
pub use prometheus::Prometheus;
pub use scapy::Scapy;
pub use stream::Stream;
pub use syslog::{Listening, LogReceiver, Make};
pub use world::World;
