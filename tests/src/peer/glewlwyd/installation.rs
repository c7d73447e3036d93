//! Where Debian's files of glewlwyd are, its database, and its configuration.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{
    netns::{Namespace, checked},
    peer::Authority,
    tools,
};

/// Fills a new database with the statements that the package brings; not one by one, each of which would wait for the disk.
const FILL: &str = "import gzip, sqlite3, sys
statements = gzip.open(sys.argv[1], 'rt').read()
sqlite3.connect(sys.argv[2]).executescript('BEGIN;' + statements + 'COMMIT;')";
/// Debian's own, which has a module for SQLite.
const PYTHON: &str = "/usr/bin/python3";

/// Takes another list of authorities for the system's, which is the only one that it knows, for itself alone.
const TRUST: &str = "mount --bind \"$0\" \"$1\" && exec \"$2\" --config-file \"$3\"";
const TRUSTED: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Writes the files of one server, and returns the command that starts it.
pub(super) fn prepare(host: &Namespace, address: SocketAddr, authority: &Authority) -> Result<Command> {
    let program = tools::find("glewlwyd").context("glewlwyd is not installed: run `cargo xtask setup`")?;
    let files = program.parent().and_then(Path::parent).context("glewlwyd stands alone")?;
    let folder = authority.file(&format!("glewlwyd-{}", address.port()));
    // Looked into at the start; the package has none.
    fs::create_dir_all(folder.join("middleware"))?;
    let statements = files.join("share/doc/glewlwyd/database/init.sqlite3.sql.gz");
    let database = folder.join("glewlwyd.db");
    checked(Command::new(PYTHON).args(["-c", FILL]).arg(statements).arg(&database))?;
    let config = folder.join("glewlwyd.conf");
    fs::write(&config, text(address, authority, files, &folder, &database)?)?;
    let mut command = host.command("unshare")?;
    command.args(["--mount", "--", "sh", "-c", TRUST]).arg(authority.trusted()).arg(TRUSTED).arg(program).arg(config);
    Ok(command)
}

fn text(address: SocketAddr, authority: &Authority, files: &Path, folder: &Path, database: &Path) -> Result<String> {
    let made = authority.certify(&format!("glewlwyd-{}", address.port()), &[address.ip()])?;
    let modules = |kind: &str| files.join("lib/glewlwyd").join(kind).display().to_string();
    let path = |path: PathBuf| path.display().to_string();
    let lines = [
        ("bind_address", address.ip().to_string()),
        ("external_url", format!("https://{address}")),
        ("login_url", "login.html".to_owned()),
        ("api_prefix", "api".to_owned()),
        ("static_files_path", path(files.join("share/glewlwyd/webapp/"))),
        ("log_mode", "console".to_owned()),
        ("log_level", "INFO".to_owned()),
        ("session_key", "GLEWLWYD2_SESSION_ID".to_owned()),
        ("admin_scope", "g_admin".to_owned()),
        ("profile_scope", "g_profile".to_owned()),
        ("user_module_path", modules("user")),
        ("user_middleware_module_path", path(folder.join("middleware"))),
        ("client_module_path", modules("client")),
        ("user_auth_scheme_module_path", modules("scheme")),
        ("plugin_module_path", modules("plugin")),
        ("secure_connection_key_file", path(made.key)),
        ("secure_connection_pem_file", path(made.certificate)),
        ("hash_algorithm", "SHA512".to_owned()),
    ];
    let lines = lines.map(|(name, value)| format!("{name}=\"{value}\"\n")).concat();
    let switches = "use_secure_connection=true\ncookie_secure=1\nlogin_api_enabled=true\nsession_expiration=2419200\n";
    let database = format!("database={{ type=\"sqlite3\" path=\"{}\" }};\n", database.display());
    Ok(format!("port={}\n{lines}{switches}allow_multiple_user_per_session=true\n{database}", address.port()))
}
