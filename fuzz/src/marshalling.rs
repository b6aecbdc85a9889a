//! Values, pointers and lengths, right ones and others, through typed imports and exports, against
//! a model of a few lines each.

mod exports;
mod imports;

use arbitrary::Unstructured;

/// A pointer and a length as no honest guest passes them, or as one does.
#[derive(Clone, Copy, Debug)]
enum Region {
    Any {
        ptr: u32,
        len: u32,
    },
    Within {
        ptr: u16,
        len: u8,
    },
    /// Close to the memory's end, on either side.
    AtTheEnd {
        before: u8,
        len: u8,
    },
    /// Close to the end of all addresses.
    Wraps {
        before: u8,
        len: u32,
    },
    Empty {
        ptr: u32,
    },
    Whole,
}

choices!(Region: Any { ptr, len }, Within { ptr, len }, AtTheEnd { before, len }, Wraps { before, len }, Empty { ptr }, Whole);

impl Region {
    fn slice(self, memory: u32) -> (u32, u32) {
        match self {
            Self::Any { ptr, len } => (ptr, len),
            Self::Within { ptr, len } => (ptr.into(), len.into()),
            Self::AtTheEnd { before, len } => (memory - u32::from(before), len.into()),
            Self::Wraps { before, len } => (u32::MAX - u32::from(before), len),
            Self::Empty { ptr } => (ptr, 0),
            Self::Whole => (0, memory),
        }
    }
}

/// The bytes of a region, if they all lie in the memory.
fn bytes(memory: &[u8], (ptr, len): (u32, u32)) -> Option<&[u8]> {
    memory.get(ptr as usize..)?.get(..len as usize)
}

/// Text of one to four bytes a letter, with a byte that is no text now and then.
const PATTERN: &[u8] = "plain text, äöü, 漢字, 🦀🦀, and so on to here: \u{7ff}\u{800}".as_bytes();

/// So many bytes of [`PATTERN`], each time followed by `between`.
fn pattern(len: usize, between: u8) -> Vec<u8> {
    PATTERN.iter().copied().chain([between]).cycle().take(len).collect()
}

/// What a future has when it is polled a few times.
fn soon<F: Future>(future: F) -> F::Output {
    use std::task::{Context, Poll, Waker};
    let mut future = std::pin::pin!(future);
    for _ in 0..8 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
    panic!("it waits for nothing")
}

/// Makes the calls that `data` stands for.
///
/// # Panics
///
/// If one gives something else than the model, or an error that says something else.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(between) = input.arbitrary() else { return };
    if input.arbitrary().unwrap_or_default() {
        imports::run(&mut input, between);
    } else {
        exports::run(&mut input, between);
    }
}
