//! What has to be looked at again and again: addresses, interfaces, the core, messages of the kernel programs.

use super::{announce, serve};
use crate::core::{Actor, Core, Request, note_repairs};
use crate::dataplane::guarding::Look;
use crate::dataplane::interfaces::Wanted;
use crate::dataplane::services::{Offer, Services};
use crate::dataplane::{Guarding, Programs, next_hops};
use crate::policy::{EndCause, Input, Selector};
use crate::record::Metrics;
use std::collections::BTreeSet;
use std::time::Duration;

/// How often the gateway's own addresses are looked at, and what the tables say of them.
const OWN_ADDRESSES: Duration = Duration::from_millis(500);
/// How often the guarded interfaces are looked at: how long one that is made anew may be open.
const INTERFACES: Duration = Duration::from_millis(20);
/// How many of these looks go by until all is looked at that the tables say of them: half a second.
const TABLES: usize = 25;
/// How many until what the drivers are able to do is looked at: a second.
const PORTS: usize = 50;
/// How many until the next hops that are redirected to are asked whether they are still there: five seconds.
const NEXT_HOPS: usize = 250;
/// How often messages of the kernel programs are read.
const KERNEL_LOG: Duration = Duration::from_millis(250);
/// How often the core is looked at, and after what silence it is told that it does not get on: ten times what is usual.
const CORE: Duration = Duration::from_millis(250);
const SILENT: Duration = Duration::from_secs(1);

/// What the programs themselves say, into the daemon's log.
pub(super) fn kernel_log(programs: &mut Programs) -> tokio::task::JoinHandle<()> {
    let logger = aya_log::EbpfLogger::init(programs.ebpf());
    tokio::spawn(async move {
        let mut logger = match logger {
            Ok(logger) => logger,
            Err(error) => return tracing::warn!(%error, "messages of the kernel programs cannot be read"),
        };
        let mut interval = tokio::time::interval(KERNEL_LOG);
        loop {
            interval.tick().await;
            logger.flush();
        }
    })
}

/// Says when the core stands still. It cannot do so itself, and as long as it does nobody is revoked or let in.
pub(super) async fn core(metrics: Metrics) {
    let mut interval = tokio::time::interval(CORE);
    let mut was_silent = false;
    loop {
        interval.tick().await;
        let is_silent = metrics.silent() >= SILENT;
        match (was_silent, is_silent) {
            (false, true) => tracing::error!(
                "the core stands still, and access ends with its lease; does the disk of the state folder answer?"
            ),
            (true, false) => tracing::info!("the core gets on again"),
            _ => {}
        }
        was_silent = is_silent;
    }
}

/// Follows the addresses of the host, which come and go.
pub(super) async fn addresses(mut services: Services, offers: Vec<Offer>, metrics: Metrics) {
    let mut interval = tokio::time::interval(OWN_ADDRESSES);
    loop {
        interval.tick().await;
        note_repairs(&metrics, services.put_right());
        match serve(&mut services, &offers) {
            Ok(true) => tracing::info!("the gateway's own addresses have changed"),
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "the gateway's own addresses could not be told to the programs"),
        }
    }
}

/// Follows the guarded interfaces: one that was made anew carries no program, and nobody's session is bound to it.
pub(super) async fn interfaces(
    mut programs: Programs,
    wanted: Vec<Wanted>,
    guarding: Guarding,
    core: Core,
    metrics: Metrics,
) {
    let mut interval = tokio::time::interval(INTERFACES);
    for look in 1_usize.. {
        interval.tick().await;
        note_repairs(&metrics, programs.put_rows_right());
        if look.is_multiple_of(TABLES) {
            note_repairs(&metrics, programs.put_right());
        }
        if look.is_multiple_of(PORTS)
            && let Err(error) = guarding.look_at_ports(&mut programs)
        {
            tracing::error!(%error, "what the interfaces are able to do could not be looked at");
        }
        if look.is_multiple_of(NEXT_HOPS) {
            confirm_next_hops(programs.targets());
        }
        match guarding.look(&mut programs, &wanted) {
            Ok(Look::AsBefore) => {}
            Ok(Look::PutBack(interfaces)) => metrics.put_back(interfaces),
            Ok(Look::Changed) => {
                tracing::warn!("guarded interfaces have come or gone");
                announce(&guarding);
                end_orphans(&core, &guarding).await;
                core.stir();
            }
            Err(error) => tracing::error!(%error, "an interface that was made anew could not be guarded"),
        }
    }
}

/// Not awaited: the kernel's table may be large, and interfaces are looked at meanwhile.
fn confirm_next_hops(targets: Vec<u32>) {
    if targets.is_empty() {
        return;
    }
    tokio::spawn(async move {
        if let Err(error) = next_hops::confirm(&targets).await {
            tracing::warn!(%error, "next hops could not be asked whether they are still there");
        }
    });
}

/// Ends the sessions that are bound to interfaces that are gone.
async fn end_orphans(core: &Core, guarding: &Guarding) {
    let there: Vec<u32> = guarding.interfaces().iter().map(|guarded| guarded.index).collect();
    let gone = core.read_first(move |state| {
        let interfaces = state.gateway.sessions().map(|session| session.source.interface);
        interfaces.filter(|interface| !there.contains(interface)).collect::<BTreeSet<_>>()
    });
    for interface in gone.await.unwrap_or_default() {
        // All at once: each request is stored by itself.
        let input = Input::End { which: Selector::Interface(interface), cause: EndCause::Orphaned };
        if let Err(error) = core.change(Actor::local(), Request::Policy(input)).await {
            tracing::error!(%error, interface, "the sessions of an interface that is gone could not be ended");
        }
    }
}
