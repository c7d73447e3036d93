//! One question to the DNS, and what its answer means.

use crate::names::{Due, Failure, Family, Link, Outcome, follow};
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError, NoRecords};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::{TokioResolver, system_conf};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// How long one server has, and how often all of them are asked.
const PATIENCE: Duration = Duration::from_secs(2);
const ATTEMPTS: usize = 2;
/// How long a question may take in all, with aliases to follow and TCP where UDP is too small.
const DEADLINE: Duration = Duration::from_secs(15);

/// The servers that are asked.
pub(super) struct Servers {
    named: Vec<SocketAddr>,
    resolver: Option<Arc<TokioResolver>>,
    was_said: bool,
}

impl Servers {
    /// These; if there are none, those of `/etc/resolv.conf`.
    pub(super) fn new(named: Vec<SocketAddr>) -> Self {
        Self { named, resolver: None, was_said: false }
    }

    pub(super) fn resolver(&self) -> Option<Arc<TokioResolver>> {
        self.resolver.clone()
    }

    pub(super) fn renew_if_missing(&mut self) {
        if self.resolver.is_none() {
            self.renew();
        }
    }

    /// `/etc/resolv.conf` is read anew. If it names nobody, those that were known stay.
    pub(super) fn renew(&mut self) {
        match resolver(&self.named) {
            Ok(resolver) => {
                self.resolver = Some(Arc::new(resolver));
                self.was_said = false;
            }
            Err(error) if !std::mem::replace(&mut self.was_said, true) => tracing::error!(
                %error,
                "nobody is known who could be asked for names of apps; name `servers` in `[dns]`, or in /etc/resolv.conf"
            ),
            Err(_) => {}
        }
    }
}

fn resolver(named: &[SocketAddr]) -> Result<TokioResolver, NetError> {
    let (servers, edns0) = if named.is_empty() {
        let (config, options) = system_conf::read_system_conf()?;
        (config.name_servers().to_vec(), options.edns0)
    } else {
        (named.iter().copied().map(server).collect(), true)
    };
    let config = ResolverConfig::from_parts(None, Vec::new(), servers);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    let options: &mut ResolverOpts = builder.options_mut();
    options.edns0 = edns0 || options.edns0;
    options.timeout = PATIENCE;
    options.attempts = ATTEMPTS;
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    builder.build()
}

fn server(socket: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = socket.port();
        connection
    });
    NameServerConfig::new(socket.ip(), true, connections.into())
}

/// Asks for the addresses of one family.
pub(super) async fn ask(resolver: Option<Arc<TokioResolver>>, due: Due) -> (Due, Outcome) {
    let outcome = match (resolver, Name::from_ascii(format!("{}.", due.0))) {
        (None, _) => Outcome::Failure(Failure::Unreachable),
        (_, Err(_)) => Outcome::Failure(Failure::Malformed),
        (Some(resolver), Ok(name)) => {
            let kind = match due.1 {
                Family::V4 => RecordType::A,
                Family::V6 => RecordType::AAAA,
            };
            match tokio::time::timeout(DEADLINE, resolver.lookup(name, kind)).await {
                Err(_) => Outcome::Failure(Failure::Timeout),
                Ok(Ok(found)) => answer(due.0.as_str(), found.answers()),
                Ok(Err(error)) => refused(&error),
            }
        }
    };
    (due, outcome)
}

fn answer(name: &str, records: &[Record]) -> Outcome {
    let (addresses, ttl) = follow(name, &records.iter().filter_map(link).collect::<Vec<_>>());
    if addresses.is_empty() { Outcome::Nothing { ttl: None } } else { Outcome::Answer { addresses, ttl } }
}

fn link(record: &Record) -> Option<Link> {
    let plain = |name: &Name| name.to_ascii().trim_end_matches('.').to_ascii_lowercase();
    let (name, ttl) = (plain(&record.name), Duration::from_secs(record.ttl.into()));
    match &record.data {
        RData::A(address) => Some(Link::Address { name, address: address.0.into(), ttl }),
        RData::AAAA(address) => Some(Link::Address { name, address: address.0.into(), ttl }),
        RData::CNAME(target) => Some(Link::Alias { name, target: plain(&target.0), ttl }),
        _ => None,
    }
}

fn refused(error: &NetError) -> Outcome {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(nothing)) if is_answer(nothing) => {
            let ttl = nothing.negative_ttl.map(|seconds| Duration::from_secs(seconds.into()));
            Outcome::Nothing { ttl }
        }
        other => Outcome::Failure(failure(other)),
    }
}

/// A server that only names others, and says of nothing that it is not there, does not know.
fn is_answer(nothing: &NoRecords) -> bool {
    match nothing.response_code {
        ResponseCode::NXDomain => true,
        ResponseCode::NoError => nothing.soa.is_some() || nothing.ns.is_none(),
        _ => false,
    }
}

fn failure(error: &NetError) -> Failure {
    match error {
        NetError::Timeout => Failure::Timeout,
        NetError::Dns(DnsError::ResponseCode(ResponseCode::Refused)) => Failure::Refused,
        NetError::Dns(DnsError::ResponseCode(ResponseCode::FormErr)) => Failure::Malformed,
        NetError::Dns(_) => Failure::Servfail,
        NetError::Io(_) | NetError::NoConnections | NetError::Busy => Failure::Unreachable,
        _ => Failure::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_server_answers_has_its_own_word() {
        let code = |code| failure(&NetError::Dns(DnsError::ResponseCode(code)));
        assert_eq!(code(ResponseCode::ServFail), Failure::Servfail);
        assert_eq!(code(ResponseCode::Refused), Failure::Refused);
        assert_eq!(code(ResponseCode::FormErr), Failure::Malformed);
        assert_eq!(failure(&NetError::Timeout), Failure::Timeout);
        assert_eq!(failure(&NetError::NoConnections), Failure::Unreachable);
        assert_eq!(failure(&NetError::Truncated), Failure::Malformed);
    }

    #[test]
    fn that_there_is_nothing_is_an_answer_and_a_reference_to_other_servers_is_none() {
        let query = hickory_resolver::proto::op::Query::query(Name::root(), RecordType::A);
        let mut nothing = NoRecords::new(query, ResponseCode::NXDomain);
        nothing.negative_ttl = Some(30);
        let outcome = |nothing: &NoRecords| refused(&NetError::Dns(DnsError::NoRecordsFound(nothing.clone())));
        assert_eq!(outcome(&nothing), Outcome::Nothing { ttl: Some(Duration::from_secs(30)) });
        nothing.response_code = ResponseCode::NoError;
        assert_eq!(outcome(&nothing), Outcome::Nothing { ttl: Some(Duration::from_secs(30)) });
        nothing.ns = Some(Arc::from([]));
        assert_eq!(outcome(&nothing), Outcome::Failure(Failure::Servfail));
    }
}
