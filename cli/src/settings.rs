//! Where settings come from: flag, then `TAPEMILL_*`, then `tapemill.toml`, then default.
//!
//! The file's values are given to the parser as defaults, so one parse settles the precedence, checks every value alike,
//! and remembers where each came from.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches};
use tapemill_coordinator::PRIORITY_SYMBOLS;
use tapemill_queue::redis;
use tapemill_runtime::{ConfigFile, DEFAULT_CONFIG, RuntimeError, check_environment, cores};

use crate::args::Cli;
use crate::commands::coordinator::DEFAULT_LISTEN;
use crate::output_place::OutputPlace;

/// A parsed command line.
pub struct Parsed {
    /// The arguments.
    pub cli: Cli,
    /// What the parser knows of each, for `config show`.
    pub matches: ArgMatches,
    /// The settings file.
    pub file: ConfigFile,
}

/// Why a command line cannot be used.
pub enum Refused {
    /// Help or the version was asked for: not an error.
    Shown(clap::Error),
    /// One line.
    Usage(String),
}

impl From<RuntimeError> for Refused {
    fn from(error: RuntimeError) -> Self {
        Self::Usage(error.to_string())
    }
}

/// Parses the command line with the environment and the settings file.
pub fn parse(args: Vec<OsString>) -> Result<Parsed, Refused> {
    let command = Cli::command();
    let flags = long_flags(&command);
    let variables: Vec<String> = flags
        .keys()
        .map(|flag| format!("TAPEMILL_{}", flag.to_uppercase().replace('-', "_")))
        .collect();
    let known: Vec<&str> = variables.iter().map(String::as_str).collect();
    check_environment(&known, std::env::vars_os())?;

    let file = ConfigFile::load(config_path(&args).as_deref())?;
    let settable: Vec<&str> = flags
        .iter()
        .filter(|(_, settable)| **settable)
        .map(|(flag, _)| flag.as_str())
        .collect();
    file.known(&settable)?;

    let set_aside = set_aside(&args, &file)?;
    let command = with_defaults(command, &file, &set_aside);
    let matches = command.try_get_matches_from(args).map_err(refused)?;
    refuse_empty(&matches)?;
    let mut cli = Cli::from_arg_matches(&matches).map_err(refused)?;
    if let Some(categories) = cli.command.own_categories_mut() {
        let own = file.section("categories");
        *categories = own
            .map(|(name, list)| (name.to_owned(), list.to_owned()))
            .collect();
    }
    Ok(Parsed { cli, matches, file })
}

/// Every long flag, and whether it is a setting: one that the environment and the file may give.
fn long_flags(command: &clap::Command) -> BTreeMap<String, bool> {
    let mut flags = BTreeMap::new();
    for argument in command.get_arguments() {
        if let Some(flag) = argument.get_long() {
            let setting = argument.get_env().is_some() && flag != "config";
            *flags.entry(flag.to_owned()).or_default() |= setting;
        }
    }
    for subcommand in command.get_subcommands() {
        for (flag, setting) in long_flags(subcommand) {
            *flags.entry(flag).or_default() |= setting;
        }
    }
    flags
}

/// `--config` has to be known before the rest can be parsed.
fn config_path(args: &[OsString]) -> Option<PathBuf> {
    let mut args = args.iter().skip(1).take_while(|arg| *arg != "--");
    while let Some(arg) = args.next() {
        if arg == "--config" {
            return args.next().map(PathBuf::from);
        }
        if let Some(path) = arg.to_str().and_then(|arg| arg.strip_prefix("--config=")) {
            return Some(PathBuf::from(path));
        }
    }
    std::env::var_os("TAPEMILL_CONFIG").map(PathBuf::from)
}

/// `--months` and a range are two ways to say one thing: the one that is given more strongly replaces the other.
fn set_aside(args: &[OsString], file: &ConfigFile) -> Result<Vec<&'static str>, Refused> {
    let given = |flag: &str| {
        let (long, with_value) = (format!("--{flag}"), format!("--{flag}="));
        let argument = args
            .iter()
            .any(|arg| *arg == *long || arg.to_string_lossy().starts_with(&with_value));
        argument || std::env::var_os(format!("TAPEMILL_{}", flag.to_uppercase())).is_some()
    };
    let in_file = |flag: &str| file.get(flag).is_some();
    Ok(match (given("months"), given("start") || given("end")) {
        (true, _) => vec!["start", "end"],
        (false, true) => vec!["months"],
        (false, false) if in_file("months") && (in_file("start") || in_file("end")) => {
            let at = file.origin("months").unwrap_or_default();
            return Err(Refused::Usage(format!(
                "{at}: months and start or end are both given: keep one"
            )));
        }
        (false, false) => Vec::new(),
    })
}

fn with_defaults(command: clap::Command, file: &ConfigFile, set_aside: &[&str]) -> clap::Command {
    let names: Vec<String> = command
        .get_subcommands()
        .map(|sub| sub.get_name().to_owned())
        .collect();
    let command = command.mut_args(|argument| {
        let value = argument
            .get_env()
            .and(argument.get_long())
            .filter(|flag| !set_aside.contains(flag))
            .and_then(|flag| file.get(flag))
            .map(str::to_owned);
        match value {
            // The parser keeps its strings for the life of the process; this happens once per setting of the file.
            Some(value) => argument.default_value(&*value.leak()),
            None => argument,
        }
    });
    names.into_iter().fold(command, |command, name| {
        command.mut_subcommand(name, |sub| with_defaults(sub, file, set_aside))
    })
}

/// An empty value is never meant.
fn refuse_empty(matches: &ArgMatches) -> Result<(), Refused> {
    for id in matches.ids() {
        let Ok(Some(mut values)) = matches.try_get_raw(id.as_str()) else {
            continue;
        };
        if values.any(|value| value.to_string_lossy().trim().is_empty()) {
            let flag = id.as_str().replace('_', "-");
            return Err(Refused::Usage(format!(
                "--{flag} is empty: give it a value or leave it out"
            )));
        }
    }
    match matches.subcommand() {
        Some((_, matches)) => refuse_empty(matches),
        None => Ok(()),
    }
}

fn refused(error: clap::Error) -> Refused {
    use clap::error::ErrorKind;
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Refused::Shown(error),
        _ => Refused::Usage(one_line(&error.render().to_string())),
    }
}

/// The parser explains itself over several lines; what, where and what to do fit into one.
fn one_line(rendered: &str) -> String {
    let text: Vec<&str> = rendered
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:"))
        .filter(|line| !line.is_empty())
        .collect();
    let text: Vec<&str> = text
        .into_iter()
        .filter(|line| !line.starts_with("For more information"))
        .collect();
    let line = text.join(" ");
    let line = if line.contains("tip:") || line.contains("possible values") {
        line
    } else {
        line + "; see --help"
    };
    line.strip_prefix("error: ")
        .unwrap_or(&line)
        .replace("tip:", "(tip:")
        + if line.contains("tip:") { ")" } else { "" }
}

/// One setting as `config show` tells it.
pub struct Shown {
    /// The long flag.
    pub name: String,
    /// The value, as a flag would take it; empty where there is none.
    pub value: String,
    /// Where it came from.
    pub origin: String,
}

/// What a setting without a value comes to.
fn computed(flag: &str, matches: &ArgMatches) -> String {
    match flag {
        "queue" => {
            let output: Option<&OutputPlace> = matches.get_one("output");
            let own = output.and_then(OutputPlace::own_queue);
            own.map_or_else(
                || "(none)".to_owned(),
                |own| format!("sqlite:{}", own.display()),
            )
        }
        "priority" => PRIORITY_SYMBOLS.join(","),
        "workers" => cores().max(2).to_string(),
        "listing" => "(the source)".to_owned(),
        "listen" => format!("(none; the coordinator: {DEFAULT_LISTEN})"),
        "name" => "(the host's name)".to_owned(),
        "config" => format!("(./{DEFAULT_CONFIG} if it is there)"),
        _ => "(none)".to_owned(),
    }
}

/// All settings of a parsed `config show`, by name.
pub fn shown(parsed: &Parsed) -> Vec<Shown> {
    let Some(mut matches) = parsed.matches.subcommand().map(|(_, matches)| matches) else {
        return Vec::new();
    };
    while let Some((_, deeper)) = matches.subcommand() {
        matches = deeper;
    }
    let command = Cli::command();
    let show = command
        .find_subcommand("config")
        .and_then(|config| config.find_subcommand("show"));
    let arguments = show
        .into_iter()
        .flat_map(clap::Command::get_arguments)
        .chain(command.get_arguments());
    let mut settings: Vec<Shown> = arguments
        .filter_map(|argument| {
            let flag = argument
                .get_long()
                .filter(|_| argument.get_env().is_some())?;
            let id = argument.get_id().as_str();
            let values = matches.try_get_raw(id).ok().flatten();
            let value: Vec<String> = values
                .into_iter()
                .flatten()
                .map(|value| value.to_string_lossy().into_owned())
                .collect();
            let value = if value.is_empty() {
                vec![computed(flag, matches)]
            } else {
                value
            };
            let origin = match matches.value_source(id) {
                Some(ValueSource::CommandLine) => "flag".to_owned(),
                Some(ValueSource::EnvVariable) => {
                    format!(
                        "environment {}",
                        argument
                            .get_env()
                            .map(|name| name.to_string_lossy())
                            .unwrap_or_default()
                    )
                }
                _ => parsed
                    .file
                    .origin(flag)
                    .unwrap_or_else(|| "default".to_owned()),
            };
            Some(Shown {
                name: flag.to_owned(),
                value: redis::without_credentials(&value.join(",")),
                origin,
            })
        })
        .collect();
    settings.sort_by(|a, b| a.name.cmp(&b.name));
    settings.dedup_by(|a, b| a.name == b.name);
    settings
}
