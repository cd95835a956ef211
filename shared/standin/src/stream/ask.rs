//! What clients ask for on a connection, and how it is answered.

use serde_json::{Value, json};

use super::log::Happened;
use super::player::Player;
use crate::Market;

/// Answers a text of a client, and does what it says. Acknowledgements come before the first frame they allow.
pub(super) fn answer(player: &mut Player, id: u32, market: Market, text: &[u8]) {
    let asked: Value = match serde_json::from_slice(text) {
        Ok(asked) => asked,
        Err(error) => {
            return refuse(
                player,
                id,
                market,
                None,
                3,
                &format!("Invalid JSON: {error}"),
            );
        }
    };
    let number = asked.get("id").filter(|number| is_number(number)).cloned();
    let Some(number) = number else {
        let why = "Invalid request: request ID must be an unsigned integer";
        return refuse(player, id, market, None, 2, why);
    };
    let method = asked.get("method").and_then(Value::as_str);
    let params = asked.get("params").and_then(Value::as_array);
    let names: Option<Vec<String>> = params.map(|params| {
        let names = params.iter().filter_map(Value::as_str);
        names.map(str::to_owned).collect()
    });
    match (method, names) {
        (Some("SUBSCRIBE"), Some(streams)) if !streams.is_empty() => {
            if player.refusals.acks > 0 {
                player.refusals.acks -= 1;
                let why = "Invalid request: unknown variant";
                return refuse(player, id, market, Some(number), 2, why);
            }
            subscribe(player, id, &streams, Some(number));
        }
        (Some("UNSUBSCRIBE"), Some(streams)) => {
            for stream in &streams {
                player.unsubscribe(id, stream);
            }
            tell(player, id, &json!({"result": null, "id": number}));
            player.note(Some(id), Happened::Unsubscribed { streams });
        }
        (Some("LIST_SUBSCRIPTIONS"), _) => {
            let names = player.connections.get(&id).map(|known| known.names.clone());
            tell(player, id, &json!({"result": names, "id": number}));
        }
        (Some("GET_PROPERTY"), Some(_)) => {
            let is_raw = player.connections.get(&id).map(|known| known.is_raw);
            let is_combined = is_raw.map(|is_raw| !is_raw);
            tell(player, id, &json!({"result": is_combined, "id": number}));
        }
        (Some("SET_PROPERTY"), _) => {
            let value = params.and_then(|params| params.get(1)?.as_bool());
            if let (Some(connection), Some(value)) = (player.connections.get_mut(&id), value) {
                connection.is_raw = !value;
            }
            tell(player, id, &json!({"result": null, "id": number}));
        }
        _ => {
            let why = "Invalid request: unknown method or parameters that do not fit it";
            refuse(player, id, market, Some(number), 2, why);
        }
    }
}

/// Subscribes, acknowledging it where it was asked for by a message.
pub(super) fn subscribe(player: &mut Player, id: u32, streams: &[String], number: Option<Value>) {
    if let Some(number) = number {
        tell(player, id, &json!({"result": null, "id": number}));
    }
    for stream in streams {
        player.subscribe(id, stream);
    }
    let streams = streams.to_vec();
    player.note(Some(id), Happened::Subscribed { streams });
    let most = player.options.limits.streams;
    if let Some(connection) = player.connections.get_mut(&id)
        && connection.names.len() > most
    {
        connection.close(1008, "Too many streams");
    }
}

fn is_number(id: &Value) -> bool {
    id.is_u64() || id.is_string() || id.is_null()
}

fn tell(player: &mut Player, id: u32, answer: &Value) {
    if let Some(connection) = player.connections.get_mut(&id)
        && connection.is_open()
    {
        connection.say(&answer.to_string());
    }
}

/// Spot wraps its errors, the futures do only where there is a request to name.
fn refuse(
    player: &mut Player,
    id: u32,
    market: Market,
    number: Option<Value>,
    code: u32,
    why: &str,
) {
    let error = json!({"code": code, "msg": why});
    let answer = match number {
        None if market != Market::Spot => error,
        number => json!({"error": error, "id": number}),
    };
    tell(player, id, &answer);
}
