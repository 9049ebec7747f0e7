//! One metrics page at a time, for all who wait for it: with many peers a page is large, and takes long to make.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::Mutex;
use tokio::task::JoinError;

/// A page that is being made, or why it could not be made.
pub type Rendering = Pin<Box<dyn Future<Output = Result<Bytes, JoinError>> + Send>>;

/// How a page is made, and the one that was made last. Cloning is cheap; all clones are one.
#[derive(Clone)]
pub struct SharedPage {
    make: Arc<dyn Fn() -> Rendering + Send + Sync>,
    last: Arc<Mutex<Option<Made>>>,
}

#[derive(Debug)]
struct Made {
    begun: Instant,
    page: Bytes,
}

impl fmt::Debug for SharedPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedPage")
    }
}

impl SharedPage {
    /// A page that is made by `make`.
    pub fn new(make: impl Fn() -> Rendering + Send + Sync + 'static) -> Self {
        Self { make: Arc::new(make), last: Arc::default() }
    }

    /// Returns a page that was begun after it was asked for: the one that others wait for, or else a new one.
    ///
    /// # Errors
    /// If it could not be made.
    ///
    /// # Cancellation
    /// A page that is being made is finished all the same, so that no second one is made beside it.
    pub(crate) async fn get(&self) -> Result<Bytes, JoinError> {
        let asked = Instant::now();
        let mut last = Arc::clone(&self.last).lock_owned().await;
        if let Some(Made { begun, page }) = &*last
            && *begun >= asked
        {
            return Ok(page.clone());
        }
        let (begun, making) = (Instant::now(), (self.make)());
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
        let (made, gate) = (Arc::new(AtomicUsize::new(0)), watch::Sender::new(false));
        let (count, opened) = (Arc::clone(&made), gate.subscribe());
        let shared = SharedPage::new(move || {
            let (number, mut opened) = (count.fetch_add(1, Ordering::Relaxed) + 1, opened.clone());
            Box::pin(async move {
                opened.wait_for(|is_open| *is_open).await.unwrap();
                Ok(format!("page {number}").into())
            })
        });
        let ask = || -> JoinHandle<Bytes> {
            let shared = shared.clone();
            tokio::spawn(async move { shared.get().await.unwrap() })
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
