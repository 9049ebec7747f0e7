//! HTTP on the metrics port: the metrics page, the health pages and the API.
//!
//! It has its own small accept loop and its own limits, shares nothing with the WebSocket listener, and asks the rest
//! only through the functions in [`Pages`], so that it answers whatever the relay is doing.
//!
//! | file | subject |
//! | --- | --- |
//! | `server`, `open` | the accept loop, and the connections that are open |
//! | `routes`, `access` | the table of what can be asked for, and who may use the API |
//! | `health`, `api/` | what each path answers |
//! | `dashboard/` | the page at `/`, and the files that it is made of |
//! | `pages` | where they get what they show |
//! | `request`, `response`, `error` | what requests and answers are made of |
//! | `sampler`, `history`, `live` | who looks at the relay every second, what is kept of it, and who watches |
//! | `backup` | backups of the running relay |
//! | `client` | asking all this of another relay |
//! | `metrics_page` | the recorder behind `/metrics` |

mod access;
mod api;
mod backup;
pub(crate) mod client;
mod dashboard;
mod error;
mod health;
mod history;
mod live;
mod metrics_page;
mod open;
mod pages;
mod request;
mod response;
mod routes;
mod sampler;
mod server;
mod shared_page;
#[cfg(test)]
mod tests;

pub use access::{AdminTokens, ApiAccess};
pub use api::{
    Came, DeadLetterGroup, DeadLetterGroups, DeadLetterItem, DeadLetters, DeliveryItem, ExchangedMessage,
    ExchangedMessages, Exchanges, ExportedItem, Imported, Imports, LoggingBody, MAX_EXCHANGED, MAX_IMPORTS,
    MAX_SLICE_BITS, MessageBody, PassingBody, PeerItem, Peers, RefusedItem, Sent, Slice, Status, StatusPeers,
    StatusStore, Sweep, SweepAction, SweepState, Sweeps, Tally, TallyItem,
};
pub use backup::{Backup, BackupState, Backups};
pub use client::{AdminUrl, ClientError, backup};
pub use metrics_page::{InstallError, MetricsPage};
pub use pages::{Pages, Readiness, Running};
pub use server::{MAX_CONNECTIONS, serve};
pub use shared_page::{Rendering, SharedPage};
