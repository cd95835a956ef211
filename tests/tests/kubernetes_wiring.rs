//! The manifests of `k8s/` fit together: selectors and pods, policies and ports, jobs and exit codes, scaling and what it counts.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::Value;
use tapemill_tests::{Manifests, Pod, manifests_folder, selects, title, value_of, words};

/// Where our processes listen.
const PORT: u64 = 9464;

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
                "export" => vec![2],
                other => panic!("{}: {other}?", pod.name),
            };
            assert_eq!(codes, wanted, "{}", pod.name);
            judged.insert(command.to_owned());
        }
    }
    let all = ["export", "run", "update", "verify"].map(str::to_owned);
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

#[test]
fn collectors_are_scraped_share_the_symbols_and_reach_the_exchange() {
    let built = Manifests::of_components(&["redis-dev", "live", "monitoring"]);
    let pods = built.pods();
    let collectors = pods
        .iter()
        .find(|pod| title(pod.workload) == "Deployment tapemill-live");
    let collectors = collectors.expect("they are there");
    assert!(built.settings().contains_key("TAPEMILL_QUEUE"));
    for monitor in built.of_kind("PodMonitor") {
        assert!(selects(&monitor["spec"]["selector"], collectors.labels));
    }
    let rules: Vec<&Value> = built.of_kind("PrometheusRule").collect();
    let rules = serde_json::to_string(&rules).expect("it is JSON");
    assert!(rules.contains("TapemillLiveDropped"));

    // Streams of um and cm come by the port that everything else comes by; those of spot are had there too.
    let opened: Vec<&Value> = built
        .of_kind("NetworkPolicy")
        .map(|policy| &policy["spec"])
        .filter(|spec| selects(&spec["podSelector"], collectors.labels))
        .collect();
    assert_eq!(
        ports(&opened, "egress", "to"),
        BTreeSet::from([53, 443, 6379])
    );
    assert_eq!(ports(&opened, "ingress", "from"), BTreeSet::from([PORT]));
    let handbook = fs::read_to_string(manifests_folder().join("README.md")).expect("it is there");
    assert!(handbook.contains("TAPEMILL_WS=wss://stream.binance.com:443"));
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
