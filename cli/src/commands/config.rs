//! `config show`.

use serde_json::json;

use crate::format;
use crate::progress::Terminal;
use crate::settings::{Parsed, shown};

/// Every setting, its value and where it came from.
pub fn show(parsed: &Parsed, as_json: bool, terminal: &Terminal) -> u8 {
    let settings = shown(parsed);
    if as_json {
        for setting in settings {
            out!(
                terminal,
                "{}",
                json!({"name": setting.name, "value": setting.value, "origin": setting.origin})
            );
        }
    } else {
        let rows: Vec<_> = settings
            .into_iter()
            .map(|setting| vec![setting.name, setting.origin, setting.value])
            .collect();
        terminal.print(&format::table(&["setting", "from", "value"], &rows, &[]));
    }
    tapemill_runtime::exit::DONE
}
