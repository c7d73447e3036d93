//! Where records go, as the configuration says it.

use reqwest::header::HeaderName;
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
            Self::Otlp(_) => "otlp",
            Self::Ipfix(_) => "ipfix",
        }
    }

    /// Where that is.
    #[must_use]
    pub fn address(&self) -> String {
        match self {
            Self::Http(HttpSettings { url, .. })
            | Self::Splunk(SplunkSettings { url, .. })
            | Self::Elastic(ElasticSettings { url, .. })
            | Self::Otlp(OtlpSettings { url, .. }) => url.to_string(),
            Self::Ipfix(IpfixSettings { address, transport, .. }) => format!("{}://{address}", transport.label()),
        }
    }
}

/// What a record looks like.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Form {
    /// As the access log has it.
    #[default]
    Json,
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
    /// A name or an address, and a port.
    pub address: String,
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
