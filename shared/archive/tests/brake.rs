//! A server that asks for fewer requests is heard on every path, and everything of the process waits.

mod server;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures::future::{BoxFuture, join_all};
use server::{Reply, Request, Server, quick, serve};
use tapemill_archive::{
    ArchiveError, Event, HttpSource, Query, Resume, Source, Transfer, Validator,
};
use tokio_util::sync::CancellationToken;

const KEY: &str = "data/a.zip";
const FILE: &[u8] = b"the whole archive";
const EMPTY_PAGE: &str = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";

/// What a good server answers to all of these.
fn answer(request: &Request) -> Reply {
    if request.query("prefix").is_some() {
        return Reply::new(200).body(EMPTY_PAGE);
    }
    serve(request, FILE, "\"v1\"")
}

type Call = fn(
    Arc<HttpSource>,
    Arc<tapemill_archive::Brake>,
) -> BoxFuture<'static, Result<(), ArchiveError>>;

/// Every way to ask the archive for something.
const CALLS: [(&str, Call); 6] = [
    ("list", |source, _| {
        Box::pin(async move { source.list(&Query::default()).await.map(drop) })
    }),
    ("folders", |source, _| {
        Box::pin(async move { source.folders("data/", &|_| None).await.map(drop) })
    }),
    ("head", |source, _| {
        Box::pin(async move { source.head(KEY).await.map(|found| assert!(found.is_some())) })
    }),
    ("small", |source, _| {
        Box::pin(async move {
            source
                .small(KEY, 100)
                .await
                .map(|found| assert!(found.is_some()))
        })
    }),
    ("open", |source, brake| Box::pin(transfer(source, brake, 0))),
    ("resume", |source, brake| {
        Box::pin(transfer(source, brake, 5))
    }),
];

async fn transfer(
    source: Arc<HttpSource>,
    brake: Arc<tapemill_archive::Brake>,
    from: u64,
) -> Result<(), ArchiveError> {
    let resume = Resume {
        from,
        validator: Validator::new(Some("\"v1\"".to_owned()), None),
    };
    let cancel = CancellationToken::new();
    let mut transfer = Transfer::start(source, KEY, resume, quick(), brake, cancel);
    while !matches!(transfer.next().await?, Event::End { .. }) {}
    Ok(())
}

/// What became of a call whose first request is refused, and when its requests came.
struct Refused {
    what: String,
    result: Result<(), ArchiveError>,
    news: Option<Duration>,
    came: Vec<Instant>,
}

/// Makes every call against a server of its own that refuses the first `times` requests so.
async fn refused(
    statuses: &[u16],
    times: usize,
    retry_after: Option<&'static str>,
) -> Vec<Refused> {
    let calls = statuses
        .iter()
        .flat_map(|status| CALLS.map(|(name, call)| (*status, name, call)));
    let calls = calls.map(|(status, name, call)| async move {
        let came = Arc::new(Mutex::new(Vec::new()));
        let noted = came.clone();
        let server = Server::start(move |number, request| {
            noted.lock().unwrap().push(Instant::now());
            let refusal = Reply::new(status);
            match retry_after {
                _ if number >= times => answer(request),
                Some(wait) => refusal.header("Retry-After", wait),
                None => refusal,
            }
        })
        .await;
        let options = server.options();
        let brake = options.brake.clone();
        let source = Arc::new(HttpSource::new(options).unwrap());
        let told = tokio::spawn({
            let brake = brake.clone();
            async move { brake.news().await }
        });
        let result = call(source, brake).await;
        let news = if told.is_finished() {
            Some(told.await.unwrap())
        } else {
            None
        };
        let came = came.lock().unwrap().clone();
        Refused {
            what: format!("{name} with {status}"),
            result,
            news,
            came,
        }
    });
    join_all(calls).await
}

#[tokio::test]
async fn a_named_wait_is_kept_on_every_path_and_told() {
    for refused in refused(&[429, 418, 403], 1, Some("1")).await {
        let Refused {
            what,
            result,
            news,
            came,
        } = refused;

        result.unwrap_or_else(|error| panic!("{what}: {error}"));
        let news = news.unwrap_or_else(|| panic!("{what}: nobody was told"));
        assert!(
            news > Duration::from_millis(500) && news <= Duration::from_secs(1),
            "{what}: {news:?}"
        );
        assert!(came.len() >= 2, "{what}: {} requests", came.len());
        assert!(came[1] - came[0] >= Duration::from_secs(1), "{what}");
    }
}

#[tokio::test]
async fn a_busy_server_that_names_no_time_is_given_some() {
    for refused in refused(&[429, 418], 1, None).await {
        let Refused {
            what,
            result,
            news,
            came,
        } = refused;

        result.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(news.is_some(), "{what}: nobody was told");
        assert!(came[1] - came[0] >= Duration::from_secs(1), "{what}");
    }
}

#[tokio::test]
async fn a_plain_403_is_an_outage_of_the_archive_and_neither_a_wait_nor_an_absence() {
    for refused in refused(&[403], usize::MAX, None).await {
        let Refused {
            what,
            result,
            news,
            came,
        } = refused;

        let error = result.expect_err(&what);
        assert_eq!(error.reason(), "http_403", "{what}: {error}");
        assert!(error.is_transient(), "{what}");
        assert_eq!(news, None, "{what}");
        assert_eq!(came.len(), 6, "{what}");
    }
}

#[tokio::test]
async fn a_refusal_of_one_request_holds_all_other_paths() {
    let came = Arc::new(Mutex::new(Vec::new()));
    let noted = came.clone();
    let server = Server::start(move |number, request| {
        noted.lock().unwrap().push(Instant::now());
        match number {
            0 => Reply::new(403).header("Retry-After", "1"),
            _ => answer(request),
        }
    })
    .await;
    let options = server.options();
    let brake = options.brake.clone();
    let source = Arc::new(HttpSource::new(options).unwrap());
    let first = source.open(KEY, 0, None).await.map(drop).unwrap_err();
    assert_eq!(first.reason(), "rate_limited", "{first}");

    let calls = CALLS.map(|(_, call)| call(source.clone(), brake.clone()));
    for result in join_all(calls).await {
        result.unwrap();
    }

    let came = came.lock().unwrap().clone();
    assert!(came.len() > CALLS.len());
    assert!(
        came[1..]
            .iter()
            .all(|later| *later - came[0] >= Duration::from_secs(1))
    );
}
