//! A metric, and its series: one for each set of values that its labels have.

use metrics::{Counter, Gauge, Histogram, Label, counter, gauge, histogram};

/// The name of a metric, and the names of its labels.
pub(crate) struct Metric<const LABELS: usize> {
    pub(super) name: &'static str,
    pub(super) labels: [&'static str; LABELS],
}

impl<const LABELS: usize> Metric<LABELS> {
    /// The counter with these values of the labels, in their order.
    pub(crate) fn counter(&self, values: [&str; LABELS]) -> Counter {
        counter!(self.name, self.labelled(values))
    }

    /// The gauge with these values of the labels.
    pub(crate) fn gauge(&self, values: [&str; LABELS]) -> Gauge {
        gauge!(self.name, self.labelled(values))
    }

    /// The histogram with these values of the labels.
    pub(crate) fn histogram(&self, values: [&str; LABELS]) -> Histogram {
        histogram!(self.name, self.labelled(values))
    }

    fn labelled(&self, values: [&str; LABELS]) -> Vec<Label> {
        self.labels.iter().zip(values).map(|(name, value)| Label::new(*name, value.to_owned())).collect()
    }
}
