//! A queue that came back empty: deleted, or lost by its store. Nothing of it is taken for finished.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tapemill_queue::{Queue, QueueError};

/// What people read of it.
pub(crate) const LOST: &str = "the queue is empty: it was deleted or its store lost it; \
     waiting for `tapemill plan` or a coordinator to plan it again";

/// What this process knows of the queue's past.
#[derive(Debug, Default)]
pub(crate) struct Loss {
    /// Completions there must be: those seen, and one where a task was ever claimed, since no task goes otherwise.
    completions: u64,
    since: Option<Instant>,
}

impl Loss {
    /// A task was claimed.
    pub fn claimed(&mut self) {
        self.completions = self.completions.max(1);
    }

    /// How long the queue has been lost, after a look at it; told when it begins and when it ends, and the settings are
    /// fixed again then.
    ///
    /// # Errors
    ///
    /// [`QueueError::Settings`] when it was planned again with other settings.
    pub async fn look(
        &mut self,
        queue: &dyn Queue,
        settings: &BTreeMap<String, String>,
    ) -> Result<Option<Duration>, QueueError> {
        let has_settings = queue.settings().await?.is_some();
        if has_settings {
            let stats = queue.stats().await?;
            let tasks: u64 = stats.totals().iter().map(|count| count.tasks).sum();
            if tasks > 0 || (self.since.is_none() && stats.completions >= self.completions) {
                self.completions = self.completions.max(stats.completions);
                return self.whole(queue, settings).await;
            }
        }
        let since = *self.since.get_or_insert_with(|| {
            tracing::warn!("{LOST}");
            Instant::now()
        });
        Ok(Some(since.elapsed()))
    }

    async fn whole(
        &mut self,
        queue: &dyn Queue,
        settings: &BTreeMap<String, String>,
    ) -> Result<Option<Duration>, QueueError> {
        if self.since.is_some() {
            queue.fix_settings(settings).await?;
            *self = Self::default();
            tracing::info!("the queue was planned again");
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tapemill_queue::{NewTask, SqliteQueue, sqlite};

    use super::*;

    fn settings(whale: &str) -> BTreeMap<String, String> {
        [("whale-quote".to_owned(), whale.to_owned())].into()
    }

    fn queue() -> (Arc<dyn Queue>, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("queue.db");
        let queue = SqliteQueue::open(file, sqlite::Options::default()).unwrap();
        (Arc::new(queue), folder)
    }

    #[tokio::test]
    async fn a_queue_that_never_had_a_task_is_not_lost() {
        let (queue, _folder) = queue();
        let ours = settings("50000");
        queue.fix_settings(&ours).await.unwrap();

        let lost = Loss::default().look(&*queue, &ours).await.unwrap();

        assert_eq!(lost, None);
    }

    #[tokio::test]
    async fn an_emptied_queue_is_lost_until_it_is_planned_again_with_the_same_settings() {
        let (queue, _folder) = queue();
        let ours = settings("50000");
        queue.fix_settings(&ours).await.unwrap();
        queue.enqueue(&[NewTask::new("a", "d")]).await.unwrap();
        let mut loss = Loss::default();
        loss.claimed();
        assert_eq!(loss.look(&*queue, &ours).await.unwrap(), None);

        queue.clear().await.unwrap();
        assert!(loss.look(&*queue, &ours).await.unwrap().is_some());
        // Another worker that starts meanwhile fixes the settings of the empty queue.
        queue.fix_settings(&ours).await.unwrap();
        assert!(loss.look(&*queue, &ours).await.unwrap().is_some());
        queue.enqueue(&[NewTask::new("a", "d")]).await.unwrap();
        assert_eq!(loss.look(&*queue, &ours).await.unwrap(), None);

        queue.clear().await.unwrap();
        assert!(loss.look(&*queue, &ours).await.unwrap().is_some());
        queue.fix_settings(&settings("60000")).await.unwrap();
        queue.enqueue(&[NewTask::new("a", "d")]).await.unwrap();
        let other = loss.look(&*queue, &ours).await;
        assert!(
            matches!(other, Err(QueueError::Settings { .. })),
            "{other:?}"
        );
    }

    #[tokio::test]
    async fn a_worker_that_saw_tasks_notices_the_loss_although_the_settings_are_back() {
        let (queue, _folder) = queue();
        let ours = settings("50000");
        queue.fix_settings(&ours).await.unwrap();
        let mut loss = Loss::default();
        loss.claimed();

        assert!(loss.look(&*queue, &ours).await.unwrap().is_some());
    }
}
