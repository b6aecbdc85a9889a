//! How low the running call may lower the stack pointer. The guest's code compares, and traps
//! before anything below is written.
//!
//! ```text
//! main stack  | guest's data |  red zone |            <- the call |
//!                            ^ bottom    ^ limit                  ^ top
//! region                     |  red zone |            <- the call |
//! ```

use std::ops::Range;

use wasmtime::{Global, Val};

use crate::abi::{self, address};
use crate::cx::GuestCx;
use crate::error::{Error, Result};
use crate::module::PointerWidth;

/// A function that calls no other may write so far below the pointer without lowering it (LLVM's
/// red zone).
const RED_ZONE: u64 = 128;

/// The globals that the guest's code is guarded by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guard {
    pub(crate) limit: Global,
    pub(crate) hit: Global,
    pub(crate) width: PointerWidth,
}

/// The limit, and the stack that it is of.
#[derive(Default)]
pub(super) struct Limit {
    guard: Option<Guard>,
    /// The guest's own stack, where its bounds are known.
    main: Option<Range<u64>>,
    /// The region of the call that runs; without one, it or nothing runs on the guest's own stack.
    region: Option<Range<u64>>,
    /// The limit for that.
    wanted: u64,
    /// What the global holds.
    written: u64,
}

impl Limit {
    pub(super) fn new(guard: Option<Guard>, main: Option<Range<u64>>) -> Self {
        let mut limit = Self { guard, main, ..Self::default() };
        limit.run_in(None);
        limit
    }

    /// Says where the call runs that is entered or resumed next.
    #[inline]
    pub(super) fn run_in(&mut self, region: Option<Range<u64>>) {
        if self.guard.is_some() {
            self.region = region;
            self.wanted = self.stack().map_or(0, limit_of);
        }
    }

    fn stack(&self) -> Option<&Range<u64>> {
        self.region.as_ref().or(self.main.as_ref())
    }
}

/// At the memory's beginning, the red zone lies outside of it.
fn limit_of(stack: &Range<u64>) -> u64 {
    match stack.start {
        0 => 0,
        bottom => bottom.saturating_add(RED_ZONE),
    }
}

/// A call that was stopped before it ran over the end of its shadow stack.
pub(crate) struct Overrun {
    /// Bytes that it needs, at least.
    pub(crate) needed: u64,
    /// Bytes that there are.
    pub(crate) size: u64,
    /// Whether it ran in a region.
    pub(crate) in_region: bool,
}

impl<T: Send + 'static> GuestCx<'_, T> {
    /// Sees to it that the guest's code compares with the limit of the call that runs next.
    #[inline]
    pub(super) fn set_limit(&mut self) -> Result<()> {
        let limit = &self.rt().stack.limit;
        if limit.written == limit.wanted { Ok(()) } else { self.write_limit() }
    }

    fn write_limit(&mut self) -> Result<()> {
        let limit = &mut self.rt().stack.limit;
        limit.written = limit.wanted;
        let wanted = limit.wanted;
        match limit.guard {
            Some(Guard { limit, width, .. }) => {
                limit.set(&mut self.store, address(width, wanted)).map_err(Error::engine)
            }
            None => Ok(()),
        }
    }

    /// After a trap: whether it was one of the comparisons with the limit.
    #[cold]
    pub(crate) fn overrun(&mut self) -> Option<Overrun> {
        let guard = self.rt().stack.limit.guard?;
        let (untouched, modulus) = match guard.width {
            PointerWidth::Memory32 => (u64::from(u32::MAX), 1 << 32),
            PointerWidth::Memory64 => (u64::MAX, 0),
        };
        let hit = abi::read_address(guard.hit, &mut self.store)?;
        if hit == untouched {
            return None;
        }
        let reset = match guard.width {
            PointerWidth::Memory32 => Val::I32(-1),
            PointerWidth::Memory64 => Val::I64(-1),
        };
        guard.hit.set(&mut self.store, reset).ok()?;
        let limit = &self.rt().stack.limit;
        let in_region = limit.region.is_some();
        // Without bounds, only a pointer that would wrap around is stopped.
        let stack = limit.stack().cloned().unwrap_or(0..0);
        // What would wrap around is far below.
        let below = match stack.end.checked_sub(hit) {
            Some(below) => below,
            None => stack.end.wrapping_add(modulus).wrapping_sub(hit),
        };
        let needed = below.saturating_add(RED_ZONE);
        Some(Overrun { needed, size: stack.end - stack.start, in_region })
    }
}
