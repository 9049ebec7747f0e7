//! What the configuration means for the relay.

use std::sync::Arc;

use crate::config::{Config, StoreConfig};
use crate::dial::DialLimits;
use crate::disk;
use crate::link::LinkLimits;
use crate::listen::ListenLimits;
use crate::relay::{BacklogLimit, DeliveryRules, DiskGuard, Settings};

/// What the configuration means for the relay.
pub(in crate::cli) fn settings(config: &Config) -> Settings {
    Settings {
        instance_id: config.instance_id.clone(),
        tags: config.tags.clone().into(),
        cluster_group: config.cluster_group_id.clone(),
        peers: config.peers.clone(),
        subscribers: config.subscribers.clone(),
        dial: DialLimits {
            timeout: config.handshake_timeout,
            first_pause: config.retry_in_n_seconds,
            attempts: config.connection_retry_attempts.get(),
            ..DialLimits::default()
        },
        delivery: DeliveryRules {
            window: config.window,
            window_bytes: config.window_bytes,
            ack_timeout: config.ack_timeout,
            max_republishes: config.max_message_republish_attempts,
            ..DeliveryRules::default()
        },
        backlog: config.max_backlog.map(|deliveries| BacklogLimit { deliveries, policy: config.backlog_policy }),
        disk: disk_guard(config),
        rate_limit: config.rate_limit,
        max_depth: config.max_depth,
        dedup_window: config.dedup_window,
        dedup_max: config.dedup_max.get(),
        peer_ttl: config.peer_ttl,
        trace_retention: config.trace_retention,
        trace_max_bytes: config.trace_max_bytes,
        metrics_peers: config.metrics_peers,
        shutdown_timeout: config.shutdown_timeout,
        link: LinkLimits {
            max_message_bytes: config.max_message_bytes,
            heartbeat: config.heartbeat,
            idle_timeout: config.idle_timeout,
            ..LinkLimits::default()
        },
        listen: ListenLimits {
            max_connections: config.max_connections.get(),
            max_per_address: config.max_connections_per_address,
            handshake_timeout: config.handshake_timeout,
            trusted_proxies: config.trusted_proxies.clone(),
            ..ListenLimits::default()
        },
        ..Settings::default()
    }
}

/// How the disk of the store is looked at, if it is one of this machine.
fn disk_guard(config: &Config) -> Option<DiskGuard> {
    let StoreConfig::Files { path, .. } = config.store_config() else { return None };
    let place = path.display().to_string();
    let free = move || disk::free_bytes(&path).map_err(|error| format!("{}: {error}", path.display()));
    Some(DiskGuard { min_free: config.min_free_disk, place, free: Arc::new(free) })
}
