//! The result as one HTML page that asks for nothing else: style and plots are in it, and there is no script.

mod plot;

use std::fmt::{self, Write as _};

use self::plot::{Axis, Scale, bars, lines};
use super::figures::{CommitFigures, EngineFigures, Spread};
use super::number::number;
use super::plan::{BATCHES, FAN_OUTS};
use super::report::Report;
use super::table::rows;

const STYLE: &str = include_str!("style.css");

/// A text as HTML has it.
struct Text<'t>(&'t str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;"),
                '<' => f.write_str("&lt;"),
                '>' => f.write_str("&gt;"),
                '"' => f.write_str("&quot;"),
                other if other.is_control() && other != '\n' => f.write_str("\u{FFFD}"),
                other => f.write_char(other),
            }?;
        }
        Ok(())
    }
}

/// A text in which code stands between backticks.
struct Prose<'t>(&'t str);

impl fmt::Display for Prose<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A backtick without another one after it is one.
        let mut rest = self.0;
        while let Some((before, (code, after))) =
            rest.split_once('`').and_then(|(before, from)| Some((before, from.split_once('`')?)))
        {
            write!(f, "{}<code>{}</code>", Text(before), Text(code))?;
            rest = after;
        }
        Text(rest).fmt(f)
    }
}

/// The page of a report, a whole HTML document that is well-formed XML too.
#[must_use]
pub fn page(report: &Report) -> String {
    let mut page = String::with_capacity(64 << 10);
    // Writing to a text does not fail.
    let _ = write(&mut page, report);
    page
}

fn write(page: &mut String, report: &Report) -> fmt::Result {
    let title = match report.advice.engine {
        Some(engine) => format!("{engine} is the store to take here"),
        None => "No engine to take here".to_owned(),
    };
    write!(
        page,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\
         <title>slipstream bench store: {title}</title><style>{STYLE}</style></head><body>\
         <p class=\"faint\">slipstream bench store, durability {}, {}</p><h1>{title}</h1>",
        Text(&report.durability),
        Text(&report.date)
    )?;
    advice(page, report)?;
    disk(page, report)?;
    plots(page, report)?;
    figures(page, report)?;
    machine(page, report)?;
    repeat(page, report)?;
    page.push_str("</body></html>\n");
    Ok(())
}

fn advice(page: &mut String, report: &Report) -> fmt::Result {
    for warning in &report.warnings {
        write!(page, "<p class=\"warning\">Beware: {}</p>", Prose(warning))?;
    }
    page.push_str("<div class=\"advice\">");
    match report.advice.engine {
        Some(engine) => write!(page, "<strong>SLIPSTREAM_STORE={engine}</strong>")?,
        None => page.push_str("<strong>None of them.</strong>"),
    }
    page.push_str("<ul>");
    for reason in &report.advice.reasons {
        write!(page, "<li>{}</li>", Prose(reason))?;
    }
    page.push_str("</ul></div><div class=\"scroll\"><table class=\"words\"><thead><tr><th>engine</th>");
    page.push_str("<th>workload</th><th>guarantee in force</th></tr></thead><tbody>");
    for engine in &report.engines {
        let score = report.advice.scores.iter().find(|score| score.engine == engine.engine);
        let times = score.map_or_else(|| "–".to_owned(), |score| format!("{:.2} ×", score.times));
        let guarantee = Prose(&engine.guarantee);
        write!(page, "<tr><td>{}</td><td>{times}</td><td>{guarantee}</td></tr>", engine.engine)?;
    }
    page.push_str("</tbody></table></div>");
    Ok(())
}

fn disk(page: &mut String, report: &Report) -> fmt::Result {
    let disk = &report.disk;
    page.push_str("<h2>The disk by itself</h2><div class=\"scroll\"><table><thead><tr><th>what</th><th>a second</th>");
    page.push_str("<th>p50 ms</th><th>p90 ms</th><th>p99 ms</th><th>p99.9 ms</th><th>max ms</th></tr></thead><tbody>");
    for (name, rate, latency) in [
        ("4 KiB appended and synced", number(disk.synced_4k.per_second), disk.synced_4k.latency_ms),
        ("4 KiB written over and synced", number(disk.written_over_4k.per_second), disk.written_over_4k.latency_ms),
        ("64 KiB appended and synced", number(disk.synced_64k.per_second), disk.synced_64k.latency_ms),
        ("4 KiB appended, not synced", "–".to_owned(), disk.unsynced_4k_ms),
    ] {
        write!(page, "<tr><td>{name}</td><td>{rate}</td>")?;
        for value in [latency.p50, latency.p90, latency.p99, latency.p99_9, latency.max] {
            write!(page, "<td>{}</td>", number(value))?;
        }
        page.push_str("</tr>");
    }
    let sequential = number(disk.sequential_bytes_per_second / 1e6);
    let most = number(disk.most_synced_per_second);
    write!(
        page,
        "</tbody></table></div><p>Written one after the other, with one sync: {sequential} MB/s. The most synced writes of \
         4 KiB that were seen, also between the engines' turns: {most} a second.</p>"
    )
}

/// The messages a second, latency, and so on of one engine over the sizes of batches.
#[expect(clippy::cast_precision_loss, reason = "batches are small")]
fn over_batches(engine: &EngineFigures, fan_out: usize, of: fn(&CommitFigures) -> f64) -> Vec<(f64, f64)> {
    let at = |batch: u64| Some((batch as f64, of(engine.commits_of(batch, fan_out)?)));
    BATCHES.into_iter().filter_map(at).collect()
}

fn plots(page: &mut String, report: &Report) -> fmt::Result {
    page.push_str("<h2>Plots</h2><ul class=\"legend\">");
    for engine in &report.engines {
        let name = engine.engine;
        let line = format!("<svg viewBox=\"0 0 40 14\"><polyline class=\"{name}\" points=\"0,7 40,7\"/></svg>");
        write!(page, "<li>{line}{name}</li>")?;
    }
    page.push_str("</ul><div class=\"plots\">");
    for fan_out in FAN_OUTS {
        let to = if fan_out == 1 { "one peer".to_owned() } else { format!("{fan_out} peers") };
        over_commits(page, report, &format!("Throughput to {to}"), "messages/s", fan_out, |figures| {
            figures.messages_per_second.median
        })?;
        over_commits(page, report, &format!("Commit latency to {to}, 99th percentile"), "ms", fan_out, |figures| {
            figures.p99_ms.median
        })?;
    }
    turnover(page, report)?;
    // Plots of one height side by side.
    page.push_str("</div><div class=\"plots\">");
    bar_plots(page, report)?;
    page.push_str("</div>");
    Ok(())
}

fn over_commits(
    page: &mut String,
    report: &Report,
    title: &str,
    unit: &str,
    fan_out: usize,
    of: fn(&CommitFigures) -> f64,
) -> fmt::Result {
    let ticks = [1.0, 16.0, 256.0, 4096.0];
    let x = Axis { title: "messages in a batch", scale: Scale::Logarithmic, ticks: &ticks };
    let y = Axis { title: unit, scale: Scale::Logarithmic, ticks: &[] };
    let series = report.engines.iter().map(|engine| (engine.engine, over_batches(engine, fan_out, of)));
    let plot = lines(x, y, &series.collect::<Vec<_>>());
    figure(page, title, "record and acknowledge, median of the rounds", &plot)
}

#[expect(clippy::cast_precision_loss, reason = "counts and bytes are far below 2^53")]
fn turnover(page: &mut String, report: &Report) -> fmt::Result {
    let x = Axis { title: "messages turned over", scale: Scale::Linear, ticks: &[] };
    let y = Axis { title: "MB on the disk", scale: Scale::Linear, ticks: &[] };
    let sizes = |engine: &EngineFigures| {
        engine.turnover.sizes.iter().map(|&(messages, bytes)| (messages as f64, bytes as f64 / 1e6)).collect()
    };
    let series: Vec<_> = report.engines.iter().map(|engine| (engine.engine, sizes(engine))).collect();
    figure(page, "Size of a store that turns over", "nothing stays owed", &lines(x, y, &series))
}

fn bar_plots(page: &mut String, report: &Report) -> fmt::Result {
    #[expect(clippy::cast_precision_loss, reason = "bytes are far below 2^53")]
    let megabytes = |bytes: u64| Spread::of([bytes as f64 / 1e6]);
    let pending = number(report.engines.first().map_or(0.0, |engine| {
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
        let pending = engine.backlog.pending as f64;
        pending
    }));
    type Of<'f> = &'f dyn Fn(&EngineFigures) -> Option<Spread>;
    let plots: [(&str, &str, &str, Of<'_>); 8] = [
        ("Processor time", "batches of 256 to one peer", "µs a message", &|engine| {
            Some(engine.commits_of(256, 1)?.cpu_micros_per_message)
        }),
        ("Catch-up", "pages as the relay reads them", "messages/s", &|engine| {
            Some(engine.backlog.caught_up_per_second)
        }),
        ("On the disk", "a message that is pending", "bytes a message", &|engine| {
            Some(Spread::of([engine.backlog.bytes_per_message]))
        }),
        ("Write amplification", "turnover; write_bytes of /proc/PID/io", "bytes written a byte of text", &|engine| {
            engine.turnover.write_amplification.map(|ratio| Spread::of([ratio]))
        }),
        ("Opening after a kill", "with the backlog pending", "ms", &|engine| Some(engine.backlog.reopen_ms)),
        ("Memory while busy", "most that was resident", "MB", &|engine| Some(megabytes(engine.busy_memory?.peak))),
        ("Memory with the backlog", "its own, without mapped files", "MB", &|engine| {
            Some(megabytes(engine.backlog_memory?.anonymous))
        }),
        ("Size after turnover", "with nothing owed", "MB", &|engine| Some(megabytes(engine.turnover.end_bytes))),
    ];
    for (title, subtitle, unit, of) in plots {
        let values: Vec<_> = report.engines.iter().filter_map(|engine| Some((engine.engine, of(engine)?))).collect();
        if !values.is_empty() {
            let subtitle = subtitle.replace("the backlog", &format!("{pending} messages"));
            figure(page, title, &subtitle, &bars(unit, &values))?;
        }
    }
    Ok(())
}

fn figure(page: &mut String, title: &str, subtitle: &str, plot: &str) -> fmt::Result {
    let (title, subtitle) = (Text(title), Text(subtitle));
    write!(page, "<figure><figcaption>{title}<span>{subtitle}</span></figcaption>{plot}</figure>")
}

fn figures(page: &mut String, report: &Report) -> fmt::Result {
    let rounds = report.rounds;
    write!(
        page,
        "<h2>Figures</h2><p class=\"faint\">Medians of {rounds} rounds; the best of each row is bold, of \
         the engines that keep what was asked for.</p>"
    )?;
    page.push_str("<div class=\"scroll\"><table><thead><tr><th>figure</th>");
    for engine in &report.engines {
        write!(page, "<th>{}</th>", engine.engine)?;
    }
    page.push_str("</tr></thead><tbody>");
    for row in rows(report) {
        write!(page, "<tr><th>{} <span class=\"faint\">{}</span></th>", Text(&row.name), row.unit)?;
        for (index, cell) in row.cells.iter().enumerate() {
            let class = if row.best == Some(index) { " class=\"best\"" } else { "" };
            write!(page, "<td{class}>{cell}</td>")?;
        }
        page.push_str("</tr>");
    }
    page.push_str("</tbody></table></div>");
    Ok(())
}

fn machine(page: &mut String, report: &Report) -> fmt::Result {
    let machine = &report.machine;
    let unknown = || "unknown".to_owned();
    let filesystem = machine.filesystem.as_ref().map_or_else(unknown, |filesystem| {
        let (kind, source) = (&filesystem.kind, &filesystem.source);
        format!("{kind} on {source} at {} ({})", filesystem.mount_point.display(), filesystem.options)
    });
    #[expect(clippy::cast_precision_loss, reason = "bytes are far below 2^53")]
    let memory = machine.memory_bytes.map_or_else(unknown, |bytes| format!("{} GB", number(bytes as f64 / 1e9)));
    let rows = [
        ("processor", machine.processor.clone().unwrap_or_else(unknown)),
        ("cores", machine.cores.map_or_else(unknown, |cores| cores.to_string())),
        ("memory", memory),
        ("kernel", machine.kernel.clone().unwrap_or_else(unknown)),
        ("filesystem", filesystem),
        ("folder", report.folder.clone()),
        ("slipstream", report.slipstream.to_owned()),
        ("durability", report.durability.clone()),
        ("messages", format!("{} of {} bytes", report.messages, report.text_bytes)),
        ("took", format!("{} s, {} rounds", number(report.seconds), report.rounds)),
    ];
    page.push_str("<h2>Where and how</h2><div class=\"scroll\"><table class=\"words\"><tbody>");
    for (name, value) in rows {
        write!(page, "<tr><th>{name}</th><td>{}</td></tr>", Text(&value))?;
    }
    page.push_str("</tbody></table></div>");
    Ok(())
}

fn repeat(page: &mut String, report: &Report) -> fmt::Result {
    write!(page, "<h2>To repeat it</h2><pre>{}</pre>", Text(&report.command))?;
    let json = serde_json::to_string_pretty(report).unwrap_or_default();
    write!(page, "<details><summary>Every figure as JSON</summary><pre>{}</pre></details>", Text(&json))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_has_no_backticks() {
        for (text, shown) in [
            ("what `full` promises: `a<b`.", "what <code>full</code> promises: <code>a&lt;b</code>."),
            ("one ` alone & none", "one ` alone &amp; none"),
            ("`a``", "<code>a</code>`"),
        ] {
            assert_eq!(Prose(text).to_string(), shown);
        }
    }

    #[test]
    fn texts_are_shown_and_never_taken_for_markup() {
        assert_eq!(Text("<a href=\"x\">&\u{1b}").to_string(), "&lt;a href=&quot;x&quot;&gt;&amp;\u{FFFD}");
    }
}
