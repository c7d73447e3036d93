//! Why an attempt failed: one of a closed list, with what the system or the server said.

use std::error::Error;
use std::io;

/// Longest detail, in characters.
const LONGEST: usize = 200;

/// Why an attempt failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// The kind.
    pub kind: FailureKind,
    /// What was said, in one line of a bounded length.
    pub detail: String,
}

macro_rules! kinds {
    ($($(#[$doc:meta])+ $kind:ident $label:literal $words:literal,)+) => {
        /// The kinds of failures.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum FailureKind {
            $($(#[$doc])+ $kind,)+
        }

        impl FailureKind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$kind),+];

            /// The word in answers, records and metrics.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$kind => $label,)+
                }
            }

            /// For people, after "it does not answer: ".
            #[must_use]
            pub const fn words(self) -> &'static str {
                match self {
                    $(Self::$kind => $words,)+
                }
            }
        }
    };
}

kinds! {
    /// Nothing listens at the port.
    Refused "refused" "the connection is refused",
    /// There was no answer in time.
    Timeout "timeout" "no answer in time",
    /// There is no way to it.
    Unreachable "unreachable" "no way leads there",
    /// The connection ended before there was an answer.
    Closed "closed" "the connection is closed before an answer",
    /// The certificate is not trusted, is for another name, or is not valid now.
    Certificate "certificate" "the certificate is not good",
    /// No TLS for another reason.
    Tls "tls" "there is no TLS",
    /// Another status than 200 to 399.
    Status "status" "the status says that it fails",
    /// What came is no answer of HTTP.
    Answer "answer" "the answer is none of HTTP",
    /// Something else.
    Other "other" "it cannot be tried",
}

impl Failure {
    /// A failure, and what was said; of that, as much as is kept.
    #[must_use]
    pub fn new(kind: FailureKind, detail: &str) -> Self {
        let plain = |character: char| if character.is_control() { ' ' } else { character };
        Self { kind, detail: detail.chars().map(plain).take(LONGEST).collect() }
    }

    /// From an error: the first cause whose kind is known.
    #[must_use]
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        let mut innermost = error;
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(failure) = known(error) {
                return failure;
            }
            innermost = error;
            cause = error.source();
        }
        Self::new(FailureKind::Answer, &innermost.to_string())
    }
}

fn known(error: &(dyn Error + 'static)) -> Option<Failure> {
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return Some(of_tls(error));
    }
    let error = error.downcast_ref::<io::Error>()?;
    // What an I/O error carries is not among its sources.
    match error.get_ref() {
        Some(inner) => known(inner).or_else(|| Some(of_io(error)).filter(|failure| failure.kind != FailureKind::Other)),
        None => Some(of_io(error)),
    }
}

fn of_tls(error: &rustls::Error) -> Failure {
    let kind = match error {
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => FailureKind::Certificate,
        _ => FailureKind::Tls,
    };
    Failure::new(kind, &error.to_string())
}

fn of_io(error: &io::Error) -> Failure {
    use io::ErrorKind as Io;
    let kind = match error.kind() {
        Io::ConnectionRefused => FailureKind::Refused,
        Io::TimedOut => FailureKind::Timeout,
        Io::HostUnreachable | Io::NetworkUnreachable | Io::NetworkDown | Io::AddrNotAvailable => {
            FailureKind::Unreachable
        }
        Io::ConnectionReset | Io::ConnectionAborted | Io::BrokenPipe | Io::UnexpectedEof | Io::NotConnected => {
            FailureKind::Closed
        }
        _ => FailureKind::Other,
    };
    Failure::new(kind, &error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_by_the_first_cause_that_is_known() {
        let tls = rustls::Error::InvalidCertificate(rustls::CertificateError::Expired);
        for (error, kind) in [
            (io::Error::from(io::ErrorKind::ConnectionRefused), FailureKind::Refused),
            (io::Error::from_raw_os_error(113), FailureKind::Unreachable),
            (io::Error::new(io::ErrorKind::InvalidData, tls.clone()), FailureKind::Certificate),
            (io::Error::other(io::Error::other(tls)), FailureKind::Certificate),
            (io::Error::other(rustls::Error::HandshakeNotComplete), FailureKind::Tls),
            (io::Error::new(io::ErrorKind::ConnectionReset, "x"), FailureKind::Closed),
            (io::Error::from_raw_os_error(24), FailureKind::Other),
            (io::Error::other("what is this"), FailureKind::Answer),
        ] {
            assert_eq!(Failure::of(&error).kind, kind, "{error:?}");
        }
    }

    #[test]
    fn a_detail_is_one_line_of_a_bounded_length_and_labels_are_distinct() {
        let failure = Failure::new(FailureKind::Other, &format!("a\r\n\u{7}{}", "ü".repeat(500)));
        assert_eq!(failure.detail.chars().count(), LONGEST);
        assert!(!failure.detail.chars().any(char::is_control));
        let labels: std::collections::BTreeSet<_> = FailureKind::ALL.iter().map(|kind| kind.label()).collect();
        assert_eq!(labels.len(), FailureKind::ALL.len());
    }
}
