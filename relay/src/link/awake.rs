//! Waiting in time that this process saw pass.
//!
//! A process that was stopped, or whose machine was, finds its timers over and what it waited for in its sockets. So a
//! stop counts little, and after it there is time to read before anybody is judged.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

/// Most that a stop counts.
const STEP: Duration = Duration::from_millis(250);

/// Least that a step counts, so that the waiting ends.
const LEAST: Duration = Duration::from_millis(1);

/// Returns when this process has run for so long.
pub(crate) async fn sleep(duration: Duration) {
    let mut left = duration;
    while !left.is_zero() {
        let step = left.min(STEP);
        let began = Instant::now();
        tokio::time::sleep(step).await;
        // A step that was slept through counts half, so that another one follows.
        let counts = if began.elapsed() < step + STEP { step } else { (step / 2).max(LEAST) };
        left = left.saturating_sub(counts);
    }
}

/// Waits for `future`; `None` if it takes longer than `limit`.
pub(crate) async fn timeout<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    tokio::select! {
        biased;
        output = future => Some(output),
        () = sleep(limit) => None,
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_in_which_the_process_was_stopped_does_not_count() {
        let began = Instant::now();
        let waiting = tokio::spawn(sleep(Duration::from_secs(10)));
        tokio::task::yield_now().await;
        advance(Duration::from_secs(60)).await;
        waiting.await.expect("no panic");
        let took = began.elapsed();
        assert!(took > Duration::from_secs(69) && took < Duration::from_secs(71), "{took:?}");
        sleep(Duration::from_secs(10)).await;
        assert_eq!(began.elapsed() - took, Duration::from_secs(10));
    }
}
