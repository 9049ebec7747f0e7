//! The pages of a source as one stream.

use std::collections::VecDeque;

use slipstream_store::{HeldMessage, HeldStamps, Holdings, Result, Sequence, Stamp, StoreError};

/// So many stamps are told together.
pub(crate) const STAMPS: u64 = 4096;

/// The messages of a source, one by one.
pub(crate) struct Messages<'s> {
    source: &'s mut dyn Holdings,
    page: VecDeque<HeldMessage>,
    last: Option<Sequence>,
    is_over: bool,
}

impl<'s> Messages<'s> {
    pub(crate) fn of(source: &'s mut dyn Holdings) -> Self {
        Self { source, page: VecDeque::new(), last: None, is_over: false }
    }

    /// The next message.
    ///
    /// # Errors
    /// Those of the source; `Corrupted` if its sequences do not ascend.
    pub(crate) async fn next(&mut self) -> Result<Option<HeldMessage>> {
        if self.page.is_empty() && !self.is_over {
            self.page = self.source.messages(self.last).await?.into();
            self.is_over = self.page.is_empty();
        }
        let Some(message) = self.page.pop_front() else { return Ok(None) };
        if self.last >= Some(message.sequence) {
            let text = format!("a store tells of {} behind {:?}", message.sequence, self.last);
            return Err(StoreError::Corrupted(text));
        }
        self.last = Some(message.sequence);
        Ok(Some(message))
    }
}

/// The stamps of a source, as many together as have one quotient by [`STAMPS`].
pub(crate) struct Stamps<'s> {
    source: &'s mut dyn Holdings,
    page: VecDeque<HeldStamps>,
    last: Option<Stamp>,
    is_over: bool,
}

impl<'s> Stamps<'s> {
    pub(crate) fn of(source: &'s mut dyn Holdings) -> Self {
        Self { source, page: VecDeque::new(), last: None, is_over: false }
    }

    async fn fill(&mut self) -> Result<()> {
        if self.page.is_empty() && !self.is_over {
            self.page = self.source.stamps(self.last).await?.into();
            self.is_over = self.page.is_empty();
            let last = self.page.back().and_then(|stamps| Some((stamps.epoch, *stamps.numbers.last()?)));
            self.last = last.map(|(epoch, number)| Stamp { epoch, number }).or(self.last);
        }
        Ok(())
    }

    /// The next stamps.
    ///
    /// # Errors
    /// Those of the source.
    pub(crate) async fn next(&mut self) -> Result<Option<HeldStamps>> {
        let group = |stamps: &HeldStamps| (stamps.epoch, stamps.numbers.first().map(|number| number / STAMPS));
        self.fill().await?;
        let Some(mut all) = self.page.pop_front() else { return Ok(None) };
        loop {
            self.fill().await?;
            match self.page.pop_front_if(|more| group(more) == group(&all)) {
                Some(more) => {
                    all.numbers.extend(more.numbers);
                    all.latest = all.latest.max(more.latest);
                }
                None => return Ok(Some(all)),
            }
        }
    }
}
