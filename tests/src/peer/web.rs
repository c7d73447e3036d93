//! As much of addresses as a browser needs: joining, and what stands in a query.

/// An address as it stands in a page, made absolute.
pub fn join(base: &str, reference: &str) -> String {
    let (scheme, rest) = base.split_once("://").unwrap_or(("https", base));
    let (authority, path) = rest.split_once('/').map_or((rest, ""), |(authority, path)| (authority, path));
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let folder = path.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
    match reference {
        _ if reference.contains("://") => reference.to_owned(),
        "" => base.to_owned(),
        _ if reference.starts_with("//") => format!("{scheme}:{reference}"),
        _ if reference.starts_with('/') => format!("{scheme}://{authority}{reference}"),
        _ if reference.starts_with('?') => format!("{scheme}://{authority}/{path}{reference}"),
        _ => format!("{scheme}://{authority}/{folder}{reference}"),
    }
}

/// The scheme, host and port of an address.
pub fn origin(address: &str) -> String {
    let (scheme, rest) = address.split_once("://").unwrap_or(("https", address));
    format!("{scheme}://{}", rest.split(['/', '?', '#']).next().unwrap_or_default())
}

/// An address with these parameters in its query.
pub fn with_query(base: &str, parameters: &[(&str, &str)]) -> String {
    let parameters = parameters.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value)));
    let separator = if base.contains('?') { '&' } else { '?' };
    format!("{base}{separator}{}", parameters.collect::<Vec<_>>().join("&"))
}

/// The value of a parameter in the query of an address.
pub fn query_value(address: &str, name: &str) -> Option<String> {
    let query = address.split_once('?')?.1.split('#').next()?;
    let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.find(|(found, _)| decode(found) == name).map(|(_, value)| decode(value))
}

/// A text as it stands in a query.
pub fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn decode(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits: Vec<u8> = bytes.by_ref().take(2).collect();
                let digits = std::str::from_utf8(&digits).unwrap_or_default();
                u8::from_str_radix(digits, 16).unwrap_or(b'?')
            }
            other => other,
        });
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{encode, join, origin, query_value, with_query};

    #[test]
    fn addresses_in_pages_become_absolute() {
        let base = "https://10.0.0.1:8443/a/b?c=d";
        for (reference, expected) in [
            ("https://other/x", "https://other/x"),
            ("/x?y=z", "https://10.0.0.1:8443/x?y=z"),
            ("x", "https://10.0.0.1:8443/a/x"),
            ("?y", "https://10.0.0.1:8443/a/b?y"),
            ("//other/x", "https://other/x"),
            ("", base),
        ] {
            assert_eq!(join(base, reference), expected, "{reference}");
        }
        assert_eq!(join("https://host", "x"), "https://host/x");
        assert_eq!(origin(base), "https://10.0.0.1:8443");
    }

    #[test]
    fn what_is_put_into_a_query_is_found_in_it() {
        let address = with_query("https://host/a?b=c", &[("redirect_uri", "https://x/y?z=ä b+c")]);
        assert_eq!(query_value(&address, "redirect_uri").as_deref(), Some("https://x/y?z=ä b+c"));
        assert_eq!(query_value(&address, "b").as_deref(), Some("c"));
        assert_eq!(query_value(&address, "c"), None);
        assert_eq!(encode("a b"), "a%20b");
    }
}
