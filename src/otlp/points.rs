//! From the metrics page to the metrics of the protocol. Counters are sums since the start of the process.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, Sum,
};

use super::page::{Family, Sample};
use super::resource::text;

/// Nanoseconds since the Unix epoch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// When the counters began.
    pub(super) since: u64,
    /// When the page was made.
    pub(super) now: u64,
}

/// A metric of the page.
pub(super) fn metric(family: &Family, times: Times) -> Metric {
    let data = match family.kind.as_str() {
        "counter" => Data::Sum(Sum {
            data_points: numbers(family, times),
            aggregation_temporality: AggregationTemporality::Cumulative.into(),
            is_monotonic: true,
        }),
        "histogram" => Data::Histogram(Histogram {
            data_points: histograms(family, times),
            aggregation_temporality: AggregationTemporality::Cumulative.into(),
        }),
        _ => Data::Gauge(Gauge { data_points: numbers(family, times) }),
    };
    Metric {
        name: family.name.clone(),
        description: family.help.clone(),
        unit: unit(&family.name).to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

/// The unit that a name says, as OpenTelemetry writes it.
fn unit(name: &str) -> &'static str {
    match name.trim_end_matches("_total").rsplit('_').next() {
        Some("seconds") => "s",
        Some("bytes") => "By",
        _ => "",
    }
}

fn numbers(family: &Family, Times { since, now }: Times) -> Vec<NumberDataPoint> {
    let point = |sample: &Sample| NumberDataPoint {
        attributes: attributes(&sample.labels),
        start_time_unix_nano: since,
        time_unix_nano: now,
        value: Some(Value::AsDouble(sample.value)),
        ..NumberDataPoint::default()
    };
    family.samples.iter().map(point).collect()
}

/// One for each set of labels, apart from the bound of a bucket.
fn histograms(family: &Family, Times { since, now }: Times) -> Vec<HistogramDataPoint> {
    let mut points: BTreeMap<BTreeMap<String, String>, HistogramDataPoint> = BTreeMap::new();
    for Sample { suffix, labels, value } in &family.samples {
        let mut labels = labels.clone();
        let bound = labels.remove("le");
        let point = points.entry(labels).or_default();
        match (suffix.as_str(), bound) {
            ("_bucket", Some(bound)) => {
                // The page counts up to each bound, the protocol between two.
                let below: u64 = point.bucket_counts.iter().sum();
                point.bucket_counts.push(whole(*value).saturating_sub(below));
                point.explicit_bounds.extend(bound.parse::<f64>().ok().filter(|bound| bound.is_finite()));
            }
            ("_sum", _) => point.sum = Some(*value),
            ("_count", _) => point.count = whole(*value),
            _ => {}
        }
    }
    let complete = |(labels, point)| HistogramDataPoint {
        attributes: attributes(&labels),
        start_time_unix_nano: since,
        time_unix_nano: now,
        ..point
    };
    points.into_iter().map(complete).collect()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is a count, and a cast saturates")]
fn whole(count: f64) -> u64 {
    count as u64
}

fn attributes(labels: &BTreeMap<String, String>) -> Vec<KeyValue> {
    labels.iter().map(|(name, value)| text(name, value)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::page;
    use super::*;

    const PAGE: &str = "# TYPE took_seconds histogram\n\
        took_seconds_bucket{stage=\"a\",le=\"0.5\"} 1\ntook_seconds_bucket{stage=\"a\",le=\"1\"} 4\n\
        took_seconds_bucket{stage=\"a\",le=\"+Inf\"} 6\ntook_seconds_sum{stage=\"a\"} 9.5\ntook_seconds_count{stage=\"a\"} 6\n\
        took_seconds_bucket{stage=\"b\",le=\"0.5\"} 0\ntook_seconds_bucket{stage=\"b\",le=\"1\"} 0\n\
        took_seconds_bucket{stage=\"b\",le=\"+Inf\"} 2\ntook_seconds_sum{stage=\"b\"} 8\ntook_seconds_count{stage=\"b\"} 2\n";

    #[test]
    fn a_histogram_has_a_point_for_each_set_of_labels_and_counts_between_its_bounds() {
        let metric = metric(&page::read(PAGE)[0], Times { since: 1, now: 2 });
        let Some(Data::Histogram(histogram)) = metric.data else { panic!("{metric:?}") };
        let points: Vec<_> = histogram
            .data_points
            .iter()
            .map(|point| (point.explicit_bounds.clone(), point.bucket_counts.clone(), point.sum, point.count))
            .collect();
        let bounds = vec![0.5, 1.0];
        assert_eq!(points, [(bounds.clone(), vec![1, 3, 2], Some(9.5), 6), (bounds, vec![0, 0, 2], Some(8.0), 2)]);
        assert_eq!(
            (metric.unit.as_str(), histogram.data_points[1].attributes.clone()),
            ("s", vec![text("stage", "b")])
        );
        assert_eq!((histogram.data_points[0].start_time_unix_nano, histogram.data_points[0].time_unix_nano), (1, 2));
    }

    #[test]
    fn units_are_in_the_names() {
        let units = ["process_cpu_seconds_total", "slipstream_store_bytes", "slipstream_commit_operations"].map(unit);
        assert_eq!(units, ["s", "By", ""]);
    }
}
