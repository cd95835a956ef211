//! The manifests of `k8s/`, as `kubectl kustomize` builds them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde_json::Value;
use tempfile::TempDir;

use crate::Python;

/// One build: the base, a component on the base, or an overlay.
pub struct Manifests {
    /// `base`, `components/keda`, `overlays/kind` and so on.
    pub name: String,
    /// Its documents.
    pub documents: Vec<Value>,
    file: PathBuf,
    _folder: Arc<TempDir>,
}

/// What a workload makes pods of.
pub struct Pod<'a> {
    /// The workload's kind and name.
    pub name: String,
    /// The workload.
    pub workload: &'a Value,
    /// Labels of the pods.
    pub labels: &'a Value,
    /// Their spec.
    pub spec: &'a Value,
}

impl Manifests {
    /// The base, each component on it, and each overlay.
    ///
    /// # Panics
    ///
    /// When one does not build.
    #[track_caller]
    pub fn all() -> Vec<Self> {
        let mut wanted = vec![("base".to_owned(), None)];
        for component in folders("components") {
            let name = format!("components/{component}");
            wanted.push((name.clone(), Some(on_the_base(&name))));
        }
        for overlay in folders("overlays") {
            wanted.push((format!("overlays/{overlay}"), None));
        }
        build(wanted)
    }

    /// Each overlay.
    #[track_caller]
    pub fn overlays() -> Vec<Self> {
        let overlays = folders("overlays").into_iter();
        build(
            overlays
                .map(|name| (format!("overlays/{name}"), None))
                .collect(),
        )
    }

    /// Some components on the base.
    #[track_caller]
    pub fn of_components(components: &[&str]) -> Self {
        let names: Vec<String> = components
            .iter()
            .map(|component| format!("components/{component}"))
            .collect();
        let kustomization = on_the_base(&names.join(", ../k8s/"));
        build(vec![(names.join("+"), Some(kustomization))]).remove(0)
    }

    /// Its documents as the YAML that was built.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The documents of a kind.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        let documents = self.documents.iter();
        documents.filter(move |document| document["kind"] == kind)
    }

    /// One document.
    #[track_caller]
    pub fn one(&self, kind: &str, name: &str) -> &Value {
        let mut documents = self.documents.iter();
        let wanted = format!("{kind} {name}");
        let found = documents.find(|document| title(document) == wanted);
        found.unwrap_or_else(|| panic!("{}: no {wanted}", self.name))
    }

    /// What all workloads make pods of.
    pub fn pods(&self) -> Vec<Pod<'_>> {
        let documents = self.documents.iter();
        documents
            .filter_map(|workload| {
                let template = ["/spec/template", "/spec/jobTemplate/spec/template"]
                    .iter()
                    .find_map(|at| workload.pointer(at))?;
                Some(Pod {
                    name: format!("{}: {}", self.name, title(workload)),
                    workload,
                    labels: &template["metadata"]["labels"],
                    spec: &template["spec"],
                })
            })
            .collect()
    }

    /// The settings that all of our containers get.
    #[track_caller]
    pub fn settings(&self) -> BTreeMap<String, String> {
        let mut maps = self.of_kind("ConfigMap");
        let map = maps.next().expect("there are settings");
        assert!(maps.next().is_none(), "{}: one ConfigMap", self.name);
        let data = map["data"].as_object().expect("it has data").iter();
        data.map(|(name, value)| (name.clone(), value.as_str().expect("text").to_owned()))
            .collect()
    }
}

impl<'a> Pod<'a> {
    /// Its containers, those that run before the others too.
    pub fn containers(&self) -> impl Iterator<Item = &'a Value> {
        let lists = ["initContainers", "containers"].map(|list| self.spec[list].as_array());
        lists.into_iter().flatten().flatten()
    }

    /// The container of our binary; none in the pods of others.
    pub fn ours(&self) -> Option<&'a Value> {
        self.containers()
            .find(|container| container["name"] == "tapemill")
    }
}

/// A document's kind and name.
pub fn title(document: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    format!(
        "{} {}",
        text(&document["kind"]),
        text(&document["metadata"]["name"])
    )
}

/// The words of a list.
#[track_caller]
pub fn words(list: &Value) -> Vec<&str> {
    let list = list.as_array().expect("a list").iter();
    list.map(|word| word.as_str().expect("a word")).collect()
}

/// What follows a flag.
pub fn value_of<'a>(arguments: &[&'a str], flag: &str) -> Option<&'a str> {
    let at = arguments.iter().position(|argument| *argument == flag)?;
    arguments.get(at + 1).copied()
}

/// Whether labels are among those that a selector asks for.
pub fn selects(selector: &Value, labels: &Value) -> bool {
    let wanted = selector["matchLabels"].as_object();
    assert!(
        selector["matchExpressions"].is_null(),
        "only plain selectors are judged: {selector}"
    );
    wanted.is_none_or(|wanted| {
        let mut pairs = wanted.iter();
        pairs.all(|(name, value)| &labels[name] == value)
    })
}

/// `k8s/`.
pub fn manifests_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../k8s")
}

fn on_the_base(components: &str) -> String {
    format!(
        "apiVersion: kustomize.config.k8s.io/v1beta1\n\
         kind: Kustomization\n\
         namespace: tapemill\n\
         resources: [../k8s/base]\n\
         components: [../k8s/{components}]\n"
    )
}

fn folders(below: &str) -> Vec<String> {
    let entries = fs::read_dir(manifests_folder().join(below)).expect("it is there");
    let mut names: Vec<String> = entries
        .map(|entry| {
            let name = entry.expect("it can be read").file_name();
            name.into_string().expect("a plain name")
        })
        .collect();
    names.sort();
    names
}

/// Builds each; those with a text of their own in a folder beside a copy of `k8s/`.
#[track_caller]
fn build(wanted: Vec<(String, Option<String>)>) -> Vec<Manifests> {
    let folder = Arc::new(tempfile::tempdir().expect("a folder can be made"));
    let copied = Command::new("cp")
        .arg("-R")
        .arg(manifests_folder())
        .arg(folder.path().join("k8s"))
        .status();
    assert!(copied.expect("cp is there").success());
    let mut files = Vec::new();
    for (nth, (name, kustomization)) in wanted.iter().enumerate() {
        let source = match kustomization {
            None => folder.path().join("k8s").join(name),
            Some(text) => {
                let own = folder.path().join(format!("own-{nth}"));
                fs::create_dir(&own).expect("a folder can be made");
                fs::write(own.join("kustomization.yaml"), text).expect("a file can be written");
                own
            }
        };
        let output = Command::new(kubectl())
            .arg("kustomize")
            .arg(&source)
            .output()
            .expect("kubectl is there; scripts/test installs what the tests need");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name} does not build: {said}");
        assert_eq!(said, "", "{name}: nothing to warn of");
        let file = folder
            .path()
            .join(format!("{}.yaml", name.replace('/', "-")));
        fs::write(&file, output.stdout).expect("a file can be written");
        files.push(file);
    }
    let script = manifests_script();
    let mut arguments = vec![script.as_str(), "json"];
    arguments.extend(
        files
            .iter()
            .map(|file| file.to_str().expect("a plain path")),
    );
    let read = Python::new().run(&arguments);
    let read: Vec<Vec<Value>> = serde_json::from_str(&read).expect("it is JSON");
    let built = wanted.into_iter().zip(files).zip(read);
    built
        .map(|(((name, _), file), documents)| Manifests {
            name,
            documents,
            file,
            _folder: folder.clone(),
        })
        .collect()
}

/// The script that reads and judges manifests.
pub fn manifests_script() -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("kubernetes/manifests.py");
    script.to_str().expect("a plain path").to_owned()
}

/// The one that `scripts/test` installs, where the machine had none.
fn kubectl() -> PathBuf {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.venv/bin/kubectl");
    match installed.exists() {
        true => installed,
        false => "kubectl".into(),
    }
}
