//! The dashboards as they lie in the repository, and what they ask.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::Prometheus;

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

    /// What a variable asks: `label_values(SERIES, LABEL)`.
    pub fn asked_by(variable: &Value) -> Option<String> {
        variable["query"]["query"].as_str().map(str::to_owned)
    }

    /// What it asks when all of each variable is chosen, and when each value is chosen by itself. No variable may be without values.
    #[track_caller]
    pub fn everything_asked(&self, prometheus: &Prometheus, rate_interval: &str) -> Vec<Asked> {
        let rate_interval = ("__rate_interval".to_owned(), rate_interval.to_owned());
        let mut all = BTreeMap::from([rate_interval]);
        let mut each = all.clone();
        for variable in self.variables() {
            let Some(asked) = Self::asked_by(variable) else {
                continue;
            };
            let name = variable["name"].as_str().expect("a name").to_owned();
            let asked = filled(&asked, &all);
            let (series, label) = asked
                .strip_prefix("label_values(")
                .and_then(|rest| rest.strip_suffix(')')?.rsplit_once(", "))
                .unwrap_or_else(|| panic!("{}: {asked}", self.name));
            let found = prometheus.api(&format!("label/{label}/values"), &[("match[]", series)]);
            let values = found.as_array().expect("a list").iter();
            let values: Vec<_> = values
                .map(|value| value.as_str().unwrap().to_owned())
                .collect();
            assert!(!values.is_empty(), "{}: {name} has no values", self.name);
            let every = variable["allValue"].as_str().map(str::to_owned);
            all.insert(name.clone(), every.unwrap_or_else(|| any_of(&values)));
            each.insert(name, any_of(&values));
        }
        let filled_in = |values: &BTreeMap<String, String>| {
            let queries = self.queries().into_iter();
            queries
                .map(|asked| Asked {
                    expr: filled(&asked.expr, values),
                    ..asked
                })
                .collect::<Vec<_>>()
        };
        [filled_in(&all), filled_in(&each)].concat()
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
