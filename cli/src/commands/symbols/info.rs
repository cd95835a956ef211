//! `symbols --info`: what the exchange says of the symbols.

use std::sync::Arc;

use futures::future::join_all;
use tapemill_dataset::universe::{info_report, info_report_name};
use tapemill_exchange::Rest;
use tapemill_lake::{Lake, Series};
use tapemill_market::Market;

use super::on_a_thread;
use crate::args::RestArgs;
use crate::context;
use crate::failure::Failure;
use crate::progress::Terminal;

const FLAG: &str = "--info";

/// Whom to ask.
pub(super) fn exchange(args: &RestArgs) -> Result<Arc<Rest>, Failure> {
    let forbidden = || context::forbidden(FLAG);
    context::rest_alone(args)?.ok_or_else(forbidden)
}

/// Asks of each market, and writes what was answered; a market that does not answer keeps no other from being written.
pub(super) async fn write(
    exchange: &Rest,
    lake: &Lake,
    markets: &[Market],
    series: Vec<Series>,
    terminal: &Terminal,
) -> Result<(), Failure> {
    let asking = markets.iter().map(|market| exchange.info(*market));
    let asked = join_all(asking).await;
    let now = jiff::Timestamp::now();
    let (mut reports, mut lacking, mut first) = (Vec::new(), Vec::new(), None);
    for (market, told) in markets.iter().zip(asked) {
        match told {
            Ok(info) => reports.push(info_report(*market, &info, &series, now)),
            Err(error) => {
                lacking.push(info_report_name(*market));
                first.get_or_insert(error);
            }
        }
    }
    if !reports.is_empty() {
        let lake = lake.clone();
        let publish = move || {
            let published = reports
                .iter()
                .map(|report| lake.publish_report(&report.name, &report.text));
            let written = published.map(|path| path.map(|path| path.to_string()));
            written.collect::<Result<Vec<_>, _>>()
        };
        let written = on_a_thread(publish).await?;
        terminal.say(&format!(
            "the exchange was asked; wrote {}",
            written.join(", ")
        ));
    }
    match first {
        None => Ok(()),
        Some(error) => Err(Failure::failed(anyhow::anyhow!(
            "{} {} not written: {}",
            lacking.join(", "),
            if lacking.len() == 1 { "was" } else { "were" },
            error.line_without(FLAG)
        ))),
    }
}
