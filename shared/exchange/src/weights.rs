//! The request weight of a host, shared by all who ask it.

use std::time::Duration;

use async_trait::async_trait;

/// Counts what requests weigh before they are sent, for all processes that share an address.
#[async_trait]
pub trait Weights: Send + Sync {
    /// Takes this weight of what a host serves a minute: `None` when it may be spent now, else when to ask again.
    ///
    /// # Errors
    ///
    /// The store that counts did not answer.
    async fn take(
        &self,
        host: &str,
        weight: u32,
        most: u32,
    ) -> Result<Option<Duration>, WeightsError>;

    /// What the host says it has counted within its minute, and for how long it wants no request at all.
    ///
    /// # Errors
    ///
    /// As [`Weights::take`].
    async fn correct(
        &self,
        host: &str,
        used: Option<u32>,
        hold: Option<Duration>,
    ) -> Result<(), WeightsError>;
}

/// The store of the weights failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot count the weight of requests: {0}")]
pub struct WeightsError(pub String);
