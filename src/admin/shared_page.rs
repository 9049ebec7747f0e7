//! One metrics page at a time, for all who wait for it: with many peers a page is large, and takes long to make.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::Mutex;
use tokio::task::JoinError;

use super::pages::Rendering;

/// The page that was made last. Cloning is cheap; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct SharedPage(Arc<Mutex<Option<Made>>>);

#[derive(Debug)]
struct Made {
    begun: Instant,
    page: Bytes,
}

impl SharedPage {
    /// Returns a page that was begun after it was asked for: the one that others wait for, or else what `make` makes.
    ///
    /// # Errors
    /// As `make` says.
    ///
    /// # Cancellation
    /// A page that is being made is finished all the same, so that no second one is made beside it.
    pub(super) async fn get(&self, make: impl FnOnce() -> Rendering) -> Result<Bytes, JoinError> {
        let asked = Instant::now();
        let mut last = Arc::clone(&self.0).lock_owned().await;
        if let Some(Made { begun, page }) = &*last
            && *begun >= asked
        {
            return Ok(page.clone());
        }
        let (begun, making) = (Instant::now(), make());
        let finish = async move {
            let page = making.await?;
            *last = Some(Made { begun, page: page.clone() });
            Ok(page)
        };
        tokio::spawn(finish).await?
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::watch;
    use tokio::task::{JoinHandle, yield_now};

    use super::*;

    #[tokio::test]
    async fn one_page_is_made_at_a_time_for_all_who_wait() {
        let (shared, made, gate) = (SharedPage::default(), Arc::new(AtomicUsize::new(0)), watch::Sender::new(false));
        let ask = || -> JoinHandle<Bytes> {
            let (shared, made, mut opened) = (shared.clone(), Arc::clone(&made), gate.subscribe());
            let make = move || -> Rendering {
                let number = made.fetch_add(1, Ordering::Relaxed) + 1;
                Box::pin(async move {
                    opened.wait_for(|is_open| *is_open).await.unwrap();
                    Ok(format!("page {number}").into())
                })
            };
            tokio::spawn(async move { shared.get(make).await.unwrap() })
        };
        let gone = ask();
        while made.load(Ordering::Relaxed) == 0 {
            yield_now().await;
        }
        let waiting: Vec<_> = (0..20).map(|_| ask()).collect();
        gone.abort();
        assert!(gone.await.unwrap_err().is_cancelled());
        for _ in 0..100 {
            yield_now().await;
        }
        assert_eq!(made.load(Ordering::Relaxed), 1, "the first is not finished");
        gate.send_replace(true);
        for page in waiting {
            assert_eq!(page.await.unwrap(), "page 2", "who asked after the first was begun gets a newer one");
        }
        assert_eq!(ask().await.unwrap(), "page 3");
    }
}
