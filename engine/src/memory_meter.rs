//! The memory of one instance, counted and bounded: linear memories, tables and garbage-collected heaps together.
//!
//! wasmtime asks before each growth. Growth is denied when the instance would pass its own limit or the engine its budget;
//! the guest then sees -1. What was denied is remembered, because a guest that fails next failed for that reason and must not
//! serve again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hearth_host_api::memory_fs::Space;
use wasmtime::ResourceLimiter;

use crate::Limits;

/// Bytes that one table element takes in the host: a pointer.
const TABLE_ELEMENT_BYTES: u64 = 8;

/// The engine's memory over all instances.
#[derive(Debug)]
pub(crate) struct MemoryBudget {
    used: AtomicU64,
    pub(crate) limit: u64,
}

impl MemoryBudget {
    pub(crate) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { used: AtomicU64::new(0), limit })
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Bytes that nobody has.
    pub(crate) fn left(&self) -> u64 {
        self.limit.saturating_sub(self.used())
    }

    fn take(&self, bytes: u64) -> bool {
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|&sum| sum <= self.limit)
            })
            .is_ok()
    }

    fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What instances hold in their `/tmp` counts against the engine's budget, beside their own bound.
impl Space for MemoryBudget {
    fn take(&self, bytes: u64) -> bool {
        Self::take(self, bytes)
    }

    fn give_back(&self, bytes: u64) {
        Self::give_back(self, bytes);
    }
}

/// Which bound denied a growth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Denied {
    /// The function's own limit.
    #[error("{wanted} bytes on top of {held} are over the limit of {limit}")]
    Limit { limit: u64, held: u64, wanted: u64 },
    /// The engine's budget; the guest is not at fault.
    #[error("{wanted} bytes do not fit the engine's memory budget")]
    Budget { limit: u64, held: u64, wanted: u64 },
    /// A table beyond its element limit.
    #[error("a table of {wanted} elements; the limit is {limit}")]
    Table { limit: u64, wanted: u64 },
}

/// Counts one instance.
#[derive(Debug)]
pub(crate) struct MemoryMeter {
    limit: u64,
    table_elements: u64,
    counts: [usize; 3],
    held: u64,
    peak: u64,
    last_growth: u64,
    denied: Option<Denied>,
    /// While an instance is made, a denial is an error that carries its figures: its store, and this meter, go with it.
    is_starting: bool,
    budget: Arc<MemoryBudget>,
}

impl MemoryMeter {
    pub(crate) fn new(limits: &Limits, budget: Arc<MemoryBudget>) -> Self {
        Self {
            limit: limits.memory_bytes,
            table_elements: limits.table_elements,
            counts: [limits.core_instances, limits.tables, limits.memories]
                .map(|count| usize::try_from(count).unwrap_or(usize::MAX)),
            held: 0,
            peak: 0,
            last_growth: 0,
            denied: None,
            is_starting: true,
            budget,
        }
    }

    /// The most bytes held so far.
    pub(crate) fn peak(&self) -> u64 {
        self.peak
    }

    /// Bytes that it holds now.
    pub(crate) fn held(&self) -> u64 {
        self.held
    }

    /// Says that the instance is made: from now on a denial is the guest's to handle.
    pub(crate) fn started(&mut self) {
        self.is_starting = false;
    }

    /// The growth that was denied last, if any was.
    pub(crate) fn denied(&self) -> Option<Denied> {
        self.denied
    }

    fn grow(&mut self, bytes: u64) -> wasmtime::Result<bool> {
        let (limit, held, wanted) = (self.limit, self.held, bytes);
        self.last_growth = 0;
        if held.checked_add(bytes).is_none_or(|sum| sum > limit) {
            return self.deny(Denied::Limit { limit, held, wanted });
        }
        if !self.budget.take(bytes) {
            return self.deny(Denied::Budget { limit, held, wanted });
        }
        self.last_growth = bytes;
        self.held += bytes;
        self.peak = self.peak.max(self.held);
        Ok(true)
    }

    fn deny(&mut self, denied: Denied) -> wasmtime::Result<bool> {
        self.denied = Some(denied);
        if self.is_starting { Err(wasmtime::Error::new(denied)) } else { Ok(false) }
    }

    /// wasmtime could not carry out the growth it asked for: it never happened.
    fn undo(&mut self) {
        self.held -= self.last_growth;
        self.budget.give_back(self.last_growth);
        self.last_growth = 0;
    }
}

impl Drop for MemoryMeter {
    fn drop(&mut self) {
        self.budget.give_back(self.held);
    }
}

impl ResourceLimiter for MemoryMeter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.grow(desired.saturating_sub(current) as u64)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.undo();
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired as u64 > self.table_elements {
            let denied = Denied::Table { limit: self.table_elements, wanted: desired as u64 };
            return self.deny(denied);
        }
        let elements = desired.saturating_sub(current) as u64;
        self.grow(elements.saturating_mul(TABLE_ELEMENT_BYTES))
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.undo();
        Ok(())
    }

    fn instances(&self) -> usize {
        self.counts[0]
    }

    fn tables(&self) -> usize {
        self.counts[1]
    }

    fn memories(&self) -> usize {
        self.counts[2]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter(limit: u64, budget: &Arc<MemoryBudget>) -> MemoryMeter {
        let limits = Limits { memory_bytes: limit, table_elements: 10, ..Limits::default() };
        let mut meter = MemoryMeter::new(&limits, budget.clone());
        meter.started();
        meter
    }

    #[test]
    fn memories_and_tables_share_one_limit() {
        let budget = MemoryBudget::new(1000);
        let mut meter = meter(100, &budget);
        assert!(meter.memory_growing(0, 60, None).unwrap());
        assert!(meter.table_growing(0, 5, None).unwrap(), "60 + 5 * 8 fits exactly");
        assert!(!meter.memory_growing(60, 61, None).unwrap());
        assert_eq!(meter.denied(), Some(Denied::Limit { limit: 100, held: 100, wanted: 1 }));
        assert_eq!((meter.peak(), budget.used()), (100, 100));
        drop(meter);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_table_beyond_its_elements_is_denied() {
        let budget = MemoryBudget::new(1000);
        let mut meter = meter(1000, &budget);
        assert!(!meter.table_growing(0, 11, None).unwrap());
        assert_eq!(meter.denied(), Some(Denied::Table { limit: 10, wanted: 11 }));
    }

    #[test]
    fn the_engine_budget_binds_across_instances() {
        let budget = MemoryBudget::new(100);
        let (mut a, mut b) = (meter(80, &budget), meter(80, &budget));
        assert!(a.memory_growing(0, 80, None).unwrap());
        assert!(!b.memory_growing(0, 30, None).unwrap());
        assert_eq!(b.denied(), Some(Denied::Budget { limit: 80, held: 0, wanted: 30 }));
        drop(a);
        assert!(b.memory_growing(0, 30, None).unwrap());
    }

    #[test]
    fn a_denial_while_starting_is_an_error_with_its_figures() {
        let budget = MemoryBudget::new(1000);
        let limits = Limits { memory_bytes: 10, ..Limits::default() };
        let error = MemoryMeter::new(&limits, budget).memory_growing(0, 11, None).unwrap_err();
        let expected = Denied::Limit { limit: 10, held: 0, wanted: 11 };
        assert_eq!(error.downcast_ref::<Denied>(), Some(&expected));
    }

    #[test]
    fn a_growth_that_failed_is_undone() {
        let budget = MemoryBudget::new(100);
        let mut meter = meter(80, &budget);
        assert!(meter.memory_growing(0, 40, None).unwrap());
        meter.memory_grow_failed(wasmtime::Error::msg("no")).unwrap();
        assert_eq!(budget.used(), 0);
        assert!(meter.memory_growing(0, 80, None).unwrap());
    }
}
