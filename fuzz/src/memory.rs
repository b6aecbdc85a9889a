//! How much the process may allocate.

use std::alloc::System;

use cap::Cap;

/// Counts, and refuses what goes beyond the limit: that ends the process, and is a finding.
#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, 1 << 30);

/// Runs `f`, which may hold so many bytes at most beyond what is held when it begins.
pub fn bounded<R>(bytes: usize, f: impl FnOnce() -> R) -> R {
    let before = ALLOCATOR.limit();
    ALLOCATOR
        .set_limit(before.min(ALLOCATOR.allocated() + bytes))
        .expect("below is more than is held");
    let result = f();
    ALLOCATOR.set_limit(before).expect("it was the limit before");
    result
}
