//! The program as a process.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, kill_process, setrlimit};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::within;

pub use rustix::process::Signal;

/// Most lines of stderr that are kept to explain a failure. A panic is kept however much is said after it.
const KEPT_LINES: usize = 200;

/// Most memory that a relay may have resident, whatever peers do to it.
const MEGABYTES: u64 = 100;

/// A running `slipstream`. It is killed when it is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    pid: u32,
    stdout: watch::Receiver<Vec<String>>,
    stderr: watch::Receiver<Vec<String>>,
}

impl Process {
    /// Starts `slipstream` with these arguments and no environment but what is given.
    pub fn spawn<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>, environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_slipstream"));
        command.args(arguments).env_clear().envs(environment.iter().copied());
        Self::of(command)
    }

    /// Starts what becomes `slipstream`.
    pub fn of(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("slipstream starts");
        let stdout = collect(child.stdout.take().expect("stdout is piped"), usize::MAX);
        let stderr = collect(child.stderr.take().expect("stderr is piped"), KEPT_LINES);
        let pid = child.id().expect("it was not awaited yet");
        Self { child, pid, stdout, stderr }
    }

    /// Writes to its stdin and ends it.
    pub async fn feed(&mut self, text: &str) {
        let mut stdin = self.child.stdin.take().expect("stdin is fed once");
        stdin.write_all(text.as_bytes()).await.expect("it reads its stdin");
    }

    /// Waits for the first line on stdout from which `found` takes something.
    pub async fn printed<T>(&mut self, what: &str, mut found: impl FnMut(&str) -> Option<T>) -> T {
        let mut seen = None;
        let waiting = self.stdout.wait_for(|lines| {
            seen = lines.iter().find_map(|line| found(line));
            seen.is_some()
        });
        if within(what, waiting).await.is_err() {
            panic!("it ended before it printed {what}:\n{}\n{}", self.stdout(), self.stderr());
        }
        seen.expect("wait_for ends well only where it was seen")
    }

    /// What it printed so far.
    pub fn stdout(&self) -> String {
        self.stdout.borrow().join("\n")
    }

    /// The last of what it said on stderr so far.
    pub fn stderr(&self) -> String {
        self.stderr.borrow().join("\n")
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.pid
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal).expect("it runs");
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it can be asked")
    }

    /// Waits for its end and for the last of its output.
    pub async fn end(&mut self) -> ExitStatus {
        let status = within("the end of slipstream", self.child.wait()).await.expect("it can be awaited");
        for output in [&mut self.stdout, &mut self.stderr] {
            // A closed channel is what is waited for.
            let _ = within("the end of its output", output.wait_for(|_| false)).await;
        }
        status
    }

    /// Kills it as a crash would, and waits until it is gone.
    pub async fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.end().await;
    }

    /// The most memory that it ever had resident, in bytes.
    pub fn peak_bytes(&self) -> u64 {
        self.status_bytes("VmHWM:")
    }

    /// How many files it has open.
    pub fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid)).expect("it runs").count()
    }

    /// The memory that it has resident, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        self.status_bytes("VmRSS:")
    }

    /// A size in `/proc/PID/status`.
    fn status_bytes(&self, line: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).expect("it runs");
        let value = status.lines().find_map(|each| each.strip_prefix(line)).expect("the line is there");
        let kibibytes: u64 = value.trim().trim_end_matches(" kB").parse().expect("a number");
        kibibytes * 1024
    }
}

/// What a command said, and how it ended.
pub async fn ran(arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut process = Process::spawn(arguments, environment);
    let status = process.end().await;
    (status.code(), process.stdout(), process.stderr())
}

/// Writes a file, and returns its path.
pub fn written(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("it is written");
    path.to_str().expect("a path of UTF-8").to_owned()
}

/// What a line has that tells of a panic.
const PANIC: &str = "panicked at";

/// Collects the lines that come, the last `most` of them and those that tell of a panic; the channel closes when the
/// stream does.
fn collect(stream: impl AsyncRead + Unpin + Send + 'static, most: usize) -> watch::Receiver<Vec<String>> {
    let (kept, lines) = watch::channel(Vec::new());
    tokio::spawn(async move {
        let mut stream = BufReader::new(stream).lines();
        while let Ok(Some(line)) = stream.next_line().await {
            kept.send_modify(|lines: &mut Vec<String>| {
                if lines.len() >= most
                    && let Some(oldest) = lines.iter().position(|line| !line.contains(PANIC))
                {
                    lines.remove(oldest);
                }
                lines.push(line);
            });
        }
    });
    lines
}

/// Lets this process, and the relays that it starts, have so many links open, and no fewer than another test wants.
pub fn allow_links(links: u64) {
    let wanted = links + 1_000;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let at_least = |limit: u64| limit.max(wanted);
    let limit = Rlimit { current: current.map(at_least), maximum: maximum.map(at_least) };
    setrlimit(Resource::Nofile, limit).expect("enough file descriptors may be open");
}

/// A relay that serves.
#[derive(Debug)]
pub struct Relay {
    /// Its process.
    pub process: Process,
    /// Where it takes links.
    pub links: SocketAddr,
    /// Where it answers HTTP.
    pub admin: SocketAddr,
}

impl Relay {
    /// Starts a relay over the store in `folder`, as [`spawn_over`](Self::spawn_over) does.
    pub fn spawn(folder: &Path, flags: &[&str]) -> Process {
        Self::spawn_over(&folder.join("store"), flags)
    }

    /// Starts a relay over the store at `path`, on free ports, with further flags. It stops soon, although few of the peers
    /// here answer a Close.
    pub fn spawn_over(path: &Path, flags: &[&str]) -> Process {
        let fixed = ["serve", "--listen", "127.0.0.1:0", "--metrics-port", "0", "--storage-path"];
        let arguments = fixed.map(OsStr::new).into_iter().chain([path.as_os_str()]);
        let soon = [("SLIPSTREAM_SHUTDOWN_TIMEOUT", "2s")];
        Process::spawn(arguments.chain(flags.iter().map(OsStr::new)), &soon)
    }

    /// Starts a relay, and waits until it has printed where it listens.
    pub async fn start(folder: &Path, flags: &[&str]) -> Self {
        Self::ready(Self::spawn(folder, flags)).await
    }

    /// Waits until a relay that was started has printed where it listens.
    pub async fn ready(mut process: Process) -> Self {
        let links = process.printed("where it takes links", |line| address(line, "links", &["ws://", "wss://"])).await;
        let admin =
            process.printed("where it answers HTTP", |line| address(line, "metrics", &["http://", "https://"])).await;
        Self { process, links, admin }
    }

    /// The URL for clients.
    pub fn url(&self) -> String {
        format!("ws://{}/", self.links)
    }

    /// The same where it speaks TLS.
    pub fn wss(&self) -> String {
        format!("wss://{}/", self.links)
    }

    /// Asks it to stop, and waits until it has.
    pub async fn stop(mut self) -> ExitStatus {
        self.process.signal(Signal::TERM);
        self.process.end().await
    }

    /// Waits until it has said this on stderr.
    pub async fn says(&self, part: &str) {
        super::eventually(part, || async { self.process.stderr().contains(part).then_some(()) }).await;
    }

    /// Asserts that it never had more memory resident than [`MEGABYTES`].
    pub fn assert_small(&self, when: &str) {
        let peak = self.process.peak_bytes() / 1_000_000;
        println!("peak resident memory {when}: {peak} MB");
        assert!(peak < MEGABYTES, "{peak} MB were resident {when}");
    }

    /// The value of a series on the metrics page, `name{label="value"}` as it stands there; 0 where it is not there.
    pub async fn metric(&self, series: &str) -> f64 {
        let page = super::get(self.admin, "/metrics").await;
        let value = page.body.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().expect("a number"))
    }

    /// The series of connection errors that are not 0.
    pub async fn connection_errors(&self) -> Vec<String> {
        let page = super::get(self.admin, "/metrics").await;
        let errors = page.body.lines().filter(|line| line.starts_with("slipstream_connection_errors_total{"));
        errors.filter(|line| !line.ends_with(" 0")).map(str::to_owned).collect()
    }

    /// Waits until a series on the metrics page has at least this value.
    pub async fn metric_becomes_at_least(&self, series: &str, least: f64) {
        super::eventually(&format!("{series} to be {least} or more"), || async {
            (self.metric(series).await >= least).then_some(())
        })
        .await;
    }

    /// Waits until a series on the metrics page has this value.
    pub async fn metric_becomes(&self, series: &str, wanted: f64) {
        super::eventually(&format!("{series} to be {wanted}"), || async {
            (self.metric(series).await == wanted).then_some(())
        })
        .await;
    }
}

/// The address in a line such as `  links      ws://127.0.0.1:7171/`.
fn address(line: &str, label: &str, schemes: &[&str]) -> Option<SocketAddr> {
    let url = line.trim_start().strip_prefix(label)?.trim_start();
    let url = schemes.iter().find_map(|scheme| url.strip_prefix(scheme))?;
    url.split('/').next()?.parse().ok()
}
