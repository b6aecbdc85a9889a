//! The guest's shadow stack (`__stack_pointer`) while calls are parked.
//!
//! An unwinding runs no epilogue, so the stack pointer stays where the innermost frame had it, and
//! a rewinding runs no prologue, so it must be put back there.
//!
//! ```text
//! separate   main stack   | guest's data | <- parked frames | <- plain calls |
//!            region       | <- one call                                     |
//! copied     main stack   | <- the running call; a parked one's bytes are on the host |
//! exclusive  main stack   | <- a parked call | <- the call that its import makes |
//! ```

mod above;
mod limit;

use std::num::NonZeroU32;
use std::ops::Range;

use wasmtime::Global;

use crate::abi::{self, address};
use crate::cx::GuestCx;
use crate::error::{Error, Result, Thin};
use crate::memory::{self, OutOfBounds};
use crate::module::PointerWidth;
use crate::room::Wanted;
use above::Above;
use limit::Limit;
pub(crate) use limit::{Guard, Overrun};

/// How parked calls keep their part of the shadow stack. A guest without one needs neither.
///
/// Choose [`Separate`](Self::Separate) unless you know better: it is right for guests that keep
/// pointers into parked frames, such as a queue whose nodes are local variables of those who
/// wait. Choose [`Copied`](Self::Copied) for very many calls at once, or for a guest that checks
/// its own stack. Where there is no place for regions, neither an allocator that the guest exports
/// nor one that you name with [`Builder::place`](crate::Builder::place), `Copied` is the default,
/// and with `Separate` a call that needs a region ends with [`Error::NoRoom`].
///
/// ```
/// # use asyncify::{Guest, Module, wasmtime::Engine};
/// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
/// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
/// use asyncify::StackPolicy;
///
/// // Many calls with little on their stacks: nothing of them stays in the guest.
/// let copied = Guest::builder(&module).stack_policy(StackPolicy::Copied).instantiate().await?;
/// // Some calls, in regions of 16 KiB.
/// let separate = Guest::builder(&module).region_size(16 << 10).instantiate().await?;
/// # let _ = (copied, separate);
/// # Ok::<(), asyncify::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StackPolicy {
    /// The default where there is a place for regions. Frames stay where they are: a call that
    /// starts while another is parked on the guest's own stack gets a region of its own. Pointers
    /// into parked frames stay good. A guest that checks its stack against a fixed limit is wrong in
    /// a region.
    #[default]
    Separate,
    /// The default elsewhere. The call's bytes are copied out when it parks and back when it
    /// resumes: nothing stays in the guest. A pointer into a parked call's stack is dead until that
    /// call resumes.
    Copied,
    /// One call at a time, in the order they came: a call's turn lasts from its first run to its
    /// end, waits included, and nothing is moved meanwhile. For guests whose own collector looks
    /// for objects on their stack, which finds what a waiting call holds there and nowhere else.
    ///
    /// A call that an import of the running call makes, and awaits within its own future, runs at
    /// once, above that call's frames; several of them take turns among each other. An import that
    /// waits for one in another way, such as a task that it spawned, waits for ever: that call
    /// waits in turn for this one to end. What runs by [`Guest::with`](crate::Guest::with) waits for
    /// no turn.
    ///
    /// A call that has begun and is then neither polled nor dropped holds up all others; one that
    /// waits, and is not polled when its turn comes, loses that turn and keeps its place.
    Exclusive,
}

/// Where the bounds of the guest's own stack are not known, a region has this many bytes.
const DEFAULT_REGION: u64 = 64 << 10;
/// A region is never larger by itself.
const LARGEST_REGION: u64 = 1 << 20;
/// A region has no less.
const LEAST_REGION: u64 = 1 << 10;

/// The global that points to the shadow stack's top.
#[derive(Clone, Debug, Default)]
pub(crate) enum Pointer {
    Known {
        global: Global,
        width: PointerWidth,
        /// What the code is guarded by, if it is.
        guard: Option<Guard>,
    },
    /// The module has no shadow stack.
    #[default]
    Absent,
    /// There may be one, for all that is known.
    Uncertain { reason: String, collector: Option<String> },
}

pub(crate) struct ShadowStack {
    pointer: Pointer,
    policy: StackPolicy,
    region_size: u64,
    /// Whether a call is parked on the guest's own stack.
    main_occupied: bool,
    regions: Vec<Region>,
    /// The regions that no call uses.
    free: Vec<RegionId>,
    /// The calls that are parked where they are, one above the other.
    above: Above,
    limit: Limit,
    /// Whether a call that was resumed may return with the pointer too low: a trampoline answered
    /// for a failure, and a rewinding enters it where the innermost frame had the pointer.
    low: bool,
}

#[derive(Clone, Copy)]
struct Region {
    low: u64,
    high: u64,
}

/// Names a region: its position, from 1 on, so that there is room to say that there is none.
#[derive(Clone, Copy)]
pub(crate) struct RegionId(NonZeroU32);

/// A running call's place on the shadow stack.
#[derive(Clone, Copy)]
pub(crate) struct Frame {
    /// Where the stack pointer goes back to when the call ends.
    base: u64,
    region: Option<RegionId>,
}

/// A parked call's part of the shadow stack.
#[derive(Clone, Copy)]
pub(crate) enum ShadowPart {
    /// The guest has none, or its pointer is left alone.
    None,
    /// On the guest's own stack, down to `pointer`.
    Main { pointer: u64, base: u64 },
    /// On the guest's own stack, above all that were parked before it, down to `pointer`.
    Above { pointer: u64, call: u64 },
    /// In a region, down to `pointer`.
    Region { region: RegionId, pointer: u64 },
    /// On the host, behind the call's frames: `len` bytes, those from `pointer` on.
    Copied { pointer: u64, len: usize },
}

#[cold]
fn astray(range: OutOfBounds) -> Error {
    Error::out_of_step(format!("the shadow stack: {range}"))
}

impl ShadowPart {
    /// Puts back what was copied, into the guest's memory.
    #[inline]
    pub(crate) fn fill(self, memory: &mut [u8], copied: &[u8]) -> Thin<()> {
        if let Self::Copied { pointer, len } = self {
            let place = memory::slice_mut(memory, pointer, len as u64).map_err(astray)?;
            place.copy_from_slice(copied);
        }
        Ok(())
    }

    /// Bytes of it that lie behind the call's frames, on the host.
    pub(crate) fn copied(&self) -> usize {
        match self {
            Self::Copied { len, .. } => *len,
            _ => 0,
        }
    }
}

impl Default for ShadowStack {
    fn default() -> Self {
        Self {
            pointer: Pointer::default(),
            policy: StackPolicy::default(),
            region_size: DEFAULT_REGION,
            main_occupied: false,
            regions: Vec::new(),
            free: Vec::new(),
            above: Above::default(),
            limit: Limit::default(),
            low: false,
        }
    }
}

impl ShadowStack {
    pub(crate) fn new(
        pointer: Pointer,
        policy: StackPolicy,
        region_size: Option<u64>,
        main: Option<Range<u64>>,
    ) -> Self {
        let by_guest = main.as_ref().map_or(DEFAULT_REGION, |main| main.end - main.start);
        let by_guest = by_guest.min(LARGEST_REGION);
        let region_size = region_size.unwrap_or(by_guest).clamp(LEAST_REGION, u64::MAX - 15);
        let region_size = region_size.next_multiple_of(16);
        let guard = match &pointer {
            Pointer::Known { guard, .. } => *guard,
            _ => None,
        };
        let limit = Limit::new(guard, main);
        Self { pointer, policy, region_size, limit, ..Self::default() }
    }

    /// Why the pointer is not known, if there may be one.
    pub(crate) fn uncertain(&self) -> Option<&str> {
        match &self.pointer {
            Pointer::Uncertain { reason, .. } => Some(reason),
            _ => None,
        }
    }

    /// Why a second call cannot park, if it cannot, and by what the guest seems to have a
    /// collector. Where calls take turns nothing is moved, so that the pointer need not be known.
    pub(crate) fn refuses_second(&self) -> Option<(&str, Option<&str>)> {
        match &self.pointer {
            Pointer::Uncertain { reason, collector } if self.policy != StackPolicy::Exclusive => {
                Some((reason, collector.as_deref()))
            }
            _ => None,
        }
    }

    /// Bytes that [`park`](Self::park) will copy, so that there is room for them at once. None if
    /// it will refuse to.
    #[inline]
    pub(crate) fn to_copy(&self, frame: Frame, pointer: Option<u64>, limit: u64) -> usize {
        let copies = self.policy == StackPolicy::Copied && frame.region.is_none();
        let len = pointer.filter(|_| copies).and_then(|pointer| frame.base.checked_sub(pointer));
        let len = len.filter(|len| *len <= limit);
        len.and_then(|len| usize::try_from(len).ok()).unwrap_or_default()
    }

    /// Parks a call's part, from `pointer` on; `None` if more than `room` bytes were to be copied.
    /// Those go behind the call's `frames`, so that both are one allocation.
    #[inline]
    pub(crate) fn park(
        &mut self,
        memory: &[u8],
        frame: Frame,
        pointer: Option<u64>,
        room: u64,
        frames: &mut Vec<u8>,
    ) -> Thin<Option<ShadowPart>> {
        let Some(pointer) = pointer else {
            return Ok(Some(ShadowPart::None));
        };
        if let Some(region) = frame.region {
            return Ok(Some(ShadowPart::Region { region, pointer }));
        }
        match self.policy {
            StackPolicy::Separate => {
                return Ok(Some(ShadowPart::Main { pointer, base: frame.base }));
            }
            StackPolicy::Exclusive => {
                let call = self.above.park(frame.base);
                return Ok(Some(ShadowPart::Above { pointer, call }));
            }
            StackPolicy::Copied => {}
        }
        let len = frame.base.checked_sub(pointer).ok_or_else(|| {
            Error::out_of_step(format!(
                "the stack pointer is {pointer:#x}, above {:#x}, where the call began",
                frame.base
            ))
        })?;
        if len > room {
            return Ok(None);
        }
        let bytes = memory::slice(memory, pointer, len).map_err(astray)?;
        frames.extend_from_slice(bytes);
        Ok(Some(ShadowPart::Copied { pointer, len: bytes.len() }))
    }

    /// Takes out a call that was parked above others: where the pointer goes back to when it ends.
    /// `None` if others are parked above it, which then goes to the one next to it.
    fn take_above(&mut self, call: u64) -> Option<u64> {
        let base = self.above.take(call);
        // That one may return with the pointer where it found it.
        self.low |= base.is_none();
        base
    }

    fn region(&self, RegionId(position): RegionId) -> Option<Region> {
        self.regions.get(position.get() as usize - 1).copied()
    }
}

impl<T: Send + 'static> GuestCx<'_, T> {
    pub(crate) fn stack_pointer(&mut self) -> Option<u64> {
        let Pointer::Known { global, .. } = self.rt().stack.pointer else {
            return None;
        };
        abi::read_address(global, &mut self.store)
    }

    fn set_stack_pointer(&mut self, to: u64) -> Result<()> {
        if let Pointer::Known { global, width, .. } = self.rt().stack.pointer {
            global.set(&mut self.store, address(width, to)).map_err(Error::engine)?;
        }
        Ok(())
    }

    /// A place for a call that starts.
    #[inline]
    pub(crate) fn enter_stack(&mut self, may_suspend: bool) -> Thin<Frame> {
        let Some(base) = self.stack_pointer() else {
            return Ok(Frame { base: 0, region: None });
        };
        if !may_suspend || !self.rt().stack.main_occupied {
            // A call within another runs on the same stack.
            self.set_limit()?;
            return Ok(Frame { base, region: None });
        }
        let (id, region) = self.take_region()?;
        self.run_in_region(region)?;
        self.set_stack_pointer(region.high)?;
        Ok(Frame { base, region: Some(id) })
    }

    fn run_in_region(&mut self, region: Region) -> Result<()> {
        self.rt().stack.limit.run_in(Some(region.low..region.high));
        self.set_limit()
    }

    /// Says that a call whose part was put back runs now, and where the pointer must be for it.
    pub(crate) fn resume_stack(&mut self, part: ShadowPart) -> Result<Frame> {
        let (frame, pointer) = match part {
            ShadowPart::None => return Ok(Frame { base: 0, region: None }),
            ShadowPart::Main { pointer, base } => {
                self.rt().stack.main_occupied = false;
                (Frame { base, region: None }, pointer)
            }
            ShadowPart::Above { pointer, call } => {
                let base = self.rt().stack.take_above(call).unwrap_or(pointer);
                (Frame { base, region: None }, pointer)
            }
            ShadowPart::Region { region, pointer } => {
                let base = self.stack_pointer().unwrap_or_default();
                if let Some(region) = self.rt().stack.region(region) {
                    self.run_in_region(region)?;
                }
                (Frame { base, region: Some(region) }, pointer)
            }
            ShadowPart::Copied { pointer, len } => {
                let base = pointer.saturating_add(len as u64);
                (Frame { base, region: None }, pointer)
            }
        };
        self.set_limit()?;
        self.set_stack_pointer(pointer)?;
        Ok(frame)
    }

    /// Leaves the stack to others, now that the call's part is parked.
    #[inline]
    pub(crate) fn vacate_stack(&mut self, frame: Frame, part: ShadowPart) -> Result<()> {
        match part {
            ShadowPart::None | ShadowPart::Above { .. } => Ok(()),
            ShadowPart::Main { .. } => {
                self.rt().stack.main_occupied = true;
                Ok(())
            }
            ShadowPart::Region { .. } => {
                self.rt().stack.limit.run_in(None);
                self.set_stack_pointer(frame.base)
            }
            ShadowPart::Copied { .. } => self.set_stack_pointer(frame.base),
        }
    }

    /// Ends a call that ran to its end.
    #[inline]
    pub(crate) fn leave_stack(&mut self, frame: Frame, resumed: bool) -> Result<()> {
        let Some(region) = frame.region else {
            return if resumed && self.rt().stack.low {
                self.set_stack_pointer(frame.base)
            } else {
                Ok(())
            };
        };
        self.free_region(region);
        self.set_stack_pointer(frame.base)
    }

    /// Ends a call whose frames are gone: no epilogue has run.
    pub(crate) fn abandon_stack(&mut self, frame: Frame, resumed: bool) -> Result<()> {
        self.rt().stack.low |= resumed;
        if let Some(region) = frame.region {
            self.free_region(region);
        }
        self.set_stack_pointer(frame.base)
    }

    /// Leaves the region that the call ran in to others.
    fn free_region(&mut self, region: RegionId) {
        let stack = &mut self.rt().stack;
        stack.free.push(region);
        stack.limit.run_in(None);
    }

    /// Ends a parked call that will not be resumed.
    pub(crate) fn drop_stack(&mut self, part: ShadowPart) -> Result<()> {
        match part {
            ShadowPart::Main { base, .. } => {
                self.rt().stack.main_occupied = false;
                self.set_stack_pointer(base)
            }
            ShadowPart::Above { call, .. } => {
                let base = self.rt().stack.take_above(call);
                match (base, self.stack_pointer()) {
                    (Some(base), Some(pointer)) if pointer < base => self.set_stack_pointer(base),
                    _ => Ok(()),
                }
            }
            ShadowPart::Region { region, .. } => {
                self.rt().stack.free.push(region);
                Ok(())
            }
            ShadowPart::None | ShadowPart::Copied { .. } => Ok(()),
        }
    }

    fn take_region(&mut self) -> Result<(RegionId, Region)> {
        if self.rt().stack.free.is_empty() {
            self.make_regions()?;
        }
        let stack = &mut self.rt().stack;
        let taken = stack.free.pop().and_then(|index| Some((index, stack.region(index)?)));
        let taken = taken.ok_or_else(|| Error::NoRoom {
            what: "a shadow stack region",
            size: stack.region_size,
            reason: "there are as many as can be counted; let fewer calls wait at once".to_owned(),
        })?;
        let in_use = stack.regions.len() - stack.free.len();
        let stats = &mut self.rt().stats;
        stats.most_regions_in_use = stats.most_regions_in_use.max(in_use);
        Ok(taken)
    }

    /// Makes at least one region. Grown memory comes in pages, which hold several small ones.
    fn make_regions(&mut self) -> Result<()> {
        let size = self.rt().stack.region_size;
        let room = self.make_room(Wanted {
            what: "a shadow stack region",
            size,
            least: LEAST_REGION.min(size),
            parts: 1,
            cure: "ask for less with `Builder::region_size`, take `StackPolicy::Copied`, which needs none, or name another place with `Builder::place`",
        })?;
        let stack = &mut self.rt().stack;
        let mut low = room.start.next_multiple_of(16);
        // The first is as large as the room, less its alignment; it may be the only one.
        let mut high = low.saturating_add(size).min(room.end - room.end % 16);
        while high <= room.end
            && let Ok(position) = u32::try_from(stack.regions.len() + 1)
            && let Some(position) = NonZeroU32::new(position)
        {
            stack.regions.push(Region { low, high });
            stack.free.push(RegionId(position));
            (low, high) = (high, high.saturating_add(size));
        }
        let made = stack.regions.len();
        self.rt().stats.regions = made;
        Ok(())
    }
}
