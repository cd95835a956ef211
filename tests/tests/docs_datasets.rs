//! docs/datasets.md names every dataset that there is, and every column of it.

use tapemill_market::dataset::Kind;
use tapemill_market::{Data, Dataset};

const PAGE: &str = include_str!("../../docs/datasets.md");

/// What stands under a heading, up to the next.
fn section(title: &str) -> &'static str {
    let heading = format!("\n### {title}\n");
    let (_, rest) = PAGE
        .split_once(heading.as_str())
        .unwrap_or_else(|| panic!("docs/datasets.md has no section {title}"));
    rest.split_once("\n#").map_or(rest, |(section, _)| section)
}

#[test]
fn every_column_of_rows_as_they_are_is_documented() {
    for dataset in Dataset::all() {
        let section = section(dataset.table);
        for layout in dataset.layouts {
            let columns = layout.columns.iter();
            for column in columns.filter(|column| column.kind != Kind::Symbol) {
                let name = format!("`{}`", column.name);
                assert!(section.contains(&name), "{name} of {}", dataset.table);
            }
        }
    }
}

#[test]
fn every_kind_of_data_is_in_the_list_of_tasks() {
    let (_, list) = PAGE.split_once("| task | tables |").expect("the list");
    for name in Data::names() {
        assert!(list.contains(&format!("`{name}")), "{name}");
    }
}
