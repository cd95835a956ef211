//! Fields of an object, in any order; what nobody knows of is kept.

use super::{Event, Read};
use crate::error::Malformed;
use crate::json::Json;

pub(super) fn present<T>(value: Option<T>, what: &'static str) -> Result<T, Malformed> {
    value.ok_or(Malformed { what, at: 0 })
}

/// What every message has, and what is left over.
#[derive(Default)]
pub(super) struct Common<'a> {
    pub symbol: Option<&'a str>,
    event: Option<&'a str>,
    extra: Option<String>,
}

impl<'a> Common<'a> {
    /// Takes a field that no one else takes.
    fn take(&mut self, key: &str, json: &mut Json<'a>) -> Result<(), Malformed> {
        match key {
            "e" => self.event = Some(json.string()?),
            "s" => self.symbol = Some(json.string()?),
            _ => {
                let value = json.skip()?;
                let extra = self.extra.get_or_insert_with(|| "{".to_owned());
                if extra.len() > 1 {
                    extra.push(',');
                }
                extra.push('"');
                extra.push_str(key);
                extra.push_str("\":");
                extra.push_str(value);
            }
        }
        Ok(())
    }

    /// `named`: what `e` has to be; some messages may lack it.
    pub fn read(self, named: &str, event: Event) -> Result<Read<'a>, Malformed> {
        let symbol = present(self.symbol, "no symbol")?;
        match (self.event, named) {
            (None, "bookTicker") => {}
            (Some(event), named) if event == named => {}
            _ => {
                return Err(Malformed {
                    what: "an event of another kind",
                    at: 0,
                });
            }
        }
        Ok(Read {
            symbol,
            event,
            extra: self.extra.map(|extra| extra + "}"),
        })
    }
}

/// Reads an object: `take` takes the fields it knows, and says whether it did.
pub(super) fn fields<'a>(
    data: &'a str,
    mut take: impl FnMut(&str, &mut Json<'a>) -> Result<bool, Malformed>,
) -> Result<Common<'a>, Malformed> {
    let mut common = Common::default();
    let mut json = Json::new(data);
    json.object(|key, json| match take(key, json)? {
        true => Ok(()),
        false => common.take(key, json),
    })?;
    json.end()?;
    Ok(common)
}

/// Fills named places from keys, and tells which are empty: `field!(json, key; "U" => first: integer, …)`.
macro_rules! take {
    ($json:ident, $key:ident; $($name:literal => $place:ident: $read:ident),+ $(,)?) => {
        match $key {
            $($name => $place = Some($json.$read()?),)+
            _ => return Ok(false),
        }
    };
}

pub(super) use take;
