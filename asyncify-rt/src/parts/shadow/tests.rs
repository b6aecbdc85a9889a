//! Where the parts of parked calls are, by policy.

use super::*;

fn stack(policy: StackPolicy) -> ShadowStack {
    ShadowStack::new(policy, None, Some(0x100..0x1000), false)
}

fn park(
    stack: &mut ShadowStack,
    frame: Frame,
    pointer: u64,
    room: u64,
) -> (Option<ShadowPart>, Vec<u8>) {
    let memory: Vec<u8> = (0..0x1000_u32).map(|byte| byte.to_le_bytes()[0]).collect();
    let mut frames = b"frames".to_vec();
    let Ok(part) = stack.park(&memory, frame, Some(pointer), room, &mut frames) else {
        panic!("it can be parked")
    };
    (part, frames)
}

const MAIN: Frame = Frame { base: 0x800, region: None };

#[test]
fn a_copied_part_stands_behind_the_frames_and_goes_back() {
    let mut stack = stack(StackPolicy::Copied);
    assert_eq!(stack.to_copy(MAIN, Some(0x7f0), 64), 16);
    assert_eq!(stack.to_copy(MAIN, Some(0x7f0), 15), 0, "it will be refused");
    let (part, frames) = park(&mut stack, MAIN, 0x7f0, 16);
    let part = part.unwrap();
    assert!(matches!(part, ShadowPart::Copied { pointer: 0x7f0, len: 16 }));
    assert_eq!((&frames[..6], frames.len()), (b"frames".as_slice(), 6 + part.copied()));
    let mut memory = vec![0; 0x1000];
    assert!(part.fill(&mut memory, &frames[6..]).is_ok());
    assert_eq!(memory[0x7f0..0x800], frames[6..]);
    assert!(park(&mut stack, MAIN, 0x7f0, 15).0.is_none(), "more than there is room for");
}

#[test]
fn what_stays_where_it_is_copies_nothing() {
    for policy in [StackPolicy::Separate, StackPolicy::Exclusive] {
        let mut stack = stack(policy);
        assert_eq!(stack.to_copy(MAIN, Some(0x100), u64::MAX), 0);
        let (part, frames) = park(&mut stack, MAIN, 0x100, 0);
        assert_eq!((part.unwrap().copied(), frames.as_slice()), (0, b"frames".as_slice()));
    }
    for policy in [StackPolicy::Separate, StackPolicy::Copied, StackPolicy::Exclusive] {
        let mut stack = stack(policy);
        stack.regions.add(&(0x2000..0x4000));
        let (id, region) = stack.regions.take().unwrap();
        let frame = Frame { base: 0x800, region: Some(id) };
        let part = park(&mut stack, frame, region.high - 8, 0).0.unwrap();
        assert!(matches!(part, ShadowPart::Region { region, .. } if region == id), "{policy:?}");
    }
}

#[test]
fn a_pointer_above_where_the_call_began_is_told() {
    let mut stack = stack(StackPolicy::Copied);
    let parked = stack.park(&[0; 0x1000], MAIN, Some(0x801), 64, &mut Vec::new());
    assert!(parked.is_err());
    let beyond = Frame { base: 0x2000, region: None };
    assert!(stack.park(&[0; 0x1000], beyond, Some(0x1ff0), 64, &mut Vec::new()).is_err());
}

#[test]
fn a_guest_without_a_stack_pointer_parks_none() {
    let mut stack = stack(StackPolicy::Copied);
    let parked = stack.park(&[], MAIN, None, 0, &mut Vec::new());
    assert!(matches!(parked, Ok(Some(ShadowPart::None))));
}

/// Whoever returns below one that ended early may find the pointer too low.
#[test]
fn calls_above_each_other_hand_their_place_on() {
    let mut stack = stack(StackPolicy::Exclusive);
    let call = |stack: &mut ShadowStack, base| match park(
        stack,
        Frame { base, region: None },
        base - 16,
        0,
    )
    .0
    {
        Some(ShadowPart::Above { call, .. }) => call,
        _ => panic!("it is parked above others"),
    };
    let (first, second) = (call(&mut stack, 0x800), call(&mut stack, 0x700));
    assert_eq!(stack.take_above(first), None);
    assert!(stack.low);
    assert_eq!(stack.take_above(second), Some(0x800));
}
