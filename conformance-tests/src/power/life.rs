//! One life of a store, from the mounting of its disk to a power cut, and what a disk holds after it.

use std::collections::BTreeMap;

use slipstream_store::{Depth, MessageStore, Result, Sequence, StoreError, Survives};

use crate::harness::{Harness, open_after_drop};
use crate::power::disks::log::Unsynced;
use crate::power::disks::mounted::{Disks, Image, Mounted};
use crate::power::view::{View, difference};
use crate::power::workload::{Request, Workload, perform};

/// What is on a disk, and what was promised about it.
#[derive(Debug, Clone)]
pub(super) struct Remains {
    pub(super) image: Image,
    /// How many steps of the workload were confirmed: at least these are there.
    pub(super) least: usize,
    /// How many were begun: at most these are there.
    pub(super) most: usize,
    /// What the last of those that were begun asked for.
    begun: Option<Request>,
    /// The last sequence that was given in a step that was confirmed.
    given: Option<Sequence>,
}

impl Remains {
    /// An empty disk.
    pub(super) fn nothing(disks: &std::sync::Arc<Disks>) -> Self {
        Self { image: Image::empty(disks), least: 0, most: 0, begun: None, given: None }
    }
}

/// Why a life did not begin.
#[derive(Debug)]
pub(super) enum Failure {
    /// The store says that it is damaged.
    DoesNotOpen(String),
    Other(String),
}

impl From<String> for Failure {
    fn from(problem: String) -> Self {
        Self::Other(problem)
    }
}

impl From<Failure> for String {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::DoesNotOpen(problem) | Failure::Other(problem) => problem,
        }
    }
}

/// A store that is open on a mounted disk.
pub(super) struct Life<'a, H: Harness> {
    harness: &'a H,
    workload: &'a Workload,
    // Dropped before the disk is.
    store: Option<H::Store>,
    pub(super) disk: Mounted,
    /// How many changes the disk had seen when the store was open.
    pub(super) opened_at: usize,
    /// Whether what is confirmed must outlive a cut.
    pub(super) is_full: bool,
    before: Remains,
    /// How many steps of the workload were there when the store was open.
    held: usize,
    /// How many steps of the workload are done.
    pub(super) done: usize,
    /// The steps that were confirmed: how many were done then, at which change, the last sequence given until then.
    confirmed: Vec<(usize, usize, Option<Sequence>)>,
    begun: BTreeMap<usize, Request>,
}

impl<'a, H: Harness> Life<'a, H> {
    /// Opens the store on what remains, and finds out how many steps of the workload it holds: no fewer than were
    /// confirmed, no more than were begun, and none in part.
    pub(super) async fn begin(harness: &'a H, workload: &'a Workload, before: Remains) -> Result<Self, Failure> {
        let disk = Mounted::new(&before.image);
        Self::begin_on(disk, harness, workload, before).await
    }

    /// Likewise on a disk that was made of what remains, which may have faults. If the store says that there is no
    /// room, there is room, and it is opened again.
    pub(super) async fn begin_on(
        disk: Mounted,
        harness: &'a H,
        workload: &'a Workload,
        before: Remains,
    ) -> Result<Self, Failure> {
        let mut opened = open_after_drop(harness, &disk.store()).await;
        if opened.is_err() && disk.faults_met() > 0 {
            disk.make_room();
            opened = open_after_drop(harness, &disk.store()).await;
        }
        let store = opened.map_err(|error| {
            let problem = format!("the store does not open: {error}");
            if let StoreError::Corrupted(_) = error { Failure::DoesNotOpen(problem) } else { Failure::Other(problem) }
        })?;
        let mut life = Self {
            harness,
            workload,
            opened_at: disk.now(),
            is_full: store.guarantee().survives == Survives::PowerCut,
            disk,
            store: Some(store),
            held: 0,
            done: 0,
            confirmed: Vec::new(),
            begun: BTreeMap::new(),
            before,
        };
        life.held = life.find_steps_held().await?;
        life.done = life.held;
        Ok(life)
    }

    pub(super) fn store(&self) -> Result<&H::Store> {
        self.store.as_ref().ok_or(StoreError::Closed)
    }

    async fn find_steps_held(&self) -> Result<usize, String> {
        let fault = |error: StoreError| format!("what the store holds cannot be read: {error}");
        let store = self.store().map_err(fault)?;
        let defects = store.check(Depth::Full).await.map_err(fault)?;
        if !defects.is_empty() {
            return Err(format!("a check finds defects: {defects:?}"));
        }
        let view = self.view().await.map_err(fault)?;
        let least = if self.is_full { self.before.least } else { 0 };
        let most = self.before.most;
        if let Some(held) = (least..=most).rev().find(|steps| self.differs(*steps, &view).is_none()) {
            return Ok(held);
        }
        // A purge may be done in part; once it has run to its end, it is done.
        for step in least..most {
            let request = self.workload.request(step, &view);
            if let Request::Purge(_) = request {
                perform(store, &request).await.map_err(fault)?;
                if self.differs(step + 1, &self.view().await.map_err(fault)?).is_none() {
                    return Ok(step + 1);
                }
            }
        }
        let lost = (0..least).rev().find(|steps| self.differs(*steps, &view).is_none());
        let lost = lost.map(|steps| format!(" It holds {steps}: what was confirmed is lost.")).unwrap_or_default();
        let differs = self.differs(least, &view).unwrap_or_default();
        Err(format!("it should hold {least} to {most} steps of the workload.{lost} Compared with {least}:{differs}"))
    }

    pub(super) async fn view(&self) -> Result<View> {
        View::read(self.store()?, self.workload.messages()).await
    }

    fn differs(&self, steps: usize, view: &View) -> Option<String> {
        let expected = &self.workload.expected[steps];
        difference(&expected.lines, &view.lines(&expected.forgotten))
    }

    /// Checks that the store holds exactly so many steps.
    pub(super) async fn holds(&self, steps: usize) -> Result<(), String> {
        let view = self.view().await.map_err(|error| format!("reading after {steps} steps: {error}"))?;
        self.differs(steps, &view).map_or(Ok(()), |differs| Err(format!("after {steps} steps:{differs}")))
    }

    /// Asks again for what was begun when the power was cut; whether it was done or not, it is done now.
    pub(super) async fn repeat(&mut self) -> Result<(), String> {
        let Some(request) = self.before.begun.clone().filter(|_| self.done + 1 >= self.before.most) else {
            return Ok(());
        };
        let done = self.ask(self.before.most - 1, request).await;
        done.map_err(|error| format!("asking again for what was begun: {error}"))?;
        self.holds(self.before.most).await
    }

    /// Does the next step of the workload.
    pub(super) async fn step(&mut self) -> Result<()> {
        let view = View::read(self.store()?, 0..0).await?;
        let request = self.workload.request(self.done, &view);
        self.ask(self.done, request).await
    }

    /// Does every step up to that many. A store of which nothing is wrong does them all.
    pub(super) async fn go_on(&mut self, until: usize) -> Result<(), String> {
        while self.done < until.min(self.workload.len()) {
            let number = self.done;
            self.step().await.map_err(|error| format!("step {number} of the workload failed: {error}"))?;
            self.holds(self.done).await?;
        }
        Ok(())
    }

    async fn ask(&mut self, step: usize, request: Request) -> Result<()> {
        self.begun.insert(step, request.clone());
        let given = match &request {
            Request::Reopen => {
                self.reopen().await?;
                Vec::new()
            }
            _ => perform(self.store()?, &request).await?,
        };
        let before = self.confirmed.last().map_or(self.before.given, |(_, _, given)| *given);
        if let Some(early) =
            given.iter().find(|given| self.is_full && Some(**given) <= before && step >= self.before.most)
        {
            let again = format!("sequence {early} was given again, after {before:?} had been");
            return Err(StoreError::Corrupted(again));
        }
        self.done = step + 1;
        self.confirmed.push((self.done, self.disk.now(), given.last().copied().or(before)));
        Ok(())
    }

    /// Closes the store and opens it again.
    pub(super) async fn reopen(&mut self) -> Result<()> {
        if let Some(store) = self.store.take() {
            store.close().await?;
        }
        self.store = Some(open_after_drop(self.harness, &self.disk.store()).await?);
        Ok(())
    }

    /// Drops a store that refuses further work, and opens it again. Its last step may be done or not.
    pub(super) async fn open_anew(&mut self) -> Result<(), String> {
        drop(self.store.take());
        let opened = open_after_drop(self.harness, &self.disk.store()).await;
        self.store = Some(opened.map_err(|error| format!("the store does not open again: {error}"))?);
        let done = self.done;
        let request = self.begun.get(&done).cloned();
        if let Some(request) = request.filter(|request| !matches!(request, Request::Reopen)) {
            let view = self.view().await.map_err(|error| format!("reading: {error}"))?;
            let is_purge = matches!(request, Request::Purge(_));
            if let Some(differs) =
                self.differs(done, &view).filter(|_| !is_purge && self.differs(done + 1, &view).is_some())
            {
                return Err(format!("opened again, it should hold {done} or {} steps:{differs}", done + 1));
            }
            self.ask(done, request).await.map_err(|error| format!("asking again: {error}"))?;
            self.holds(done + 1).await?;
        }
        Ok(())
    }

    /// Whether the workload has come to its end.
    pub(super) fn is_done(&self) -> bool {
        self.done == self.workload.len()
    }

    /// What the disk holds if the power is cut after so many changes.
    pub(super) fn cut(&self, after: usize, unsynced: Unsynced) -> Remains {
        let image = self.disk.cut(after, unsynced);
        if after < self.opened_at {
            return Remains { image, ..self.before.clone() };
        }
        let last = self.confirmed.iter().take_while(|(_, at, _)| *at <= after).last();
        let most = (last.map_or(self.held, |(done, ..)| *done) + 1).min(self.workload.len());
        let earlier = self.before.begun.as_ref().filter(|_| most == self.before.most);
        Remains {
            image,
            least: last.map_or(self.before.least, |(done, ..)| *done),
            most,
            begun: self.begun.get(&most.wrapping_sub(1)).or(earlier).cloned(),
            given: last.map_or(self.before.given, |(_, _, given)| *given),
        }
    }

    /// Closes the store, opens it again and checks that it holds what it held.
    pub(super) async fn end(&mut self) -> Result<(), String> {
        self.reopen().await.map_err(|error| format!("closing and opening again: {error}"))?;
        self.holds(self.done).await?;
        let store = self.store().map_err(|error| error.to_string())?;
        store.close().await.map_err(|error| format!("closing: {error}"))
    }
}
