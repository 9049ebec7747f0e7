//! HTTP on the metrics port: the metrics page and the health pages.
//!
//! It has its own small accept loop and its own limits, shares nothing with the WebSocket listener, and asks the relay
//! only through the functions in [`Pages`], so that it answers whatever the relay is doing.

mod metrics_page;
mod pages;
mod server;
#[cfg(test)]
mod tests;

pub use metrics_page::{InstallError, MetricsPage};
pub use pages::{Pages, Readiness};
pub use server::serve;
