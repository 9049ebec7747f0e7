//! The pager of a link: reads from the store what the lane wants, and has the lane look at its deliveries in time.

use slipstream_store::{DeadLetterCursor, DeadLetterFilter, MessageStore, PageLimit, Result};
use std::time::Duration;
use tokio::time::sleep;

use super::lane::{Generation, Lane, State, Wake};
use super::link_state::PageRequest;

/// What a pager does next.
enum Next {
    /// It reads a page of pending deliveries.
    Page(PageRequest),
    /// It reads a page of dead letters, after this one.
    DeadLetters(Option<DeadLetterCursor>),
    /// It sleeps for so long, or until it is woken.
    Sleep(Option<Duration>),
}

impl Lane {
    /// Reads what the lane wants for as long as the link lives. It ends only with an error of the store; dropping it at
    /// any time loses nothing.
    pub(crate) async fn catch_up<S: MessageStore + ?Sized>(
        &self,
        generation: Generation,
        wake: &Wake,
        store: &S,
        limit: PageLimit,
    ) -> Result<()> {
        loop {
            let next = self.serving(generation).map(|mut state| self.look(&mut state));
            match next.unwrap_or(Next::Sleep(None)) {
                Next::Page(request) => self.read(generation, request, store, limit).await?,
                Next::DeadLetters(after) => {
                    let of_peer = DeadLetterFilter { peer: Some(self.peer().clone()), ..DeadLetterFilter::default() };
                    let page = store.dead_letters(&of_peer, after, limit).await?;
                    let mut state = self.lock();
                    state.send.load_dead_letters(page, self.now());
                    self.changed(&mut state);
                }
                Next::Sleep(wakes_in) => {
                    let overdue = async {
                        match wakes_in {
                            Some(pause) => sleep(pause).await,
                            None => std::future::pending().await,
                        }
                    };
                    tokio::select! {
                        biased;
                        () = wake.page.notified() => {}
                        () = overdue => {}
                    }
                }
            }
        }
    }

    async fn read<S: MessageStore + ?Sized>(
        &self,
        generation: Generation,
        request: PageRequest,
        store: &S,
        limit: PageLimit,
    ) -> Result<()> {
        let most = u32::try_from(request.items).unwrap_or(u32::MAX).try_into().unwrap_or(limit.items);
        let page =
            store.pending(self.peer(), request.after, PageLimit { items: limit.items.min(most), ..limit }).await?;
        if let Some(mut state) = self.serving(generation) {
            state.send.load(page, self.now());
            self.changed(&mut state);
        }
        Ok(())
    }

    fn look(&self, state: &mut State) -> Next {
        let now = self.now();
        let limits = self.environment.limits();
        if state.send.wakes_at().is_some_and(|at| at <= now.elapsed) {
            state.send.tick(now, &limits);
            self.changed(state);
        }
        state.pager_wakes_at = state.send.wakes_at();
        if let Some(request) = state.send.ask_page(&limits) {
            return Next::Page(request);
        }
        if let Some(after) = state.send.wants_dead_letters(now.elapsed) {
            return Next::DeadLetters(after);
        }
        Next::Sleep(state.pager_wakes_at.map(|at| at.saturating_sub(now.elapsed)))
    }
}
