//! Tables of books: made of captures, which no task names. They are judged by themselves.

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampMicrosecondType};
use arrow_array::{RecordBatch, StringArray};
use tapemill_lake::tables::TIME_COLUMN;
use tapemill_lake::{CODEC, Lake, LakeError, Lineage, Proof, TableFile, prove};
use tapemill_market::Period;

use super::judge::Notes;
use super::table::{Defect, told_by};
use crate::books::{Shape, options, schema};

/// Judges a table of books by its rows and its footer.
pub(super) fn judge(
    lake: &Lake,
    file: &TableFile,
    shape: Shape,
) -> Result<Result<Notes, Defect>, LakeError> {
    let table = &file.table;
    let Ok(period @ Period::Day(_)) = table.period().parse() else {
        return Ok(Err(("foreign", "books are made by day".to_owned())));
    };
    let (mut rows, mut wrong) = (0, None);
    let proved = prove(
        lake,
        &file.path,
        &schema(shape.levels),
        &options(),
        |batch| {
            rows += batch.num_rows() as u64;
            if wrong.is_none() {
                wrong = look(batch, table.symbol(), period, shape).err();
            }
        },
    );
    let (lineage, proof) = match proved {
        Ok(proved) => proved,
        Err(error) if error.is_absent() => {
            let reason = "it went away while it was looked at";
            return Ok(Err(("gone", reason.to_owned())));
        }
        Err(error) if error.is_outage() => return Err(error),
        Err(error) => return Ok(Err(("unreadable", error.to_string()))),
    };
    Ok(match defect(&lineage, &proof, wrong, rows) {
        Some(defect) => Err(defect),
        None => Ok(notes(&lineage)),
    })
}

fn defect(lineage: &Lineage, proof: &Proof, wrong: Option<Defect>, rows: u64) -> Option<Defect> {
    if lineage.codec != CODEC {
        let reason = format!(
            "it is of codec {}, not {CODEC}; book makes it again",
            lineage.codec
        );
        return Some(("codec", reason));
    }
    let of_rows = told_by(proof).filter(|_| *proof != Proof::Bytes);
    if of_rows.is_some() || wrong.is_some() {
        return of_rows.or(wrong);
    }
    if lineage.quality["rows"].as_u64() != Some(rows) {
        let reason = format!("it has {rows} rows, and its footer tells of others");
        return Some(("quality", reason));
    }
    told_by(proof)
}

/// Where the captures had holes.
fn notes(lineage: &Lineage) -> Notes {
    let holes = lineage.quality["holes"].as_u64().unwrap_or(0);
    let reason = || format!("its captures have {holes} holes, which are without rows");
    if holes > 0 {
        vec![("holes", reason())]
    } else {
        Notes::new()
    }
}

fn look(batch: &RecordBatch, symbol: &str, day: Period, shape: Shape) -> Result<(), Defect> {
    let columns = || {
        (
            "columns",
            "its columns are not those of its table".to_owned(),
        )
    };
    let symbols = batch.column(0).as_dictionary_opt::<Int32Type>();
    let symbols = symbols.and_then(|symbols| symbols.downcast_dict::<StringArray>());
    if let Some(found) = symbols
        .ok_or_else(columns)?
        .into_iter()
        .find(|found| *found != Some(symbol))
    {
        let found = found.unwrap_or("no symbol");
        return Err(("symbol", format!("it holds rows of {found}")));
    }
    let times = batch
        .column(TIME_COLUMN)
        .as_primitive_opt::<TimestampMicrosecondType>();
    let times = times.ok_or_else(columns)?.values();
    let range = day.start_us()..day.end_us();
    if times.iter().any(|time| !range.contains(time)) {
        return Err(("period", format!("it holds rows outside {day}")));
    }
    if times
        .iter()
        .any(|time| time.rem_euclid(shape.step_ms * 1000) != 0)
    {
        let reason = "it holds rows at times that are no multiple of its step";
        return Err(("grid", reason.to_owned()));
    }
    Ok(())
}
