//! Days that their month replaced and that are still there, as a process leaves them that died in between.

use std::collections::BTreeSet;

use tapemill_dataset::verify::{Finding, Verdict};
use tapemill_lake::{Lake, LakeError, LakePath, TablePath};

use crate::args::VerifyArgs;
use crate::context;
use crate::failure::Failure;

/// Removes them, where the month that holds them is sound; where they cannot be removed it stays said that they are there.
pub(super) async fn remove(args: &VerifyArgs, found: &mut [Finding]) -> Result<(), Failure> {
    let sound: BTreeSet<String> = found
        .iter()
        .filter(|finding| finding.verdict != Verdict::Defect)
        .map(|finding| finding.file.clone())
        .collect();
    let lake = context::lake(&args.output)?;
    for finding in found
        .iter_mut()
        .filter(|finding| finding.kind == "superseded")
    {
        let Some(month) = months(finding).filter(|months| months.is_subset(&sound)) else {
            continue;
        };
        let (lake, path) = (lake.clone(), LakePath::parse(&finding.file)?);
        let removing = tokio::task::spawn_blocking(move || removed(&lake, &path));
        if removing.await.map_err(Failure::failed)?? {
            let months: Vec<_> = month.into_iter().collect();
            finding.reason = format!(
                "{} holds this day too; it was removed",
                months.join(" with ")
            );
        }
    }
    Ok(())
}

/// The tables of the month that has to be whole before a day may go.
fn months(finding: &Finding) -> Option<BTreeSet<String>> {
    let (day, layout) = TablePath::parse(&finding.file)?;
    let data = finding.name.as_ref()?.data;
    let tables = data.tables().into_iter().map(|table| {
        let month = day.month()?;
        let table = TablePath::new(&table, month.market(), month.symbol(), month.period()).ok()?;
        Some(table.path(layout).ok()?.as_str().to_owned())
    });
    tables.collect()
}

fn removed(lake: &Lake, path: &LakePath) -> Result<bool, LakeError> {
    match lake.remove(path) {
        Ok(_) => Ok(true),
        Err(error) if error.is_disk() => Ok(false),
        Err(error) => Err(error),
    }
}
