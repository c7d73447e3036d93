//! The world keeps its promises before anything is judged in it: hosts that reach each other,
//! outcomes that say what happened, and nothing left behind.

use std::{
    net::{IpAddr, SocketAddr},
    panic::{AssertUnwindSafe, catch_unwind},
    process::Command,
    sync::atomic::Ordering,
    time::Duration,
};

use anyhow::Result;
use gateway_tests::{
    Daemon, HttpServer, Launch, Namespace, Outcome, Process, Stream, TcpEcho, UdpEcho, World, client, http_get, link,
    ping, stream::End, tcp_connect, tcp_open, udp_exchange, wait_until, world::at,
};
use nix::sys::signal::Signal;

const SOON: Duration = Duration::from_secs(5);
/// For what is expected not to happen.
const BRIEFLY: Duration = Duration::from_millis(200);
const APP_ADDRESSES: [IpAddr; 4] = [at::APP, at::OTHER_APP, at::APP6, at::OTHER_APP6];

#[test]
fn two_hosts_reach_each_other_through_the_gateway_without_a_program() -> Result<()> {
    let world = World::new()?;
    for address in APP_ADDRESSES {
        let (tcp, udp) = (SocketAddr::new(address, 8080), SocketAddr::new(address, 5353));
        let (_tcp, _udp) = (TcpEcho::start(&world.app, tcp)?, UdpEcho::start(&world.app, udp)?);
        for client in [&world.client, &world.client2] {
            assert_eq!(ping(client, address, SOON)?, Outcome::Answered, "ping {address}");
            assert_eq!(udp_exchange(client, udp, b"hello", SOON)?, Outcome::Answered, "udp {udp}");
            let mut connection = tcp_open(client, tcp, SOON)??;
            assert_eq!(client::tcp_exchange(&mut connection, b"hello"), Outcome::Answered, "tcp {tcp}");
        }
    }
    Ok(())
}

#[test]
fn the_app_reaches_clients_and_sees_their_own_addresses() -> Result<()> {
    let world = World::new()?;
    for (host, address) in [(&world.client, at::CLIENT), (&world.client, at::CLIENT6), (&world.client2, at::CLIENT2)] {
        let echo = TcpEcho::start(host, SocketAddr::new(address, 9000))?;
        assert_eq!(tcp_connect(&world.app, echo.address()?, SOON)?, Outcome::Connected);
    }
    Ok(())
}

#[test]
fn outcomes_tell_refused_silent_and_unreachable_apart() -> Result<()> {
    let world = World::new()?;
    let closed = SocketAddr::new(at::APP, 9);
    assert_eq!(tcp_connect(&world.client, closed, SOON)?, Outcome::Refused);
    assert_eq!(udp_exchange(&world.client, closed, b"x", SOON)?, Outcome::Refused);

    let nowhere = SocketAddr::new("192.0.2.1".parse()?, 80);
    link::route(&world.app, "192.0.2.0/24", "10.20.0.1")?;
    world.gateway.run(&["ip", "route", "add", "unreachable", "192.0.2.0/24"])?;
    assert_eq!(tcp_connect(&world.client, nowhere, SOON)?, Outcome::Unreachable);

    link::neighbour(&world.gateway, "apps0", "10.20.0.99", "02:20:00:00:00:99")?;
    assert_eq!(tcp_connect(&world.client, SocketAddr::new("10.20.0.99".parse()?, 80), BRIEFLY)?, Outcome::TimedOut);
    assert_eq!(ping(&world.client, "10.20.0.99".parse()?, BRIEFLY)?, Outcome::TimedOut);
    Ok(())
}

#[test]
fn a_long_transfer_is_counted_and_its_end_is_noticed() -> Result<()> {
    let world = World::new()?;
    let server = HttpServer::start(&world.app, SocketAddr::new(at::APP, 80), "hello")?;
    let stream = Stream::open(&world.client, server.address()?, "/stream/1000000", SOON)?;
    wait_until("100 kB", SOON, || (stream.bytes() > 100_000).then_some(()))?;
    assert_eq!(stream.ended(), None);

    link::set_up(&world.gateway, "apps0", false)?;
    wait_until("silence", SOON, || (stream.silence() > BRIEFLY).then_some(()))?;
    assert_eq!(stream.ended(), None, "a cut cable is silence, not an end");

    link::set_up(&world.gateway, "apps0", true)?;
    let before = stream.bytes();
    wait_until("the transfer to go on", SOON, || (stream.bytes() > before).then_some(()))?;
    assert_eq!(server.counters().open.load(Ordering::Relaxed), 1);
    Ok(())
}

#[test]
fn a_server_that_goes_away_ends_the_transfer() -> Result<()> {
    let world = World::new()?;
    let server = HttpServer::start(&world.app, SocketAddr::new(at::APP, 80), "hello")?;
    let stream = Stream::open(&world.client, server.address()?, "/stream/1000000", SOON)?;
    wait_until("the first bytes", SOON, || (stream.bytes() > 0).then_some(()))?;
    drop(server);
    let (end, _) = wait_until("the end", SOON, || stream.ended())?;
    assert!(matches!(end, End::Closed | End::Cut(Outcome::Reset)), "{end:?}");
    Ok(())
}

#[test]
fn the_http_server_answers_and_counts() -> Result<()> {
    let world = World::new()?;
    let server = HttpServer::start(&world.app, SocketAddr::new(at::APP6, 80), "payroll")?;
    let address = server.address()?;
    assert_eq!(http_get(&world.client, address, "/", SOON)?, (200, "payroll".to_owned()));
    let (status, body) = http_get(&world.client, address, "/bytes/100000", SOON)?;
    assert_eq!((status, body.len()), (200, 100_000));
    let posted = world.client.run(&["curl", "-sS", "--data", "0123456789", &format!("http://{address}/")])?;
    assert_eq!(posted, "payroll");
    Ok(())
}

#[test]
fn namespaces_are_gone_after_drop() -> Result<()> {
    let world = World::new()?;
    let traces = traces(&world);
    assert!(traces.iter().all(|path| path.exists()));
    drop(world);
    assert_eq!(traces.iter().filter(|path| path.exists()).collect::<Vec<_>>(), Vec::<&std::path::PathBuf>::new());
    Ok(())
}

#[test]
fn namespaces_are_gone_after_a_panic() -> Result<()> {
    let world = World::new()?;
    let traces = traces(&world);
    let panicked = catch_unwind(AssertUnwindSafe(move || {
        // The whole of it: a closure takes only the parts that it names.
        let world = world;
        let _in_use = TcpEcho::start(&world.app, SocketAddr::new(at::APP, 7));
        panic!("on purpose");
    }));
    assert!(panicked.is_err());
    assert_eq!(traces.iter().filter(|path| path.exists()).count(), 0);
    Ok(())
}

#[test]
fn what_dead_processes_left_is_removed_with_the_processes_in_it() -> Result<()> {
    let mut dead = Command::new("true").spawn()?;
    dead.wait()?;
    let name = format!("pc-{}-0-left", dead.id());
    assert!(Command::new("ip").args(["netns", "add", &name]).status()?.success());
    let mut inside = Command::new("nsenter").arg(format!("--net=/run/netns/{name}")).args(["sleep", "60"]).spawn()?;
    wait_until("the process to be inside", SOON, || pids(&name).contains(&inside.id()).then_some(()))?;

    let removed = World::cleanup_stale();
    assert!(removed.contains(&name) || !std::path::Path::new("/run/netns").join(&name).exists(), "{removed:?}");
    wait_until("its process to end", SOON, || inside.try_wait().ok().flatten())?;
    Ok(())
}

#[test]
fn processes_end_with_their_owner_and_take_signals() -> Result<()> {
    let host = Namespace::new("host")?;
    let log = std::env::temp_dir().join(format!("{}.log", host.name()));
    let mut command = host.command("sh")?;
    command.args(["-c", "trap 'echo asked; exit 3' TERM; echo ready; while :; do :; done"]);
    let mut process = Process::spawn(command, &log)?;
    wait_until("its first words", SOON, || process.output().contains("ready").then_some(()))?;
    assert_eq!(pids(host.name()), [process.pid()], "nsenter becomes the program");
    assert_eq!(process.terminate(SOON)?.code(), Some(3));
    assert!(process.output().ends_with("asked\n"));

    let mut command = host.command("sleep")?;
    command.arg("60");
    let process = Process::spawn(command, &log)?;
    process.signal(Signal::SIGSTOP)?;
    drop(process);
    assert_eq!(pids(host.name()), Vec::<u32>::new());
    std::fs::remove_file(log)?;
    Ok(())
}

#[test]
fn a_panic_inside_a_namespace_is_the_callers() -> Result<()> {
    let host = Namespace::new("host")?;
    assert!(catch_unwind(AssertUnwindSafe(|| host.enter(|| panic!("on purpose")))).is_err());
    assert_eq!(host.enter(|| 7)?, 7);
    Ok(())
}

#[test]
fn a_daemon_is_started_stopped_and_restarted() -> Result<()> {
    let world = World::new()?;
    let ready = HttpServer::start(&world.gateway, "127.0.0.1:8443".parse()?, "ready")?;
    let launch = stand_in(&world, "trap 'exit 0' TERM; cat \"$2\"; while :; do :; done", &ready)?;
    let mut daemon = Daemon::start(&world, launch, "pins = \"{bpffs}\"\n")?;
    wait_until("its output", SOON, || daemon.log().contains("pins").then_some(()))?;
    assert_eq!(daemon.log(), format!("pins = \"{}\"\n", world.bpffs().display()));
    assert_eq!(daemon.stop()?, 0);
    daemon.restart()?;
    daemon.kill9()?;
    assert!(!daemon.is_running()?);
    daemon.restart()?;
    assert!(daemon.is_running()?);
    Ok(())
}

#[test]
fn a_daemon_that_ends_at_once_is_reported_with_what_it_said() -> Result<()> {
    let world = World::new()?;
    let ready = HttpServer::start(&world.gateway, "127.0.0.1:8443".parse()?, "ready")?;
    let mut launch = stand_in(&world, "echo 'app `crm` is not defined' >&2; exit 78", &ready)?;
    launch.ready_url = "http://127.0.0.1:1/readyz".to_owned();
    let error = Daemon::start(&world, launch, "").expect_err("it ended").to_string();
    assert!(error.contains("exit status: 78") && error.contains("`crm`"), "{error}");
    Ok(())
}

/// A daemon that only does what `script` says.
fn stand_in(world: &World, script: &str, ready: &HttpServer) -> Result<Launch> {
    let mut launch = Launch::new("/bin/sh", &format!("http://{}/readyz", ready.address()?));
    let file = world.scratch().join("daemon.sh");
    std::fs::write(&file, script)?;
    launch.args.insert(0, file.display().to_string());
    Ok(launch)
}

fn traces(world: &World) -> Vec<std::path::PathBuf> {
    let mut traces: Vec<_> = world.hosts().iter().map(|host| host.path()).collect();
    traces.extend([world.scratch().to_owned(), world.bpffs()]);
    traces
}

fn pids(namespace: &str) -> Vec<u32> {
    let output = Command::new("ip").args(["netns", "pids", namespace]).output().map(|output| output.stdout);
    let output = String::from_utf8(output.unwrap_or_default()).unwrap_or_default();
    output.lines().filter_map(|line| line.trim().parse().ok()).collect()
}
