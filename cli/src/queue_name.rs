//! What a queue is called in labels: a name, never a URL.

/// A queue's name for labels: of a file its path, of a server's queue what `?queue=` says.
pub fn label(url: &str) -> String {
    if let Some(path) = url.strip_prefix("sqlite:") {
        return path.strip_prefix("//").unwrap_or(path).to_owned();
    }
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let name = query
        .split('&')
        .find_map(|part| part.strip_prefix("queue="))
        .unwrap_or_default();
    if name.is_empty() { "default" } else { name }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_the_name_alone() {
        for (url, name) in [
            ("sqlite:./data/queue.db", "./data/queue.db"),
            ("redis://me:secret@host:6379?queue=um", "um"),
            ("redis://me:secret@host:6379/0?a=b&queue=um", "um"),
            ("redis://me:secret@host", "default"),
        ] {
            assert_eq!(label(url), name);
        }
    }
}
