//! The lines of a log: how they look, and how they reach a sink, such as stderr, without ever holding up whoever logs.
//!
//! There is a line for each message, so it has to cost little. A line looks as `tracing-subscriber` would write it, for a
//! quarter of the processor time. It is a crate of its own because it is optimised like the relay, and the program is not.

mod clock;
mod line;
mod queue;

use std::io::{self, Write};
use std::time::Duration;

use tracing::Event;

pub use self::line::Style;
use self::queue::Queue;
pub use self::queue::Writing;

/// How long a line waits for others that are written with it. To wake the thread costs more than to make a line.
const GATHER: Duration = Duration::from_millis(10);

/// Makes lines of events, and queues them. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Lines {
    style: Style,
    queue: Queue,
}

impl Lines {
    /// Starts a thread that writes to that sink. Up to 2 MiB of lines wait for it. Lines that find no room are left out, and
    /// a line says how many were.
    ///
    /// # Errors
    /// Where the system has no thread left.
    pub fn start(sink: impl Write + Send + 'static, style: Style) -> io::Result<(Self, Writing)> {
        let (queue, writing) = queue::start(sink, GATHER, move |count| style.left_out(count))?;
        Ok((Self { style, queue }, writing))
    }

    /// Queues the line of an event. What is urgent is written at once, with what came before; anything else may wait 10 ms
    /// for others.
    pub fn put(&self, event: &Event<'_>, urgent: bool) {
        self.style.event(event, |line| self.queue.put(line, urgent));
    }
}
