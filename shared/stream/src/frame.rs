//! What a connection brings: messages of streams, answers, and notices.

use crate::error::Malformed;
use crate::json::Json;

/// A text of the exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A message of a stream; its text is read by [`Event::read`](crate::Event::read).
    Message {
        /// The stream's name, as it was subscribed to.
        stream: &'a str,
        /// The message.
        data: &'a str,
    },
    /// A subscription was taken. That does not say that anything will come of it.
    Taken {
        /// Of the subscription.
        id: u64,
    },
    /// A subscription, or a text of ours, was refused.
    Refused {
        /// Of the subscription, where the exchange could read it.
        id: Option<u64>,
        /// What the exchange says.
        why: String,
    },
    /// The server will end, and this connection with it.
    Ending,
}

impl<'a> Frame<'a> {
    /// Reads a text.
    ///
    /// # Errors
    ///
    /// [`Malformed`] for what is none of these.
    pub fn read(text: &'a str) -> Result<Self, Malformed> {
        let (mut stream, mut data, mut id, mut event) = (None, None, None, None);
        let (mut has_result, mut code, mut why) = (false, None, None);
        let mut json = Json::new(text);
        json.object(|key, json| {
            match key {
                "stream" => stream = Some(json.string()?),
                "data" => data = Some(json.skip()?),
                // Null where a refused text had none that could be read.
                "id" => id = json.skip()?.parse().ok(),
                "result" => {
                    json.skip()?;
                    has_result = true;
                }
                "error" => json.object(|key, json| {
                    match key {
                        "code" => code = Some(json.integer()?),
                        "msg" => why = Some(json.skip()?),
                        _ => _ = json.skip()?,
                    }
                    Ok(())
                })?,
                "code" => code = Some(json.integer()?),
                "msg" => why = Some(json.skip()?),
                "e" => event = Some(json.skip()?),
                _ => _ = json.skip()?,
            }
            Ok(())
        })?;
        json.end()?;
        if let (Some(stream), Some(data)) = (stream, data) {
            return match is_ending(data) {
                true => Ok(Self::Ending),
                false => Ok(Self::Message { stream, data }),
            };
        }
        if let Some(code) = code {
            let why = why.unwrap_or_default().trim_matches('"');
            return Ok(Self::Refused {
                id,
                why: format!("{why} (code {code})"),
            });
        }
        match (id, has_result, event) {
            (Some(id), true, _) => Ok(Self::Taken { id }),
            (_, _, Some("\"serverShutdown\"")) => Ok(Self::Ending),
            _ => Err(Malformed {
                what: "neither a message of a stream nor an answer",
                at: 0,
            }),
        }
    }
}

/// The notice comes as a message of no stream's, too.
fn is_ending(data: &str) -> bool {
    data.len() < 200 && data.contains("\"serverShutdown\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_text_is_told_from_the_others() {
        let message = r#"{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","s":"BTCUSDT"}}"#;
        let turned =
            r#"{"data":{"e":"aggTrade","s":"BTCUSDT"},"stream":"btcusdt@aggTrade","new":[1]}"#;
        for text in [message, turned] {
            let expected = Frame::Message {
                stream: "btcusdt@aggTrade",
                data: r#"{"e":"aggTrade","s":"BTCUSDT"}"#,
            };
            assert_eq!(Frame::read(text).unwrap(), expected);
        }
        let taken = Frame::read(r#"{"result":null,"id":3}"#).unwrap();
        assert_eq!(taken, Frame::Taken { id: 3 });
        for text in [
            r#"{"error":{"code":2,"msg":"Invalid request"},"id":3}"#,
            r#"{"code":2,"msg":"Invalid request","id":3}"#,
        ] {
            let expected = Frame::Refused {
                id: Some(3),
                why: "Invalid request (code 2)".to_owned(),
            };
            assert_eq!(Frame::read(text).unwrap(), expected);
        }
        for text in [
            r#"{"e":"serverShutdown","E":1}"#,
            r#"{"stream":"x","data":{"e":"serverShutdown","E":1}}"#,
        ] {
            assert_eq!(Frame::read(text).unwrap(), Frame::Ending);
        }
        for text in [
            "",
            "[]",
            "{}",
            r#"{"id":1}"#,
            r#"{"stream":"a"}"#,
            r#"{"result":null,"id":1} x"#,
        ] {
            assert!(Frame::read(text).is_err(), "{text}");
        }
    }
}
