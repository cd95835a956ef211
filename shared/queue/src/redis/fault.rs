//! What Redis said, as what the caller can do about it.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::url::Credentials;
use crate::QueueError;

/// Maps an error once, at the edge of the backend.
pub(super) fn into_error(error: RedisError, queue: &str, op: &'static str) -> QueueError {
    match refusal(&error) {
        Some(why) => QueueError::Refused {
            queue: queue.to_owned(),
            op,
            why,
        },
        None => QueueError::Unavailable {
            queue: queue.to_owned(),
            op,
            source: error.into(),
        },
    }
}

/// What somebody has to set right, if that is what it is.
fn refusal(error: &RedisError) -> Option<String> {
    // Servers before 7 wrap what a command inside a script says.
    let says = |code: &str| error.code() == Some(code) || error.to_string().contains(code);
    let detail = || error.detail().unwrap_or_default().to_owned();
    if error.kind() == ErrorKind::AuthenticationFailed || says("WRONGPASS") || says("NOAUTH") {
        let (user, password) = (Credentials::USER, Credentials::PASSWORD);
        return Some(format!("wrong user or password; set {user} and {password}"));
    }
    if error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) || says("NOPERM") {
        let remedy = "allow it EVAL, EVALSHA and the commands of the scripts on ~tapemill:*";
        return Some(format!(
            "the user has no permission ({}); {remedy}",
            detail()
        ));
    }
    if error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly) || says("READONLY") {
        return Some("it is a replica; name the primary, or its Sentinels".to_owned());
    }
    if says("OOM command") || error.code() == Some("OOM") {
        return Some(
            "its memory is full; raise its maxmemory, or `tapemill queue prune`".to_owned(),
        );
    }
    if says("MISCONF") {
        let remedy = "free space on its disk, or make its folder writable";
        return Some(format!("it cannot persist what it holds; {remedy}"));
    }
    if says("invalid peer certificate") {
        let remedy = "name its authority's certificate in SSL_CERT_FILE";
        return Some(format!("its certificate is not trusted; {remedy}"));
    }
    if says("DB index is out of range") {
        return Some("it has no database of that number".to_owned());
    }
    if says("NOREPLICAS") {
        return Some("it has too few replicas for its min-replicas-to-write".to_owned());
    }
    None
}

/// Whether the connection is of no use any more.
pub(super) fn breaks_connection(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_timeout()
        || error.is_connection_dropped()
        || error.is_unrecoverable_error()
        || matches!(
            error.kind(),
            ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown)
                | ErrorKind::ClusterConnectionNotFound
                | ErrorKind::AuthenticationFailed
        )
        || matches!(error.code(), Some("NOAUTH" | "READONLY"))
}
