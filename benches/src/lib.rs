//! Measurements of a relay and of its stores, for the commands `slipstream bench relay` and `slipstream bench store` and
//! for the criterion benches beside this library.
//!
//! Here live no flags, no terminal and no engine: the caller shows progress and results, and says which engines there
//! are and how one is opened.
//!
//! | module | what lives there |
//! | --- | --- |
//! | [`load`] | the load on a running relay |
//! | [`engines`] | the engines side by side on the disk at hand, without a relay |

pub mod engines;
mod limits;
pub mod load;
mod percentiles;

pub use percentiles::Percentiles;
