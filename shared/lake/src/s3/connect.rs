//! From an address and the environment to a bucket.

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::path::Path as Key;
use object_store::{BackoffConfig, ClientOptions, RetryConfig};

use super::puts::Impatient;
use super::{SCHEME, fault};
use crate::error::{LakeError, Result, one_line};
use crate::paths::LakePath;

/// How long requests are repeated before the store counts as out of reach.
const PATIENCE: Duration = Duration::from_secs(30);
const MOST_REPETITIONS: usize = 30;
/// Of one request: a part of 8 MiB over a slow line included.
const LONGEST_REQUEST: Duration = Duration::from_secs(60);
const LONGEST_CONNECT: Duration = Duration::from_secs(5);

/// What a bucket's store is told beside its address.
#[derive(Clone)]
pub struct S3Settings {
    /// `AWS_*` variables: credentials (keys, web identity, container or instance role), `AWS_REGION`,
    /// `AWS_ENDPOINT_URL`, `AWS_ALLOW_HTTP` and whatever else the `object_store` crate knows.
    pub environment: Vec<(String, String)>,
    /// How long a request is repeated before the store counts as out of reach.
    pub patience: Duration,
}

impl fmt::Debug for S3Settings {
    /// Names only: values are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.environment.iter().map(|(name, _)| name);
        f.debug_list().entries(names).finish()
    }
}

impl S3Settings {
    /// The settings of this process's environment.
    pub fn from_env() -> S3Settings {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, value)| name.starts_with("AWS_") && !value.is_empty());
        S3Settings {
            environment: variables.collect(),
            patience: PATIENCE,
        }
    }
}

/// A bucket, and the prefix of all keys in it.
pub(super) struct Bucket {
    pub store: AmazonS3,
    /// Set once the store was found not to know conditional puts.
    pub is_unconditional: AtomicBool,
    name: String,
    /// Without slashes at its ends; empty for the whole bucket.
    prefix: String,
}

impl Bucket {
    pub fn connect(url: &str, settings: &S3Settings) -> Result<Bucket> {
        let refused = |problem: String| LakeError::Address {
            place: url.to_owned(),
            problem,
        };
        let (name, prefix) = split(url).map_err(|problem| refused(problem.to_owned()))?;
        let client = ClientOptions::new()
            .with_timeout(LONGEST_REQUEST)
            .with_connect_timeout(LONGEST_CONNECT);
        let mut builder = AmazonS3Builder::new().with_client_options(client);
        for (variable, value) in &settings.environment {
            if let Ok(key) = variable.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
                builder = builder.with_config(key, value);
            }
        }
        let endpoint = [AmazonS3ConfigKey::S3Endpoint, AmazonS3ConfigKey::Endpoint]
            .iter()
            .find_map(|key| builder.get_config_value(key));
        // Whoever writes http:// into the endpoint means it; no second switch is asked for.
        if endpoint.is_some_and(|endpoint| endpoint.starts_with("http://")) {
            builder = builder.with_allow_http(true);
        }
        let store = builder
            .with_bucket_name(&name)
            .with_http_connector(Impatient)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_retry(RetryConfig {
                backoff: BackoffConfig {
                    init_backoff: Duration::from_millis(100),
                    max_backoff: Duration::from_secs(5),
                    base: 2.0,
                },
                max_retries: MOST_REPETITIONS,
                retry_timeout: settings.patience,
            })
            .build()
            .map_err(|error| refused(one_line(&error)))?;
        Ok(Bucket {
            store,
            is_unconditional: AtomicBool::new(false),
            name,
            prefix,
        })
    }

    /// The key of a path. Parsed, not made: what is encoded in a path is not encoded again.
    pub fn key(&self, path: &LakePath) -> Result<Key> {
        Key::parse(self.join(path.as_str())).map_err(|error| LakeError::Store {
            doing: "name",
            place: self.shown(path.as_str()),
            problem: one_line(&error),
        })
    }

    /// `s3://bucket/prefix/path`.
    pub fn shown(&self, path: &str) -> String {
        let key = self.join(path);
        let slash = if key.is_empty() { "" } else { "/" };
        format!("{SCHEME}{}{slash}{key}", self.name)
    }

    /// What an error of the store means to a caller.
    pub fn fault(
        &self,
        doing: &'static str,
        key: &dyn fmt::Display,
        error: &object_store::Error,
    ) -> LakeError {
        fault::meaning(doing, &self.name, self.address(key), error)
    }

    /// `s3://bucket/key`.
    pub fn address(&self, key: &dyn fmt::Display) -> String {
        format!("{SCHEME}{}/{key}", self.name)
    }

    /// The key of a path, as text.
    pub fn join(&self, path: &str) -> String {
        match (self.prefix.as_str(), path) {
            ("", path) => path.to_owned(),
            (prefix, "") => prefix.to_owned(),
            (prefix, path) => format!("{prefix}/{path}"),
        }
    }
}

/// Bucket and prefix of `s3://bucket/prefix`.
fn split(url: &str) -> Result<(String, String), &'static str> {
    let rest = url
        .strip_prefix(SCHEME)
        .ok_or("it is no s3:// address: write s3://bucket or s3://bucket/prefix")?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(is_plain) {
        return Err("its bucket cannot be one: 3 to 63 letters, digits, dots and hyphens");
    }
    let prefix = prefix.trim_end_matches('/');
    let is_clean = |segment: &str| {
        !matches!(segment, "" | "." | "..") && segment.bytes().all(is_plain_in_prefix)
    };
    if !prefix.is_empty() && !prefix.split('/').all(is_clean) {
        return Err("its prefix cannot be one: letters, digits and any of -_.=+ between slashes");
    }
    Ok((bucket.to_owned(), prefix.to_owned()))
}

fn is_plain_in_prefix(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.=+".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_bucket_and_perhaps_a_prefix() {
        let split = |url| split(url).map(|(bucket, prefix)| format!("{bucket} {prefix}"));

        assert_eq!(split("s3://tape").as_deref(), Ok("tape "));
        assert_eq!(split("s3://tape/").as_deref(), Ok("tape "));
        assert_eq!(
            split("s3://my.tape-1/a/b=c/").as_deref(),
            Ok("my.tape-1 a/b=c")
        );
        for url in [
            "s3://",
            "s3:///a",
            "s3://a/b",
            "s3://tape//a",
            "s3://tape/../a",
            "s3://tape/a b",
            "s3://tape/a?b",
            "s3://key:secret@tape/a",
            "https://tape/a",
        ] {
            assert!(split(url).is_err(), "{url}");
        }
    }
}
