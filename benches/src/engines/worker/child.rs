//! A worker as its starter sees it: a process that is asked and answers, and that can be killed.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::task::{Task, TaskResult};
use crate::engines::error::ComparisonError;
use crate::engines::host::Host;
use crate::engines::plan::Engine;

/// How long a worker may take over one answer before it counts as hung.
const PATIENCE: Duration = Duration::from_secs(600);

/// A worker. It is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Child {
    engine: Engine,
    process: tokio::process::Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
}

/// How a store was opened.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) seconds: f64,
    pub(crate) pending: u64,
    pub(crate) guarantee: String,
    pub(crate) is_as_asked: bool,
}

impl Child {
    /// Starts a worker over the store at `path`.
    pub(crate) async fn start(host: &dyn Host, engine: Engine, path: &Path) -> Result<(Self, Opened), ComparisonError> {
        let command = host.worker(engine.name, path);
        let program = PathBuf::from(command.get_program());
        let mut process = Command::from(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C is for the one that was started; it kills its workers.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| ComparisonError::File { path: program, error })?;
        let pipes = process.stdin.take().zip(process.stdout.take());
        let Some((stdin, stdout)) = pipes else { return Err(ComparisonError::Worker("it has no pipes".to_owned())) };
        let mut child = Self { engine, process, stdin, stdout: BufReader::new(stdout).lines() };
        match child.answer().await? {
            TaskResult::Opened { seconds, pending, guarantee, is_as_asked } => {
                Ok((child, Opened { seconds, pending, guarantee, is_as_asked }))
            }
            other => Err(child.unexpected(&other)),
        }
    }

    /// Asks, and waits for the answer that says that it was done.
    pub(crate) async fn ask(&mut self, task: &Task) -> Result<TaskResult, ComparisonError> {
        self.tell(task).await?;
        loop {
            match self.answer().await? {
                TaskResult::Committed { .. } => {}
                done => return Ok(done),
            }
        }
    }

    async fn tell(&mut self, task: &Task) -> Result<(), ComparisonError> {
        let mut line = serde_json::to_vec(task).map_err(std::io::Error::from)?;
        line.push(b'\n');
        self.stdin.write_all(&line).await?;
        Ok(self.stdin.flush().await?)
    }

    async fn answer(&mut self) -> Result<TaskResult, ComparisonError> {
        match timeout(PATIENCE, self.stdout.next_line()).await {
            Err(_) => Err(self.fault(format!("no answer within {PATIENCE:?}"))),
            Ok(line) => match line?.as_deref().map(serde_json::from_str) {
                Some(Ok(TaskResult::Failed { error })) => Err(self.fault(error)),
                Some(Ok(answer)) => Ok(answer),
                Some(Err(error)) => Err(self.fault(format!("an answer that cannot be read: {error}"))),
                None => Err(self.fault("its process ended unexpectedly".to_owned())),
            },
        }
    }

    /// Has it fill until `commits` are confirmed, and then kills it in the midst of that, with SIGKILL. Answers how many
    /// messages it had confirmed.
    pub(crate) async fn kill_filling(mut self, commits: usize, most: u64) -> Result<u64, ComparisonError> {
        self.tell(&Task::Fill { messages: most }).await?;
        let mut confirmed = 0;
        for _ in 0..commits {
            match self.answer().await? {
                TaskResult::Committed { messages } => confirmed = messages,
                other => return Err(self.unexpected(&other)),
            }
        }
        self.process.kill().await?;
        // What it had said before it died it had confirmed.
        while let Some(line) = self.stdout.next_line().await? {
            if let Ok(TaskResult::Committed { messages }) = serde_json::from_str(&line) {
                confirmed = messages;
            }
        }
        Ok(confirmed)
    }

    /// Lets it close its store, and waits until it is gone.
    pub(crate) async fn end(self) -> Result<(), ComparisonError> {
        let Self { mut process, stdin, stdout, .. } = self;
        drop((stdin, stdout));
        process.wait().await?;
        Ok(())
    }

    pub(crate) fn fault(&self, fault: String) -> ComparisonError {
        ComparisonError::Engine { engine: self.engine.name, fault }
    }

    pub(crate) fn unexpected(&self, answer: &TaskResult) -> ComparisonError {
        self.fault(format!("an answer to something else: {answer:?}"))
    }
}
