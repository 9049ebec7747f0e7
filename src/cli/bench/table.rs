//! A report for people.

use std::fmt;

use slipstream_benches::Percentiles;
use slipstream_benches::load::{Count, Report, Stage, Usage};

/// Displays a report.
pub(super) struct Table<'r>(pub(super) &'r Report);

/// A number with its thousands apart.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        heading(f, report)?;
        for stage in &report.stages {
            writeln!(f)?;
            counts(f, stage)?;
            latencies(f, stage)?;
            usages(f, stage)?;
        }
        writeln!(f)?;
        if let Some(reason) = &report.relay_usage_unavailable {
            writeln!(f, "CPU and memory of the relay are not known: {reason}")?;
        }
        checks(f, report)
    }
}

fn plural(count: u64, what: &str) -> String {
    format!("{} {what}{}", grouped(count), if count == 1 { "" } else { "s" })
}

fn heading(f: &mut fmt::Formatter<'_>, report: &Report) -> fmt::Result {
    write!(f, "{} on {}", report.mode, report.to)?;
    if let Some(id) = &report.relay_id {
        write!(f, " ({id})")?;
    }
    let publishers = plural(report.publishers.into(), "publisher");
    let subscribers = plural(report.subscribers.into(), "subscriber");
    write!(f, "\n{publishers}, {subscribers}, window {}", report.window)?;
    if let Some(rate) = report.rate_per_second {
        write!(f, ", {} messages/s", grouped(rate.into()))?;
    }
    write!(f, ", values of {} bytes (messages of {})", report.payload_bytes, report.message_bytes)?;
    match report.keys {
        Some(keys) => writeln!(f, ", {} for each publisher", plural(keys, "key")),
        None => writeln!(f, ", a key for each"),
    }
}

fn counts(f: &mut fmt::Formatter<'_>, stage: &Stage) -> fmt::Result {
    writeln!(f, "{:<10}{:>14}{:>14}{:>14}", stage.name, "count", "seconds", "per second")?;
    for (name, count) in [("confirmed", stage.confirmed), ("delivered", stage.delivered)] {
        let Some(Count { count, seconds, per_second }) = count else { continue };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is no larger than a count")]
        let rate = grouped(per_second.round() as u64);
        writeln!(f, "  {name:<10}{:>12}{seconds:>14.3}{rate:>14}", grouped(count))?;
    }
    Ok(())
}

fn latencies(f: &mut fmt::Formatter<'_>, stage: &Stage) -> fmt::Result {
    let rows = [
        ("confirm", stage.confirm_latency_ms),
        ("delivery", stage.delivery_latency_ms),
        ("sent late", stage.send_delay_ms),
    ];
    if rows.iter().all(|(_, percentiles)| percentiles.is_none()) {
        return Ok(());
    }
    writeln!(f, "{:<12}{:>10}{:>10}{:>10}{:>10}{:>10}", "  ms", "p50", "p90", "p99", "p99.9", "max")?;
    for (name, percentiles) in rows {
        let Some(Percentiles { p50, p90, p99, p99_9, max }) = percentiles else { continue };
        writeln!(f, "  {name:<10}{p50:>10.3}{p90:>10.3}{p99:>10.3}{p99_9:>10.3}{max:>10.3}")?;
    }
    Ok(())
}

fn usages(f: &mut fmt::Formatter<'_>, stage: &Stage) -> fmt::Result {
    for (name, usage) in [("relay", &stage.relay), ("generator", &stage.generator)] {
        let Some(usage) = usage else { continue };
        let Usage { cpu_seconds, cpu_micros_per_message, cpu_micros_per_delivery, peak_resident_bytes } = usage;
        write!(f, "  {name:<10}CPU {cpu_seconds:.2} s")?;
        if let Some(micros) = cpu_micros_per_message {
            write!(f, ", {micros:.2} µs a message")?;
        }
        if let Some(micros) = cpu_micros_per_delivery {
            write!(f, ", {micros:.2} µs a delivery")?;
        }
        writeln!(f, "; resident at most {} MB", peak_resident_bytes / 1_000_000)?;
    }
    Ok(())
}

fn checks(f: &mut fmt::Formatter<'_>, report: &Report) -> fmt::Result {
    let faults = &report.faults;
    let sent = plural(faults.sent, "message");
    match faults.told() {
        Some(told) => write!(f, "of {sent} with the warm-up: {told}")?,
        None if report.subscribers == 0 => write!(f, "{sent} with the warm-up: each confirmed")?,
        None => write!(f, "{sent} with the warm-up: each confirmed, and delivered to each subscriber in order")?,
    }
    if faults.duplicates + faults.confirmed_again > 0 {
        let (deliveries, confirms) = (grouped(faults.duplicates), grouped(faults.confirmed_again));
        write!(f, "; came again: {deliveries} deliveries, {confirms} confirms")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
