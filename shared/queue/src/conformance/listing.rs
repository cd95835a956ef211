//! Lists by cursor, and records by name.

use super::*;
use crate::TaskFilter;

/// Whatever the size of a page.
pub async fn a_walk_by_cursor_sees_every_task_once(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    let tasks: Vec<_> = (0..20)
        .map(|number| task(&format!("task/{number:02}")))
        .collect();
    queue.enqueue(&tasks).await.unwrap();
    let expected: Vec<_> = tasks.into_iter().map(|task| task.id).collect();

    for limit in [1, 3, 20, ALL] {
        let seen = walk(&*queue, &TaskFilter::default(), limit).await;
        let seen: Vec<_> = seen.into_iter().map(|task| task.id).collect();
        assert_eq!(seen, expected, "by {limit}");
    }
}

/// Each alone and all together; a prefix is no pattern.
pub async fn lists_are_filtered_by_state_dataset_and_prefix(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    let other = |id| NewTask {
        dataset: "metrics".into(),
        ..task(id)
    };
    let tasks = [
        task("um/a"),
        task("um/b"),
        other("um/c"),
        task("um_d"),
        task("cm/a"),
    ];
    queue.enqueue(&tasks).await.unwrap();
    queue.cancel(&ids(&["um/b", "um/c", "cm/a"])).await.unwrap();
    let seen = async |state: Option<TaskState>, dataset: Option<&str>, prefix: Option<&str>| {
        let filter = TaskFilter {
            state,
            dataset: dataset.map(str::to_owned),
            id_prefix: prefix.map(str::to_owned),
        };
        let seen = walk(&*queue, &filter, 2).await.into_iter();
        seen.map(|task| task.id.as_str().to_owned())
            .collect::<Vec<_>>()
    };
    let dead = Some(TaskState::Dead);

    assert_eq!(seen(dead, None, None).await, ["cm/a", "um/b", "um/c"]);
    assert_eq!(seen(None, Some("metrics"), None).await, ["um/c"]);
    assert_eq!(
        seen(None, None, Some("um/")).await,
        ["um/a", "um/b", "um/c"]
    );
    assert_eq!(seen(None, None, Some("um_")).await, ["um_d"]);
    assert_eq!(seen(None, None, Some("%")).await, [""; 0]);
    assert_eq!(seen(dead, Some("aggTrades"), Some("um/")).await, ["um/b"]);
}

/// Tasks come and go meanwhile.
pub async fn a_cursor_survives_changes_between_its_pages(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue
        .enqueue(&["b", "d", "f", "h"].map(task))
        .await
        .unwrap();
    let filter = TaskFilter::default();

    let first = queue.list(&filter, None, 2).await.unwrap();
    let replacing = NewTask {
        replaces: ids(&["b", "d"]),
        ..task("a")
    };
    queue
        .enqueue(&[replacing, task("c"), task("e")])
        .await
        .unwrap();
    let second = queue.list(&filter, first.next.clone(), ALL).await.unwrap();

    let seen: Vec<_> = first
        .tasks
        .iter()
        .chain(&second.tasks)
        .map(|task| task.id.as_str())
        .collect();
    assert!(first.next.is_some());
    assert_eq!(seen, ["b", "d", "e", "f", "h"]);
    assert_eq!(second.next, None);
}

/// With a gap where there is none.
pub async fn records_come_in_the_order_asked_for(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue.enqueue(&[task("a"), task("b")]).await.unwrap();
    let asked = ids(&["b", "unknown", "a", "b"]);

    let records = queue.get(&asked).await.unwrap();
    let states = queue.states(&asked).await.unwrap();

    let found: Vec<_> = records
        .iter()
        .map(|r| r.as_ref().map(|r| r.id.as_str()))
        .collect();
    assert_eq!(found, [Some("b"), None, Some("a"), Some("b")]);
    let pending = Some(TaskState::Pending);
    assert_eq!(states, [pending, None, pending, pending]);
}
