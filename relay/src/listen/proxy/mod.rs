//! Proxies in front of the listener: which of them are trusted, and how they name the client.
//!
//! | file | subject |
//! | --- | --- |
//! | `networks` | the addresses of the proxies that are trusted |
//! | `header` | the header of the PROXY protocol, version 1 and 2. Pure. |
//! | `listener` | a listener that reads that header |
//! | `forwarded` | `X-Forwarded-For`. Pure. |

pub(super) mod forwarded;
pub mod header;
mod listener;
mod networks;

pub use listener::ProxyListener;
pub use networks::{InvalidNetworks, TrustedProxies};
