//! The relay's metrics: the name, help, unit, labels and buckets of each, and the handles that the stages count with.
//!
//! | file | subject |
//! | --- | --- |
//! | `table` | every metric: its name, labels, unit, help and buckets |
//! | `metric` | a metric, and its series |
//! | `labels` | the values of labels |
//! | `counts` | what is counted as it happens |
//! | `flow` | the same in a few sums, for whoever looks at one relay |
//!
//! What is sampled is recorded by `relay/sample.rs`, when the metrics page is made.

mod counts;
mod flow;
mod labels;
mod metric;
pub(crate) mod table;

pub(crate) use counts::{Metrics, Recorded};
pub use flow::{Flow, Latencies};
pub(crate) use labels::{ANONYMOUS, REST, kind_label};
pub use table::{BUCKETS, METRICS};
