//! What a queue is called where others read it: never with a user name or a password.

/// A queue's URL for people: without what stands between `//` and `@`.
pub fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    // A path of a file may hold an @.
    if scheme == "sqlite" {
        return url.to_owned();
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => url.to_owned(),
    }
}

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
    fn what_is_shown_holds_no_password() {
        for (url, plain) in [
            ("sqlite:./data/queue.db", "sqlite:./data/queue.db"),
            ("sqlite:///srv/a@b/queue.db", "sqlite:///srv/a@b/queue.db"),
            (
                "redis://127.0.0.1:6379?queue=um",
                "redis://127.0.0.1:6379?queue=um",
            ),
            (
                "rediss://me:p@ss@host:6379/0?queue=um",
                "rediss://host:6379/0?queue=um",
            ),
            ("redis://:secret@host", "redis://host"),
        ] {
            assert_eq!(shown(url), plain);
        }
    }

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
