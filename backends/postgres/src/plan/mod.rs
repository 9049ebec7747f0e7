//! A batch as the parameters of one statement.
//!
//! The operations on deliveries and those that record mostly alternate, and neither kind minds the other: a record makes
//! deliveries that nobody can name yet. So all of them up to the next rare operation are taken together, deliveries
//! first; the statement refuses a batch that names a sequence of its own, and it is planned once more in its strict
//! [order](Order). Within each kind an operation stands in the layer behind the last that is about the same thing, and
//! the operations of a layer are done at once.

mod deliveries;
mod outcomes;
mod parameters;
mod planned;
mod rare;
mod records;
mod steps;

use slipstream_store::{Batch, Operation, Result};

use deliveries::Deliveries;
pub(crate) use deliveries::millis;
pub(crate) use outcomes::Done;
pub(crate) use parameters::{Caller, Parameters};
use planned::Asked;
pub(crate) use planned::Plan;
use records::Records;

/// Whether operations that do not mind each other may change places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// They may.
    Free,
    /// Each is done after those before it.
    Strict,
}

impl<'a> Plan<'a> {
    /// Plans a batch.
    ///
    /// # Errors
    /// `Unsupported` if an operation is not known or too large.
    pub(crate) fn of(batch: &'a Batch, order: Order) -> Result<Self> {
        let mut planning = Planning {
            plan: Self { parameters: Parameters::default(), asked: vec![Asked::Nothing; batch.operations.len()] },
            deliveries: Deliveries::default(),
            records: Records::default(),
            order,
        };
        for (at, operation) in batch.operations.iter().enumerate() {
            planning.take(at, operation)?;
        }
        planning.flush()?;
        Ok(planning.plan)
    }
}

struct Planning<'a> {
    plan: Plan<'a>,
    deliveries: Deliveries<'a>,
    records: Records<'a>,
    order: Order,
}

impl<'a> Planning<'a> {
    fn take(&mut self, at: usize, operation: &'a Operation) -> Result<()> {
        match operation {
            Operation::Record(record) => self.records.take(at, record, false),
            Operation::Recognise(record) => self.records.take(at, record, true),
            _ => {
                if let Some(change) = deliveries::change(operation) {
                    if !self.records.is_empty() {
                        match self.order {
                            Order::Free => self.plan.parameters.reordered = true,
                            Order::Strict => self.flush()?,
                        }
                    }
                    self.deliveries.take(at, change);
                } else {
                    self.flush()?;
                    self.plan.asked[at] = rare::take(&mut self.plan.parameters, operation)?;
                }
            }
        }
        Ok(())
    }

    /// Plans what was taken together.
    fn flush(&mut self) -> Result<()> {
        std::mem::take(&mut self.deliveries).plan(&mut self.plan)?;
        std::mem::take(&mut self.records).plan(&mut self.plan)
    }
}
