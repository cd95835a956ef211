//! Opening the queue a URL names, whatever its backend.

use std::sync::Arc;

use crate::{Budgets, Queue, QueueError, RedisQueue, SqliteQueue, redis, sqlite};

/// Opens a queue; an SQLite file is made when it is not there.
///
/// # Errors
///
/// As [`SqliteQueue::open`] and [`RedisQueue::open`].
pub async fn open(url: &str, budgets: Budgets) -> Result<Arc<dyn Queue>, QueueError> {
    if redis::is_redis_url(url) {
        return Ok(Arc::new(open_redis(url, budgets, false).await?));
    }
    let path = sqlite::parse_url(url)?;
    let options = sqlite::Options {
        budgets,
        ..sqlite::Options::default()
    };
    // It may wait for a lock.
    let opened = tokio::task::spawn_blocking(move || SqliteQueue::open(path, options)).await;
    let opened = opened.map_err(|error| QueueError::Unavailable {
        queue: url.to_owned(),
        op: "open it",
        source: error.into(),
    })?;
    Ok(Arc::new(opened?))
}

/// Opens a queue that is there: looking at a queue never makes one.
///
/// # Errors
///
/// [`QueueError::NoQueue`] when it is not; else as [`open`].
pub async fn open_existing(url: &str, budgets: Budgets) -> Result<Arc<dyn Queue>, QueueError> {
    let none = |queue: String| QueueError::NoQueue { queue };
    if redis::is_redis_url(url) {
        let queue = open_redis(url, budgets, true).await?;
        if !queue.exists().await? {
            return Err(none(queue.url().to_string()));
        }
        return Ok(Arc::new(queue));
    }
    let path = sqlite::parse_url(url)?;
    if !path.exists() {
        return Err(none(path.display().to_string()));
    }
    open(url, budgets).await
}

/// The URLs of the queues a URL means: every queue of a Redis server when it names none, else itself.
///
/// # Errors
///
/// As [`open`].
pub async fn queues(url: &str) -> Result<Vec<String>, QueueError> {
    if !redis::is_redis_url(url) || url.contains("queue=") {
        return Ok(vec![url.to_owned()]);
    }
    let names = open_redis(url, Budgets::default(), true)
        .await?
        .names()
        .await?;
    let joint = if url.contains('?') { '&' } else { '?' };
    let named = |name: &String| format!("{url}{joint}queue={name}");
    Ok(names.iter().map(named).collect())
}

/// A queue's URL without credentials.
///
/// # Errors
///
/// [`QueueError::BadUrl`].
pub fn shown(url: &str) -> Result<String, QueueError> {
    if redis::is_redis_url(url) {
        return Ok(redis::RedisUrl::parse(url)?.0.to_string());
    }
    sqlite::parse_url(url)?;
    Ok(url.to_owned())
}

async fn open_redis(url: &str, budgets: Budgets, untold: bool) -> Result<RedisQueue, QueueError> {
    let options = redis::Options {
        budgets,
        credentials: redis::Credentials::from_environment(),
        untold,
        clock: None,
    };
    RedisQueue::open(url, options).await
}
