//! What the admin port shows: from the first moment on, and more once the store is open.

use std::sync::Arc;

use tokio::sync::watch;
use tracing::info;
use tracing::level_filters::LevelFilter;

use super::readiness::readiness;
use crate::admin::{AdminTokens, ApiAccess, MetricsPage, Pages, Readiness, Running, SharedPage};
use crate::certificates::Certificates;
use crate::config::Config;
use crate::disk::Elsewhere;
use crate::logging::{LogControl, SwitchChange};
use crate::relay::record_ready;

/// The pages while the store is being opened, which may take long: the process is alive, and not ready; `state` says why.
pub(super) fn opening(config: &Config, state: watch::Receiver<String>, page: MetricsPage, log: LogControl) -> Pages {
    let store = config.store.name().to_owned();
    let readiness = move || Readiness {
        reasons: vec![state.borrow().clone()],
        degraded: Vec::new(),
        open_circuits: Vec::new(),
        store: store.clone(),
        guarantee: None,
    };
    let logging = move |change: SwitchChange| {
        let now = log.change(change).map_err(|error| error.to_string())?;
        if change != SwitchChange::default() {
            info!(messages = now.messages, level = %LevelFilter::from(now.level), "the log was switched");
        }
        Ok(now)
    };
    Pages {
        metrics: SharedPage::new(move || Box::pin(page.clone().render(|| record_ready(false)))),
        readiness: Arc::new(readiness),
        logging: Arc::new(logging),
        relay: None,
        api: api_access(config),
    }
}

/// The pages of the relay that runs, in place of those.
pub(super) fn running(
    opening: Pages,
    page: MetricsPage,
    relay: Running,
    certificates: &Arc<Certificates>,
    place: Option<Elsewhere>,
) -> Pages {
    let (observer, certificates) = (relay.observer.clone(), Arc::clone(certificates));
    let metrics = SharedPage::new(move || {
        let (page, observer, certificates) = (page.clone(), observer.clone(), Arc::clone(&certificates));
        Box::pin(async move {
            let (sample, is_ready) = (observer.sample().await, readiness(&observer, place).is_ready());
            let record = move || {
                record_ready(is_ready);
                sample.record();
                certificates.record();
            };
            page.render(record).await
        })
    });
    let observer = relay.observer.clone();
    Pages { metrics, readiness: Arc::new(move || readiness(&observer, place)), relay: Some(relay), ..opening }
}

fn api_access(config: &Config) -> ApiAccess {
    if let Some(act) = &config.admin_token {
        return ApiAccess::Tokens(Arc::new(AdminTokens::new(act, config.admin_read_token.as_ref())));
    }
    match (config.metrics_host.to_canonical().is_loopback(), config.allow_insecure) {
        (true, _) => ApiAccess::Machine,
        (false, true) => ApiAccess::Anyone,
        (false, false) => ApiAccess::Nobody,
    }
}
