//! The metrics page, read: the text format of Prometheus, as far as this program writes it.

use std::collections::BTreeMap;

/// A metric of the page.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Family {
    pub(super) name: String,
    pub(super) help: String,
    /// `counter`, `gauge` or `histogram`.
    pub(super) kind: String,
    pub(super) samples: Vec<Sample>,
}

/// A line with a value.
#[derive(Debug, PartialEq)]
pub(super) struct Sample {
    /// What the name has beyond that of the metric: `_bucket`, `_sum` and `_count` of a histogram.
    pub(super) suffix: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) value: f64,
}

/// The metrics of a page, in their order. What is none is left out.
pub(super) fn read(page: &str) -> Vec<Family> {
    let mut families: Vec<Family> = Vec::new();
    let mut help = ("", String::new());
    for line in page.lines() {
        if let Some((name, text)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            help = (name, unescaped(text));
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let help = if help.0 == name { std::mem::take(&mut help.1) } else { String::new() };
            families.push(Family { name: name.to_owned(), help, kind: kind.trim().to_owned(), samples: Vec::new() });
        } else if let Some(family) = families.last_mut() {
            family.samples.extend(sample(line, &family.name));
        }
    }
    families
}

/// Reads `NAME{LABEL="VALUE",…} NUMBER`, where NAME begins with that of the metric.
fn sample(line: &str, metric: &str) -> Option<Sample> {
    let rest = line.strip_prefix(metric)?;
    let end = rest.find(['{', ' '])?;
    let (suffix, mut rest) = rest.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (name, value) = rest.split_once("=\"")?;
            let end = end_of_value(value)?;
            labels.insert(name.trim_start_matches(',').to_owned(), unescaped(&value[..end]));
            rest = &value[end + 1..];
            if let Some(after) = rest.strip_prefix('}') {
                rest = after;
                break;
            }
        }
    }
    let value = rest.trim().parse().ok()?;
    Some(Sample { suffix: suffix.to_owned(), labels, value })
}

/// Where the quote stands that ends the value of a label.
fn end_of_value(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        plain.push(match character {
            '\\' => match rest.next() {
                Some('n') => '\n',
                Some(other) => other,
                None => '\\',
            },
            other => other,
        });
    }
    plain
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};

    use super::*;

    #[test]
    fn what_the_recorder_writes_is_read() {
        let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Full("took".into()), &[0.5, 1.0]);
        let recorder = builder.expect("bounds").build_recorder();
        let odd = "a\"b\\c\nd},{e=\"f\" 7";
        metrics::with_local_recorder(&recorder, || {
            metrics::describe_counter!("sent_total", "What was \\ sent");
            metrics::counter!("sent_total", "peer" => odd, "type" => "SK").increment(5);
            metrics::gauge!("free").set(-0.25);
            metrics::histogram!("took", "stage" => "commit").record(0.75);
        });
        let families = read(&recorder.handle().render());
        let family = |name: &str| families.iter().find(|family| family.name == name).expect("it is there");
        let labels = |labels: &[(&str, &str)]| {
            labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>()
        };
        let sent = family("sent_total");
        assert_eq!((sent.kind.as_str(), sent.help.as_str()), ("counter", "What was \\ sent"));
        let of = labels(&[("peer", odd), ("type", "SK")]);
        assert_eq!(sent.samples, [Sample { suffix: String::new(), labels: of, value: 5.0 }]);
        let free = family("free");
        assert_eq!((free.kind.as_str(), free.help.as_str(), free.samples[0].value), ("gauge", "", -0.25));
        let took = family("took");
        let lines: Vec<_> = took
            .samples
            .iter()
            .map(|each| (each.suffix.as_str(), each.labels.get("le").map_or("", String::as_str), each.value))
            .collect();
        let expected = [
            ("_bucket", "0.5", 0.0),
            ("_bucket", "1", 1.0),
            ("_bucket", "+Inf", 1.0),
            ("_sum", "", 0.75),
            ("_count", "", 1.0),
        ];
        assert_eq!((took.kind.as_str(), &lines[..]), ("histogram", &expected[..]));
    }

    #[test]
    fn what_is_no_page_is_left_out() {
        for text in [
            "",
            "a 1",
            "# TYPE a counter",
            "# TYPE a counter\na{b=\"c 1\na{ 1\na{b=\"c\"\\} x\nb 1\n",
            "\\",
            "# HELP a",
        ] {
            assert!(read(text).iter().all(|family| family.samples.is_empty()), "{text}");
        }
    }
}
