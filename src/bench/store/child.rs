//! A worker as its starter sees it: a process that is asked and answers, and that can be killed.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use slipstream_store::Durability;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::StoreBenchError;
use super::plan::Plan;
use super::worker::{Answer, Task};
use crate::config::Engine;

/// How long a worker may take over one answer before it counts as hung.
const PATIENCE: Duration = Duration::from_secs(600);

/// A worker. It is killed when it is dropped.
#[derive(Debug)]
pub(super) struct Child {
    engine: Engine,
    process: tokio::process::Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
}

/// How a store was opened.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) seconds: f64,
    pub(super) pending: u64,
    pub(super) guarantee: String,
    pub(super) is_as_asked: bool,
}

impl Child {
    /// Starts a worker over the store at `path`.
    pub(super) async fn start(plan: &Plan, engine: Engine, path: &Path) -> Result<(Self, Opened), StoreBenchError> {
        let durability: Durability = plan.durability;
        let mut process = Command::new(&plan.program)
            .args(["bench", "store-worker", "--engine", engine.name(), "--durability", &durability.to_string()])
            .arg("--path")
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C is for the one that was started; it kills its workers.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| StoreBenchError::File { path: PathBuf::from(&plan.program), error })?;
        let pipes = process.stdin.take().zip(process.stdout.take());
        let Some((stdin, stdout)) = pipes else { return Err(StoreBenchError::Worker("it has no pipes".to_owned())) };
        let mut child = Self { engine, process, stdin, stdout: BufReader::new(stdout).lines() };
        match child.answer().await? {
            Answer::Opened { seconds, pending, guarantee, is_as_asked } => {
                Ok((child, Opened { seconds, pending, guarantee, is_as_asked }))
            }
            other => Err(child.unexpected(&other)),
        }
    }

    /// Asks, and waits for the answer that says that it was done.
    pub(super) async fn ask(&mut self, task: &Task) -> Result<Answer, StoreBenchError> {
        self.tell(task).await?;
        loop {
            match self.answer().await? {
                Answer::Committed { .. } => {}
                done => return Ok(done),
            }
        }
    }

    async fn tell(&mut self, task: &Task) -> Result<(), StoreBenchError> {
        let mut line = serde_json::to_vec(task).map_err(std::io::Error::from)?;
        line.push(b'\n');
        self.stdin.write_all(&line).await?;
        Ok(self.stdin.flush().await?)
    }

    async fn answer(&mut self) -> Result<Answer, StoreBenchError> {
        match timeout(PATIENCE, self.stdout.next_line()).await {
            Err(_) => Err(self.fault(format!("no answer within {PATIENCE:?}"))),
            Ok(line) => match line?.as_deref().map(serde_json::from_str) {
                Some(Ok(Answer::Failed { error })) => Err(self.fault(error)),
                Some(Ok(answer)) => Ok(answer),
                Some(Err(error)) => Err(self.fault(format!("an answer that cannot be read: {error}"))),
                None => Err(self.fault("its process ended unexpectedly".to_owned())),
            },
        }
    }

    /// Has it fill until `commits` are confirmed, and then kills it in the midst of that, with SIGKILL. Answers how many
    /// messages it had confirmed.
    pub(super) async fn kill_filling(mut self, commits: usize, most: u64) -> Result<u64, StoreBenchError> {
        self.tell(&Task::Fill { messages: most }).await?;
        let mut confirmed = 0;
        for _ in 0..commits {
            match self.answer().await? {
                Answer::Committed { messages } => confirmed = messages,
                other => return Err(self.unexpected(&other)),
            }
        }
        self.process.kill().await?;
        // What it had said before it died it had confirmed.
        while let Some(line) = self.stdout.next_line().await? {
            if let Ok(Answer::Committed { messages }) = serde_json::from_str(&line) {
                confirmed = messages;
            }
        }
        Ok(confirmed)
    }

    /// Lets it close its store, and waits until it is gone.
    pub(super) async fn end(self) -> Result<(), StoreBenchError> {
        let Self { mut process, stdin, stdout, .. } = self;
        drop((stdin, stdout));
        process.wait().await?;
        Ok(())
    }

    pub(super) fn fault(&self, fault: String) -> StoreBenchError {
        StoreBenchError::Engine { engine: self.engine.name(), fault }
    }

    pub(super) fn unexpected(&self, answer: &Answer) -> StoreBenchError {
        self.fault(format!("an answer to something else: {answer:?}"))
    }
}
