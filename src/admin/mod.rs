//! HTTP on the metrics port: the metrics page, the health pages and the API.
//!
//! It has its own small accept loop and its own limits, shares nothing with the WebSocket listener, and asks the rest
//! only through the functions in [`Pages`], so that it answers whatever the relay is doing.
//!
//! | file | subject |
//! | --- | --- |
//! | `server` | the accept loop |
//! | `route`, `access` | the table of what can be asked for, and who may use the API |
//! | `health`, `api` | what each path answers |
//! | `pages` | where they get what they show |
//! | `response`, `body` | what answers and requests are made of |
//! | `backup` | backups of the running relay |
//! | `client` | asking all this of another relay |
//! | `metrics_page` | the recorder behind `/metrics` |

mod access;
mod api;
mod backup;
mod body;
pub(crate) mod client;
mod health;
mod metrics_page;
mod pages;
mod response;
mod route;
mod server;
mod shared_page;
#[cfg(test)]
mod tests;

pub use access::ApiAccess;
pub use backup::{Backup, BackupState, Backups};
pub use client::{AdminUrl, ClientError, backup};
pub use metrics_page::{InstallError, MetricsPage};
pub use pages::{Pages, Readiness};
pub use server::{MAX_CONNECTIONS, serve};
pub use shared_page::{Rendering, SharedPage};
