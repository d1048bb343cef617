//! A cluster's managers and channel.

use std::sync::Arc;

use super::container::Engine;
use super::model;
use super::server::StartError;
use super::sessions::Manager;
use super::standard::StandardManager;

/// The clusters of an engine: its own, and those of its hosts.
#[derive(Debug)]
pub struct Clusters {}

impl Clusters {
    /// Checks what is configured, without touching the network.
    ///
    /// # Errors
    /// What keeps the cluster from starting.
    pub fn unopened(_engine: &model::Engine) -> Result<Self, StartError> {
        Ok(Self {})
    }

    /// The manager of an application, and whether it replicates.
    ///
    /// # Errors
    /// What is wrong with the Manager element.
    pub fn manager(
        &self,
        _engine: &model::Engine,
        _host: &model::Host,
        context: &model::Context,
        _distributable: bool,
    ) -> Result<(Arc<dyn Manager>, bool), StartError> {
        Ok((Arc::new(StandardManager::new(context.max_inactive())), false))
    }

    /// Joins the clusters, and fetches the sessions that are there.
    ///
    /// # Errors
    /// Why a cluster cannot be joined.
    pub fn open(&mut self, _engine: &Arc<Engine>) -> Result<(), StartError> {
        Ok(())
    }

    /// Leaves the clusters.
    pub fn close(self) {}
}
