//! Small files: one put, conditional where the store knows conditions.
//!
//! A late writer carries the bytes that are there already, so no condition is needed to be right. It makes a race
//! visible to the store's log, and never lets an old answer undo a newer one.

use std::sync::atomic::Ordering;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};
use object_store::path::Path as Key;
use object_store::{
    ClientOptions, Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
    UpdateVersion,
};

use super::connect::Bucket;
use super::fault;
use crate::error::Result;

/// Races lost in a row before the put goes without a condition: all writers carry the same bytes.
const MOST_RACES: u32 = 8;

/// Creates the object, or replaces the very version that is there.
pub(super) async fn put(bucket: &Bucket, key: &Key, bytes: Bytes) -> Result<()> {
    let mut races = 0;
    while races < MOST_RACES && !bucket.is_unconditional.load(Ordering::Relaxed) {
        let put = match conditional(bucket, key, &bytes).await {
            Ok(put) => put,
            Err(error) if fault::is_not_implemented(&error) => {
                tracing::info!(%key, "the store knows no conditional puts: plain ones are used");
                bucket.is_unconditional.store(true, Ordering::Relaxed);
                break;
            }
            // It may have been done or not; a plain put is repeated by the client, a conditional one is not.
            Err(error) if fault::is_unanswered(&error) => break,
            Err(error) => return Err(bucket.fault("publish", key, &error)),
        };
        match put {
            Put::Done => return Ok(()),
            Put::LostRace => races += 1,
        }
    }
    bucket
        .store
        .put(key, bytes.into())
        .await
        .map(drop)
        .map_err(|error| bucket.fault("publish", key, &error))
}

enum Put {
    Done,
    LostRace,
}

async fn conditional(bucket: &Bucket, key: &Key, bytes: &Bytes) -> Result<Put, Error> {
    let put = |mode| {
        let options = PutOptions {
            mode,
            ..Default::default()
        };
        bucket
            .store
            .put_opts(key, PutPayload::from(bytes.clone()), options)
    };
    match put(PutMode::Create).await {
        Ok(_) => return Ok(Put::Done),
        Err(Error::AlreadyExists { .. }) => {}
        Err(error) => return Err(error),
    }
    let there = match bucket.store.head(key).await {
        Ok(there) => there,
        Err(Error::NotFound { .. }) => return Ok(Put::LostRace),
        Err(error) => return Err(error),
    };
    let version = UpdateVersion {
        e_tag: there.e_tag,
        version: None,
    };
    match put(PutMode::Update(version)).await {
        Ok(_) => Ok(Put::Done),
        Err(Error::Precondition { .. } | Error::AlreadyExists { .. }) => Ok(Put::LostRace),
        Err(error) => Err(error),
    }
}

/// A client for which "501 not implemented" is an answer. The store's client takes every 5xx for a passing failure and
/// would repeat the request until its patience ends.
#[derive(Debug)]
pub(super) struct Impatient;

impl HttpConnector for Impatient {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Answering { client }))
    }
}

#[derive(Debug)]
struct Answering {
    client: HttpClient,
}

#[async_trait]
impl HttpService for Answering {
    async fn call(&self, request: HttpRequest) -> std::result::Result<HttpResponse, HttpError> {
        const NOT_IMPLEMENTED: u16 = 501;
        const METHOD_NOT_ALLOWED: u16 = 405;
        let mut response = self.client.execute(request).await?;
        if response.status().as_u16() == NOT_IMPLEMENTED
            && let Ok(status) = METHOD_NOT_ALLOWED.try_into()
        {
            *response.status_mut() = status;
        }
        Ok(response)
    }
}
