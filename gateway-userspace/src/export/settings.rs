//! Where records go, as the configuration says it.

use reqwest::header::HeaderName;
use rustls::pki_types::ServerName;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// One export.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExportSettings {
    /// Its name in metrics and files: letters a to z, digits, `-` and `_`.
    pub name: String,
    /// Where to.
    pub destination: Destination,
    /// The types of records that go there; empty for all of them.
    pub types: Vec<&'static str>,
    /// Where one that is new begins.
    pub begin: Begin,
    /// Records that are sent at once, at most.
    pub batch: usize,
}

/// Where a new export begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Begin {
    /// With what is recorded from then on.
    #[default]
    Now,
    /// With the oldest record that is kept.
    Oldest,
}

/// Who receives records, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Destination {
    /// Lines of JSON, posted.
    Http(HttpSettings),
    /// Splunk's HTTP event collector.
    Splunk(SplunkSettings),
    /// The bulk interface of Elasticsearch, and of OpenSearch.
    Elastic(ElasticSettings),
    /// Messages of syslog.
    Syslog(SyslogSettings),
    /// Lines over a connection.
    Lines(LinesSettings),
    /// A collector that speaks OpenTelemetry's protocol.
    Otlp(OtlpSettings),
    /// A collector of flows.
    Ipfix(IpfixSettings),
}

impl Destination {
    /// As `to` says it.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Http(_) => "http",
            Self::Splunk(_) => "splunk",
            Self::Elastic(_) => "elastic",
            Self::Syslog(_) => "syslog",
            Self::Lines(_) => "lines",
            Self::Otlp(_) => "otlp",
            Self::Ipfix(_) => "ipfix",
        }
    }

    /// Where that is, for people: without the query of an address, in which some receivers want their token.
    #[must_use]
    pub fn address(&self) -> String {
        match self {
            Self::Http(HttpSettings { url, .. })
            | Self::Splunk(SplunkSettings { url, .. })
            | Self::Elastic(ElasticSettings { url, .. })
            | Self::Otlp(OtlpSettings { url, .. }) => {
                let mut url = url.clone();
                url.set_query(None);
                url.into()
            }
            Self::Syslog(SyslogSettings { endpoint, .. }) | Self::Lines(LinesSettings { endpoint, .. }) => {
                endpoint.to_string()
            }
            Self::Ipfix(IpfixSettings { endpoint, transport, .. }) => format!("{}://{endpoint}", transport.label()),
        }
    }
}

/// What a record looks like.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Form {
    /// As the access log has it.
    #[default]
    Json,
    /// The Open Cybersecurity Schema Framework.
    Ocsf,
    /// As ArcSight's Common Event Format has it.
    Cef,
}

/// Lines of JSON, posted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpSettings {
    /// Where to.
    pub url: Url,
    /// What each line is.
    pub form: Form,
    /// The file with the bearer token.
    pub token: Option<PathBuf>,
    /// Whom the receiver's certificate must come from, and the gateway's own.
    pub tls: TlsSettings,
}

/// Splunk's HTTP event collector.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SplunkSettings {
    /// Where to, with the path: usually `/services/collector/event`.
    pub url: Url,
    /// The index, if not the token's own.
    pub index: Option<String>,
    /// The file with its token.
    pub token: PathBuf,
    /// As of others.
    pub tls: TlsSettings,
}

/// The bulk interface of Elasticsearch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ElasticSettings {
    /// The cluster, without `/_bulk`.
    pub url: Url,
    /// The index or data stream.
    pub index: String,
    /// The file with an API key, as Elasticsearch encodes it.
    pub token: Option<PathBuf>,
    /// As of others.
    pub tls: TlsSettings,
}

/// A collector that speaks OpenTelemetry's protocol, by HTTP.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OtlpSettings {
    /// The collector, without `/v1/logs`.
    pub url: Url,
    /// The file with the bearer token.
    pub token: Option<PathBuf>,
    /// Further headers, and the files with their values.
    pub headers: Vec<(HeaderName, PathBuf)>,
    /// How often metrics are sent too; never without.
    pub metrics: Option<Duration>,
    /// As of others.
    pub tls: TlsSettings,
}

/// A collector of flows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IpfixSettings {
    /// Where to.
    pub endpoint: Endpoint,
    /// How it is reached.
    pub transport: Transport,
    /// The observation domain.
    pub domain: u32,
    /// The enterprise whose elements those are that are nobody else's.
    pub enterprise: u32,
    /// Bytes in a message, at most.
    pub message: usize,
    /// How often templates are sent again, by UDP.
    pub templates: Duration,
}

/// How a collector of flows is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Transport {
    /// A message a datagram. Nobody knows whether it arrives.
    #[default]
    Udp,
    /// Messages in a stream.
    Tcp,
}

impl Transport {
    /// As `transport` says it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}

/// How both ends prove who they are.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TlsSettings {
    /// The authorities of the receiver's certificate, in PEM; without, those of the system.
    pub ca: Option<PathBuf>,
    /// The gateway's certificate and key, in PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// Messages of syslog, as RFC 5424 has them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SyslogSettings {
    /// Where to.
    pub endpoint: Endpoint,
    /// How.
    pub way: SyslogWay,
    /// The number of the facility.
    pub facility: u8,
    /// What the text of each message is.
    pub form: Form,
}

/// How messages of syslog get there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SyslogWay {
    /// A datagram for each, of at most so many bytes.
    Udp {
        /// What does not fit is cut.
        most: usize,
    },
    /// Over a connection.
    Stream(Framing, Option<TlsSettings>),
}

/// How messages of a stream are told apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Framing {
    /// Each has its length before it.
    #[default]
    Counted,
    /// Each is a line.
    Lines,
}

/// Lines over a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinesSettings {
    /// Where to.
    pub endpoint: Endpoint,
    /// What each line is.
    pub form: Form,
    /// Without, everybody on the way can read them.
    pub tls: Option<TlsSettings>,
}

/// A host and a port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// A name, which is resolved for each connection, or an address; its certificate is for that.
    pub host: ServerName<'static>,
    /// The port.
    pub port: u16,
}

impl Endpoint {
    /// Reads `host:port`, or `host` where there is a usual port. An IPv6 address with a port is in brackets.
    #[must_use]
    pub fn parse(text: &str, usual: Option<u16>) -> Option<Self> {
        let bracketed = text.strip_prefix('[').and_then(|inner| inner.split_once(']'));
        let (host, port) = match bracketed {
            Some((host, "")) => (host, None),
            Some((host, rest)) => (host, Some(rest.strip_prefix(':')?)),
            None if text.matches(':').count() > 1 => (text, None),
            None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
        };
        // A sign before it would be read, too.
        let read = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()).then(|| port.parse().ok())?;
        let port = port.map_or(usual, read).filter(|port| *port != 0)?;
        let host = ServerName::try_from(host).ok()?.to_owned();
        let is_as_written = matches!(host, ServerName::IpAddress(_)) || bracketed.is_none();
        is_as_written.then_some(Self { host, port })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.host.to_str();
        if host.contains(':') { write!(f, "[{host}]:{}", self.port) } else { write!(f, "{host}:{}", self.port) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, usual: Option<u16>, expected: &str) {
        let parsed = Endpoint::parse(text, usual).map(|endpoint| endpoint.to_string());
        assert_eq!(parsed.unwrap_or_default(), expected, "{text}");
    }

    #[test]
    fn the_query_of_an_address_is_told_to_nobody() {
        let url = "https://collector.example.org/records?token=s3cret".parse().unwrap();
        let http = HttpSettings { url, form: Form::Json, token: None, tls: TlsSettings::default() };
        assert_eq!(Destination::Http(http).address(), "https://collector.example.org/records");
    }

    #[test]
    fn an_endpoint_is_a_host_with_a_port_or_with_the_usual_one() {
        check("logs.example.org:6514", None, "logs.example.org:6514");
        check("logs.example.org", Some(514), "logs.example.org:514");
        check("192.0.2.7:1", None, "192.0.2.7:1");
        check("[2001:db8::7]:601", None, "[2001:db8::7]:601");
        check("2001:db8::7", Some(601), "[2001:db8::7]:601");
        check("[2001:db8::7]", Some(601), "[2001:db8::7]:601");
        for wrong in
            ["", ":514", "logs.example.org", "logs:0", "logs:65536", "logs:", "logs:+1", "a b:1", "[logs]:1", "[::1]1"]
        {
            check(wrong, None, "");
        }
    }
}
