//! One value of the document, and the ways to understand it. Whatever cannot be understood is reported.

use super::section::Faults;
use super::suggest::{listed, nearest};
use crate::wire::Bytes;
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use toml::de::DeValue;

/// A value, and where it stands.
pub(crate) struct Value<'r, 't> {
    pub(super) faults: &'r Faults,
    pub(super) path: String,
    pub(super) span: Range<usize>,
    pub(super) raw: &'r DeValue<'t>,
}

impl<'r, 't> Value<'r, 't> {
    /// Reports that something is wrong with it.
    pub(crate) fn refuse(&self, problem: impl Into<String>, fix: impl Into<String>) {
        self.faults.report(&self.span, &self.path, problem, fix);
    }

    /// What it is, with its article.
    pub(crate) fn kind(&self) -> &'static str {
        match self.raw {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        }
    }

    /// A string. `example` is what a correct value looks like.
    pub(crate) fn text(&self, example: &str) -> Option<&'r str> {
        if let DeValue::String(text) = self.raw {
            return Some(text);
        }
        self.refuse(format!("is {} and should be a string", self.kind()), format!("write it like `\"{example}\"`"));
        None
    }

    /// A moment as RFC 3339 writes it, as a string or as TOML's own date.
    pub(crate) fn moment(&self) -> Option<String> {
        if let DeValue::Datetime(moment) = self.raw {
            Some(moment.to_string())
        } else {
            self.text("2026-01-31T09:00:00Z").map(str::to_owned)
        }
    }

    /// True or false.
    pub(crate) fn boolean(&self) -> Option<bool> {
        if let DeValue::Boolean(boolean) = self.raw {
            return Some(*boolean);
        }
        self.refuse(format!("is {} and should be a boolean", self.kind()), "write `true` or `false`");
        None
    }

    /// The elements of a list; none if it is something else.
    pub(crate) fn list(&self, fix: &str) -> Vec<Value<'r, 't>> {
        let DeValue::Array(elements) = self.raw else {
            self.refuse(format!("is {} and should be a list", self.kind()), fix);
            return Vec::new();
        };
        let element = |(index, element): (usize, &'r toml::Spanned<DeValue<'t>>)| Value {
            faults: self.faults,
            path: format!("{}[{index}]", self.path),
            span: element.span(),
            raw: element.get_ref(),
        };
        elements.iter().enumerate().map(element).collect()
    }

    /// Whether it is a list without elements.
    pub(crate) fn is_empty_list(&self) -> bool {
        matches!(self.raw, DeValue::Array(elements) if elements.is_empty())
    }

    /// An integer within bounds.
    pub(crate) fn integer(&self, bounds: RangeInclusive<u64>) -> Option<u64> {
        let fix = format!("choose one from {} to {}", bounds.start(), bounds.end());
        let DeValue::Integer(integer) = self.raw else {
            self.refuse(format!("is {} and should be an integer", self.kind()), fix);
            return None;
        };
        let number =
            u64::from_str_radix(integer.as_str(), integer.radix()).ok().filter(|number| bounds.contains(number));
        if number.is_none() {
            self.refuse(format!("`{integer}` is out of bounds"), fix);
        }
        number
    }

    /// An amount of bytes: text, or a number of them. Whether it makes sense is for its shape to say.
    pub(crate) fn bytes(&self) -> Option<Bytes> {
        match self.raw {
            DeValue::Integer(_) => self.integer(0..=i64::MAX.unsigned_abs()).map(Bytes::Number),
            _ => self.text("500 MB").map(|text| Bytes::Text(text.to_owned())),
        }
    }

    /// One of several words.
    pub(crate) fn choice<T: Copy>(&self, words: &[(&'static str, T)]) -> Option<T> {
        let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
        let text = self.text(names.first()?)?;
        let chosen = words.iter().find(|(name, _)| *name == text);
        if chosen.is_none() {
            let fix = match nearest(text, &names) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("write {}", listed(&names)),
            };
            self.refuse(format!("`{text}` is not one of the choices"), fix);
        }
        chosen.map(|(_, value)| *value)
    }

    /// An address with a port.
    pub(crate) fn socket(&self) -> Option<SocketAddr> {
        let text = self.text("192.0.2.1:8443")?;
        let fix = "write an address and a port from 1 to 65535, like `192.0.2.1:8443` or `[2001:db8::1]:8443`";
        let socket = text.parse().ok().filter(|socket: &SocketAddr| socket.port() != 0);
        if socket.is_none() {
            self.refuse(format!("`{text}` is not an address with a port"), fix);
        }
        socket
    }

    /// An address.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        let text = self.text("192.0.2.1")?;
        let address = text.parse().ok();
        if address.is_none() {
            self.refuse(format!("`{text}` is not an address"), "write one like `192.0.2.1` or `2001:db8::1`");
        }
        address
    }

    /// A prefix without host bits. A single address is the prefix that holds only it.
    pub(crate) fn prefix(&self) -> Option<IpNet> {
        let text = self.text("192.0.2.0/24")?;
        let Some(prefix) = text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from)) else {
            self.refuse(format!("`{text}` is not a prefix"), "write one like `192.0.2.0/24` or `2001:db8::/32`");
            return None;
        };
        if prefix.trunc() != prefix {
            self.refuse(format!("`{text}` has host bits"), format!("write `{}`", prefix.trunc()));
        }
        Some(prefix.trunc())
    }

    /// A path, relative to `folder` unless it is absolute.
    pub(crate) fn path(&self, folder: &Path) -> Option<PathBuf> {
        let text = self.text("/path/to/file")?;
        if text.is_empty() {
            self.refuse("is empty", "name a path, or remove the key");
            return None;
        }
        Some(folder.join(text))
    }
}
