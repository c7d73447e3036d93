//! The second barrier: a drop in the network stack's forward hook, for guarded interfaces that carry no program yet.
//!
//! Programs are on interfaces by their numbers; an interface that is made anew has another number, and until the daemon has
//! seen it nothing is on it. So the network stack is told, by nftables, to forward between interfaces of a guarded *name*
//! only if they have the *number* of one that is guarded. The kernel knows that before anybody has to look; it holds from
//! the lock at boot on, and without a daemon.

use super::DataPlaneError;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The table, in the family `inet`. Nobody else's.
const TABLE: &str = "portcullis";
/// Where programs of the administrator are, if `PATH` does not say.
const FOLDERS: [&str; 5] = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"];

/// Whether there is to be a barrier.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum BarrierChoice {
    /// If nftables is there.
    #[default]
    Auto,
    /// In any case.
    Nftables,
    /// None: the host's own rules do it.
    None,
}

/// The barrier, for interfaces of these names.
#[derive(Debug)]
pub struct Barrier {
    nft: PathBuf,
    names: Vec<String>,
    /// What was last told, if anything was.
    told: Option<String>,
}

impl Barrier {
    /// The one that was chosen, for interfaces of these names. `None` if there is to be none, or no nftables, which is said.
    ///
    /// # Errors
    /// If there has to be one, and no nftables.
    pub fn choose(choice: BarrierChoice, names: Vec<String>) -> Result<Option<Self>, DataPlaneError> {
        let odd = names.iter().find(|name| !can_be_quoted(name)).filter(|_| choice != BarrierChoice::None);
        if let Some(name) = odd {
            let fix = "rename it, or say `barrier = \"none\"`";
            return Err(DataPlaneError::Barrier(format!(
                "nftables cannot be told the name of interface `{name}`; {fix}"
            )));
        }
        match (choice, nft()) {
            (BarrierChoice::None, _) => Ok(None),
            (_, Some(nft)) => Ok(Some(Self { nft, names, told: None })),
            (BarrierChoice::Auto, None) => {
                tracing::warn!(
                    "there is no `nft`: a guarded interface that is made anew is open until the daemon has seen it, and all \
                     are until the first start after a boot; install nftables, or say `barrier = \"none\"`"
                );
                Ok(None)
            }
            (BarrierChoice::Nftables, None) => {
                Err(DataPlaneError::Barrier("there is no program `nft`; install nftables".to_owned()))
            }
        }
    }

    /// Lets these interfaces through, and of the names no others. All at once, or nothing.
    ///
    /// # Errors
    /// If nftables refuses it.
    pub fn raise(&mut self, guarded: &[u32]) -> Result<(), DataPlaneError> {
        let rules = rules(&self.names, guarded);
        if self.told.as_ref() == Some(&rules) {
            return Ok(());
        }
        tell(&self.nft, &rules)?;
        self.told = Some(rules);
        Ok(())
    }
}

/// Whether a name means itself in a rule, and nothing else: a quotation mark would end it, and an asterisk stands for others.
fn can_be_quoted(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"*\\".contains(&byte))
}

/// Takes the barrier down, if there is one.
///
/// # Errors
/// If nftables refuses it.
pub fn lower() -> Result<(), DataPlaneError> {
    match nft() {
        Some(nft) => tell(&nft, &format!("add table inet {TABLE}\ndelete table inet {TABLE}\n")),
        None => Ok(()),
    }
}

/// What nftables is told: one transaction, which replaces whatever the table was.
fn rules(names: &[String], guarded: &[u32]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    let names = quoted.join(", ");
    let numbers: Vec<String> = guarded.iter().map(ToString::to_string).collect();
    // Nothing is in an empty set, which nftables would not take for one.
    let other = |key: &str| match numbers.as_slice() {
        [] => String::new(),
        numbers => format!(" {key} != {{ {} }}", numbers.join(", ")),
    };
    let (from, to) = (other("iif"), other("oif"));
    format!(
        "add table inet {TABLE}\ndelete table inet {TABLE}\ntable inet {TABLE} {{\n\
         \tcomment \"no guarded interface forwards without its program\"\n\
         \tchain forward {{\n\t\ttype filter hook forward priority raw; policy accept;\n\
         \t\tiifname {{ {names} }}{from} counter drop\n\t\toifname {{ {names} }}{to} counter drop\n\t}}\n}}\n"
    )
}

fn nft() -> Option<PathBuf> {
    let path = std::env::var_os("PATH");
    let folders = path.iter().flat_map(std::env::split_paths).chain(FOLDERS.map(PathBuf::from));
    folders.map(|folder| folder.join("nft")).find(|path| path.is_file())
}

fn tell(nft: &Path, rules: &str) -> Result<(), DataPlaneError> {
    let failed = |problem: String| DataPlaneError::Barrier(format!("`{}`: {problem}", nft.display()));
    let mut child = Command::new(nft)
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let written = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(rules.as_bytes()));
    let output = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    written.map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_guarded_by_name_passes_by_number_and_without_a_number_nobody_does() {
        let rules = |guarded: &[u32]| rules(&["eth1".to_owned(), "eth2".to_owned()], guarded);
        let some = rules(&[4, 7]);
        assert!(some.contains("iifname { \"eth1\", \"eth2\" } iif != { 4, 7 } counter drop"), "{some}");
        assert!(some.contains("oifname { \"eth1\", \"eth2\" } oif != { 4, 7 } counter drop"), "{some}");
        assert!(can_be_quoted("br-lan.10@x") && !["a\"b", "eth*", "a\\", "é"].iter().any(|name| can_be_quoted(name)));
        let none = rules(&[]);
        assert!(none.contains("iifname { \"eth1\", \"eth2\" } counter drop"), "{none}");
    }
}
