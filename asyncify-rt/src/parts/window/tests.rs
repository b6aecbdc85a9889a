//! The window over a memory that is a vector.

use super::*;
use crate::parts::machine::Phase;

const NARROW: PointerWidth = PointerWidth::Memory32;

/// What the guest's code does: it pushes bytes at `pos`, which it moves.
fn push(memory: &mut [u8], base: u64, bytes: &[u8]) {
    let at = usize::try_from(base).unwrap();
    let pos = u32::from_le_bytes(memory[at..at + 4].try_into().unwrap());
    let place = pos as usize;
    memory[place..place + bytes.len()].copy_from_slice(bytes);
    let pos = pos + u32::try_from(bytes.len()).unwrap();
    memory[at..at + 4].copy_from_slice(&pos.to_le_bytes());
}

/// And when it is rewound: it pops them.
fn pop(memory: &mut [u8], base: u64, len: u32) {
    let at = usize::try_from(base).unwrap();
    let pos = u32::from_le_bytes(memory[at..at + 4].try_into().unwrap()) - len;
    memory[at..at + 4].copy_from_slice(&pos.to_le_bytes());
}

/// A window for 64 bytes with as much slack, at address 256.
fn placed() -> Window {
    let mut window = Window::new(NARROW, false);
    window.want(64);
    let (size, least, _) = window.room_for(64, 0);
    assert_eq!((size, least), (HEADER + 128, HEADER + LEAST));
    assert!(window.move_to(&(256..256 + size), 64, 0).is_none());
    window
}

fn take(window: &mut Window, memory: &mut [u8]) -> (Unwound, Vec<u8>) {
    let mut frames = Vec::new();
    let Ok(unwound) = window.take(memory, 1 << 20, &mut frames, 0) else {
        panic!("it can be taken")
    };
    (unwound, frames)
}

#[test]
fn what_is_unwound_is_taken_and_put_back() {
    let (mut memory, mut window) = (vec![0; 1024], placed());
    assert!(window.open(&mut memory).is_ok());
    push(&mut memory, 256, b"inner");
    push(&mut memory, 256, b"outer");
    let (unwound, frames) = take(&mut window, &mut memory);
    assert!(matches!(unwound, Unwound::Frames));
    assert_eq!(frames, b"innerouter");
    assert!(window.fill(&mut memory, &frames).is_ok());
    assert!(matches!(window.is_empty(&mut memory), Ok(false)));
    assert!(window.fill(&mut memory, &frames).is_ok());
    pop(&mut memory, 256, 5);
    pop(&mut memory, 256, 5);
    assert!(matches!(window.is_empty(&mut memory), Ok(true)));
}

#[test]
fn a_near_miss_lands_in_the_slack_and_the_next_window_is_larger() {
    for (len, overflows) in [(64, false), (65, false), (128, false), (129, true)] {
        let (mut memory, mut window) = (vec![0; 1024], placed());
        assert!(window.open(&mut memory).is_ok());
        push(&mut memory, 256, &vec![7; len]);
        let (unwound, frames) = take(&mut window, &mut memory);
        match unwound {
            Unwound::Frames => assert_eq!((frames.len(), overflows), (len, false)),
            Unwound::Overflow { needed, size } => {
                assert_eq!((needed, size, overflows), (len as u64, 64, true));
            }
            _ => panic!("{len} bytes"),
        }
        let wanted = if len > 64 { 2 * len as u64 } else { 64 };
        assert_eq!(window.wanted(0, 1 << 20), wanted);
    }
}

#[test]
fn what_no_unwinding_leaves_is_told() {
    let (mut memory, mut window) = (vec![0; 1024], placed());
    assert!(window.open(&mut memory).is_ok());
    assert!(matches!(take(&mut window, &mut memory).0, Unwound::Nothing));
    assert!(window.open(&mut memory).is_ok());
    pop(&mut memory, 256, 1);
    assert!(matches!(take(&mut window, &mut memory).0, Unwound::Astray { .. }));
}

/// A memory in which every byte is another than its neighbours.
fn own() -> Vec<u8> {
    (0..1024_u32).map(|byte| byte.to_le_bytes()[0] ^ 0x5a).collect()
}

#[test]
fn a_borrowed_window_leaves_every_byte_as_it_was() {
    let (mut memory, mut window) = (own(), Window::new(NARROW, true));
    let Ok(Some(base)) = window.borrow(1024, 100, 0) else { panic!("there is room") };
    assert_eq!((base % 16, base + HEADER + window.size()), (0, 1024));
    assert!(window.open(&mut memory).is_ok() && window.is_lent());
    assert_ne!(memory, own());
    push(&mut memory, base, b"frames");
    let (_, frames) = take(&mut window, &mut memory);
    assert_eq!((frames.as_slice(), &memory), (b"frames".as_slice(), &own()));
    assert!(window.fill(&mut memory, &frames).is_ok());
    pop(&mut memory, base, 6);
    assert!(matches!(window.is_empty(&mut memory), Ok(true)));
    assert_eq!(memory, own());
    assert!(!window.is_lent());
}

#[test]
fn host_code_between_frames_sees_the_guests_own_bytes() {
    for phase in [Phase::Unwinding, Phase::Rewinding] {
        let (mut memory, mut window) = (own(), Window::new(NARROW, true));
        let Ok(Some(base)) = window.borrow(1024, 100, 0) else { panic!("there is room") };
        let all = b"innerouter";
        if phase == Phase::Unwinding {
            assert!(window.open(&mut memory).is_ok());
            push(&mut memory, base, b"inner");
        } else {
            assert!(window.fill(&mut memory, all).is_ok());
            pop(&mut memory, base, 5);
        }
        assert!(window.set_aside(&mut memory).is_ok());
        assert_eq!((window.aside(), &memory), (Some(5), &own()), "{phase:?}");
        assert!(window.bring_back(&mut memory, phase).is_ok());
        if phase == Phase::Unwinding {
            push(&mut memory, base, b"outer");
            let (_, frames) = take(&mut window, &mut memory);
            assert_eq!(frames, all);
        } else {
            pop(&mut memory, base, 5);
            assert!(matches!(window.is_empty(&mut memory), Ok(true)));
        }
        assert_eq!(memory, own(), "{phase:?}");
    }
}

#[test]
fn a_failed_call_gives_back_what_was_lent() {
    let (mut memory, mut window) = (own(), Window::new(NARROW, true));
    assert!(window.borrow(1024, 100, 0).is_ok());
    assert!(window.open(&mut memory).is_ok());
    assert!(window.forget_aside(), "something is lent yet");
    window.give_back_all(&mut memory);
    assert_eq!(memory, own());
    assert!(!window.forget_aside());
}

#[test]
fn a_memory_that_is_too_small_for_a_borrowed_window_is_told() {
    for (end, needed, fits) in
        [(0, 0, false), (16, 0, false), (17, 0, true), (80, 64, true), (79, 64, false)]
    {
        let mut window = Window::new(NARROW, true);
        assert_eq!(window.borrow(end, 1000, needed).is_ok(), fits, "{end} {needed}");
    }
}

/// No frame ends where a whole 32-bit memory does: the next address would be 0.
#[test]
fn frames_in_a_whole_memory_never_end_at_its_end() {
    let mut window = Window::new(NARROW, true);
    let Ok(Some(base)) = window.borrow(1 << 32, 1000, 0) else { panic!("there is room") };
    assert_eq!(base % 4, 2);
    assert_eq!(base + HEADER + window.size(), 1 << 32);
}
