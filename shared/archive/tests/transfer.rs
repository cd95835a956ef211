//! A transfer against servers that cut, stall, lie and refuse.

mod server;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use server::{Reply, Server, noise, quick, serve};
use tapemill_archive::{
    ArchiveError, Brake, Event, HttpOptions, HttpSource, Resume, RetryPolicy, Source, Transfer,
    Validator,
};
use tokio_util::sync::CancellationToken;

const KEY: &str = "data/spot/monthly/trades/A/A-trades-2024-01.zip";

/// What a consumer ends up with.
#[derive(Debug, Default, PartialEq)]
struct Received {
    begins: Vec<u64>,
    bytes: Vec<u8>,
    total: u64,
}

impl Received {
    /// Takes an event; `true`: it was the last.
    fn take(&mut self, event: Event) -> bool {
        match event {
            Event::Begin { offset, .. } => {
                self.begins.push(offset);
                self.bytes.truncate(usize::try_from(offset).unwrap());
            }
            Event::Chunk(chunk) => self.bytes.extend_from_slice(&chunk),
            Event::End { total } => {
                self.total = total;
                return true;
            }
        }
        false
    }
}

fn start(source: Arc<dyn Source>, resume: Resume) -> Transfer {
    let brake = Arc::new(Brake::new());
    Transfer::start(
        source,
        KEY,
        resume,
        quick(),
        brake,
        CancellationToken::new(),
    )
}

async fn finish(mut transfer: Transfer, kept: &[u8]) -> Result<Received, ArchiveError> {
    let mut received = Received {
        bytes: kept.to_vec(),
        ..Received::default()
    };
    while !received.take(transfer.next().await?) {}
    Ok(received)
}

async fn fetch(server: &Server) -> Result<Received, ArchiveError> {
    finish(start(Arc::new(server.source()), Resume::default()), &[]).await
}

fn kept(from: u64, etag: &str) -> Resume {
    Resume {
        from,
        validator: Validator::new(Some(etag.to_owned()), None),
    }
}

#[tokio::test]
async fn cuts_that_brought_bytes_cost_nothing_however_many() {
    let file = noise(200_000);
    let served = file.clone();
    let server =
        Server::start(move |_, request| serve(request, &served, "\"v1\"").cut_after(9_000)).await;
    let source = Arc::new(server.source());

    let received = finish(start(source.clone(), Resume::default()), &[])
        .await
        .unwrap();

    assert!(received.bytes == file);
    assert_eq!((received.begins, received.total), (vec![0], 200_000));
    let requests = server.requests();
    assert!(requests.len() > 20);
    assert!(
        requests[1..]
            .iter()
            .all(|request| request.header("if-range") == Some("\"v1\""))
    );
    let stats = source.counters().stats();
    assert_eq!(stats.requests, requests.len() as u64);
    assert_eq!(stats.resumes, stats.requests - 1);
    assert_eq!((stats.restarts, stats.bytes), (0, 200_000));
    assert_eq!(stats.responses, [stats.requests, 0, 0, 0, 0]);
}

#[tokio::test]
async fn a_server_without_ranges_makes_the_consumer_start_over() {
    let server = Server::start(|number, _| {
        let reply = Reply::new(200).header("ETag", "\"v1\"").body(noise(5_000));
        if number == 0 {
            reply.cut_after(3_000)
        } else {
            reply
        }
    })
    .await;
    let source = Arc::new(server.source());

    let received = finish(start(source.clone(), Resume::default()), &[])
        .await
        .unwrap();

    assert!(received.bytes == noise(5_000));
    assert_eq!(received.begins, [0, 0]);
    assert_eq!(source.counters().stats().restarts, 1);
}

#[tokio::test]
async fn cuts_at_the_same_place_are_no_progress() {
    let server = Server::start(|_, _| {
        Reply::new(200)
            .header("ETag", "\"v1\"")
            .body(noise(5_000))
            .cut_after(3_000)
    })
    .await;

    let error = fetch(&server).await.unwrap_err();

    assert_eq!(error.reason(), "network", "{error}");
    // The first brought bytes; six more did not.
    assert_eq!(server.requests().len(), 7);
}

#[tokio::test]
async fn a_replaced_archive_is_fetched_whole() {
    let (old, new) = (noise(5_000), vec![7; 4_000]);
    let (first, second) = (old.clone(), new.clone());
    let server = Server::start(move |number, request| match number {
        0 => serve(request, &first, "\"v1\"").cut_after(3_000),
        _ => serve(request, &second, "\"v2\""),
    })
    .await;

    let received = fetch(&server).await.unwrap();

    assert!(received.bytes == new);
    assert_eq!((received.begins, received.total), (vec![0, 0], 4_000));
}

#[tokio::test]
async fn a_range_of_another_version_is_not_mixed_in() {
    let (old, new) = (noise(5_000), vec![7; 5_000]);
    let (first, second) = (old.clone(), new.clone());
    let server = Server::start(move |number, request| {
        // Serves ranges, but takes no notice of If-Range.
        let mut request = request.clone();
        request.headers.remove("if-range");
        match number {
            0 => serve(&request, &first, "\"v1\"").cut_after(3_000),
            _ => serve(&request, &second, "\"v2\""),
        }
    })
    .await;

    let received = fetch(&server).await.unwrap();

    assert!(received.bytes == new);
    assert_eq!(server.requests()[2].header("range"), None);
}

#[tokio::test]
async fn a_range_that_begins_elsewhere_is_asked_for_anew_without_range() {
    let file = noise(5_000);
    let served = file.clone();
    let server = Server::start(move |number, request| match number {
        0 => serve(request, &served, "\"v1\"").cut_after(3_000),
        1 => Reply::new(206)
            .header("ETag", "\"v1\"")
            .header("Content-Range", "bytes 2000-3999/5000")
            .body(&served[2_000..4_000]),
        _ => serve(request, &served, "\"v1\""),
    })
    .await;

    let received = fetch(&server).await.unwrap();

    assert!(received.bytes == file);
    assert_eq!(received.begins, [0, 0]);
    assert_eq!(server.requests()[2].header("range"), None);
}

#[tokio::test]
async fn a_kept_part_goes_on_after_a_restart_of_the_program() {
    let file = noise(5_000);
    let served = file.clone();
    let server = Server::start(move |_, request| serve(request, &served, "\"v1\"")).await;
    let transfer = start(Arc::new(server.source()), kept(3_000, "\"v1\""));

    let received = finish(transfer, &file[..3_000]).await.unwrap();

    assert!(received.bytes == file);
    assert_eq!(received.begins, [3_000]);
    assert_eq!(server.requests()[0].header("range"), Some("bytes=3000-"));
}

#[tokio::test]
async fn a_kept_part_without_validator_is_not_trusted() {
    let server = Server::start(|_, request| serve(request, &noise(5_000), "\"v1\"")).await;
    let resume = Resume {
        from: 3_000,
        validator: None,
    };

    let received = finish(start(Arc::new(server.source()), resume), &[0; 3_000])
        .await
        .unwrap();

    assert!(received.bytes == noise(5_000));
    assert_eq!(received.begins, [0]);
}

#[tokio::test]
async fn a_refused_range_ends_the_transfer_when_all_is_there() {
    let file = noise(5_000);
    let served = file.clone();
    let server = Server::start(move |_, request| serve(request, &served, "\"v1\"")).await;
    let transfer = start(Arc::new(server.source()), kept(5_000, "\"v1\""));

    let received = finish(transfer, &file).await.unwrap();

    assert!(received.bytes == file);
    assert_eq!((received.begins, received.total), (vec![5_000], 5_000));
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_refused_range_restarts_when_the_archive_became_shorter() {
    let server = Server::start(|_, request| {
        let mut request = request.clone();
        request.headers.remove("if-range");
        serve(&request, &noise(4_000), "\"v2\"")
    })
    .await;
    let transfer = start(Arc::new(server.source()), kept(5_000, "\"v1\""));

    let received = finish(transfer, &[0; 5_000]).await.unwrap();

    assert!(received.bytes == noise(4_000));
    assert_eq!(received.begins, [0]);
}

#[tokio::test]
async fn a_refused_range_restarts_when_the_archive_changed_at_equal_size() {
    let server = Server::start(|_, request| {
        let mut request = request.clone();
        request.headers.remove("if-range");
        serve(&request, &noise(5_000), "\"v2\"")
    })
    .await;
    let transfer = start(Arc::new(server.source()), kept(5_000, "\"v1\""));

    let received = finish(transfer, &[0; 5_000]).await.unwrap();

    assert!(received.bytes == noise(5_000));
}

#[tokio::test]
async fn waits_grow_between_failures() {
    let server = Server::start(|number, request| match number {
        0..3 => Reply::new(500),
        _ => serve(request, b"zip", "\"v1\""),
    })
    .await;
    let policy = RetryPolicy {
        base: Duration::from_millis(50),
        cap: Duration::from_secs(10),
        jitter: 0.0,
        ..RetryPolicy::default()
    };
    let source = Arc::new(server.source());
    let never = CancellationToken::new();
    let begun = Instant::now();

    let transfer = Transfer::start(
        source,
        KEY,
        Resume::default(),
        policy,
        Arc::default(),
        never,
    );
    finish(transfer, &[]).await.unwrap();

    assert!(begun.elapsed() >= Duration::from_millis(50 + 100 + 200));
}

#[tokio::test]
async fn five_failures_are_survived_and_the_sixth_is_told() {
    let server = Server::start(|number, request| match number {
        0..5 => Reply::new(500 + u16::try_from(number).unwrap()),
        _ => serve(request, b"zip", "\"v1\""),
    })
    .await;
    assert_eq!(fetch(&server).await.unwrap().bytes, b"zip");

    let server = Server::start(|_, _| Reply::new(503).body(noise(40_000))).await;
    let error = fetch(&server).await.unwrap_err();

    assert_eq!(error.reason(), "http_5xx");
    assert_eq!(server.requests().len(), 6);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn only_404_is_missing() {
    for (status, reason, requests) in [
        (404, "missing", 1),
        (403, "http_403", 6),
        (410, "http_4xx", 6),
    ] {
        let server = Server::start(move |_, _| Reply::new(status)).await;

        let error = fetch(&server).await.unwrap_err();

        assert_eq!(
            (error.reason(), server.requests().len()),
            (reason, requests)
        );
        assert!(error.to_string().contains(KEY), "{error}");
    }
}

#[tokio::test]
async fn no_server_is_a_network_error_and_never_missing() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://me:hush@{}", listener.local_addr().unwrap());
    drop(listener);
    let source = HttpSource::new(HttpOptions::new(base, Arc::default())).unwrap();

    let error = finish(start(Arc::new(source), Resume::default()), &[])
        .await
        .unwrap_err();

    assert_eq!(error.reason(), "network");
    assert!(!error.one_line().contains("hush"), "{}", error.one_line());
    assert!(error.one_line().contains("refused"), "{}", error.one_line());
}

#[tokio::test]
async fn too_many_requests_hold_every_request_for_the_named_time() {
    let server = Server::start(|number, request| match number {
        0 => Reply::new(429).header("Retry-After", "1"),
        _ => serve(request, b"zip", "\"v1\""),
    })
    .await;
    let options = server.options();
    let brake = options.brake.clone();
    let source = Arc::new(HttpSource::new(options).unwrap());
    let begun = Instant::now();
    let transfer = Transfer::start(
        source,
        KEY,
        Resume::default(),
        quick(),
        brake.clone(),
        CancellationToken::new(),
    );

    let (received, news) = tokio::join!(finish(transfer, &[]), brake.news());

    assert_eq!(received.unwrap().bytes, b"zip");
    assert!(news <= Duration::from_secs(1), "{news:?}");
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_stall_is_a_cut() {
    let file = noise(5_000);
    let served = file.clone();
    let server = Server::start(move |number, request| {
        let reply = serve(request, &served, "\"v1\"");
        if number == 0 {
            reply.stall_after(3_000)
        } else {
            reply
        }
    })
    .await;
    let options = HttpOptions {
        read_timeout: Duration::from_millis(300),
        ..server.options()
    };
    let source = Arc::new(HttpSource::new(options).unwrap());

    let received = finish(start(source, Resume::default()), &[]).await.unwrap();

    assert!(received.bytes == file);
    assert_eq!(received.begins, [0]);
}

#[tokio::test]
async fn a_weak_tag_gives_way_to_the_date() {
    const DATE: &str = "Tue, 15 Nov 1994 08:12:31 GMT";
    let server = Server::start(|number, request| {
        let mut request = request.clone();
        request.headers.remove("if-range");
        let reply = serve(&request, &noise(5_000), "W/\"v1\"").header("Last-Modified", DATE);
        if number == 0 {
            reply.cut_after(3_000)
        } else {
            reply
        }
    })
    .await;

    let received = fetch(&server).await.unwrap();

    assert!(received.bytes == noise(5_000));
    assert_eq!(server.requests()[1].header("if-range"), Some(DATE));
}

#[tokio::test]
async fn without_validator_a_range_is_asked_for_only_where_ranges_are_offered() {
    for (offered, range) in [(true, Some("bytes=3000-")), (false, None)] {
        let server = Server::start(move |number, request| {
            let file = noise(5_000);
            let mut reply = match request.range_start() {
                Some(start) => Reply::new(206)
                    .header("Content-Range", format!("bytes {start}-4999/5000"))
                    .body(&file[start..]),
                None => Reply::new(200).body(&file),
            };
            if offered {
                reply = reply.header("Accept-Ranges", "bytes");
            }
            if number == 0 {
                reply.cut_after(3_000)
            } else {
                reply
            }
        })
        .await;

        let received = fetch(&server).await.unwrap();

        assert!(received.bytes == noise(5_000));
        assert_eq!(server.requests()[1].header("range"), range);
    }
}

#[tokio::test]
async fn a_range_shorter_than_the_whole_is_a_cut() {
    let file = noise(5_000);
    let served = file.clone();
    let server = Server::start(move |number, request| match number {
        0 => serve(request, &served, "\"v1\"").cut_after(3_000),
        1 => Reply::new(206)
            .header("ETag", "\"v1\"")
            .header("Content-Range", "bytes 3000-3999/5000")
            .body(&served[3_000..4_000]),
        _ => serve(request, &served, "\"v1\""),
    })
    .await;

    let received = fetch(&server).await.unwrap();

    assert!(received.bytes == file);
    assert_eq!(server.requests()[2].range_start(), Some(4_000));
}

#[tokio::test]
async fn a_body_longer_than_declared_is_thrown_away() {
    let file = noise(5_000);
    let served = file.clone();
    let server = Server::start(move |number, request| match number {
        0 => serve(request, &served, "\"v1\"").cut_after(3_000),
        1 => Reply::new(206)
            .header("ETag", "\"v1\"")
            .header("Content-Range", "bytes 3000-4999/5000")
            .chunked(noise(9_000)),
        _ => serve(request, &served, "\"v1\""),
    })
    .await;

    let received = fetch(&server).await.unwrap();

    assert!(received.bytes == file);
    assert_eq!(received.begins, [0, 0]);
}

#[tokio::test]
async fn a_body_without_declared_length_ends_where_it_ends() {
    let server = Server::start(|_, _| Reply::new(200).chunked(noise(5_000))).await;

    let received = fetch(&server).await.unwrap();

    assert!(received.bytes == noise(5_000));
    assert_eq!(received.total, 5_000);
}

#[tokio::test]
async fn cancelling_ends_a_stalled_transfer_at_once() {
    let server =
        Server::start(|_, request| serve(request, &noise(5_000), "\"v1\"").stall_after(3_000))
            .await;
    let cancel = CancellationToken::new();
    let source = Arc::new(server.source());
    let mut transfer = Transfer::start(
        source,
        KEY,
        Resume::default(),
        quick(),
        Arc::default(),
        cancel.clone(),
    );
    transfer.next().await.unwrap();
    transfer.next().await.unwrap();

    let (event, ()) = tokio::join!(transfer.next(), async { cancel.cancel() });

    assert!(matches!(event, Err(ArchiveError::Cancelled)), "{event:?}");
}

#[tokio::test]
async fn a_dropped_call_loses_no_bytes() {
    let file = noise(60_000);
    let served = file.clone();
    let server =
        Server::start(move |_, request| serve(request, &served, "\"v1\"").cut_after(7_000)).await;
    let mut transfer = start(Arc::new(server.source()), Resume::default());
    let mut received = Received::default();

    let mut patience = Duration::from_micros(100);
    loop {
        match tokio::time::timeout(patience, transfer.next()).await {
            Ok(event) => {
                patience = Duration::from_micros(100);
                if received.take(event.unwrap()) {
                    break;
                }
            }
            Err(_) => patience *= 2,
        }
    }

    assert!(received.bytes == file);
    assert_eq!(received.begins, [0]);
}
