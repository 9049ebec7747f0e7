//! The API under `/api/v1/`: JSON in, JSON out. Each path has its handler, and its description in OpenAPI, in one place;
//! what all have in common stands here.
//!
//! | file | subject |
//! | --- | --- |
//! | `status` | the relay as a whole |
//! | `peers` | who is there, and what an operator does with them |
//! | `history`, `watching` | the last hour; the relay, and messages, as they go on |
//! | `messages` | where a message stands |
//! | `reconciliation`, `exchanged` | what was exchanged with a peer, to be compared |
//! | `dead_letters`, `sweeps` | what was given up; redriving and purging it |
//! | `imports` | putting back what was exported |
//! | `named` | which dead letters a request names |
//! | `logging`, `backup` | what is logged; backups |
//! | `times` | times as text |
//! | `description` | the description of all this in OpenAPI |

mod backup;
mod dead_letters;
mod description;
mod exchanged;
mod history;
mod imports;
mod logging;
mod messages;
mod named;
mod peers;
mod reconciliation;
mod status;
mod sweeps;
mod times;
mod watching;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::pages::Shown;

pub use self::dead_letters::{DeadLetterGroup, DeadLetterGroups, DeadLetterItem, DeadLetters};
pub use self::exchanged::{Came, ExchangedMessage, ExchangedMessages, Exchanges, Sent, Slice, Tally, TallyItem};
pub use self::imports::{ExportedItem, Imported, Imports, MAX_IMPORTS, RefusedItem};
pub use self::logging::LoggingBody;
pub use self::messages::{DeliveryItem, MessageBody};
pub use self::peers::{PeerItem, Peers};
pub use self::reconciliation::{MAX_EXCHANGED, MAX_SLICE_BITS};
pub use self::status::{Status, StatusPeers, StatusStore};
pub use self::sweeps::{Sweep, SweepAction, SweepState, Sweeps};
pub use self::watching::PassingBody;

pub(super) use self::description::describe;
pub(super) use self::history::HistoryPoint;
pub(super) use self::peers::largest;
pub(super) use self::status::status_of;
pub(super) use self::watching::{events, monitor};

/// Every path of the API.
pub(super) fn router() -> OpenApiRouter<Shown> {
    OpenApiRouter::default()
        .routes(routes!(status::status))
        .routes(routes!(history::history))
        .routes(routes!(peers::list))
        .routes(routes!(peers::show, peers::declare, peers::forget))
        .routes(routes!(peers::pause))
        .routes(routes!(peers::resume))
        .routes(routes!(peers::disconnect))
        .routes(routes!(messages::trace))
        .routes(routes!(reconciliation::tallies))
        .routes(routes!(reconciliation::messages))
        .routes(routes!(dead_letters::list, dead_letters::purge))
        .routes(routes!(dead_letters::groups))
        .routes(routes!(dead_letters::redrive))
        .routes(routes!(imports::import))
        .routes(routes!(dead_letters::sweep, dead_letters::cancel))
        .routes(routes!(dead_letters::show))
        .routes(routes!(logging::show, logging::change))
        .routes(routes!(backup::last, backup::begin))
}
