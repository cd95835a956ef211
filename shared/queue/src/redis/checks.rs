//! What is checked of a server before a queue is trusted to it.

use redis::{Cmd, RedisError, Value};

use super::fault::into_error;
use super::info::{field, text_of};
use super::keys::Keys;
use super::link::Link;
use crate::QueueError;

/// `HRANDFIELD` and `ZRANGE … LIMIT` came with it.
const OLDEST: (u32, u32) = (6, 2);
const OP: &str = "open it";

/// Refuses a server that would lose tasks silently; returns warnings of one that may lose them when it stops.
pub(super) async fn check(
    link: &Link,
    keys: &Keys,
    queue: &str,
) -> Result<Vec<&'static str>, QueueError> {
    let mut ask = redis::cmd("INFO");
    let info = match link.send(&ask, keys).await {
        Ok(info) => text_of(&info),
        Err(error) if is_forbidden(&error) => {
            return Ok(vec![
                "the user may not ask with INFO: the server's settings are not checked",
            ]);
        }
        Err(error) => return Err(into_error(error, queue, OP)),
    };
    ask = redis::cmd("CONFIG");
    let save = save_points(link.send(ask.arg("GET").arg("save"), keys).await);
    let findings = findings(&info, save.as_deref());
    match findings.verdict {
        Verdict::Fit => Ok(findings.warnings),
        Verdict::Old(found) => Err(QueueError::OldStore {
            queue: queue.to_owned(),
            needs: "Redis 6.2 or later",
            found,
        }),
        Verdict::Unfit(why) => Err(QueueError::Refused {
            queue: queue.to_owned(),
            op: OP,
            why: why.to_owned(),
        }),
    }
}

fn is_forbidden(error: &RedisError) -> bool {
    error.code() == Some("NOPERM") || error.to_string().contains("NOPERM")
}

/// When the server writes snapshots; `None` where it does not say (managed servers forbid `CONFIG`).
fn save_points(answer: redis::RedisResult<Value>) -> Option<String> {
    match answer.ok()? {
        Value::Array(pair) => pair.get(1).map(text_of),
        Value::Map(pairs) => pairs.first().map(|(_, value)| text_of(value)),
        _ => None,
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Fit,
    Old(String),
    Unfit(&'static str),
}

#[derive(Debug)]
struct Findings {
    verdict: Verdict,
    warnings: Vec<&'static str>,
}

/// Judges a server by what it says of itself.
fn findings(info: &str, save_points: Option<&str>) -> Findings {
    let value = |name| field(info, name).unwrap_or_default();
    let mut warnings = Vec::new();
    let policy = value("maxmemory_policy");
    if policy.starts_with("volatile-") {
        warnings.push(
            "the server's maxmemory-policy is not noeviction: nothing of a queue expires, but set it to noeviction",
        );
    }
    if value("aof_enabled") == "0" && save_points == Some("") {
        warnings.push(
            "the server keeps nothing on disk: a restart empties the queue, and `tapemill plan` restores it; \
             set appendonly yes",
        );
    }
    let version = value("redis_version");
    let verdict = if is_old(&version) {
        Verdict::Old(version)
    } else if value("role") == "slave" {
        Verdict::Unfit("it is a replica; name the primary, or its Sentinels")
    } else if policy.starts_with("allkeys-") {
        Verdict::Unfit(
            "its maxmemory-policy would drop tasks silently when memory is short; set maxmemory-policy noeviction",
        )
    } else {
        Verdict::Fit
    };
    Findings { verdict, warnings }
}

/// An unknown version is not old.
fn is_old(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>());
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) < OLDEST,
        _ => false,
    }
}

/// Bytes the server's memory holds, of all that is in it; 0 where it does not say.
pub(super) async fn memory(link: &Link, keys: &Keys) -> u64 {
    let mut ask: Cmd = redis::cmd("INFO");
    let info = link.send(ask.arg("memory"), keys).await;
    let used = info
        .ok()
        .and_then(|info| field(&text_of(&info), "used_memory"));
    used.and_then(|bytes| bytes.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(lines: &[&str]) -> String {
        let fit = [
            "redis_version:7.0.15",
            "role:master",
            "maxmemory_policy:noeviction",
            "aof_enabled:1",
        ];
        // The first line of a name counts.
        lines
            .iter()
            .chain(&fit)
            .map(|line| format!("{line}\r\n"))
            .collect()
    }

    #[test]
    fn a_server_as_it_should_be_is_fit() {
        let found = findings(&info(&[]), Some("3600 1"));

        assert_eq!(found.verdict, Verdict::Fit);
        assert!(found.warnings.is_empty(), "{found:?}");
    }

    #[test]
    fn one_that_would_lose_tasks_is_refused() {
        let verdict = |line| findings(&info(&[line]), None).verdict;

        assert!(matches!(
            verdict("maxmemory_policy:allkeys-lru"),
            Verdict::Unfit(_)
        ));
        assert!(matches!(verdict("role:slave"), Verdict::Unfit(_)));
        assert_eq!(
            verdict("redis_version:6.0.16"),
            Verdict::Old("6.0.16".into())
        );
        assert_eq!(verdict("redis_version:6.2.0"), Verdict::Fit);
        assert_eq!(verdict("redis_version:255.255.255"), Verdict::Fit);
    }

    #[test]
    fn one_that_may_lose_them_is_told_of() {
        let warnings = |line, save| findings(&info(&[line]), save).warnings.len();

        assert_eq!(warnings("aof_enabled:0", Some("")), 1);
        assert_eq!(warnings("aof_enabled:0", Some("3600 1")), 0);
        assert_eq!(warnings("aof_enabled:0", None), 0);
        assert_eq!(warnings("maxmemory_policy:volatile-ttl", None), 1);
    }
}
