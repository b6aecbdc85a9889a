//! How low the running call may lower the stack pointer. The guest's code compares, and traps
//! before anything below is written.
//!
//! ```text
//! main stack  | guest's data |  red zone |            <- the call |
//!                            ^ bottom    ^ limit                  ^ top
//! region                     |  red zone |            <- the call |
//! ```

use std::ops::Range;

use crate::parts::memory::PointerWidth;

/// A function that calls no other may write so far below the pointer without lowering it (LLVM's
/// red zone).
const RED_ZONE: u64 = 128;

/// The limit, and the stack that it is of.
#[derive(Default)]
pub(crate) struct Limit {
    /// Whether the code compares with it.
    guarded: bool,
    /// The guest's own stack, where its bounds are known.
    main: Option<Range<u64>>,
    /// The region of the call that runs; without one, it or nothing runs on the guest's own stack.
    region: Option<Range<u64>>,
    /// The limit for that.
    wanted: u64,
    /// What the guest compares with.
    written: u64,
}

/// A call that was stopped before it ran over the end of its shadow stack.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Overrun {
    /// Bytes that it needs, at least.
    pub(crate) needed: u64,
    /// Bytes that there are.
    pub(crate) size: u64,
    /// Whether it ran in a region.
    pub(crate) in_region: bool,
}

impl Limit {
    pub(super) fn new(guarded: bool, main: Option<Range<u64>>) -> Self {
        let mut limit = Self { guarded, main, ..Self::default() };
        limit.run_in(None);
        limit
    }

    /// Says where the call runs that is entered or resumed next.
    #[inline]
    pub(crate) fn run_in(&mut self, region: Option<Range<u64>>) {
        if self.guarded {
            self.region = region;
            self.wanted = self.stack().map_or(0, limit_of);
        }
    }

    /// Whether the guest compares with another limit than that.
    #[inline]
    pub(crate) fn is_due(&self) -> bool {
        self.written != self.wanted
    }

    /// What the guest is to compare with, which is written now.
    pub(crate) fn write(&mut self) -> u64 {
        self.written = self.wanted;
        self.wanted
    }

    /// What it means that the call wanted to lower the pointer to `hit`.
    pub(crate) fn overrun(&self, hit: u64, width: PointerWidth) -> Overrun {
        // Without bounds, only a pointer that would wrap around is stopped.
        let stack = self.stack().cloned().unwrap_or(0..0);
        // What would wrap around is far below.
        let below = match (stack.end.checked_sub(hit), width) {
            (Some(below), _) => below,
            (None, PointerWidth::Memory32) => (stack.end + (1 << 32)).wrapping_sub(hit),
            (None, PointerWidth::Memory64) => stack.end.wrapping_sub(hit),
        };
        let needed = below.saturating_add(RED_ZONE);
        Overrun { needed, size: stack.end - stack.start, in_region: self.region.is_some() }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_written_when_the_stack_is_another() {
        let mut limit = Limit::new(true, Some(0x1000..0x2000));
        assert!(limit.is_due());
        assert_eq!(limit.write(), 0x1080);
        limit.run_in(None);
        assert!(!limit.is_due(), "the same stack");
        limit.run_in(Some(0x4000..0x5000));
        assert!(limit.is_due());
        assert_eq!(limit.write(), 0x4080);
        let mut unguarded = Limit::new(false, Some(0x1000..0x2000));
        unguarded.run_in(Some(0x4000..0x5000));
        assert!(!unguarded.is_due(), "nothing compares");
    }

    #[test]
    fn a_stack_at_the_beginning_of_the_memory_is_used_to_its_end() {
        assert_eq!(Limit::new(true, Some(0..0x1000)).write(), 0);
    }

    #[test]
    fn an_overrun_says_what_was_needed() {
        let mut limit = Limit::new(true, Some(0x1000..0x2000));
        let told = |needed, in_region| Overrun { needed, size: 0x1000, in_region };
        for width in [PointerWidth::Memory32, PointerWidth::Memory64] {
            assert_eq!(limit.overrun(0x0f00, width), told(0x1100 + RED_ZONE, false));
        }
        // 0x10 bytes below address 0.
        let wide = limit.overrun(u64::MAX - 0xf, PointerWidth::Memory64);
        assert_eq!(wide, told(0x2010 + RED_ZONE, false));
        let narrow = limit.overrun(0xffff_fff0, PointerWidth::Memory32);
        assert_eq!(narrow, told(0x2010 + RED_ZONE, false));
        limit.run_in(Some(0x4000..0x5000));
        assert_eq!(limit.overrun(0x3000, PointerWidth::Memory32), told(0x2000 + RED_ZONE, true));
    }
}
