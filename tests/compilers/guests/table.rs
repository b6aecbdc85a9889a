//! Frames in place of heap, closures by reference, and strings. `.ci/stack-pointers` builds it, without Cargo.

use std::cell::Cell;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    /// May wait, with a frame that its caller passes on.
    fn fetch(out: *mut u8, capacity: usize) -> i32;
}

thread_local! {
    static FETCHES: Cell<u32> = const { Cell::new(0) };
}

#[inline(never)]
fn page(tag: u8) -> Result<u32, String> {
    let mut buffer = [tag; 104];
    FETCHES.set(FETCHES.get() + 1);
    // SAFETY: the host writes no more than it is told there is room for.
    let got = unsafe { fetch(buffer.as_mut_ptr(), buffer.len()) };
    if got < 0 {
        return Err(format!("page {tag} after {}: {got}", FETCHES.get()));
    }
    Ok(buffer.iter().map(|byte| u32::from(*byte)).sum())
}

#[inline(never)]
fn recurse(depth: u8, above: &mut dyn FnMut(u8) -> u32) -> Result<u32, String> {
    let mut here = [u32::from(depth); 12];
    if depth == 0 {
        return Ok(page(3)? + above(1));
    }
    let below = recurse(depth - 1, &mut |by| {
        here[usize::from(by) % 12] += above(by + 1);
        here.iter().sum()
    })?;
    Ok(below ^ here[usize::from(depth) % 12])
}

#[unsafe(no_mangle)]
pub extern "C" fn run(depth: u8) -> u32 {
    let mut names: Vec<String> = (0..depth).map(|i| format!("{i:>5}")).collect();
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    match recurse(depth, &mut u32::from) {
        Ok(total) => total + u32::try_from(names.concat().len()).unwrap_or_default(),
        Err(problem) => u32::try_from(problem.len()).unwrap_or_default(),
    }
}
