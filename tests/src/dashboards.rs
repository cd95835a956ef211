//! The dashboards as they lie in the repository, and what they ask.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// A file of `grafana/dashboards`.
pub struct Dashboard {
    /// Its name without folder and ending.
    pub name: String,
    /// What is in it.
    pub json: Value,
}

/// One query of a dashboard.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The dashboard and the panel or annotation.
    pub by: String,
    /// The expression, its variables not filled in.
    pub expr: String,
}

impl Dashboard {
    /// Where they lie.
    pub fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../grafana/dashboards")
    }

    /// All of them, by name.
    #[track_caller]
    pub fn all() -> Vec<Self> {
        let files = std::fs::read_dir(Self::folder()).expect("the folder is there");
        let files = files.map(|file| file.expect("it can be listed").path());
        let mut dashboards: Vec<_> = files
            .map(|path| Self {
                name: path.file_stem().unwrap().to_string_lossy().into_owned(),
                json: serde_json::from_str(&std::fs::read_to_string(&path).unwrap())
                    .unwrap_or_else(|error| panic!("{}: {error}", path.display())),
            })
            .collect();
        dashboards.sort_by(|a, b| a.name.cmp(&b.name));
        dashboards
    }

    /// All panels, rows included.
    pub fn panels(&self) -> &[Value] {
        self.json["panels"].as_array().expect("a list")
    }

    /// The variables that can be chosen.
    pub fn variables(&self) -> &[Value] {
        self.json["templating"]["list"].as_array().expect("a list")
    }

    /// What panels and annotations ask.
    pub fn queries(&self) -> Vec<Asked> {
        let asked = |by: &Value, target: &Value| {
            let by = by.as_str().expect("it has a name");
            let expr = target["expr"].as_str()?.to_owned();
            let by = format!("{}: {by}", self.name);
            Some(Asked { by, expr })
        };
        let of_panels = self.panels().iter().flat_map(|panel| {
            let targets = panel["targets"].as_array().into_iter().flatten();
            targets.filter_map(move |target| asked(&panel["title"], target))
        });
        let annotations = self.json["annotations"]["list"].as_array();
        let marks = annotations.into_iter().flatten();
        let of_marks = marks.filter_map(|mark| asked(&mark["name"], &mark["target"]));
        of_panels.chain(of_marks).collect()
    }
}

/// A text with its variables filled in, as Grafana does it: `$name`, the longest name first.
pub fn filled(text: &str, values: &BTreeMap<String, String>) -> String {
    let mut names: Vec<_> = values.keys().collect();
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    let fill = |text: String, name: &String| text.replace(&format!("${name}"), &values[name]);
    names.into_iter().fold(text.to_owned(), fill)
}

/// Several values of a variable as a part of a regular expression in PromQL.
pub fn any_of(values: &[String]) -> String {
    let escaped = |value: &String| -> String {
        let escape = |c: char| match c {
            '\\' => r"\\\\".to_owned(),
            _ if r"$^*{}[]+?.()|".contains(c) => format!(r"\\{c}"),
            _ => c.to_string(),
        };
        value.chars().map(escape).collect()
    };
    let escaped: Vec<_> = values.iter().map(escaped).collect();
    format!("({})", escaped.join("|"))
}
