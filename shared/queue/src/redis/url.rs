//! Queue URLs: `redis://HOST[:PORT][,HOST[:PORT]…][/DB][?queue=NAME][&master=NAME]`, or `rediss://` for TLS.

use std::fmt;

use crate::QueueError;

const DEFAULT_PORT: u16 = 6379;
const DEFAULT_QUEUE: &str = "default";
const LONGEST_NAME: usize = 64;

/// Where a queue is, without any secret: what is shown of it is what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisUrl {
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// A server; several nodes of a cluster, or several Sentinels.
    pub hosts: Vec<(String, u16)>,
    /// The database; a cluster has only 0.
    pub database: i64,
    /// The queue's name on that server.
    pub queue: String,
    /// The primary's name, for Sentinels that watch several.
    pub master: Option<String>,
}

/// Who connects. Never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The ACL user.
    pub user: Option<String>,
    /// The password.
    pub password: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

impl Credentials {
    /// The variable that names the user.
    pub const USER: &'static str = "TAPEMILL_REDIS_USER";
    /// The variable that holds the password.
    pub const PASSWORD: &'static str = "TAPEMILL_REDIS_PASSWORD";

    /// What the environment says; an empty variable says nothing.
    #[must_use]
    pub fn from_environment() -> Self {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            user: variable(Self::USER),
            password: variable(Self::PASSWORD),
        }
    }

    /// These, with what is absent taken from `others`.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        if self.password.is_none() {
            return others;
        }
        self
    }
}

/// Whether a queue URL is one for this backend.
#[must_use]
pub fn is_redis_url(url: &str) -> bool {
    url.starts_with("redis://") || url.starts_with("rediss://")
}

impl RedisUrl {
    /// Reads a URL. Credentials in it are taken too, though the environment is the place for them.
    ///
    /// # Errors
    ///
    /// [`QueueError::BadUrl`] says what is wrong, without showing credentials.
    pub fn parse(url: &str) -> Result<(Self, Credentials), QueueError> {
        let bad = |why| QueueError::BadUrl {
            url: without_credentials(url),
            why,
        };
        let (tls, rest) = match (url.strip_prefix("redis://"), url.strip_prefix("rediss://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err(bad("it does not begin with redis:// or rediss://")),
        };
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = place.split_once('/').unwrap_or((place, ""));
        let (credentials, hosts) = match authority.rsplit_once('@') {
            Some((credentials, hosts)) => (Some(credentials), hosts),
            None => (None, authority),
        };
        let credentials = match credentials.map(|text| text.split_once(':').unwrap_or(("", text))) {
            None => Credentials::default(),
            Some((user, password)) => {
                let part = |text: &str| {
                    let decoded = decoded(text)
                        .ok_or_else(|| bad("its user or password is not percent-encoded"))?;
                    Ok::<_, QueueError>(Some(decoded).filter(|text| !text.is_empty()))
                };
                Credentials {
                    user: part(user)?,
                    password: part(password)?,
                }
            }
        };
        let hosts = hosts
            .split(',')
            .map(|host| parse_host(host).ok_or_else(|| bad("its host is not HOST or HOST:PORT")))
            .collect::<Result<Vec<_>, _>>()?;
        let database = match database {
            "" => 0,
            number => number
                .parse()
                .ok()
                .filter(|number| (0..=1_000).contains(number))
                .ok_or_else(|| bad("what follows the host is no database number"))?,
        };
        let mut parsed = Self {
            tls,
            hosts,
            database,
            queue: DEFAULT_QUEUE.to_owned(),
            master: None,
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("queue", name)) if is_name(name) => parsed.queue = name.to_owned(),
                Some(("master", name)) if is_name(name) => parsed.master = Some(name.to_owned()),
                Some(("queue" | "master", _)) => {
                    return Err(bad("a name is 1 to 64 of letters, digits, and . _ -"));
                }
                _ => return Err(bad("after ? only queue=NAME and master=NAME are known")),
            }
        }
        Ok((parsed, credentials))
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.tls { "rediss://" } else { "redis://" })?;
        for (position, (host, port)) in self.hosts.iter().enumerate() {
            let comma = if position == 0 { "" } else { "," };
            if host.contains(':') {
                write!(f, "{comma}[{host}]:{port}")?;
            } else {
                write!(f, "{comma}{host}:{port}")?;
            }
        }
        if self.database != 0 {
            write!(f, "/{}", self.database)?;
        }
        write!(f, "?queue={}", self.queue)?;
        if let Some(master) = &self.master {
            write!(f, "&master={master}")?;
        }
        Ok(())
    }
}

/// A value fit to be read by others: a URL's user and password are left out.
#[must_use]
pub fn without_credentials(value: &str) -> String {
    let Some(begin) = value.find("://").map(|at| at + 3) else {
        return value.to_owned();
    };
    let end = value[begin..]
        .find(['?', '#'])
        .map_or(value.len(), |at| begin + at);
    match value[begin..end].rfind('@') {
        Some(at) => format!("{}***{}", &value[..begin], &value[begin + at..]),
        None => value.to_owned(),
    }
}

fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(is_plain)
}

fn parse_host(text: &str) -> Option<(String, u16)> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        (host, port.strip_prefix(':'))
    } else {
        match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    let port = port.map_or(Some(DEFAULT_PORT), |port| port.parse().ok())?;
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"/?#@,[]".contains(&byte);
    (!host.is_empty() && host.bytes().all(is_plain)).then(|| (host.to_owned(), port))
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let (digits, tail) = rest.split_at_checked(2)?;
        let digits = std::str::from_utf8(digits).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = tail;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn parsed(url: &str) -> (String, Credentials) {
        let (parsed, credentials) = RedisUrl::parse(url).unwrap();
        (parsed.to_string(), credentials)
    }

    #[test]
    fn what_is_absent_has_its_default() {
        assert_eq!(parsed("redis://box").0, "redis://box:6379?queue=default");
        let all = "rediss://a:1,b:2/3?queue=btc&master=main";
        assert_eq!(parsed(all).0, all);
        let sixth = "redis://[::1]:7000?queue=x";
        assert_eq!(parsed(sixth).0, sixth);
    }

    #[test]
    fn credentials_are_taken_and_never_shown() {
        let (shown, credentials) = parsed("redis://worker:p%40ss@box:1?queue=x");
        assert_eq!(shown, "redis://box:1?queue=x");
        assert_eq!(credentials.user.as_deref(), Some("worker"));
        assert_eq!(credentials.password.as_deref(), Some("p@ss"));
        assert_eq!(format!("{credentials:?}"), "Credentials");
        let (_, credentials) = parsed("redis://:secret@box");
        assert_eq!(
            (credentials.user, credentials.password.as_deref()),
            (None, Some("secret"))
        );

        let error = RedisUrl::parse("redis://worker:secret@box:port").unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn a_url_that_names_no_queue_is_refused() {
        for url in [
            "redis://",
            "redis://:6379",
            "redis://box:99999",
            "redis://box/x",
            "redis://box?queue=",
            "redis://box?queue={a}",
            "redis://box?quue=a",
            "redis://a,,b",
            "http://box",
        ] {
            let refused = RedisUrl::parse(url);
            assert!(matches!(refused, Err(QueueError::BadUrl { .. })), "{url}");
        }
    }

    #[test]
    fn the_environment_goes_before_the_url() {
        let of = |password: Option<&str>| Credentials {
            user: None,
            password: password.map(str::to_owned),
        };
        assert_eq!(of(Some("a")).or(of(Some("b"))), of(Some("a")));
        assert_eq!(of(None).or(of(Some("b"))), of(Some("b")));
    }

    #[test]
    fn what_is_shown_of_a_url_is_no_secret() {
        for (value, shown) in [
            (
                "redis://u:hunter2@box:1?queue=a@b",
                "redis://***@box:1?queue=a@b",
            ),
            ("redis://u:hun/ter2@box", "redis://***@box"),
            ("http://user:hunter2@mirror/x", "http://***@mirror/x"),
            ("s3://bucket/prefix", "s3://bucket/prefix"),
            ("sqlite:a@b/queue.db", "sqlite:a@b/queue.db"),
            ("60s", "60s"),
        ] {
            assert_eq!(without_credentials(value), shown);
        }
    }
}
