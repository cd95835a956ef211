//! What the answers of a store mean, cut by what a caller can do.

use std::error::Error as StdError;

use object_store::Error;
use object_store::client::HttpError;

use crate::error::{LakeError, one_line};

/// Where the exchange of instance credentials happens: failing there means that there are none.
const INSTANCE_METADATA: &str = "169.254.169.254";

/// Codes of S3 that come with status 400 and are about who asks, not about what.
const ABOUT_US: [&str; 6] = [
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "IllegalLocationConstraintException",
    "InvalidAccessKeyId",
    "InvalidToken",
    "TokenRefreshRequired",
];

/// What an error of the client means for one step at one place.
pub(super) fn meaning(
    doing: &'static str,
    bucket: &str,
    place: String,
    error: &Error,
) -> LakeError {
    let answer = Answer::of(error);
    let problem = answer.problem();
    match (answer.status, answer.code.as_deref()) {
        (_, Some("NoSuchBucket")) => LakeError::NoBucket {
            bucket: bucket.to_owned(),
            doing,
            place,
        },
        (Some(401 | 403), _) => LakeError::Refused {
            doing,
            place,
            problem,
        },
        (Some(400), Some(code)) if ABOUT_US.contains(&code) => LakeError::Refused {
            doing,
            place,
            problem,
        },
        (Some(300..=399), _) => LakeError::Refused {
            doing,
            place,
            problem: "the bucket is of another region or endpoint".to_owned(),
        },
        (Some(408 | 429 | 500..=599), _) => LakeError::Unreachable {
            doing,
            place,
            problem,
        },
        (Some(_), _) => LakeError::Store {
            doing,
            place,
            problem,
        },
        (None, _) if answer.text.contains(INSTANCE_METADATA) => LakeError::Refused {
            doing,
            place,
            problem: "there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                .to_owned(),
        },
        (None, _) if answer.is_redirect => LakeError::Refused {
            doing,
            place,
            problem: "the bucket is of another region or endpoint".to_owned(),
        },
        (None, _) if answer.is_transport => LakeError::Unreachable {
            doing,
            place,
            problem,
        },
        (None, _) => LakeError::Store {
            doing,
            place,
            problem,
        },
    }
}

/// The status of an answer, when there was one.
pub(super) fn status(error: &Error) -> Option<u16> {
    Answer::of(error).status
}

/// Whether the store says that it does not know this kind of request.
pub(super) fn is_not_implemented(error: &Error) -> bool {
    let answer = Answer::of(error);
    answer.code.as_deref() == Some("NotImplemented") || matches!(answer.status, Some(405 | 501))
}

/// Whether no answer came, so that nobody knows what was done.
pub(super) fn is_unanswered(error: &Error) -> bool {
    let answer = Answer::of(error);
    answer.status.is_none() && answer.is_transport
}

/// What can be told from an error. The client keeps status and body of an answer to itself, but for their text.
struct Answer {
    text: String,
    status: Option<u16>,
    code: Option<String>,
    message: Option<String>,
    is_redirect: bool,
    is_transport: bool,
}

impl Answer {
    fn of(error: &Error) -> Answer {
        let mut text = error.to_string();
        let mut transport = None;
        let mut cause: Option<&(dyn StdError + 'static)> = error.source();
        while let Some(error) = cause {
            if transport.is_none() && error.is::<HttpError>() {
                transport = Some(innermost(error));
            }
            // Most messages carry their cause already.
            let next = error.to_string();
            if !text.contains(&next) {
                text.push_str(": ");
                text.push_str(&next);
            }
            cause = error.source();
        }
        let status = between(&text, "status code: ", " ").and_then(|digits| digits.parse().ok());
        let code = between(&text, "<Code>", "</Code>").map(str::to_owned);
        let message = between(&text, "<Message>", "</Message>").map(str::to_owned);
        let is_redirect = text.contains("redirect without LOCATION");
        Answer {
            status,
            code,
            message: message.or(transport.clone()),
            is_redirect,
            is_transport: transport.is_some(),
            text,
        }
    }

    /// What the store said, or what was met on the way to it, without addresses and times.
    fn problem(&self) -> String {
        let status = self.status.map(|status| status.to_string());
        let parts = [status, self.code.clone(), self.message.clone()];
        let said: Vec<String> = parts.into_iter().flatten().collect();
        if said.is_empty() {
            one_line(&self.text)
        } else {
            one_line(&said.join(" "))
        }
    }
}

/// The last cause: "connection refused" rather than "error sending request".
fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    let end = rest.find(after).unwrap_or(rest.len());
    Some(&rest[..end])
}
