//! Files of apps: read, written and read again, and compiled into tables that say what the apps say.

use crate::config;
use gateway_common::abi::AppKey;
use gateway_userspace::config::apps::{parse_apps, parse_shapes};
use gateway_userspace::policy::compile::{Compiled, check, compile};
use gateway_userspace::policy::{App, AppId, AppSetId, Protocol, Service};
use gateway_userspace::wire;
use ipnet::IpNet;
use std::path::Path;

const ORIGIN: &str = "apps.toml";

pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (apps, shapes) = (parse_apps(text, Path::new(ORIGIN)), parse_shapes(text, Path::new(ORIGIN)));
    assert_eq!(apps.as_ref().err(), shapes.as_ref().err(), "the two readings differ");
    match (apps, shapes) {
        (Ok(apps), Ok(shapes)) => {
            written_and_read(&apps, &shapes);
            compiled(&apps);
        }
        (Err(errors), _) => config::named(text, &errors),
        _ => {}
    }
}

fn written_and_read(apps: &[App], shapes: &[wire::App]) {
    let from_shapes: Vec<App> = shapes.iter().map(|shape| shape.clone().into_model(true).unwrap()).collect();
    assert_eq!(from_shapes, apps);
    let file = wire::AppsFile { apps: apps.iter().map(wire::App::from).collect() };
    let written = toml::to_string(&file).unwrap();
    assert_eq!(parse_apps(&written, Path::new(ORIGIN)).as_deref(), Ok(apps), "{written}");
}

fn compiled(apps: &[App]) {
    let good: Vec<(AppId, &App)> = (1..).map(AppId).zip(apps).filter(|(_, app)| check(app).is_ok()).collect();
    // Ranges take a row for each port: a search wants many short runs, not few long ones.
    let rows: usize = good.iter().map(|(_, app)| rows(app)).sum();
    if rows > 20_000 {
        return;
    }
    let set = AppSetId(7);
    match compile(good.iter().copied(), set, 1) {
        Ok(compiled) => good.iter().for_each(|(id, app)| stands(*id, app, &good, &compiled)),
        Err(found) => assert!(good.iter().any(|(_, app)| app.name == found.app), "{found:?}"),
    }
}

fn rows(app: &App) -> usize {
    let ports = |service: &Service| service.ports.map_or(1, |(first, last)| usize::from(last - first) + 1);
    let services = || app.services.iter().chain(&app.opens);
    services().map(ports).sum::<usize>() * app.prefixes.len()
}

/// At the app's own prefixes and ports stands the app, or one that is more exact there.
fn stands(id: AppId, app: &App, all: &[(AppId, &App)], compiled: &Compiled) {
    for (prefix, service) in app.prefixes.iter().flat_map(|prefix| app.services.iter().map(move |it| (prefix, it))) {
        let block = compiled.prefixes.get(&(AppSetId(7), *prefix)).expect("its prefix is there");
        let port = service.ports.map_or(0, |(first, _)| first);
        let protocol = number(service.protocol, prefix);
        let key = AppKey { block: block.0, port: port.to_be_bytes(), protocol, side: AppKey::SERVICE };
        let entry = compiled.ports.get(&key).unwrap_or_else(|| panic!("{service} of {} is missing", app.name));
        let (other, found) = all.iter().find(|(other, _)| other.0 == entry.app()).expect("an app that there is");
        assert_eq!(entry.is_trip_wire(), found.is_armed());
        let claims = |it: &Service| {
            let covers = it.ports.is_none_or(|(first, last)| (first..=last).contains(&port));
            it.protocol == service.protocol && covers
        };
        let is_there = found.prefixes.iter().any(|other| other.contains(prefix));
        assert!(*other == id || is_there && found.services.iter().any(claims), "{} has {service}", found.name);
    }
}

fn number(protocol: Protocol, prefix: &IpNet) -> u8 {
    match (protocol, prefix) {
        (Protocol::Tcp, _) => 6,
        (Protocol::Udp, _) => 17,
        (Protocol::Sctp, _) => 132,
        (Protocol::Icmp, IpNet::V4(_)) => 1,
        (Protocol::Icmp, IpNet::V6(_)) => 58,
        (Protocol::Ip(number), _) => number,
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let files = [
        include_str!("../../../configs/apps.toml"),
        include_str!("../../../configs/demo/apps.toml"),
        include_str!("apps/all.toml"),
        include_str!("apps/wrong.toml"),
    ];
    files.map(|file| file.as_bytes().to_vec()).into()
}
