use serde_json::{Map, Value, json};
use tapemill_queue::{Count, TaskId};

use super::*;

fn task(id: &str, state: TaskState, reason: Option<&str>) -> TaskRecord {
    TaskRecord {
        id: TaskId::new(id),
        dataset: String::new(),
        state,
        generation: 1,
        attempts: 1,
        expiries: 0,
        not_before_ms: None,
        reason: reason.map(str::to_owned),
        message: None,
        spec: String::new(),
        bytes: 0,
        summary: None,
        progress: None,
        worker: None,
        history: Vec::new(),
    }
}

fn map_of(tasks: &[(&str, TaskState)]) -> TaskMap {
    let mut map = TaskMap::default();
    map.begin_walk();
    for (id, state) in tasks {
        map.put(&task(id, *state, None));
    }
    map.end_walk();
    map
}

fn within(series: &str) -> Part {
    Part {
        series: Some(series.to_owned()),
        ..Part::default()
    }
}

fn rows(document: &Value) -> Vec<(String, String, Value)> {
    let rows = document["rows"].as_array().expect("rows").iter();
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    rows.map(|row| (text(&row["kind"]), text(&row["name"]), row["cells"].clone()))
        .collect()
}

#[test]
fn the_overview_counts_each_series_by_month_with_holes_between() {
    let map = map_of(&[
        ("um/aggTrades/BTCUSDT/2024-01", TaskState::Done),
        ("um/aggTrades/ETHUSDT/2024-01", TaskState::Pending),
        ("um/aggTrades/ETHUSDT/2024-03", TaskState::Dead),
        ("um/klines:1m/ETHUSDT/2024-03-05", TaskState::Leased),
        ("um/klines:1m/ETHUSDT/2024-03-06", TaskState::Leased),
    ]);

    let shown = map.document(&Part::default());

    assert_eq!(shown["months"], json!(["2024-01", "2024-02", "2024-03"]));
    let series = |name: &str| ("series".to_owned(), name.to_owned());
    let [trades, klines] = rows(&shown).try_into().expect("two rows");
    let (kind, name, cells) = trades;
    assert_eq!((kind, name), series("um/aggTrades"));
    assert_eq!(cells, json!([[1, 0, 1, 0, 0], 0, [0, 0, 0, 0, 1]]));
    let (kind, name, cells) = klines;
    assert_eq!((kind, name), series("um/klines:1m"));
    assert_eq!(cells, json!([0, 0, [0, 2, 0, 0, 0]]));
    assert_eq!(map.known(), 5);
}

#[test]
fn a_task_moves_from_state_to_state_and_takes_its_reason_along() {
    let mut map = map_of(&[("um/aggTrades/BTCUSDT/2024-01", TaskState::Pending)]);
    let dead = task(
        "um/aggTrades/BTCUSDT/2024-01",
        TaskState::Dead,
        Some("corrupt"),
    );

    map.lease("um/aggTrades/BTCUSDT/2024-01");
    let leased = map.count(TaskState::Leased);
    map.put(&dead);
    let version = map.version();
    map.put(&dead);

    assert_eq!((leased, map.known(), map.count(TaskState::Dead)), (1, 1, 1));
    assert_eq!(map.version(), version, "nothing new");
    let row = map.document(&within("um/aggTrades"))["rows"][0].clone();
    assert_eq!(row["reasons"], json!({"2024-01": "corrupt"}));
    assert_eq!(row["counts"], json!([0, 0, 0, 0, 1]));
    map.put(&task(
        "um/aggTrades/BTCUSDT/2024-01",
        TaskState::Done,
        Some("corrupt"),
    ));
    let row = map.document(&within("um/aggTrades"))["rows"][0].clone();
    assert_eq!(row["reasons"], json!({}), "it is over");
}

#[test]
fn what_a_whole_walk_did_not_meet_is_gone() {
    let mut map = map_of(&[
        ("um/aggTrades/BTCUSDT/2024-01-01", TaskState::Done),
        ("um/aggTrades/BTCUSDT/2024-01-02", TaskState::Done),
        ("um/aggTrades/OLDUSDT/2020-01", TaskState::Missing),
        ("cm/aggTrades/BTCUSD_PERP/2024-01", TaskState::Done),
    ]);

    map.begin_walk();
    map.put(&task(
        "um/aggTrades/BTCUSDT/2024-01-02",
        TaskState::Done,
        None,
    ));
    map.lease("um/aggTrades/NEWUSDT/2024-01");
    map.end_walk();

    let shown = map.document(&Part::default());
    assert_eq!(shown["months"], json!(["2024-01"]));
    assert_eq!(
        rows(&shown),
        [(
            "series".into(),
            "um/aggTrades".into(),
            json!([[0, 1, 1, 0, 0]])
        )]
    );
    let mut totals = StateCounts::default();
    for state in [TaskState::Leased, TaskState::Done] {
        totals[state.index()] = Count { tasks: 1, bytes: 9 };
    }
    assert!(map.agrees(&totals));
    map.remove("um/aggTrades/NEWUSDT/2024-01");
    map.remove("um/aggTrades/NEWUSDT/2024-01");
    assert_eq!(map.known(), 1);
    assert!(!map.agrees(&totals));
}

#[test]
fn many_symbols_are_put_together_by_how_they_begin_until_they_are_few() {
    let mut map = TaskMap::default();
    for number in 0..100 {
        let state = if number == 7 {
            TaskState::Dead
        } else {
            TaskState::Done
        };
        map.put(&task(
            &format!("um/aggTrades/AB{number:02}USDT/2024-01"),
            state,
            None,
        ));
    }
    map.put(&task("um/aggTrades/AB/2024-01", TaskState::Done, None));
    map.put(&task("um/aggTrades/ZUSDT/2024-01", TaskState::Done, None));
    let shown = |prefix: &str, state| {
        let part = Part {
            prefix: prefix.to_owned(),
            state,
            ..within("um/aggTrades")
        };
        rows(&map.document(&part))
            .into_iter()
            .map(|(kind, name, _)| format!("{kind} {name}"))
            .collect::<Vec<_>>()
    };

    assert_eq!(shown("", None), ["group A", "symbol ZUSDT"]);
    let deeper = shown("A", None);
    assert_eq!(deeper[..2], ["symbol AB", "group AB0"]);
    assert_eq!(deeper.len(), 11);
    assert_eq!(shown("AB0", None).len(), 10);
    assert_eq!(shown("", Some(TaskState::Dead)), ["symbol AB07USDT"]);
    assert_eq!(shown("Q", None), [""; 0]);
    let group = map.document(&within("um/aggTrades"))["rows"][0].clone();
    assert_eq!(
        (&group["symbols"], &group["cells"]),
        (&json!(101), &json!([[0, 0, 100, 0, 1]]))
    );
}

#[test]
fn what_comes_from_outside_is_bounded() {
    let mut map = TaskMap::default();
    for number in 0..400_u32 {
        let letter = char::from_u32(0x4e00 + number).expect("a character");
        let id = format!("um/aggTrades/{letter}/2024-01");
        map.put(&task(
            &id,
            TaskState::Dead,
            Some(&format!("reason {number}")),
        ));
        map.put(&task(&format!("{id}-01"), TaskState::Dead, None));
        let year = 1950 + number * 2;
        map.put(&task(
            &format!("um/metrics/BTCUSDT/{year}-01"),
            TaskState::Dead,
            Some("old"),
        ));
    }
    map.put(&task("anything", TaskState::Pending, None));

    let shown = map.document(&within("um/aggTrades"));
    assert_eq!(shown["rows"].as_array().map(Vec::len), Some(256));
    assert_eq!(shown["more"], true);
    assert_eq!(shown["rows"][255]["reasons"]["2024-01"], "other");
    let wide = map.document(&within("um/metrics"));
    assert_eq!(wide["months"].as_array().map(Vec::len), Some(360));
    assert_eq!(
        wide["rows"][0]["reasons"].as_object().map(Map::len),
        Some(100)
    );
    let apart = map.document(&within("other"));
    assert_eq!(
        (&apart["months"], &apart["rows"][0]["counts"]),
        (&json!([]), &json!([1, 0, 0, 0, 0]))
    );
}
