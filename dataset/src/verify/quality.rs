//! What a footer counts: whether it adds up with the rows, and what is to be known of it.

use serde_json::Value;
use tapemill_lake::Lineage;

/// Counts of an archive's oddities, each with its words.
const QUIRKS: [(&str, &str); 6] = [
    ("duplicates", "rows that repeat another one"),
    (
        "contradictions",
        "rows that repeat another one's id with other values",
    ),
    ("zero_quantity", "rows of quantity zero"),
    ("out_of_period", "rows of times outside the period"),
    ("unordered", "rows below one before them"),
    ("off_grid", "bars beside the grid of their interval"),
];

/// What the rows of a table add up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// Rows of the archive that the table's rows stand for; none where that cannot be told from the table.
    pub rows: Option<u64>,
    /// Time of the first and the last of them, where the table has it.
    pub times: Option<(i64, i64)>,
}

/// What does not add up between a footer and the rows above it. Only of one source: parts of others have counts of their
/// own.
pub(super) fn contradiction(lineage: &Lineage, counted: Counted) -> Option<String> {
    let [source] = lineage.sources.as_slice() else {
        return None;
    };
    let quality = &lineage.quality;
    let count = |name: &str| quality[name].as_u64().unwrap_or_default();
    let rows = count("rows");
    if source.rows != rows {
        return Some(format!(
            "its footer has {} rows of its source in one place and {rows} in another",
            source.rows
        ));
    }
    let left_out = [
        "duplicates",
        "contradictions",
        "zero_quantity",
        "out_of_period",
    ];
    let left_out: u64 = left_out.into_iter().map(count).sum();
    let used = rows.checked_sub(left_out);
    if let Some(counted) = counted.rows
        && used != Some(counted)
    {
        return Some(format!(
            "its rows stand for {counted} rows of the archive, and its footer for {} of which {left_out} were left out",
            rows
        ));
    }
    if let Some((first, last)) = counted.times
        && (&quality["first_ts"], &quality["last_ts"]) != (&Value::from(first), &Value::from(last))
    {
        return Some("its rows begin or end at other times than its footer says".to_owned());
    }
    None
}

/// The archive's oddities in words; `None` where it has none.
pub(super) fn quirks(quality: &Value) -> Option<String> {
    let mut words = Vec::new();
    match quality["verdict"].as_str() {
        Some("stale_sidecar") => {
            words.push("the archive's checksum file names other bytes".to_owned());
        }
        Some("no_sidecar") => words.push("the archive has no checksum file".to_owned()),
        _ => {}
    }
    for (name, what) in QUIRKS {
        if let Some(count) = quality[name].as_u64().filter(|count| *count > 0) {
            words.push(format!("{what}: {count}"));
        }
    }
    (!words.is_empty()).then(|| words.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tapemill_lake::Source;

    use super::*;

    fn lineage(quality: Value, rows: u64) -> Lineage {
        Lineage {
            codec: 1,
            settings: Default::default(),
            sources: vec![Source {
                key: "k".into(),
                bytes: 1,
                sha256: String::new(),
                rows,
            }],
            quality,
            content: String::new(),
            rows: 1,
            columns: Vec::new(),
        }
    }

    #[test]
    fn what_was_read_is_what_was_used_and_what_was_left_out() {
        let quality =
            json!({"rows": 10, "duplicates": 2, "zero_quantity": 1, "first_ts": 5, "last_ts": 9});
        let counted = |rows, times| Counted {
            rows: Some(rows),
            times: Some(times),
        };
        let of = |rows, counted| contradiction(&lineage(quality.clone(), rows), counted);

        assert_eq!(of(10, counted(7, (5, 9))), None);
        assert_eq!(of(10, Counted::default()), None);
        assert!(of(10, counted(8, (5, 9))).is_some());
        assert!(of(10, counted(7, (5, 8))).is_some());
        assert!(of(11, counted(7, (5, 9))).is_some());
    }

    #[test]
    fn oddities_have_words_and_none_have_none() {
        assert_eq!(quirks(&json!({"verdict": "ok", "duplicates": 0})), None);
        assert_eq!(
            quirks(&json!({"verdict": "no_sidecar", "zero_quantity": 3})).as_deref(),
            Some("the archive has no checksum file, rows of quantity zero: 3")
        );
    }
}
