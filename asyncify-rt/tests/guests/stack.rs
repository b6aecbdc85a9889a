//! Frames on the shadow stack of a C guest: `stack.wasm`, and `stack-libc.wasm`, the same linked
//! with a libc.

use asyncify_rt::{Call, Guest, Module, Place, StackPolicy};
use wasmtime::Engine;

use crate::common::{Desk, answer, block_on, call, ends, example, park, yielding_wait};

const GUESTS: [&str; 2] = ["stack.wasm", "stack-libc.wasm"];
const POLICIES: [StackPolicy; 2] = [StackPolicy::Separate, StackPolicy::Copied];
const YIELDS: [u32; 3] = [0, 1, 4];

fn mix(so_far: u32, word: u32) -> u32 {
    (so_far ^ word).wrapping_mul(16_777_619)
}

fn fill(words: &mut [u32], seed: u32) {
    for (word, i) in words.iter_mut().zip(0..) {
        *word = seed.wrapping_mul(2_654_435_761).wrapping_add(i);
    }
}

fn mix_all(so_far: u32, words: &[u32]) -> u32 {
    words.iter().fold(so_far, |so_far, word| mix(so_far, *word))
}

fn waited(tag: u32) -> u32 {
    tag.wrapping_mul(3).wrapping_add(1)
}

fn inner(seed: u32) -> u32 {
    let mut words = [0; 8];
    fill(&mut words, seed);
    mix_all(waited(seed), &words)
}

fn outer(seed: u32) -> u32 {
    let mut words = [0; 12];
    fill(&mut words, !seed);
    let first = inner(seed);
    words[seed as usize % 12] ^= first;
    mix_all(first.wrapping_add(inner(seed.wrapping_add(1))), &words)
}

/// What `sum(seed, n)` returns.
fn sum(seed: u32, n: u32) -> u32 {
    let (mut words, mut total) = ([0_u32; 16], seed);
    fill(&mut words, seed);
    for i in 0..n {
        total = mix(total, outer(seed.wrapping_add(i)));
        let word = &mut words[i as usize % 16];
        *word = word.wrapping_add(total);
    }
    mix_all(total, &words)
}

/// What `recurse(depth, tag)` returns.
fn recurse(depth: u32, tag: u32) -> u32 {
    (1..=depth).fold(waited(tag), |below, depth| {
        let mut words = [0; 4];
        fill(&mut words, tag.wrapping_add(depth));
        mix_all(below, &words)
    })
}

/// Regions need a place. Where nothing does, the window is borrowed.
fn place(module: &Module, policy: StackPolicy) -> Place {
    match (module.findings().allocator(), policy) {
        (None, StackPolicy::Separate) => Place::Grow,
        _ => Place::Auto,
    }
}

fn guest(name: &str, policy: StackPolicy, yields: u32) -> Guest {
    let engine = Engine::default();
    let module = example(&engine, name);
    let builder = Guest::builder(&module).async_imports(yielding_wait(&engine, yields));
    let builder = builder.place(place(&module, policy));
    block_on(builder.stack_policy(policy).instantiate()).unwrap()
}

fn asked(name: &str, policy: StackPolicy, desk: &Desk) -> Guest {
    let engine = Engine::default();
    let module = example(&engine, name);
    let builder = Guest::builder(&module).async_imports(desk.imports(&engine));
    let builder = builder.place(place(&module, policy));
    block_on(builder.stack_policy(policy).instantiate()).unwrap()
}

fn two(guest: &Guest, name: &str, params: (u32, u32)) -> Call<(u32,)> {
    guest.all_exports().typed::<(u32, u32), (u32,)>(name).unwrap().call(params)
}

fn plain(guest: &Guest, name: &str) -> u32 {
    guest.try_with(|cx| cx.call::<(), u32>(name, ())).unwrap().unwrap()
}

#[test]
fn the_formulas_are_the_guests_own() {
    let guest = guest("stack.wasm", StackPolicy::Separate, 0);
    for (seed, n) in [(0, 0), (7, 5), (1, 1), (u32::MAX, 20)] {
        assert_eq!(block_on(two(&guest, "expected", (seed, n))).unwrap().0, sum(seed, n));
    }
    for (depth, tag) in [(0, 3), (1, 4), (50, 5)] {
        let expected = block_on(two(&guest, "expected_recurse", (depth, tag))).unwrap().0;
        assert_eq!(expected, recurse(depth, tag));
    }
}

#[test]
fn calls_at_once_keep_their_stacks_whether_their_imports_wait_or_not() {
    for name in GUESTS {
        for policy in POLICIES {
            for yields in YIELDS {
                let guest = guest(name, policy, yields);
                let calls = async {
                    futures::join!(
                        two(&guest, "sum", (7, 5)),
                        two(&guest, "sum", (1, 9)),
                        two(&guest, "recurse", (40, 3)),
                        two(&guest, "plain_sum", (3, 100)),
                    )
                };
                let (first, second, third, fourth) = block_on(calls);
                assert_eq!(first.unwrap().0, sum(7, 5), "{name} {policy:?} {yields}");
                assert_eq!(second.unwrap().0, sum(1, 9));
                assert_eq!(third.unwrap().0, recurse(40, 3));
                assert_eq!(fourth.unwrap().0, (0..100).map(|i| 3 * i).sum::<u32>());
                let stats = guest.try_stats().unwrap();
                assert_eq!((stats.parked_calls, stats.parked_bytes), (0, 0));
            }
        }
    }
}

/// Every order in which the steps of several calls can be taken.
fn interleavings(left: &mut [usize], order: &mut Vec<usize>, visit: &mut impl FnMut(&[usize])) {
    if left.iter().all(|left| *left == 0) {
        return visit(order);
    }
    for which in 0..left.len() {
        if left[which] > 0 {
            left[which] -= 1;
            order.push(which);
            interleavings(left, order, visit);
            order.pop();
            left[which] += 1;
        }
    }
}

/// Starts a call of `sum(tag, 1)` for each of `tags`, and answers their two waits each in `order`.
fn interleave(guest: &Guest, desk: &Desk, tags: &[u32], order: &[usize]) {
    let mut calls: Vec<_> = tags.iter().map(|tag| two(guest, "sum", (*tag, 1))).collect();
    let mut steps = vec![0; tags.len()];
    for &which in order {
        match steps[which] {
            0 => park(&mut calls[which]),
            step => {
                desk.answer((tags[which] + step - 1).cast_signed());
                if step == 1 {
                    park(&mut calls[which]);
                } else {
                    assert_eq!(ends(&mut calls[which]).0, sum(tags[which], 1), "{order:?}");
                }
            }
        }
        steps[which] += 1;
    }
}

#[test]
fn two_calls_take_their_steps_in_every_order() {
    for name in GUESTS {
        for policy in POLICIES {
            let desk = Desk::new();
            let guest = asked(name, policy, &desk);
            let (mut orders, mut left) = (0, [3, 3]);
            interleavings(&mut left, &mut Vec::new(), &mut |order| {
                interleave(&guest, &desk, &[100, 200], order);
                orders += 1;
            });
            assert_eq!(orders, 20);
            assert_eq!(guest.try_stats().unwrap().parked_calls, 0);
            assert_eq!(block_on(two(&guest, "expected", (9, 3))).unwrap().0, sum(9, 3));
        }
    }
}

#[test]
fn three_calls_take_their_steps_in_every_order() {
    for policy in POLICIES {
        let desk = Desk::new();
        let guest = asked("stack.wasm", policy, &desk);
        let (mut orders, mut left) = (0, [3, 3, 3]);
        interleavings(&mut left, &mut Vec::new(), &mut |order| {
            interleave(&guest, &desk, &[100, 200, 300], order);
            orders += 1;
        });
        assert_eq!(orders, 1_680);
        let stats = guest.try_stats().unwrap();
        let regions = if policy == StackPolicy::Separate { 2 } else { 0 };
        assert_eq!((stats.parked_calls, stats.regions), (0, regions), "{policy:?}");
    }
}

#[test]
fn a_recursion_of_1000_frames_of_a_c_guest_suspends() {
    for name in GUESTS {
        for policy in POLICIES {
            let guest = guest(name, policy, 1);
            let calls = async {
                futures::join!(two(&guest, "recurse", (1_000, 3)), two(&guest, "recurse", (999, 4)))
            };
            let (first, second) = block_on(calls);
            assert_eq!(first.unwrap().0, recurse(1_000, 3), "{name} {policy:?}");
            assert_eq!(second.unwrap().0, recurse(999, 4));
        }
    }
}

/// A call that has filled the queue in the guest leads through other calls' parked frames.
#[test]
fn pointers_into_parked_frames_stay_good_when_stacks_are_separate() {
    for name in GUESTS {
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [1, 0, 2]] {
            let desk = Desk::new();
            let guest = asked(name, StackPolicy::Separate, &desk);
            let tags = [10, 200, 3_000];
            let mut calls = tags.map(|tag| call(&guest, "enqueue_and_wait", tag));
            let (mut total, mut len) = (0, 0);
            for (call, tag) in calls.iter_mut().zip(tags) {
                park(call);
                (total, len) = (total + tag, len + 1);
                assert_eq!(plain(&guest, "list_sum").cast_signed(), total);
                assert_eq!(plain(&guest, "list_len"), len);
                assert_eq!(block_on(two(&guest, "plain_sum", (5, 64))).unwrap().0, 5 * 63 * 32);
            }
            for which in order {
                desk.answer(tags[which]);
                let value = tags[which] * 31 + answer(tags[which]);
                assert_eq!(ends(&mut calls[which]), (value,), "{name} {order:?}");
                (total, len) = (total - tags[which], len - 1);
                assert_eq!(plain(&guest, "list_sum").cast_signed(), total);
                assert_eq!(plain(&guest, "list_len"), len);
            }
        }
    }
}

#[test]
fn dropped_calls_leave_the_others_and_the_stack_as_they_were() {
    for name in GUESTS {
        for policy in POLICIES {
            let desk = Desk::new();
            let guest = asked(name, policy, &desk);
            for _ in 0..200 {
                let mut calls = [1, 2, 3].map(|tag| two(&guest, "recurse", (20, tag)));
                calls.iter_mut().for_each(park);
                let [dropped, mut kept, also_dropped] = calls;
                drop((dropped, also_dropped));
                desk.answer(2);
                assert_eq!(ends(&mut kept).0, recurse(20, 2));
            }
            let stats = guest.try_stats().unwrap();
            assert_eq!((stats.parked_calls, stats.parked_bytes), (0, 0));
            assert!(stats.regions <= 2, "{name} {policy:?} {}", stats.regions);
        }
    }
}

#[test]
fn the_libc_guest_is_initialized_and_places_things_by_its_allocator() {
    let engine = Engine::default();
    let module = example(&engine, "stack-libc.wasm");
    assert_eq!(module.findings().initializer(), Some("_initialize"));
    assert!(module.findings().allocator().is_some());
    let desk = Desk::new();
    let guest = asked("stack-libc.wasm", StackPolicy::Separate, &desk);
    // `_initialize` traps when it is called a second time.
    let again = guest.all_exports().typed::<(), ()>("_initialize").unwrap().call(());
    assert!(block_on(again).is_err(), "it was called once already");
    block_on(guest.clear_poison()).unwrap();
    let placed = guest.try_with(|cx| {
        let slice = cx.place(b"kept").unwrap();
        let kept = cx.read(slice.ptr, slice.len).unwrap().to_vec();
        cx.free(slice).unwrap();
        kept
    });
    assert_eq!(placed.unwrap(), b"kept");
}
