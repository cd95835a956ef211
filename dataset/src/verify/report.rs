//! All verdicts as one page for people, and as one document for programs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Value, json};
use tapemill_market::Period;

use super::{Finding, Verdict};

/// The report as JSON: counts, and every finding.
pub fn json_report(found: &[Finding]) -> Value {
    let findings: Vec<_> = found
        .iter()
        .map(|finding| {
            json!({
                "file": finding.file,
                "verdict": finding.verdict.as_str(),
                "kind": finding.kind,
                "reason": finding.reason,
            })
        })
        .collect();
    json!({"counts": counts(found), "findings": findings})
}

fn counts(found: &[Finding]) -> Value {
    let of = |verdict| {
        found
            .iter()
            .filter(|finding| finding.verdict == verdict)
            .count()
    };
    json!({
        "ok": of(Verdict::Ok),
        "note": of(Verdict::Note),
        "defect": of(Verdict::Defect),
    })
}

/// The report as a page of its own: a map of symbols and months for each market and kind of data, and what is not ok.
pub fn html_report(found: &[Finding]) -> String {
    let mut page = String::from(HEAD);
    let counts = counts(found);
    // Writing to a string cannot fail.
    let _ = write!(
        page,
        "<p>{} tables: <b class=ok>{} ok</b>, <b class=note>{} notes</b>, <b class=defect>{} defects</b>.</p>",
        found.len(),
        counts["ok"],
        counts["note"],
        counts["defect"]
    );
    for ((market, data), series) in series(found) {
        map(&mut page, &format!("{market} {data}"), &series);
    }
    let wrong: Vec<_> = found
        .iter()
        .filter(|finding| finding.verdict != Verdict::Ok)
        .collect();
    if !wrong.is_empty() {
        page.push_str(
            "<h2>What is not ok</h2><table><thead><tr><th>Verdict<th>File<th>Kind<th>Reason<tbody>",
        );
        for finding in wrong {
            let verdict = finding.verdict.as_str();
            let _ = write!(
                page,
                "<tr><td class={verdict}>{verdict}<td>{}<td>{}<td>{}",
                escaped(&finding.file),
                finding.kind,
                escaped(&finding.reason)
            );
        }
        page.push_str("</table>");
    }
    page.push_str("</main>\n");
    page
}

/// The findings of one kind of data: by symbol and month.
type Series<'a> = BTreeMap<&'a str, BTreeMap<Period, Vec<&'a Finding>>>;

fn series(found: &[Finding]) -> BTreeMap<(String, String), Series<'_>> {
    let mut all: BTreeMap<(String, String), Series<'_>> = BTreeMap::new();
    for finding in found {
        let Some(name) = &finding.name else {
            continue;
        };
        let key = (name.market.to_string(), name.data.to_string());
        let months = all.entry(key).or_default().entry(name.symbol.as_str());
        let month = months.or_default().entry(name.period.month()).or_default();
        month.push(finding);
    }
    all
}

fn map(page: &mut String, title: &str, series: &Series<'_>) {
    let months: BTreeSet<Period> = series
        .values()
        .flat_map(|months| months.keys().copied())
        .collect();
    let _ = write!(
        page,
        "<h2>{0}</h2><div class=map><table><caption>{0}: the worst verdict of each month</caption><thead><tr><th scope=col>Symbol",
        escaped(title)
    );
    for month in &months {
        let _ = write!(page, "<th scope=col>{month}");
    }
    page.push_str("<tbody>");
    for (symbol, of) in series {
        let _ = write!(page, "<tr><th scope=row>{}", escaped(symbol));
        for month in &months {
            let Some(findings) = of.get(month) else {
                page.push_str("<td>");
                continue;
            };
            let worst = findings.iter().max_by_key(|finding| rank(finding.verdict));
            let verdict = worst.map_or("ok", |finding| finding.verdict.as_str());
            let reasons = findings.iter().filter(|finding| !finding.reason.is_empty());
            let reasons: Vec<_> = reasons
                .map(|finding| format!("{}: {}", finding.file, finding.reason))
                .collect();
            let _ = write!(
                page,
                "<td class={verdict} title=\"{}\">{verdict}",
                escaped(&reasons.join("\n"))
            );
        }
    }
    page.push_str("</table></div>");
}

fn rank(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Ok => 0,
        Verdict::Note => 1,
        Verdict::Defect => 2,
    }
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            other => safe.push(other),
        }
    }
    safe
}

const HEAD: &str = r#"<!doctype html>
<html lang=en>
<meta charset=utf-8>
<meta name=viewport content="width=device-width">
<title>tapemill verify</title>
<style>
:root { color-scheme: light dark; font: 14px/1.4 system-ui, sans-serif; --ok: #2e7d32; --note: #b26a00; --defect: #c62828; }
@media (prefers-color-scheme: dark) { :root { --ok: #81c784; --note: #ffb74d; --defect: #ef9a9a; } }
main { margin: 1rem auto; max-width: 80rem; padding: 0 1rem; }
.map { overflow-x: auto; }
table { border-collapse: collapse; }
caption { text-align: left; }
th, td { border: 1px solid color-mix(in srgb, currentColor 20%, transparent); padding: .1rem .4rem; text-align: left; vertical-align: top; }
.ok { color: var(--ok); } .note { color: var(--note); } .defect { color: var(--defect); font-weight: 600; }
</style>
<main>
<h1>What is on disk</h1>
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use tapemill_market::ArchiveName;

    fn finding(task: &str, verdict: Verdict, reason: &str) -> Finding {
        let name = ArchiveName::from_task_id(task).unwrap();
        Finding {
            file: format!("aggtrades_1m/um/{}/{}.parquet", name.symbol, name.period),
            verdict,
            kind: "content",
            reason: reason.to_owned(),
            has_holes: false,
            name: Some(name),
        }
    }

    #[test]
    fn a_month_shows_the_worst_of_its_days_and_no_text_is_markup() {
        let found = [
            finding("um/aggTrades/BTCUSDT/2024-01", Verdict::Ok, ""),
            finding("um/aggTrades/BTCUSDT/2024-02-01", Verdict::Note, "a note"),
            finding("um/aggTrades/BTCUSDT/2024-02-02", Verdict::Defect, "<b>\"&"),
        ];
        let page = html_report(&found);
        assert!(
            page.contains("<td class=ok title=\"\">ok<td class=defect title="),
            "{page}"
        );
        assert!(page.contains("&lt;b&gt;&quot;&amp;") && !page.contains("<b>\"&"));
        let counts = &json_report(&found)["counts"];
        assert_eq!(
            (&counts["ok"], &counts["note"], &counts["defect"]),
            (&json!(1), &json!(1), &json!(1))
        );
    }
}
