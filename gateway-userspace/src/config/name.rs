//! Names of interfaces and zones, as the kernel permits them.

use super::value::Value;

/// Longest name of an interface: `IFNAMSIZ` of the kernel less the terminating zero.
const LONGEST: usize = 15;

impl<'r> Value<'r, '_> {
    /// The name of an interface, or of a zone, which is by default that of an interface.
    pub(super) fn interface_name(&self) -> Option<&'r str> {
        let text = self.text("eth1")?;
        if is_valid(text) {
            return Some(text);
        }
        let fix =
            format!("write 1 to {LONGEST} bytes without white space, `/` and `:`; `ip link` shows those that exist");
        self.refuse(format!("`{text}` is not the name of an interface"), fix);
        None
    }

    /// A word for people: not empty, and on one line.
    pub(super) fn label(&self) -> Option<&'r str> {
        let text = self.text("ssh")?;
        let valid = !text.trim().is_empty() && text.len() <= 64 && !text.chars().any(char::is_control);
        if !valid {
            self.refuse(format!("`{}` is not a name", text.escape_debug()), "write 1 to 64 bytes on one line");
        }
        valid.then_some(text)
    }
}

/// What the kernel's `dev_valid_name` accepts.
fn is_valid(name: &str) -> bool {
    let forbidden = |byte: u8| byte == b'/' || byte == b':' || byte == 0 || byte.is_ascii_whitespace() || byte == 0x0b;
    (1..=LONGEST).contains(&name.len()) && name != "." && name != ".." && !name.bytes().any(forbidden)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_the_kernel_accepts() {
        for name in ["eth1", "wg0", "br-lan.100", "fifteen-letters"] {
            assert!(is_valid(name), "{name}");
        }
        for name in ["", ".", "..", "a/b", "a:b", "a b", "a\u{b}b", "sixteen-letters-"] {
            assert!(!is_valid(name), "{name}");
        }
    }
}
