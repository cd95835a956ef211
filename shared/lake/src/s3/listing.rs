//! What lies below a folder of the bucket, page by page.

use std::sync::Arc;

use object_store::list::{PaginatedListOptions, PaginatedListStore};

use super::connect::Bucket;
use crate::error::Result;

/// One page of a listing.
#[derive(Debug)]
pub(super) struct Page {
    /// Paths, relative to the bucket's prefix, and sizes.
    pub files: Vec<(String, u64)>,
    /// Where the next page begins.
    pub next: Option<String>,
}

/// Lists a page of everything below a folder (`""` for all).
pub(super) async fn page(
    bucket: Arc<Bucket>,
    folder: String,
    page_token: Option<String>,
) -> Result<Page> {
    let root = with_slash(bucket.join(""));
    let below = with_slash(bucket.join(&folder));
    let options = PaginatedListOptions {
        page_token,
        ..Default::default()
    };
    let prefix = (!below.is_empty()).then_some(below.as_str());
    let listed = bucket
        .store
        .list_paginated(prefix, options)
        .await
        .map_err(|error| bucket.fault("list", &below, &error))?;
    let files = listed.result.objects.into_iter().filter_map(|object| {
        let path = object.location.as_ref().strip_prefix(&root)?;
        Some((path.to_owned(), object.size))
    });
    Ok(Page {
        files: files.collect(),
        next: listed.page_token,
    })
}

fn with_slash(key: String) -> String {
    match key.as_str() {
        "" => key,
        _ => key + "/",
    }
}
