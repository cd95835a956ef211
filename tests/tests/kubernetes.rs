//! The manifests of `k8s/`: valid for the Kubernetes they are for, and locked down.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tapemill_tests::{Manifests, Python, manifests_script, shared_data, value_of, words};

/// The oldest that k8s/README.md promises, that of the kubectl in use, and the newest whose schemas there are.
const VERSIONS: [&str; 3] = ["1.31", "1.32", "1.37"];

/// Where our processes listen.
const PORT: u64 = 9464;

/// Whether documents are what their schemas want; why not.
fn validated(files: &[&Path]) -> Result<(), String> {
    let folder = shared_data("crds");
    let folder = folder
        .as_ref()
        .map_or("-", |folder| folder.to_str().expect("a plain path"));
    let (script, versions) = (manifests_script(), VERSIONS.join(","));
    let mut words = vec![script.as_str(), "validate", &versions, folder];
    words.extend(
        files
            .iter()
            .map(|file| file.to_str().expect("a plain path")),
    );
    let output = Python::new().output(&words);
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

#[test]
fn every_build_is_valid_for_each_version_of_kubernetes() {
    let all = Manifests::all();
    let files: Vec<&Path> = all.iter().map(Manifests::file).collect();
    if let Err(why) = validated(&files) {
        panic!("{why}");
    }
}

#[test]
fn what_no_schema_knows_or_lists_is_refused() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("manifest.yaml");
    let of = |head: &str, spec: &str| {
        let text = format!("{head}\nmetadata: {{name: x}}\nspec: {spec}\n");
        fs::write(&file, text).expect("a file can be written");
        validated(&[&file])
    };
    let budget = "apiVersion: policy/v1\nkind: PodDisruptionBudget";
    let scaled = "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject";
    let target = "scaleTargetRef: {name: x}";

    assert_eq!(of(budget, "{maxUnavailable: 1}"), Ok(()));
    let refused = [
        (of(budget, "{maxUnavailible: 1}"), "maxUnavailible"),
        (of(budget, "{maxUnavailable: [1]}"), "maxUnavailable"),
        (
            of("apiVersion: example.org/v1\nkind: Nothing", "{}"),
            "Couldn't find schema",
        ),
    ];
    for (refused, told) in refused {
        let why = refused.expect_err(told);
        assert!(why.contains(told), "{told:?} is not in {why:?}");
    }
    if shared_data("crds").is_none() {
        return;
    }
    let trigger = "{type: prometheus, metadata: {threshold: \"4\"}}";
    assert_eq!(
        of(scaled, &format!("{{{target}, triggers: [{trigger}]}}")),
        Ok(())
    );
    let refused = [
        (
            of(scaled, &format!("{{triggers: [{trigger}]}}")),
            "scaleTargetRef",
        ),
        (
            of(
                scaled,
                &format!("{{{target}, triggers: [], minReplicas: 0}}"),
            ),
            "minReplicas",
        ),
        (
            of(
                scaled,
                &format!("{{{target}, triggers: [{{type: x, metadata: {{threshold: 4}}}}]}}"),
            ),
            "triggers.0.metadata.threshold",
        ),
        (
            of("apiVersion: keda.sh/v1alpha1\nkind: ScaledThing", "{}"),
            "no schema of",
        ),
    ];
    for (refused, told) in refused {
        let why = refused.expect_err(told);
        assert!(why.contains(told), "{told:?} is not in {why:?}");
    }
}

#[test]
fn every_pod_is_restricted_and_bounded() {
    for built in Manifests::all() {
        let pods = built.pods();
        assert!(!pods.is_empty(), "{}", built.name);
        for pod in pods {
            let (name, spec) = (&pod.name, pod.spec);
            assert_eq!(spec["automountServiceAccountToken"], false, "{name}");
            // Else the variables of a service are taken for settings, and refused.
            assert_eq!(spec["enableServiceLinks"], false, "{name}");
            let security = &spec["securityContext"];
            assert_eq!(security["runAsNonRoot"], true, "{name}");
            assert!(security["runAsUser"].as_u64() > Some(0), "{name}");
            assert!(security["runAsGroup"].as_u64() > Some(0), "{name}");
            assert_eq!(
                security["seccompProfile"]["type"], "RuntimeDefault",
                "{name}"
            );
            for forbidden in [
                "hostNetwork",
                "hostPID",
                "hostIPC",
                "priorityClassName",
                "nodeName",
            ] {
                assert!(spec[forbidden].is_null(), "{name} has {forbidden}");
            }
            let volumes = spec["volumes"].as_array().expect("there are volumes");
            for volume in volumes {
                assert!(volume["hostPath"].is_null(), "{name}: {volume}");
                let scratch = &volume["emptyDir"];
                assert!(
                    scratch.is_null() || scratch["sizeLimit"].is_string(),
                    "{name}: {volume} has no limit"
                );
            }
            for container in pod.containers() {
                container_is_restricted(name, container, volumes);
            }
        }
    }
}

fn container_is_restricted(name: &str, container: &Value, volumes: &[Value]) {
    let security = &container["securityContext"];
    assert_eq!(security["allowPrivilegeEscalation"], false, "{name}");
    assert_eq!(security["readOnlyRootFilesystem"], true, "{name}");
    assert_eq!(words(&security["capabilities"]["drop"]), ["ALL"], "{name}");
    assert!(security["capabilities"]["add"].is_null(), "{name}");
    for overridden in [
        "privileged",
        "runAsUser",
        "runAsNonRoot",
        "seccompProfile",
        "procMount",
    ] {
        assert!(security[overridden].is_null(), "{name} has {overridden}");
    }
    for port in container["ports"].as_array().into_iter().flatten() {
        assert!(port["hostPort"].is_null(), "{name}: {port}");
    }

    for bound in ["requests", "limits"] {
        for resource in ["cpu", "memory", "ephemeral-storage"] {
            let value = &container["resources"][bound][resource];
            assert!(value.is_string(), "{name}: no {bound} of {resource}");
        }
    }

    // The root is read-only: what it writes to has to be there.
    let mounts = container["volumeMounts"].as_array().expect("mounts");
    let tmp = mounts.iter().find(|mount| mount["mountPath"] == "/tmp");
    let tmp = tmp.unwrap_or_else(|| panic!("{name} has no /tmp"));
    let volume = volumes.iter().find(|volume| volume["name"] == tmp["name"]);
    assert!(
        volume.is_some_and(|volume| volume["emptyDir"].is_object()),
        "{name}"
    );
}

#[test]
fn images_are_named_by_release() {
    for built in Manifests::all() {
        for pod in built.pods() {
            for container in pod.containers() {
                let image = container["image"].as_str().expect("an image");
                let (_, tag) = image
                    .rsplit_once(':')
                    .unwrap_or_else(|| panic!("{image} has no tag"));
                assert_ne!(tag, "latest", "{image}");
                if container["name"] == "tapemill" {
                    assert_eq!(tag, env!("CARGO_PKG_VERSION"), "{image} of {}", pod.name);
                }
            }
        }
    }
}

#[test]
fn no_secret_is_in_the_manifests() {
    for built in Manifests::all() {
        assert_eq!(built.of_kind("Secret").count(), 0, "{}", built.name);
        for (name, value) in built.settings() {
            assert!(
                !is_secret(&name),
                "{}: {name} is in a ConfigMap",
                built.name
            );
            assert!(
                !value.contains('@') || value.starts_with('@'),
                "{name} may hold a password"
            );
        }
        for pod in built.pods() {
            for container in pod.containers() {
                for variable in container["env"].as_array().into_iter().flatten() {
                    let name = variable["name"].as_str().expect("a name");
                    assert_eq!(
                        is_secret(name),
                        variable["value"].is_null(),
                        "{}: {name}",
                        pod.name
                    );
                    let reference = &variable["valueFrom"]["secretKeyRef"];
                    assert_eq!(reference["name"], "tapemill", "{}: {name}", pod.name);
                }
            }
        }
    }
}

fn is_secret(variable: &str) -> bool {
    ["PASSWORD", "USER", "SECRET", "TOKEN", "ACCESS_KEY"]
        .iter()
        .any(|part| variable.contains(part))
}

#[test]
fn probes_ask_what_is_served_where_it_is_served() {
    for built in Manifests::all() {
        for pod in built.pods() {
            let Some(container) = pod.ours() else {
                continue;
            };
            let name = &pod.name;
            let arguments = words(&container["args"]);
            let listens = value_of(&arguments, "--listen");
            assert_eq!(
                listens.is_none(),
                ["export", "verify"].contains(&arguments[0]),
                "{name}: these alone serve nothing"
            );
            if listens.is_none() {
                continue;
            }
            assert_eq!(listens, Some("0.0.0.0:9464"), "{name}");
            let ports = container["ports"].as_array().expect("ports");
            assert_eq!(ports.len(), 1, "{name}");
            assert_eq!(ports[0]["name"], "http", "{name}");
            assert_eq!(ports[0]["containerPort"], PORT, "{name}");
            // Liveness never looks at the queue: a restart does not heal it.
            let deployed = pod.workload["kind"] == "Deployment";
            for (probe, path, needed) in [
                ("startupProbe", "/healthz", true),
                ("livenessProbe", "/healthz", true),
                ("readinessProbe", "/readyz", deployed),
            ] {
                let probe = &container[probe];
                assert!(
                    !needed || probe.is_object(),
                    "{name} lacks a probe of {path}"
                );
                if probe.is_object() {
                    assert_eq!(probe["httpGet"]["path"], path, "{name}");
                    assert_eq!(probe["httpGet"]["port"], "http", "{name}");
                }
            }
        }
    }
}

/// A collector that is told to end stores what it holds, and hands its symbols back.
#[test]
fn collectors_have_time_to_store_what_they_hold() {
    let built = Manifests::of_components(&["redis-dev", "live"]);
    let live = built.one("Deployment", "tapemill-live");
    let spec = &live["spec"]["template"]["spec"];
    assert_eq!(spec["terminationGracePeriodSeconds"], 120);
    // Or else symbols would be nobody's until the next one is there.
    let rollout = &live["spec"]["strategy"]["rollingUpdate"];
    assert_eq!(
        (&rollout["maxUnavailable"], &rollout["maxSurge"]),
        (&0.into(), &1.into())
    );

    let arguments = words(&spec["containers"][0]["args"]);
    let most = value_of(&arguments, "--max-buffer").and_then(|most| most.strip_suffix("MB"));
    let most: u64 = most.expect("megabytes").parse().expect("a number");
    let limit = spec["containers"][0]["resources"]["limits"]["memory"].as_str();
    let limit = limit
        .and_then(|limit| limit.strip_suffix("Gi"))
        .expect("gibibytes");
    // Held, being stored, and what becomes of it on the way.
    assert!(most * 1_000_000 * 4 <= limit.parse::<u64>().expect("a number") << 30);
}

#[test]
fn whoever_works_has_longer_than_its_grace_to_end() {
    for built in Manifests::all() {
        for pod in built.pods() {
            let Some(container) = pod.ours() else {
                continue;
            };
            let arguments = words(&container["args"]);
            if !["worker", "run", "update"].contains(&arguments[0]) {
                continue;
            }
            let grace = value_of(&arguments, "--grace").and_then(|grace| grace.strip_suffix('s'));
            let grace: u64 = grace.expect("seconds").parse().expect("a number");
            let given = pod.spec["terminationGracePeriodSeconds"].as_u64();
            // A last moment for catalogues and the goodbye.
            assert!(
                given >= Some(grace + 10),
                "{}: {given:?} for {grace}",
                pod.name
            );
        }
    }
}
