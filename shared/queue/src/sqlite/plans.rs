//! Statements stay fast as the queue grows: how SQLite means to run those that look for tasks.

use rusqlite::Connection;

/// SQLite's plan for a statement, one step a line.
fn plan(statement: &str) -> String {
    let connection = Connection::open_in_memory().unwrap();
    connection
        .execute_batch(concat!(
            include_str!("schema/0001_queue.sql"),
            include_str!("schema/0002_requests.sql")
        ))
        .unwrap();
    let mut explain = connection
        .prepare(&format!("EXPLAIN QUERY PLAN {statement}"))
        .unwrap();
    let mut rows = explain.raw_query();
    let mut steps = String::new();
    while let Some(row) = rows.next().unwrap() {
        steps.push_str(&row.get::<_, String>(3).unwrap());
        steps.push('\n');
    }
    steps
}

#[test]
fn no_statement_of_the_work_loop_sorts_or_walks_all_tasks() {
    let statements = [
        include_str!("sql/claim_next.sql"),
        include_str!("sql/claim_repeated.sql"),
        include_str!("sql/due.sql"),
        include_str!("sql/held.sql"),
        include_str!("sql/finish.sql"),
        include_str!("sql/beat.sql"),
        include_str!("sql/oldest.sql"),
        include_str!("sql/prune.sql"),
        include_str!("sql/next_due.sql"),
        include_str!("sql/lease_task.sql"),
    ];
    for statement in statements {
        let plan = plan(statement);
        assert!(!plan.contains("TEMP B-TREE"), "{statement}\n{plan}");
        // Walking an index in its order, up to the limit, is as good as a search.
        let walks_all = plan
            .lines()
            .any(|step| step.contains("SCAN task") && !step.contains("INDEX"));
        assert!(!walks_all, "{statement}\n{plan}");
    }
}

#[test]
fn a_selection_is_looked_up_id_by_id() {
    for statement in [
        include_str!("sql/claim_only.sql"),
        include_str!("sql/next_due_only.sql"),
    ] {
        let plan = plan(statement);
        assert!(
            plan.contains("SEARCH task USING INDEX sqlite_autoindex_task_1 (id=?)"),
            "{plan}"
        );
        assert!(!plan.contains("SCAN task"), "{plan}");
    }
}

#[test]
fn a_list_of_dead_tasks_reads_dead_tasks_only() {
    let record = include_str!("sql/record.sql");

    let plan = plan(&format!(
        "{record}WHERE task.id > ?1 AND task.state = 4 ORDER BY task.id LIMIT 10"
    ));

    assert!(plan.contains("task_dead"), "{plan}");
    assert!(!plan.contains("TEMP B-TREE"), "{plan}");
}
