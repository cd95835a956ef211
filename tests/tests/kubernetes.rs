//! The manifests of `k8s/`: valid for the Kubernetes they are for, locked down, and of one piece.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tapemill_tests::{
    Manifests, Pod, Python, manifests_folder, manifests_script, selects, shared_data, title, words,
};

/// The oldest that k8s/README.md promises, the one that most was tried with, and the newest whose schemas there are.
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
                arguments[0] == "verify",
                "{name}: verify alone serves nothing"
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

#[test]
fn selectors_find_the_pods_that_they_are_for() {
    for built in Manifests::all() {
        let pods = built.pods();
        for pod in &pods {
            for document in built
                .documents
                .iter()
                .filter(|one| title(one) == title(pod.workload))
            {
                let selector = &document["spec"]["selector"];
                assert!(
                    selector.is_null() || selects(selector, pod.labels),
                    "{}",
                    pod.name
                );
            }
            for spread in pod.spec["topologySpreadConstraints"]
                .as_array()
                .into_iter()
                .flatten()
            {
                assert!(
                    selects(&spread["labelSelector"], pod.labels),
                    "{}",
                    pod.name
                );
            }
            for other in &pods {
                let same = title(other.workload) == title(pod.workload);
                assert!(
                    same || other.labels != pod.labels,
                    "{} and {}",
                    pod.name,
                    other.name
                );
            }
        }
        for service in built.of_kind("Service") {
            let selector = serde_json::json!({"matchLabels": service["spec"]["selector"]});
            let found = found(&pods, &selector);
            assert_eq!(found.len(), 1, "{}: {}", built.name, title(service));
            for port in service["spec"]["ports"].as_array().expect("ports") {
                assert!(
                    has_port(found[0], &port["targetPort"]),
                    "{}",
                    title(service)
                );
            }
        }
        for budget in built.of_kind("PodDisruptionBudget") {
            let found = found(&pods, &budget["spec"]["selector"]);
            assert_eq!(found.len(), 1, "{}: {}", built.name, title(budget));
            let node_can_be_drained = !budget["spec"]["maxUnavailable"].is_null();
            assert!(node_can_be_drained, "{}", title(budget));
        }
        for monitor in built.of_kind("PodMonitor") {
            let found = found(&pods, &monitor["spec"]["selector"]);
            assert!(
                found.iter().any(|pod| pod.workload["kind"] == "Deployment"),
                "{}",
                built.name
            );
            for endpoint in monitor["spec"]["podMetricsEndpoints"]
                .as_array()
                .expect("endpoints")
            {
                assert_eq!(endpoint["path"], "/metrics");
                let scraped = found.iter().filter(|pod| has_port(pod, &endpoint["port"]));
                assert!(scraped.count() > 0, "{}: nothing to scrape", built.name);
            }
        }
        for scaled in built.of_kind("ScaledObject") {
            let target = &scaled["spec"]["scaleTargetRef"];
            let (kind, name) = (&target["kind"], &target["name"]);
            built.one(
                kind.as_str().expect("a kind"),
                name.as_str().expect("a name"),
            );
        }
        for deployment in built.of_kind("Deployment") {
            let budget = built.of_kind("PodDisruptionBudget");
            let mut named = budget
                .filter(|budget| budget["metadata"]["name"] == deployment["metadata"]["name"]);
            assert!(
                named.next().is_some(),
                "{}: {} has no budget",
                built.name,
                title(deployment)
            );
        }
    }
}

fn found<'a>(pods: &'a [Pod<'a>], selector: &Value) -> Vec<&'a Pod<'a>> {
    pods.iter()
        .filter(|pod| selects(selector, pod.labels))
        .collect()
}

fn has_port(pod: &Pod<'_>, name: &Value) -> bool {
    let mut ports = pod
        .containers()
        .flat_map(|container| container["ports"].as_array().into_iter().flatten());
    ports.any(|port| &port["name"] == name)
}

#[test]
fn the_network_is_closed_but_for_what_is_needed() {
    for built in Manifests::all() {
        let policies: Vec<&Value> = built.of_kind("NetworkPolicy").collect();
        let deny = policies.iter().filter(|policy| {
            let spec = &policy["spec"];
            spec["podSelector"] == serde_json::json!({})
                && words(&spec["policyTypes"]) == ["Ingress", "Egress"]
                && spec["ingress"].is_null()
                && spec["egress"].is_null()
        });
        assert_eq!(
            deny.count(),
            1,
            "{}: one that denies everything",
            built.name
        );

        let settings = built.settings();
        for pod in built.pods() {
            let of_pod: Vec<&Value> = policies
                .iter()
                .filter(|policy| selects(&policy["spec"]["podSelector"], pod.labels))
                .map(|policy| &policy["spec"])
                .collect();
            let out = ports(&of_pod, "egress", "to");
            let inside = ports(&of_pod, "ingress", "from");
            if pod.ours().is_none() {
                assert_eq!(out, BTreeSet::new(), "{} asks nobody", pod.name);
                assert_eq!(inside, BTreeSet::from([6379]), "{}", pod.name);
                continue;
            }
            let mut wanted = BTreeSet::from([53, 443]);
            wanted.extend(settings.get("TAPEMILL_QUEUE").map(|queue| port_of(queue)));
            assert_eq!(out, wanted, "{}: what it may ask", pod.name);
            let watched = built.of_kind("PodMonitor").next().is_some();
            let scraped = watched.then_some(PORT).into_iter().collect();
            assert_eq!(inside, scraped, "{}: who may ask it", pod.name);
        }
        for policy in policies {
            let selector = &policy["spec"]["podSelector"];
            assert!(
                !found(&built.pods(), selector).is_empty(),
                "{}: {} is for nobody",
                built.name,
                title(policy)
            );
        }
    }
}

/// The ports that rules open; each rule has to say for whom.
fn ports(policies: &[&Value], direction: &str, whom: &str) -> BTreeSet<u64> {
    let rules = policies
        .iter()
        .flat_map(|spec| spec[direction].as_array().into_iter().flatten());
    rules
        .flat_map(|rule| {
            assert!(
                rule[whom].as_array().is_some_and(|whom| !whom.is_empty()),
                "{rule} is for all"
            );
            let ports = rule["ports"].as_array().expect("a rule names its ports");
            ports
                .iter()
                .map(|port| port["port"].as_u64().expect("a number"))
        })
        .collect()
}

fn port_of(queue: &str) -> u64 {
    let (_, rest) = queue.split_once("://").expect("a URL");
    let host = rest.split(['/', '?']).next().expect("a host");
    host.rsplit_once(':')
        .map_or(6379, |(_, port)| port.parse().expect("a port"))
}

#[test]
fn a_job_is_not_repeated_for_what_another_try_does_not_mend() {
    let mut judged = BTreeSet::new();
    for built in Manifests::all() {
        for pod in built.pods() {
            let kind = pod.workload["kind"].as_str().expect("a kind");
            let job = match kind {
                "Job" => &pod.workload["spec"],
                "CronJob" => {
                    let spec = &pod.workload["spec"];
                    assert_eq!(spec["concurrencyPolicy"], "Forbid", "{}", pod.name);
                    assert_eq!(spec["timeZone"], "Etc/UTC", "{}", pod.name);
                    &spec["jobTemplate"]["spec"]
                }
                _ => continue,
            };
            assert_eq!(pod.spec["restartPolicy"], "Never", "{}", pod.name);
            assert!(
                job["completions"].is_null(),
                "{}: the queue has the work",
                pod.name
            );
            let rules = job["podFailurePolicy"]["rules"].as_array().expect("rules");
            assert_eq!(
                rules[0]["action"], "Ignore",
                "{}: a drained node comes first",
                pod.name
            );
            assert_eq!(rules[0]["onPodConditions"][0]["type"], "DisruptionTarget");
            let failing = rules.iter().filter(|rule| rule["action"] == "FailJob");
            let codes: Vec<u64> = failing
                .flat_map(|rule| {
                    assert_eq!(rule["onExitCodes"]["operator"], "In");
                    assert_eq!(rule["onExitCodes"]["containerName"], "tapemill");
                    rule["onExitCodes"]["values"].as_array().expect("codes")
                })
                .filter_map(Value::as_u64)
                .collect();
            let command = words(&pod.ours().expect("ours")["args"])[0];
            // 2: bad usage, 3: dead tasks, 4: defects; docs/commands.md.
            let wanted = match command {
                "run" | "update" => vec![2, 3],
                "verify" => vec![2, 4],
                other => panic!("{}: {other}?", pod.name),
            };
            assert_eq!(codes, wanted, "{}", pod.name);
            judged.insert(command.to_owned());
        }
    }
    let all = ["run", "update", "verify"].map(str::to_owned);
    assert_eq!(judged, BTreeSet::from(all), "each has a job");
}

#[test]
fn workers_are_scaled_by_all_that_is_not_finished() {
    for built in Manifests::all() {
        let Some(scaled) = built.of_kind("ScaledObject").next() else {
            continue;
        };
        let spec = &scaled["spec"];
        let worker = built.one("Deployment", "tapemill-worker");
        assert!(
            worker["spec"]["replicas"].is_null(),
            "applying it again would scale it"
        );
        assert_eq!(spec["minReplicaCount"], 0);
        let down = &spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"];
        assert_eq!(down["selectPolicy"], "Disabled", "no busy worker is taken");

        let trigger = &spec["triggers"][0];
        assert_eq!(trigger["type"], "prometheus");
        let metadata = &trigger["metadata"];
        assert_eq!(
            metadata["ignoreNullValues"], "false",
            "silence is no drained queue"
        );
        let arguments = words(&worker["spec"]["template"]["spec"]["containers"][0]["args"]);
        assert_eq!(
            metadata["threshold"].as_str(),
            value_of(&arguments, "--workers")
        );
        let query = metadata["query"].as_str().expect("a query");
        let namespace = scaled["metadata"]["namespace"]
            .as_str()
            .expect("a namespace");
        for part in [
            "tapemill_queue_tasks{",
            "state=~\"pending|leased\"",
            &format!("namespace=\"{namespace}\""),
        ] {
            assert!(query.contains(part), "{part} is not in {query}");
        }
        if let Some(name) = queue_name(&built) {
            assert!(query.contains(&format!("queue=\"{name}\"")), "{query}");
        }
    }
}

/// Counters of work have no queue of their own; the rules sum by it.
#[test]
fn what_is_scraped_is_of_the_queue() {
    for built in Manifests::all() {
        let Some(name) = queue_name(&built) else {
            continue;
        };
        for monitor in built.of_kind("PodMonitor") {
            let endpoint = &monitor["spec"]["podMetricsEndpoints"][0];
            assert_eq!(
                endpoint["honorLabels"], true,
                "the coordinator's own label stays"
            );
            let label = &endpoint["relabelings"][0];
            assert_eq!(
                (&label["targetLabel"], &label["replacement"]),
                (&"queue".into(), &name.clone().into())
            );
        }
    }
}

fn queue_name(built: &Manifests) -> Option<String> {
    let settings = built.settings();
    let (_, name) = settings.get("TAPEMILL_QUEUE")?.split_once("?queue=")?;
    Some(name.to_owned())
}

#[test]
fn the_rules_are_those_of_the_prometheus_folder() {
    let written = manifests_folder().join("components/monitoring/prometheusrule.yaml");
    let written = fs::read_to_string(written).expect("it is there");

    let output = Command::new(manifests_folder().join("prometheus-rules"))
        .arg("-")
        .output();

    let output = output.expect("it can be run");
    let now = String::from_utf8(output.stdout).expect("text");
    assert!(
        output.status.success() && now.contains("kind: PrometheusRule"),
        "{now}"
    );
    assert!(
        now == written,
        "run k8s/prometheus-rules: prometheus/ has other rules"
    );
}

/// What follows a flag.
fn value_of<'a>(arguments: &[&'a str], flag: &str) -> Option<&'a str> {
    let at = arguments.iter().position(|argument| *argument == flag)?;
    arguments.get(at + 1).copied()
}
