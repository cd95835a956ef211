//! The catalogue tells what there is, from the queue, the files and their footers.

mod lab;

use std::fs;

use lab::{Lab, names, sha256_of, size};
use tapemill_archive::hex;
use tapemill_coordinator::{Catalogue, Rebuilt};
use tapemill_lake::{CatalogueRow, LakePath};
use tapemill_market::{ArchiveName, Data, Market};

fn rows(lab: &Lab, dataset: &str) -> Vec<CatalogueRow> {
    let rows = lab.output.lake.catalogue(dataset, Market::Um).unwrap();
    rows.expect("there is a catalogue")
}

fn catalogue_bytes(lab: &Lab) -> Vec<u8> {
    let place = LakePath::parse("_catalogue/aggtrades_1m/um.parquet").unwrap();
    lab.output.lake.read(&place).unwrap().to_vec()
}

#[tokio::test]
async fn the_catalogue_tells_what_there_is_and_is_the_same_from_queue_and_footers() {
    let lab = Lab::local();
    lab.plan().await.unwrap();
    let planned = lab.catalogue().await;
    assert_eq!(rows(&lab, "aggtrades_1m")[0].state, "pending");
    lab.work().await;

    let from_queue = lab.catalogue().await;
    let (told, bytes) = (rows(&lab, "aggtrades_1m"), catalogue_bytes(&lab));
    let again = lab.catalogue().await;
    lab.queue.clear().await.unwrap();
    let without_queue = lab.catalogue().await;
    fs::remove_dir_all(lab.folder.path().join("out/_catalogue")).unwrap();
    let from_footers = lab.catalogue().await;

    let costs = |rebuilt: &[Rebuilt]| -> Vec<(u64, u64, bool)> {
        let costs = rebuilt.iter();
        costs
            .map(|one| (one.rows, one.footers, one.is_new))
            .collect()
    };
    assert_eq!(costs(&planned), [(3, 0, true), (3, 0, true)]);
    assert_eq!(costs(&from_queue), [(3, 0, true), (3, 0, true)]);
    assert_eq!(costs(&again), [(3, 0, false), (3, 0, false)]);
    assert_eq!(costs(&without_queue), [(3, 0, false), (3, 0, false)]);
    assert_eq!(costs(&from_footers), [(3, 3, true), (3, 3, true)]);
    assert!(
        catalogue_bytes(&lab) == bytes,
        "the same state, the same bytes"
    );
    let first = &names(&["BTCUSDT"])[0];
    assert_eq!(
        told[0],
        CatalogueRow {
            symbol: "BTCUSDT".to_owned(),
            period: "2024-01".to_owned(),
            state: "done".to_owned(),
            bytes: Some(size(&lab.output, first, "aggtrades_1m")),
            sha256: Some(hex(&sha256_of(first))),
            rows: Some(7),
            verdict: Some("ok".to_owned()),
            key: first.key(),
        }
    );
}

#[tokio::test]
async fn only_new_files_cost_a_footer_and_only_the_symbols_asked_for_are_renewed() {
    let lab = Lab::local();
    let all = names(&["BTCUSDT", "ETHUSDT"]);
    let trades: Vec<ArchiveName> = all[..6].to_vec();
    lab.mill(&trades[..5]);
    lab.catalogue().await;
    lab.mill(&trades[5..]);
    let stray = lab.output.place(&trades[0], "aggtrades_1m").unwrap();
    lab.output.lake.remove(&stray).unwrap();

    let catalogue = Catalogue {
        queue: &*lab.queue,
        output: &lab.output,
    };
    let data = [Data::AggTrades];
    let one_symbol = [trades[5].symbol.clone()].into();
    let renewed = catalogue
        .rebuild(Market::Um, &data, Some(&one_symbol))
        .await
        .unwrap();
    let partly = rows(&lab, "aggtrades_1m").len();
    let whole = catalogue.rebuild(Market::Um, &data, None).await.unwrap();

    assert_eq!((renewed[0].rows, renewed[0].footers), (6, 1));
    assert_eq!(
        partly, 6,
        "the row of another symbol stays until it is asked for"
    );
    assert_eq!((whole[0].rows, whole[0].footers), (5, 0));
}
