//! The request that a WebSocket begins with.

use super::kind::{Delivers, Routing};
use super::wire;

/// What a client wants.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The path and query as they came.
    pub path: String,
    /// Its `Sec-WebSocket-Key`.
    pub key: String,
}

/// What a path means.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub delivers: Delivers,
    pub is_raw: bool,
    /// Subscribed to from the start.
    pub streams: Vec<String>,
}

/// Whether a request asks for a WebSocket.
pub(super) fn is_upgrade(head: &str) -> bool {
    header(head, "upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
}

/// Reads the head of a request for a WebSocket.
pub(super) fn wanted(head: &str) -> Option<Wanted> {
    let mut first = head.lines().next()?.split(' ');
    let (Some("GET"), Some(path)) = (first.next(), first.next()) else {
        return None;
    };
    (header(head, "sec-websocket-version")? == "13").then_some(())?;
    Some(Wanted {
        path: path.to_owned(),
        key: header(head, "sec-websocket-key")?.to_owned(),
    })
}

/// The answer that begins it.
pub(super) fn accepted(wanted: &Wanted) -> String {
    let accept = wire::accept(&wanted.key);
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: {accept}\r\n\r\n"
    )
}

/// The answer that ends it.
pub(super) fn refused(status: u16, retry_after: Option<u64>) -> String {
    let wait = retry_after.map(|seconds| format!("retry-after: {seconds}\r\n"));
    let wait = wait.unwrap_or_default();
    format!("HTTP/1.1 {status} Refused\r\n{wait}content-length: 0\r\nconnection: close\r\n\r\n")
}

/// What a path and query mean, where there is such a path.
pub(super) fn place(path: &str, routing: Routing) -> Option<Place> {
    let path = path.replace("%40", "@").replace("%2F", "/");
    let (path, query) = path.split_once('?').unwrap_or((&path, ""));
    let slash = path.get(1..)?.find('/').map_or(path.len(), |at| at + 1);
    let (prefix, rest) = match &path[..slash] {
        "/stream" | "/ws" => ("", path),
        prefix => (prefix, &path[slash..]),
    };
    let delivers = routing.at(prefix)?;
    let split = |names: &str| {
        let names = names.split('/').filter(|name| !name.is_empty());
        names.map(str::to_owned).collect()
    };
    let (is_raw, streams) = match rest {
        "/stream" => {
            let mut pairs = query.split('&');
            let names = pairs.find_map(|pair| pair.strip_prefix("streams="));
            (false, split(names.unwrap_or_default()))
        }
        "/ws" => (true, Vec::new()),
        _ => (true, split(rest.strip_prefix("/ws/")?)),
    };
    Some(Place {
        delivers,
        is_raw,
        streams,
    })
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().skip(1);
    lines.find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_say_what_is_delivered_and_how() {
        let of = |path, routing| {
            place(path, routing)
                .map(|place| (place.delivers, place.is_raw, place.streams.join(" ")))
        };
        let named = |delivers, is_raw, streams: &str| Some((delivers, is_raw, streams.to_owned()));

        assert_eq!(
            of("/stream", Routing::Split),
            named(Delivers::Public, false, "")
        );
        assert_eq!(
            of("/market/stream?streams=a@b/c%40d", Routing::Split),
            named(Delivers::Market, false, "a@b c@d")
        );
        assert_eq!(
            of("/ws/a@b", Routing::Plain),
            named(Delivers::All, true, "a@b")
        );
        assert_eq!(
            of("/public/ws", Routing::Split),
            named(Delivers::Public, true, "")
        );
        assert_eq!(of("/market/stream", Routing::Plain), None);
        assert_eq!(of("/streams", Routing::Plain), None);
        assert_eq!(of("/", Routing::Plain), None);
    }
}
