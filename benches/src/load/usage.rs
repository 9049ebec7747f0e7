//! What processor time and memory a process takes: the relay's, from its metrics page or from `/proc`, and our own.

use std::fmt;
use std::fs;
use std::io;

use async_trait::async_trait;

/// In what `/proc` counts processor time: a hundredth of a second on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// The metrics page of a relay, which the caller knows how to ask for.
#[async_trait]
pub trait MetricsPage: fmt::Debug + Send + Sync {
    /// Its URL without the path, for people.
    fn url(&self) -> &str;

    /// Its text now.
    ///
    /// # Errors
    /// Why there is none, with the URL.
    async fn text(&self) -> Result<String, String>;
}

/// Where the usage of a relay is read.
#[derive(Debug)]
pub enum Source {
    /// Its metrics page.
    Page(Box<dyn MetricsPage>),
    /// The id of its process, on this machine.
    Process(u32),
}

/// The usage of a process at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sample {
    /// Processor time since its start, in seconds.
    pub(super) cpu: f64,
    /// Resident memory in bytes.
    pub(super) resident: f64,
    /// Messages that the relay has processed, where it says so.
    pub(super) processed: Option<f64>,
}

/// Why there is no sample.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unavailable(String);

impl Source {
    pub(super) async fn sample(&self) -> Result<Sample, Unavailable> {
        match self {
            Self::Process(id) => process(*id).map_err(|error| Unavailable(format!("process {id}: {error}"))),
            Self::Page(page) => on_page(&page.text().await.map_err(Unavailable)?).ok_or_else(|| {
                Unavailable(format!("{}/metrics has no process_cpu_seconds_total: it is no relay's", page.url()))
            }),
        }
    }
}

/// The usage of this process.
pub(super) fn own() -> Option<Sample> {
    process(std::process::id()).ok()
}

fn process(id: u32) -> io::Result<Sample> {
    let malformed = || io::Error::other("/proc says something else than expected");
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let cpu = cpu_in_stat(&stat).ok_or_else(malformed)?;
    let resident = resident_in_status(&status).ok_or_else(malformed)?;
    Ok(Sample { cpu, resident, processed: None })
}

/// User and system time (fields 14 and 15), in seconds. The name in field 2 may have spaces and parentheses.
fn cpu_in_stat(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS_PER_SECOND)
}

fn resident_in_status(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024.0)
}

/// Reads a relay's metrics page.
fn on_page(page: &str) -> Option<Sample> {
    let series = |name: &str| page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
    let processed = page.lines().filter_map(|line| {
        let (_, value) = line.strip_prefix("slipstream_messages_processed_total{")?.rsplit_once("} ")?;
        value.parse::<f64>().ok()
    });
    Some(Sample {
        cpu: series("process_cpu_seconds_total")?,
        resident: series("process_resident_memory_bytes")?,
        processed: Some(processed.sum()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_process_is_read_whatever_its_name_is() {
        let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 4 0 100 1 1";
        assert_eq!(cpu_in_stat(stat), Some(2.0));
        assert_eq!(cpu_in_stat("7 (a"), None);
        assert_eq!(resident_in_status("Name:\tx\nVmHWM:\t 900 kB\nVmRSS:\t   512 kB\n"), Some(524_288.0));
    }

    #[test]
    fn a_relays_page_tells_its_usage_and_what_it_has_processed() {
        let page = "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 1.25\n\
            process_resident_memory_bytes 1048576\n\
            slipstream_messages_processed_total{type=\"SK\",origin=\"application\"} 7\n\
            slipstream_messages_processed_total{type=\"custom\",origin=\"relay\"} 3\n";
        let expected = Sample { cpu: 1.25, resident: 1_048_576.0, processed: Some(10.0) };
        assert_eq!(on_page(page), Some(expected));
        assert_eq!(on_page("up 1\n"), None);
    }

    #[derive(Debug)]
    struct Fixed(Result<&'static str, &'static str>);

    #[async_trait]
    impl MetricsPage for Fixed {
        fn url(&self) -> &str {
            "http://relay:8080"
        }

        async fn text(&self) -> Result<String, String> {
            self.0.map(str::to_owned).map_err(str::to_owned)
        }
    }

    #[tokio::test]
    async fn what_is_not_there_is_named() {
        for (source, told) in [
            (Source::Page(Box::new(Fixed(Err("nobody there")))), "nobody there"),
            (Source::Page(Box::new(Fixed(Ok("up 1\n")))), "http://relay:8080/metrics has no process_cpu_seconds_total"),
            (Source::Process(u32::MAX), "process 4294967295"),
        ] {
            let unavailable = source.sample().await.expect_err("unavailable").to_string();
            assert!(unavailable.contains(told), "{unavailable}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_a_usage() {
        let own = own().expect("/proc is there");
        assert!(own.resident > 0.0 && own.cpu >= 0.0);
    }
}
