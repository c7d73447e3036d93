//! In which country an address is: from a database file in MaxMind's format, which an administrator keeps up to date.
//!
//! It is read as a whole at the start and on SIGHUP. One that cannot be read later leaves the one before.

use crate::policy::Country;
use maxminddb::{MaxMindDbError, PathElement, Reader};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

/// Why a database of countries is of no use.
#[derive(Debug, thiserror::Error)]
pub enum CountriesError {
    /// It could not be read.
    #[error("`{path}`: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is no database.
    #[error("`{path}` is no database of countries: {source}")]
    Format {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        source: MaxMindDbError,
    },
}

/// The database, if there is one.
#[derive(Default)]
pub(super) struct Countries {
    path: Option<PathBuf>,
    database: RwLock<Option<Arc<Reader<Vec<u8>>>>>,
}

impl Countries {
    pub(super) fn open(path: Option<&Path>) -> Result<Self, CountriesError> {
        let database = path.map(read).transpose()?;
        Ok(Self { path: path.map(Path::to_owned), database: RwLock::new(database) })
    }

    /// Reads it again.
    pub(super) fn renew(&self) {
        match self.path.as_deref().map(read).transpose() {
            Ok(database) => *self.database.write().unwrap_or_else(PoisonError::into_inner) = database,
            Err(error) => tracing::error!(%error, "the database of countries could not be read; the old one stays"),
        }
    }

    pub(super) fn of(&self, address: IpAddr) -> Country {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner).clone();
        let code = database.as_deref().and_then(|database| code(database, address));
        code.map_or(Country::UNKNOWN, |code| Country::of(&code))
    }
}

/// Where the address is; where nobody knows that, in whose country it is registered is no answer.
fn code(database: &Reader<Vec<u8>>, address: IpAddr) -> Option<String> {
    let path = [PathElement::Key("country"), PathElement::Key("iso_code")];
    let found = database.lookup(address.to_canonical()).and_then(|found| found.decode_path::<String>(&path));
    found.inspect_err(|error| tracing::warn!(%address, %error, "the database of countries is damaged")).ok().flatten()
}

fn read(path: &Path) -> Result<Arc<Reader<Vec<u8>>>, CountriesError> {
    let bytes = std::fs::read(path).map_err(|source| CountriesError::File { path: path.to_owned(), source })?;
    let reader = Reader::from_source(bytes);
    reader.map(Arc::new).map_err(|source| CountriesError::Format { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A text, of less than 29 bytes.
    fn text(text: &str) -> Vec<u8> {
        [&[0x40 | u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
    }

    fn map(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let count = entries.len();
        let entries = entries.iter().flat_map(|(key, value)| [text(key), value.clone()].concat());
        [0xe0 | u8::try_from(count).unwrap()].into_iter().chain(entries).collect()
    }

    fn record(code: &str) -> Vec<u8> {
        map(&[("country", map(&[("iso_code", text(code))]))])
    }

    /// A database in which the address space is halved: the lower half is the first country, the upper one the second.
    fn halves(lower: &str, upper: &str) -> Vec<u8> {
        let (lower, upper) = (record(lower), record(upper));
        let node = |value: usize| u32::try_from(value).unwrap().to_be_bytes()[1..].to_vec();
        // One node: a record beyond the nodes and 16 bytes is a place in the data.
        let tree = [node(17), node(17 + lower.len())].concat();
        let number = |value: u8| vec![0xa1, value];
        let metadata = map(&[
            ("node_count", number_u32(1)),
            ("record_size", number(24)),
            ("ip_version", number(4)),
            ("database_type", text("Test-Country")),
            ("binary_format_major_version", number(2)),
            ("binary_format_minor_version", number(0)),
            ("build_epoch", vec![0x01, 0x02, 1]),
            ("languages", vec![0x00, 0x04]),
            ("description", vec![0xe0]),
        ]);
        let marker = b"\xab\xcd\xefMaxMind.com".to_vec();
        [tree, vec![0; 16], lower, upper, marker, metadata].concat()
    }

    fn number_u32(value: u8) -> Vec<u8> {
        vec![0xc1, value]
    }

    #[test]
    fn an_address_is_where_the_database_says_and_a_new_one_counts_after_it_was_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("country.mmdb");
        std::fs::write(&path, halves("de", "JP")).unwrap();
        let countries = Countries::open(Some(&path)).unwrap_or_else(|error| panic!("{error}"));
        let of = |address: &str| countries.of(address.parse().unwrap()).code().to_owned();
        assert_eq!([of("10.9.0.7"), of("192.0.2.1"), of("::ffff:192.0.2.1")], ["DE", "JP", "JP"]);
        assert_eq!(of("2001:db8::1"), "", "a database without IPv6 knows none");
        std::fs::write(&path, halves("FR", "x")).unwrap();
        assert_eq!(of("10.9.0.7"), "DE");
        countries.renew();
        assert_eq!([of("10.9.0.7"), of("192.0.2.1")], ["FR", ""]);
        std::fs::write(&path, "no database").unwrap();
        countries.renew();
        assert_eq!(of("10.9.0.7"), "FR", "the one before stays");
        assert!(matches!(Countries::open(Some(&path)), Err(CountriesError::Format { .. })));
        assert!(matches!(Countries::open(Some(&folder.path().join("x"))), Err(CountriesError::File { .. })));
        assert_eq!(Countries::default().of([10, 9, 0, 7].into()), Country::UNKNOWN);
    }
}
