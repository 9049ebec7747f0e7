//! A progress bar on stderr, where that is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::logging::wants_plain_text;
use crate::offline::Progress;

/// How often a stage of unknown length shows that it goes on.
const TICK: Duration = Duration::from_millis(120);

/// Shows how far work is, and clears itself when it is dropped.
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// A bar for a person; `json` is for a program, which wants none.
    pub(super) fn new(json: bool) -> Self {
        let hidden = json || wants_plain_text();
        let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        Self(ProgressBar::with_draw_target(None, target))
    }
}

impl Progress for Bar {
    fn stage(&self, name: &str, bytes: Option<u64>) {
        let template = match bytes {
            Some(_) => "{msg:20} {wide_bar} {bytes:>10} of {total_bytes:<10} {eta:>4}",
            None => "{msg:20} {spinner} {elapsed}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.0.set_style(style);
        }
        self.0.reset();
        self.0.set_message(name.to_owned());
        match bytes {
            Some(bytes) => {
                self.0.disable_steady_tick();
                self.0.set_length(bytes);
            }
            None => {
                self.0.unset_length();
                self.0.enable_steady_tick(TICK);
            }
        }
    }

    fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
