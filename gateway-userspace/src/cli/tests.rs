use super::arguments::Arguments;
use super::*;
use clap::error::ErrorKind;
use clap::{Command as Definition, CommandFactory as _};

fn parse(line: &str) -> Result<Arguments, clap::Error> {
    Arguments::try_parse_from(line.split_whitespace())
}

/// The examples that the help of a command and of those below it shows.
fn examples(definition: &Definition, found: &mut Vec<String>) {
    let help = definition.get_after_help().map(ToString::to_string).unwrap_or_default();
    found.extend(help.lines().map(str::trim).filter(|line| line.starts_with("portcullis ")).map(str::to_owned));
    for below in definition.get_subcommands() {
        examples(below, found);
    }
}

#[test]
fn the_definition_of_the_arguments_is_consistent() {
    Arguments::command().debug_assert();
}

#[test]
fn every_example_in_the_help_parses() {
    let mut found = Vec::new();
    examples(&Arguments::command(), &mut found);
    assert!(found.len() > 15, "{found:?}");
    for example in found {
        assert!(parse(&example).is_ok(), "{example}: {}", parse(&example).unwrap_err());
    }
}

#[test]
fn every_verb_parses() {
    for line in [
        "login --provider corp",
        "logout",
        "status",
        "provider list",
        "user list",
        "user show a",
        "user add a --no-password",
        "user set a --display-name A",
        "user disable a",
        "user enable a",
        "user remove a",
        "user password a --password-stdin",
        "record list --type denied --client 10.0.0.0/8 --since 30d --limit 5000",
        "record list --follow --policy p --outcome closed --port 443",
        "reached --app crm --since 2026-03-02T08:00:00Z --until 1h",
        "reached --user a",
        "denied --user a --reason no_grant",
        "graph --format dot --user a --app b --group g --output x.dot",
        "top --interval 5s --once",
        "report --since 90d --until 2026-03-02T08:00:00Z --output r.html",
        "group list",
        "group add g",
        "group remove g",
        "group leave g a b",
        "app show x",
        "app apply -",
        "app remove x",
        "app enable x",
        "policy show",
        "policy check -",
        "policy check bundle",
        "policy check p.cedar --offline",
        "policy test bundle --json",
        "policy new",
        "policy new break-glass --dir bundle",
        "policy apply p --if-match 3",
        "session list --user a",
        "session show t",
        "session revoke --all",
        "session revoke t",
        "flow list --app x",
        "explain --user a --session t --to crm",
        "explain --app a --from 10.0.0.1 --zone z",
        "explain --user a --to 10.0.0.1/icmp --compliant true --factor totp --factor password --provider corp",
        "drops",
        "drops capture",
        "drops capture --output - --interface eth1 --reason no_grant --reason no_session --user a --session t --client 10.0.0.0/8",
        "drops capture --output d.pcapng --count 50 --for 2m --rate 10/s --snaplen 128",
        "audit verify --dir d --json",
        "audit list --type login --by a --since 24h --until 2026-03-02T08:00:00Z --limit 5",
        "audit head",
        "token list",
        "completions zsh",
        "man",
    ] {
        assert!(parse(&format!("portcullis {line}")).is_ok(), "{line}");
    }
}

#[test]
fn wrong_usage_exits_with_2() {
    for (line, kind) in [
        ("session revoke", ErrorKind::MissingRequiredArgument),
        ("session revoke t --all", ErrorKind::ArgumentConflict),
        ("session revoke --user a --app x", ErrorKind::ArgumentConflict),
        ("user set a", ErrorKind::MissingRequiredArgument),
        ("user set a --group g --no-groups", ErrorKind::ArgumentConflict),
        ("user add a --no-password --password-stdin", ErrorKind::ArgumentConflict),
        ("login --provider corp --user a", ErrorKind::ArgumentConflict),
        ("login --provider corp --password-stdin", ErrorKind::ArgumentConflict),
        ("token create ci", ErrorKind::MissingRequiredArgument),
        ("token create ci --scope read --expires 90", ErrorKind::ValueValidation),
        ("explain", ErrorKind::MissingRequiredArgument),
        ("explain --session t", ErrorKind::MissingRequiredArgument),
        ("explain --to crm", ErrorKind::MissingRequiredArgument),
        ("explain --app crm --to crm", ErrorKind::ArgumentConflict),
        ("explain --user a --at noon", ErrorKind::ValueValidation),
        ("flow list --limit 0", ErrorKind::ValueValidation),
        ("fly", ErrorKind::InvalidSubcommand),
        ("policy new no-such", ErrorKind::InvalidValue),
        ("policy new --dir bundle", ErrorKind::MissingRequiredArgument),
        ("status --insecure", ErrorKind::UnknownArgument),
    ] {
        let error = parse(&format!("portcullis {line}")).unwrap_err();
        assert_eq!((error.kind(), error.exit_code()), (kind, 2), "{line}: {error}");
    }
}

#[test]
fn global_options_are_understood_before_and_after_the_command() {
    for line in ["--json --url https://g:1 user list", "user list --json --url https://g:1"] {
        let arguments = parse(&format!("portcullis {line}")).unwrap();
        assert!(arguments.global.json && arguments.global.url == "https://g:1");
    }
}

#[test]
fn bad_configuration_is_found_before_anything_is_asked() {
    for line in [
        "--url http://gateway.example status",
        "--url gateway.example status",
        "--url https://ada:secret@gateway.example status",
        "--pin 1234 status",
        "--ca /nonexistent/ca.pem status",
        "--token-file /nonexistent/token status",
    ] {
        let pin = if line.contains("--pin") || line.contains("--ca") {
            String::new()
        } else {
            format!("--pin {} ", "00".repeat(32))
        };
        let error = perform(parse(&format!("portcullis {pin}{line}")).unwrap()).unwrap_err();
        assert_eq!(error.exit_code(), 78, "{line}: {error}");
    }
}
