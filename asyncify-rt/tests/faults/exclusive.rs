//! Calls that take turns whole: who begins, who waits, and what passes a turn on.

use asyncify_rt::{Call, Error, Guest, Place, StackPolicy};
use proptest::prelude::*;
use wasmtime::Val;

use crate::collected::{COLLECTED, ENGINE, guest, pointer};
use crate::common::{
    Desk, RUN, WAIT, Wakes, block_on, call, ends, fails, module, park, poll, poll_with, ran,
};

/// Polls a call until it has begun or so often that it would have.
fn insist<R: std::fmt::Debug>(call: &mut Call<R>, desk: &Desk) -> bool {
    let before = desk.asked().len();
    for _ in 0..5_000 {
        park(call);
        if desk.asked().len() > before {
            return true;
        }
    }
    false
}

#[test]
fn a_call_that_is_dropped_passes_its_turn_on() {
    let desk = Desk::new();
    let guest = guest(&desk);
    let mut first = call(&guest, "holds", 1);
    park(&mut first);
    let (counted, wakers): (Vec<_>, Vec<_>) = (0..3).map(|_| Wakes::new()).unzip();
    let mut others = [2, 3, 4].map(|x| call(&guest, "holds", x));
    for (other, waker) in others.iter_mut().zip(&wakers) {
        assert!(poll_with(other, waker).is_pending());
    }
    let [second, mut third, fourth] = others;
    // One that waits goes: nobody else need know.
    drop(second);
    assert_eq!(counted[1].count(), 0);
    // The one that all wait for.
    drop(first);
    assert_eq!(desk.dropped(), 1);
    assert!(counted[1].count() == 1 && counted[2].count() == 1);
    park(&mut third);
    assert_eq!(desk.asked(), [1, 3]);
    assert_eq!(pointer(&guest), 8176, "the first one's part is free");
    desk.answer(3);
    assert_eq!(ends(&mut third), (ran(3),));
    drop(fourth);
    assert_eq!(pointer(&guest), 8192);
}

#[test]
fn one_that_does_not_come_loses_its_turn_and_keeps_its_place() {
    let desk = Desk::new();
    let guest = guest(&desk);
    let mut first = call(&guest, "holds", 1);
    park(&mut first);
    let mut kept = [2, 3].map(|x| call(&guest, "holds", x));
    kept.iter_mut().for_each(park);
    let mut others = [4, 5].map(|x| call(&guest, "holds", x));
    others.iter_mut().for_each(park);
    desk.answer(1);
    assert_eq!(ends(&mut first), (ran(1),));
    // Nobody polls the second and the third.
    assert!(insist(&mut others[0], &desk));
    assert_eq!(desk.asked(), [1, 4]);
    // They come back, before the one behind them.
    kept.iter_mut().for_each(park);
    desk.answer(4);
    assert_eq!(ends(&mut others[0]), (ran(4),));
    park(&mut others[1]);
    park(&mut kept[1]);
    assert_eq!(desk.asked(), [1, 4]);
    park(&mut kept[0]);
    assert_eq!(desk.asked(), [1, 4, 2]);
}

#[test]
fn a_call_that_is_told_to_clean_up_keeps_its_turn() {
    let desk = Desk::new();
    let guest = guest(&desk);
    let mut calls = [1, 2].map(|x| call(&guest, "holds", x));
    calls.iter_mut().for_each(park);
    assert!(matches!(calls[1].cancel(&[Val::I32(0)]), Err(Error::NotParked { .. })));
    calls[0].cancel(&[Val::I32(50)]).unwrap();
    park(&mut calls[1]);
    assert_eq!(desk.asked(), [1]);
    assert_eq!(ends(&mut calls[0]), (51,));
    park(&mut calls[1]);
    assert_eq!(desk.asked(), [1, 2]);
}

#[test]
fn a_trap_gives_the_stack_back_and_lets_the_next_one_begin() {
    let desk = Desk::new();
    let guest = guest(&desk);
    let mut traps = call(&guest, "traps", 1);
    let mut next = call(&guest, "holds", 2);
    park(&mut traps);
    park(&mut next);
    desk.answer(1);
    assert!(matches!(fails(&mut traps), Error::Trap { .. }));
    assert_eq!(pointer(&guest), 8192);
    park(&mut next);
    desk.answer(2);
    assert_eq!(ends(&mut next), (ran(2),));
}

/// One that is over says so, whoever's turn it is.
#[test]
fn a_call_that_has_ended_waits_for_no_turn() {
    let desk = Desk::new();
    let guest = guest(&desk);
    let mut over = call(&guest, "holds", 1);
    park(&mut over);
    desk.answer(1);
    assert_eq!(ends(&mut over), (ran(1),));
    park(&mut call(&guest, "holds", 2));
    let mut parked = call(&guest, "holds", 3);
    park(&mut parked);
    assert!(matches!(fails(&mut over), Error::CallEnded));
}

/// What is done with the guest in hand waits for nobody: it runs above what is parked.
#[test]
fn the_guest_in_hand_waits_for_no_turn() {
    let desk = Desk::new();
    let guest = guest(&desk);
    let mut parked = call(&guest, "holds", 1);
    park(&mut parked);
    assert_eq!(pointer(&guest), 8176);
    let plain = guest.all_exports().typed::<(), (i32,)>("pointer").unwrap();
    let mut plain = plain.call_plain(());
    assert!(poll(&mut plain).is_pending(), "a call is a call");
    desk.answer(1);
    assert_eq!(ends(&mut parked), (ran(1),));
    assert_eq!(block_on(plain).unwrap(), (8192,));
}

#[test]
fn poisoning_ends_those_who_wait() {
    let desk = Desk::new();
    let module = module(&ENGINE, &format!("{WAIT} {COLLECTED}"));
    let builder = Guest::builder(&module).async_imports(desk.imports(&ENGINE));
    let builder = builder.stack_policy(StackPolicy::Exclusive).place(Place::Range(16384..65536));
    let guest = block_on(builder.window_size(1024).instantiate()).unwrap();
    let mut traps = call(&guest, "traps", 1);
    park(&mut traps);
    let (counted, waker) = Wakes::new();
    let mut next = call(&guest, "holds", 2);
    assert!(poll_with(&mut next, &waker).is_pending());
    desk.answer(1);
    assert!(matches!(fails(&mut traps), Error::Trap { .. }));
    assert!(counted.count() > 0);
    assert!(matches!(fails(&mut next), Error::Poisoned { .. }));
    block_on(guest.clear_poison()).unwrap();
    let mut after = call(&guest, "holds", 3);
    park(&mut after);
    desk.answer(3);
    assert_eq!(ends(&mut after), (ran(3),));
}

#[test]
fn an_uncertain_stack_pointer_is_left_alone() {
    let desk = Desk::new();
    let two =
        "(memory 1) (global $a (mut i32) (i32.const 1024)) (global $b (mut i32) (i32.const 2048))
         (func (global.set $a (i32.sub (global.get $a) (i32.const 16)))
           (global.set $b (i32.sub (global.get $b) (i32.const 16))) unreachable)";
    let module = module(&ENGINE, &format!("{WAIT} {two} {RUN}"));
    let builder = Guest::builder(&module).async_imports(desk.imports(&ENGINE));
    let guest = block_on(builder.stack_policy(StackPolicy::Exclusive).instantiate()).unwrap();
    let mut calls = [1, 2].map(|x| call(&guest, "run", x));
    for x in [1, 2] {
        calls.iter_mut().skip(usize::from(x == 2)).for_each(park);
        desk.answer(x);
        assert_eq!(ends(&mut calls[usize::from(x == 2)]), (ran(x),));
    }
    // What it had on the stack cannot be freed.
    let mut dropped = call(&guest, "run", 3);
    park(&mut dropped);
    drop(dropped);
    assert!(block_on(guest.is_poisoned()).unwrap());
}

#[derive(Clone, Debug)]
enum Op {
    Start,
    Poll(prop::sample::Index),
    Answer,
    Drop(prop::sample::Index),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => Just(Op::Start),
        4 => any::<prop::sample::Index>().prop_map(Op::Poll),
        3 => Just(Op::Answer),
        1 => any::<prop::sample::Index>().prop_map(Op::Drop),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Of calls that are started, polled, answered and dropped at random, the one runs that came
    /// first.
    #[test]
    fn turns_go_by_who_came_first(ops in prop::collection::vec(op(), 1..80)) {
        let desk = Desk::new();
        let guest = guest(&desk);
        let mut calls: Vec<(i32, Call<(i32,)>)> = Vec::new();
        // Whose turn it is, whether it is answered, and who began so far.
        let (mut turn, mut begun) = (None::<(i32, bool)>, Vec::new());
        let mut next = 0;
        for op in ops {
            let which = match op {
                Op::Start => {
                    next += 1;
                    calls.push((next, call(&guest, "holds", next)));
                    calls.len() - 1
                }
                Op::Answer => {
                    if let Some((x, answered @ false)) = &mut turn {
                        desk.answer(*x);
                        *answered = true;
                    }
                    continue;
                }
                Op::Poll(_) | Op::Drop(_) if calls.is_empty() => continue,
                Op::Poll(which) => which.index(calls.len()),
                Op::Drop(which) => {
                    let (x, call) = calls.remove(which.index(calls.len()));
                    drop(call);
                    turn = turn.filter(|(of, _)| *of != x);
                    continue;
                }
            };
            let (x, call) = &mut calls[which];
            let x = *x;
            match turn {
                Some((of, true)) if of == x => {
                    prop_assert_eq!(ends(call), (ran(x),));
                    drop(calls.remove(which));
                    turn = None;
                }
                turn_of => {
                    park(call);
                    if turn_of.is_none() && which == 0 {
                        begun.push(x);
                        turn = Some((x, false));
                    }
                }
            }
            prop_assert_eq!(&desk.asked(), &begun);
        }
        drop(calls);
        prop_assert_eq!(pointer(&guest), 8192);
        prop_assert_eq!(guest.try_stats().unwrap().parked_calls, 0);
    }
}
