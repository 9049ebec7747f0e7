//! The reader: each read has a view of its own.

use std::path::Path;
use std::sync::Arc;

use sled::Batch;
use slipstream_embedded::{Opening, Reader, Tables};
use slipstream_store::{Defect, Depth, Result, StoreError};

use crate::rows::{AsOf, Tree};
use crate::tables::{GO_ON, On, all_keys};
use crate::views::Patience;
use crate::{fault, files, layout};

/// Most rows that a backup writes at once.
const ROWS_AT_ONCE: usize = 1024;

/// Reads a store beside its writer.
///
/// A view is kept by remembering what later commits change, 64 MiB of it at most. Behind that a read answers `Busy`;
/// commits wait only for a backup. Beside this, a read and a commit wait for each other while a batch is put into
/// memory or a page of rows is read; nobody waits for the sync of a batch, and a read now and then for that of pages which
/// reading has split or merged.
#[derive(Debug)]
pub struct SledReader {
    tree: Arc<Tree>,
}

impl SledReader {
    pub(crate) fn new(tree: Arc<Tree>) -> Self {
        Self { tree }
    }

    fn view(&self, patience: Patience) -> AsOf<'_> {
        AsOf { tree: &self.tree, view: self.tree.views.begin(patience) }
    }
}

impl Reader for SledReader {
    fn read(&mut self, work: &mut dyn FnMut(&dyn Tables) -> Result<()>) -> Result<()> {
        work(&On(&self.view(Patience::ViewEnds)))
    }

    fn verify(&mut self, depth: Depth) -> Result<Vec<Defect>> {
        if depth == Depth::Quick {
            return Ok(Vec::new());
        }
        let rows = self.view(Patience::ViewEnds);
        let (mut defects, (first, last)) = (Vec::new(), all_keys());
        let read = On(&rows).rows(first, last, &mut |key, row| {
            if key != layout::FORMAT_KEY
                && let Err(StoreError::Corrupted(text)) = On(&rows).check(key, row)
            {
                defects.push(Defect(format!("row {key:?}: {text}")));
            }
            GO_ON
        });
        match read {
            Err(StoreError::Corrupted(text)) => defects.push(Defect(text)),
            other => other?,
        }
        Ok(defects)
    }

    fn backup(&mut self, target: &Path) -> Result<()> {
        let rows = self.view(Patience::CommitsWait);
        files::place(target).write_new(|made| {
            files::create(made, |db| {
                let (mut batch, mut count, (first, last)) = (Batch::default(), 0, all_keys());
                On(&rows).rows(first, last, &mut |key, row| {
                    batch.insert(key, row);
                    count += 1;
                    if count == ROWS_AT_ONCE {
                        count = 0;
                        let full = std::mem::take(&mut batch);
                        fault::caught(|| db.apply_batch(full))?;
                    }
                    GO_ON
                })?;
                fault::caught(|| db.apply_batch(batch))
            })?;
            files::set_label(&made.data(), Opening::of_a_copy())
        })
    }
}
