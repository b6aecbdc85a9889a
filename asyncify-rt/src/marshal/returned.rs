//! What an export returned as its own is given back to the guest's allocator.

use super::Slice;
use crate::cx::GuestCx;
use crate::error::{Error, Result};
use crate::parts::memory;
use crate::store::Wanted;

/// Gives `block` back, which an export returned. `placed` is what its arguments lie in.
///
/// An argument's block is not given back here, and neither is a part of one: it is when the call
/// ends. A constant of the guest's is refused, because it would be overwritten without a word.
pub(super) fn give_back<T: Send + 'static>(
    cx: &mut GuestCx<'_, T>,
    block: Slice,
    placed: &[Slice],
) -> Result<()> {
    let Slice { ptr, len } = block;
    // What lies outside the memory was told when it was read.
    let is_nothing = ptr == 0 || memory::slice(cx.memory(), ptr.into(), len.into()).is_err();
    if is_nothing || placed.iter().any(|argument| lies_in(block, *argument)) {
        return Ok(());
    }
    let refused = |source| Error::NotAllocated { function: String::new(), ptr, source };
    if is_constant(cx, ptr) {
        return Err(refused(None));
    }
    cx.free(block).map_err(|error| refused(Some(error.into())))
}

/// Whether what was returned is an argument, or a part of one: nothing, at its end, included.
fn lies_in(block: Slice, argument: Slice) -> bool {
    let offset = block.ptr.wrapping_sub(argument.ptr);
    offset < argument.len || block.len == 0 && offset == argument.len
}

/// Whether the address is one of the module's data, where no allocator gives memory.
fn is_constant<T: Send + 'static>(cx: &mut GuestCx<'_, T>, ptr: u32) -> bool {
    if !cx.vm.runtime().constants.contain(ptr.into()) {
        return false;
    }
    // Unless its heap is an array of the program's own that is written down in the module: then it
    // gives addresses in there.
    match cx.vm.allocate(Wanted::value(1)) {
        Ok(given) => {
            let in_there = cx.vm.runtime().constants.contain(given);
            cx.vm.release(given, 1).is_err() || !in_there
        }
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_an_argument_is_told_from_what_lies_beside_it() {
        let argument = Slice { ptr: 100, len: 8 };
        for (ptr, len, expected) in [
            (100, 8, true),
            (100, 0, true),
            (103, 2, true),
            (107, 1, true),
            // An empty rest; or what the allocator gave next.
            (108, 0, true),
            (108, 1, false),
            (99, 1, false),
            (0, 0, false),
            (u32::MAX, 1, false),
        ] {
            assert_eq!(lies_in(Slice { ptr, len }, argument), expected, "{ptr} {len}");
        }
        let at_the_end = Slice { ptr: u32::MAX - 7, len: 8 };
        assert!(lies_in(Slice { ptr: u32::MAX, len: 1 }, at_the_end));
        assert!(!lies_in(Slice { ptr: 0, len: 1 }, at_the_end));
    }
}
