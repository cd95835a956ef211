//! Settings from a file and from the environment: checked, so that a misspelt one is refused instead of ignored.
//!
//! Precedence is flag, then `TAPEMILL_*` variable, then `tapemill.toml`, then default. The command line knows flags and
//! variables; this module brings the file and refuses what no setting has.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::{Result, RuntimeError};

/// The file that is read when none is named, if it is there.
pub const DEFAULT_CONFIG: &str = "tapemill.toml";

/// Variables that are no flags: secrets, which do not belong on a command line.
pub const OPEN_VARIABLES: [&str; 3] = [
    "TAPEMILL_ADMIN_TOKEN",
    "TAPEMILL_REDIS_USER",
    "TAPEMILL_REDIS_PASSWORD",
];

/// The sections that a file may have: names of the user's own, each with a list.
pub const SECTIONS: [&str; 1] = ["categories"];

const PREFIX: &str = "TAPEMILL_";
const LARGEST_FILE: u64 = 1 << 20;

/// The settings of a `tapemill.toml`: flat keys, named as the long flags, with `-` or `_`.
///
/// ```toml
/// data = ["aggTrades", "klines:1m"]
/// symbols = "@universe.txt"
/// start = 2024-01-01
/// keep_zip = true
/// lease = "60s"
///
/// [categories]
/// mine = ["BTCUSDT", "ETHUSDT"]
/// ```
///
/// Sections are those of [`SECTIONS`]. Values are given out as the text a flag would take: lists joined by commas, numbers,
/// booleans and dates as written.
#[derive(Debug, Clone, Default)]
pub struct ConfigFile {
    path: PathBuf,
    settings: BTreeMap<String, Setting>,
    sections: BTreeMap<String, BTreeMap<String, Setting>>,
}

#[derive(Debug, Clone)]
struct Setting {
    value: String,
    line: usize,
}

impl ConfigFile {
    /// Reads the named file; without a name `tapemill.toml` in the working folder, and nothing when that is not there.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::File`] when a file cannot be read, [`RuntimeError::Line`] for what is no TOML, a section, an empty
    /// value, or a key given twice.
    pub fn load(path: Option<&Path>) -> Result<ConfigFile> {
        let named = path.unwrap_or(Path::new(DEFAULT_CONFIG));
        let failed = |source| RuntimeError::File {
            path: named.to_path_buf(),
            source,
        };
        let file = match File::open(named) {
            Ok(file) => file,
            Err(error) if path.is_none() && error.kind() == ErrorKind::NotFound => {
                return Ok(ConfigFile::default());
            }
            Err(error) => return Err(failed(error)),
        };
        let mut text = String::new();
        file.take(LARGEST_FILE + 1)
            .read_to_string(&mut text)
            .map_err(failed)?;
        if text.len() as u64 > LARGEST_FILE {
            return Err(failed(ErrorKind::FileTooLarge.into()));
        }
        ConfigFile::parse(named, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<ConfigFile> {
        let refused = |at: usize, problem: String| RuntimeError::Line {
            path: path.to_path_buf(),
            line: line_of(text, at),
            problem,
        };
        let table = DeTable::parse(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            refused(at, one_line(error.message()))
        })?;
        let mut settings = BTreeMap::new();
        let mut sections = BTreeMap::new();
        for (key, value) in table.get_ref() {
            let name = flag_name(key.get_ref());
            let at = key.span().start;
            if let DeValue::Table(entries) = value.get_ref()
                && SECTIONS.contains(&name.as_str())
            {
                let mut section = BTreeMap::new();
                for (key, value) in entries {
                    let at = key.span().start;
                    let value = text_of(value)
                        .map_err(|problem| refused(at, format!("{} {problem}", key.get_ref())))?;
                    let line = line_of(text, at);
                    section.insert(key.get_ref().to_string(), Setting { value, line });
                }
                sections.insert(name, section);
                continue;
            }
            let value =
                text_of(value).map_err(|problem| refused(at, format!("{name} {problem}")))?;
            let setting = Setting {
                value,
                line: line_of(text, at),
            };
            if settings.insert(name.clone(), setting).is_some() {
                return Err(refused(
                    at,
                    format!("{name} is given twice, with - and with _: keep one"),
                ));
            }
        }
        Ok(ConfigFile {
            path: path.to_path_buf(),
            settings,
            sections,
        })
    }

    /// The entries of a section, by name, each as its list would be written for a flag.
    pub fn section(&self, name: &str) -> impl Iterator<Item = (&str, &str)> {
        let entries = self.sections.get(name).into_iter().flatten();
        entries.map(|(name, setting)| (name.as_str(), setting.value.as_str()))
    }

    /// Refuses keys outside `known` (long flags without the dashes).
    ///
    /// # Errors
    ///
    /// [`RuntimeError::Line`] with the file, the line and the nearest known key.
    pub fn known(&self, known: &[&str]) -> Result<()> {
        let mut unknown: Vec<_> = self
            .settings
            .iter()
            .filter(|(name, _)| !known.contains(&name.as_str()))
            .collect();
        unknown.sort_by_key(|(_, setting)| setting.line);
        match unknown.first() {
            None => Ok(()),
            Some((name, setting)) => Err(RuntimeError::Line {
                path: self.path.clone(),
                line: setting.line,
                problem: format!("unknown setting {name:?}{}", suggestion(name, known)),
            }),
        }
    }

    /// The value of a long flag, as the flag would take it.
    pub fn get(&self, flag: &str) -> Option<&str> {
        self.settings
            .get(flag)
            .map(|setting| setting.value.as_str())
    }

    /// Where a value came from, as `tapemill.toml:3`.
    pub fn origin(&self, flag: &str) -> Option<String> {
        let setting = self.settings.get(flag)?;
        Some(format!("{}:{}", self.path.display(), setting.line))
    }
}

/// Refuses `TAPEMILL_*` variables outside `known` and [`OPEN_VARIABLES`], and empty or unreadable values of all.
///
/// `known` are whole names (`TAPEMILL_LEASE`); pass `std::env::vars_os()`. No value is ever repeated in a message.
///
/// # Errors
///
/// [`RuntimeError::Variable`] with the nearest known name.
pub fn check_environment<K: AsRef<OsStr>, V: AsRef<OsStr>>(
    known: &[&str],
    vars: impl IntoIterator<Item = (K, V)>,
) -> Result<()> {
    let names: Vec<&str> = known.iter().copied().chain(OPEN_VARIABLES).collect();
    for (name, value) in vars {
        let name = name.as_ref().to_string_lossy();
        if !name.starts_with(PREFIX) {
            continue;
        }
        let problem = if !names.contains(&&*name) {
            format!("is unknown{}", suggestion(&name, &names))
        } else if value.as_ref().is_empty() {
            "is empty: give it a value or unset it".to_owned()
        } else if value.as_ref().to_str().is_none() {
            "is not UTF-8".to_owned()
        } else {
            continue;
        };
        return Err(RuntimeError::Variable {
            name: name.into_owned(),
            problem,
        });
    }
    Ok(())
}

fn flag_name(key: &str) -> String {
    key.replace('_', "-")
}

/// A value as the text of a flag, or what is wrong with it.
fn text_of(value: &Spanned<DeValue<'_>>) -> std::result::Result<String, &'static str> {
    let text = match value.get_ref() {
        DeValue::Array(items) => {
            let items: Vec<String> = items.iter().map(scalar).collect::<Result<_, _>>()?;
            if items.iter().any(|item| item.contains(',')) {
                return Err("has a comma inside a list: write its parts one by one");
            }
            if items.iter().any(String::is_empty) {
                return Err("has an empty value in its list: remove it");
            }
            items.join(",")
        }
        _ => scalar(value)?,
    };
    if text.trim().is_empty() {
        return Err("is empty: give it a value or remove the line");
    }
    Ok(text)
}

fn scalar(value: &Spanned<DeValue<'_>>) -> std::result::Result<String, &'static str> {
    match value.get_ref() {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) => Ok(number.to_string()),
        DeValue::Float(number) => Ok(number.to_string()),
        DeValue::Boolean(truth) => Ok(truth.to_string()),
        DeValue::Datetime(time) => Ok(time.to_string()),
        DeValue::Array(_) => Err("has a list inside its list: write one flat list"),
        DeValue::Table(_) => Err("is a section: settings are flat, key = value"),
    }
}

fn suggestion(name: &str, known: &[&str]) -> String {
    /// Below this two names only share their prefix.
    const ALIKE: f64 = 0.75;
    let bare = |name: &str| name.strip_prefix(PREFIX).unwrap_or(name).to_owned();
    known
        .iter()
        .map(|candidate| {
            (
                strsim::jaro_winkler(&bare(name), &bare(candidate)),
                candidate,
            )
        })
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, candidate)| format!(": did you mean {candidate}?"))
        .unwrap_or_else(|| ": remove it".to_owned())
}

fn line_of(text: &str, at: usize) -> usize {
    let before = text.as_bytes().get(..at).unwrap_or(text.as_bytes());
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 5] = ["data", "keep-zip", "lease", "start", "symbols"];

    fn parse(text: &str) -> Result<ConfigFile> {
        let config = ConfigFile::parse(Path::new("tapemill.toml"), text)?;
        config.known(&KNOWN)?;
        Ok(config)
    }

    #[test]
    fn values_come_as_the_text_of_their_flags() {
        let config = parse(
            "# a comment\ndata = [\"aggTrades\", \"klines:1m\"]\nkeep_zip = true\nlease = \"60s\"\nstart = 2024-01-17\n",
        )
        .unwrap();

        assert_eq!(config.get("data"), Some("aggTrades,klines:1m"));
        assert_eq!(config.get("keep-zip"), Some("true"));
        assert_eq!(config.get("lease"), Some("60s"));
        assert_eq!(config.get("start"), Some("2024-01-17"));
        assert_eq!(config.get("symbols"), None);
        assert_eq!(
            config.origin("keep-zip").as_deref(),
            Some("tapemill.toml:3")
        );
        assert_eq!(parse("lease = 60").unwrap().get("lease"), Some("60"));
        assert_eq!(parse("lease = 1_000").unwrap().get("lease"), Some("1000"));
        assert_eq!(parse("lease = 2.5").unwrap().get("lease"), Some("2.5"));
    }

    #[test]
    fn a_section_has_entries_of_its_own() {
        let config = parse(
            "lease = '60s'\n\n[categories]\nmine = ['BTCUSDT', 'ETHUSDT']\nother = 'SOLUSDT'\n",
        )
        .unwrap();

        let entries: Vec<_> = config.section("categories").collect();

        assert_eq!(entries, [("mine", "BTCUSDT,ETHUSDT"), ("other", "SOLUSDT")]);
        assert_eq!(config.get("lease"), Some("60s"));
        assert_eq!(config.get("categories"), None);
        let error = parse("[categories]\nmine = []").unwrap_err().to_string();
        assert!(
            error.ends_with("tapemill.toml:2: mine is empty: give it a value or remove the line"),
            "{error}"
        );
    }

    #[test]
    fn what_cannot_be_a_setting_is_refused_with_its_line() {
        for (text, message) in [
            (
                "data = 'x'\n\nleese = '60s'",
                "tapemill.toml:3: unknown setting \"leese\": did you mean lease?",
            ),
            (
                "frobnicate = 1",
                "tapemill.toml:1: unknown setting \"frobnicate\": remove it",
            ),
            (
                "lease = ''",
                "tapemill.toml:1: lease is empty: give it a value or remove the line",
            ),
            (
                "lease = '  '",
                "tapemill.toml:1: lease is empty: give it a value or remove the line",
            ),
            (
                "data = []",
                "tapemill.toml:1: data is empty: give it a value or remove the line",
            ),
            (
                "data = ['a', '']",
                "tapemill.toml:1: data has an empty value in its list: remove it",
            ),
            (
                "data = ['a,b']",
                "tapemill.toml:1: data has a comma inside a list: write its parts one by one",
            ),
            (
                "data = [['a']]",
                "tapemill.toml:1: data has a list inside its list: write one flat list",
            ),
            (
                "\n[worker]\nlease = '1s'",
                "tapemill.toml:2: worker is a section: settings are flat, key = value",
            ),
            (
                "keep-zip = true\nkeep_zip = false",
                "is given twice, with - and with _: keep one",
            ),
        ] {
            let error = parse(text).unwrap_err().to_string();

            assert!(error.ends_with(message), "{error}");
        }
    }

    #[test]
    fn what_is_no_toml_is_refused_with_its_line_in_one_line() {
        for text in [
            "lease = '60s'\nlease",
            "lease = '60s'\nlease = '1s'",
            "lease = '60s'\ndata = [",
        ] {
            let error = parse(text).unwrap_err().to_string();

            assert!(error.starts_with("tapemill.toml:2: "), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn an_unknown_variable_is_refused_with_the_nearest_name() {
        let known = ["TAPEMILL_LEASE", "TAPEMILL_OUTPUT"];

        let error = check_environment(&known, [("HOME", ""), ("TAPEMILL_OUPUT", "s3://secret")]);

        let error = error.unwrap_err().to_string();
        assert_eq!(
            error,
            "environment variable TAPEMILL_OUPUT is unknown: did you mean TAPEMILL_OUTPUT?"
        );
    }

    #[test]
    fn known_variables_pass_unless_they_are_empty() {
        let known = ["TAPEMILL_LEASE"];

        let passed = check_environment(
            &known,
            [
                ("TAPEMILL_LEASE", "60s"),
                ("TAPEMILL_ADMIN_TOKEN", "x"),
                ("PATH", ""),
            ],
        );
        let empty = check_environment(&known, [("TAPEMILL_ADMIN_TOKEN", "")]);

        assert!(passed.is_ok());
        assert_eq!(
            empty.unwrap_err().to_string(),
            "environment variable TAPEMILL_ADMIN_TOKEN is empty: give it a value or unset it"
        );
    }

    #[test]
    fn a_variable_that_is_not_utf8_is_refused_without_its_value() {
        use std::os::unix::ffi::OsStrExt;
        let value = OsStr::from_bytes(b"secret\xff");

        let error = check_environment(&["TAPEMILL_LEASE"], [(OsStr::new("TAPEMILL_LEASE"), value)]);

        let error = error.unwrap_err().to_string();
        assert_eq!(error, "environment variable TAPEMILL_LEASE is not UTF-8");
    }

    #[test]
    fn a_named_file_must_be_there_and_be_of_a_size() {
        let folder = tempfile::tempdir().unwrap();
        let large = folder.path().join("large.toml");
        std::fs::write(&large, "#".repeat(LARGEST_FILE as usize + 1)).unwrap();

        for path in [folder.path().join("none.toml"), large] {
            let error = ConfigFile::load(Some(&path)).unwrap_err();

            assert!(matches!(error, RuntimeError::File { .. }), "{error:?}");
        }
    }
}
