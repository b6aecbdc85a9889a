//! One guest, many threads: calls are started on one, go on on another, end on a third.
//! `.ci/thread-sanitizer` looks at this test more closely.

mod flight;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use asyncify_rt::{Call, StackPolicy};
use flight::answers::{plain_sum, recurse, sum};
use flight::{block_on, poll, stack_guest, w, with_policy};
use parking_lot::Mutex;

const THREADS: u64 = 4;
const ROUNDS: usize = 400;

/// Numbers that look random and are the same in every run (Marsaglia's xorshift).
struct Random(u64);

impl Random {
    /// An index into `len` things.
    fn index(&mut self, len: usize) -> usize {
        self.below(u32::try_from(len).unwrap()) as usize
    }

    fn below(&mut self, end: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u32::try_from(self.0 >> 32).unwrap() % end
    }
}

struct Flying {
    call: Call<(u32,)>,
    expected: u32,
}

/// Takes one of the shared calls.
fn take(shared: &Mutex<VecDeque<Flying>>, random: &mut Random) -> Option<Flying> {
    let mut shared = shared.lock();
    if shared.is_empty() {
        return None;
    }
    let at = random.index(shared.len());
    shared.swap_remove_back(at)
}

fn programs(policy: StackPolicy) {
    let (guest, gates) = with_policy(policy);
    let shared = Mutex::new(VecDeque::new());
    let ended = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let program = |seed| {
            let (guest, gates, shared, ended) = (&guest, &gates, &shared, &ended);
            scope.spawn(move || {
                let mut random = Random(seed);
                let sums = guest.all_exports().typed::<(u32, u32), (u32,)>("sum").unwrap();
                let depths = guest.all_exports().typed::<(u32, u32), (u32,)>("recurse").unwrap();
                let plain = guest.all_exports().typed::<(u32, u32), (u32,)>("plain_sum").unwrap();
                for round in 0..ROUNDS {
                    let (a, b) = (random.below(100), random.below(3));
                    match random.below(8) {
                        0 | 1 => {
                            let (call, expected) = (sums.call((a, b)), sum(a, b, &mut w));
                            shared.lock().push_back(Flying { call, expected });
                        }
                        2 => {
                            let (call, expected) = (depths.call((a, b)), recurse(a, b, &mut w));
                            shared.lock().push_back(Flying { call, expected });
                        }
                        3 => {
                            let waiting = gates.waiting();
                            if !waiting.is_empty() {
                                gates.open(waiting[random.index(waiting.len())]);
                            }
                        }
                        4 if round % 4 == 0 => drop(take(shared, &mut random)),
                        5 => {
                            let answer = block_on(plain.call_plain((a, b))).unwrap();
                            assert_eq!(answer, (plain_sum(a, b),));
                        }
                        _ => {
                            let Some(mut flying) = take(shared, &mut random) else { continue };
                            match poll(&mut flying.call) {
                                Poll::Pending => shared.lock().push_back(flying),
                                Poll::Ready(answer) => {
                                    assert_eq!(answer.unwrap(), (flying.expected,));
                                    ended.fetch_add(1, Ordering::Relaxed);
                                }
                            }
                        }
                    }
                }
            })
        };
        let threads: Vec<_> = (1..=THREADS).map(program).collect();
        // A sanitizer sees that a thread was joined, but not that a scope has ended.
        for thread in threads {
            thread.join().unwrap();
        }
    });
    gates.open_all();
    for flying in shared.into_inner() {
        assert_eq!(block_on(flying.call).unwrap(), (flying.expected,));
    }
    assert!(ended.into_inner() > 0);
    let stats = block_on(guest.stats()).unwrap();
    assert_eq!((stats.parked_calls, stats.parked_bytes), (0, 0));
}

#[test]
fn calls_move_between_threads() {
    programs(StackPolicy::Separate);
    programs(StackPolicy::Copied);
}

/// Under an executor that moves tasks as it likes, nothing but wakes brings a call back.
#[test]
fn tasks_of_an_executor() {
    for policy in [StackPolicy::Separate, StackPolicy::Exclusive] {
        tasks(policy);
    }
}

fn tasks(policy: StackPolicy) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_time()
        .build()
        .unwrap();
    let (guest, gates) = with_policy(policy);
    let opener = {
        let gates = gates.clone();
        runtime.spawn(async move {
            loop {
                for id in gates.waiting().into_iter().rev() {
                    gates.open(id);
                }
                tokio::time::sleep(Duration::from_micros(50)).await;
            }
        })
    };
    let sums = guest.all_exports().typed::<(u32, u32), (u32,)>("sum").unwrap();
    let tasks: Vec<_> = (0..200)
        .map(|seed| {
            let call = sums.call((seed, 3));
            // Some are given up, at any moment of theirs.
            let patience = Duration::from_micros(u64::from(seed % 5) * 200);
            runtime.spawn(async move {
                if seed % 5 == 0 {
                    return Some(call.await.unwrap());
                }
                tokio::time::timeout(patience, call).await.ok().map(|answer| answer.unwrap())
            })
        })
        .collect();
    for (seed, task) in (0..).zip(tasks) {
        let answer = runtime.block_on(task).unwrap();
        assert!(answer.is_some() || seed % 5 != 0);
        if let Some(answer) = answer {
            assert_eq!(answer, (sum(seed, 3, &mut w),));
        }
    }
    opener.abort();
    let stats = block_on(guest.stats()).unwrap();
    assert_eq!((stats.parked_calls, stats.parked_bytes), (0, 0));
}

/// A guest that is poisoned wakes calls that are parked, whoever polls them, with whatever waker.
#[test]
fn everybody_is_told_of_a_poisoning() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
    for _ in 0..40 {
        let (guest, _gates) =
            stack_guest(|builder| builder.stack_policy(StackPolicy::Copied).host_end_poisons());
        let sums = guest.all_exports().typed::<(u32, u32), (u32,)>("sum").unwrap();
        let tasks: Vec<_> = (0..8)
            .map(|seed| {
                let mut call = sums.call((seed, 3));
                // Parked under another waker than its task's.
                let _ = poll(&mut call);
                runtime.spawn(call)
            })
            .collect();
        let mut dropped = sums.call((8, 3));
        assert!(poll(&mut dropped).is_pending());
        drop(dropped);
        assert!(block_on(guest.is_poisoned()).unwrap());
        for task in tasks {
            let error = runtime.block_on(task).unwrap().unwrap_err();
            assert!(matches!(error, asyncify_rt::Error::Poisoned { .. }), "{error}");
        }
    }
}
