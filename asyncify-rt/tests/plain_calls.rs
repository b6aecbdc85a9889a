//! Calls that must not suspend: they borrow, wait for their turn, and leave nothing behind.

mod flight;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Waker};

use asyncify_rt::{Error, Guest, Module, Result, StackPolicy, TypedAsyncFunction};
use flight::answers::{plain_sum, recurse};
use flight::{Count, block_on, poll, stack_pointer, w, with_policy};
use wasmtime::Engine;

type PlainSum = TypedAsyncFunction<(u32, u32), (u32,)>;

fn poll_with<R>(
    call: &mut (impl Future<Output = Result<R>> + Unpin),
    waker: &Waker,
) -> Poll<Result<R>> {
    Pin::new(call).poll(&mut Context::from_waker(waker))
}

fn plain_sum_of(guest: &Guest) -> PlainSum {
    guest.all_exports().typed("plain_sum").unwrap()
}

#[test]
fn it_runs_while_others_are_parked() {
    for policy in [StackPolicy::Separate, StackPolicy::Copied] {
        let (guest, gates) = with_policy(policy);
        let function = guest.all_exports().typed::<(u32, u32), (u32,)>("recurse").unwrap();
        let mut parked: Vec<_> = (0..3).map(|tag| function.call((4, tag))).collect();
        for call in &mut parked {
            assert!(poll(call).is_pending());
        }
        let plain = plain_sum_of(&guest);
        for n in 0..100 {
            let answer = block_on(plain.call_plain((7, n))).unwrap();
            assert_eq!(answer, (plain_sum(7, n),), "{policy:?}");
        }
        gates.open_all();
        for (call, tag) in parked.iter_mut().zip(0..) {
            let Poll::Ready(answer) = poll(call) else { panic!("{tag} did not end") };
            assert_eq!(answer.unwrap(), (recurse(4, tag, &mut w),), "{policy:?}");
        }
    }
}

#[test]
fn it_waits_for_its_turn_and_is_woken() {
    let (guest, _gates) = with_policy(StackPolicy::Separate);
    let plain = plain_sum_of(&guest);
    let (held, done) = (Barrier::new(2), Barrier::new(2));
    let wakes = Arc::new(Count::default());
    std::thread::scope(|scope| {
        let holder = scope.spawn(|| {
            guest.try_with(|_| {
                held.wait();
                done.wait();
            })
        });
        held.wait();
        let mut call = plain.call_plain((3, 5));
        let mut dropped = plain.call_plain((3, 6));
        assert!(poll_with(&mut call, &wakes.waker()).is_pending());
        assert!(poll_with(&mut dropped, Waker::noop()).is_pending());
        drop(dropped);
        assert_eq!(wakes.count(), 0);
        done.wait();
        holder.join().unwrap().unwrap();
        assert_eq!(wakes.count(), 1);
        let answer = poll_with(&mut call, &wakes.waker());
        assert!(matches!(answer, Poll::Ready(Ok((sum,))) if sum == plain_sum(3, 5)));
    });
}

#[test]
fn it_ends_once() {
    let (guest, _gates) = with_policy(StackPolicy::Separate);
    let plain = plain_sum_of(&guest);
    let mut call = plain.call_plain((3, 5));
    assert_eq!(format!("{call:?}"), r#"PlainCall { function: "plain_sum", .. }"#);
    assert!(matches!(poll_with(&mut call, Waker::noop()), Poll::Ready(Ok(_))));
    let again = poll_with(&mut call, Waker::noop());
    assert!(matches!(again, Poll::Ready(Err(Error::CallEnded))));
}

#[test]
fn it_is_told_where_it_would_wait_for_itself() {
    let (guest, _gates) = with_policy(StackPolicy::Separate);
    let plain = plain_sum_of(&guest);
    let inside = guest.try_with(|_| block_on(plain.call_plain((3, 5)))).unwrap();
    assert!(matches!(inside, Err(Error::Reentered)), "{inside:?}");
    assert_eq!(block_on(plain.call_plain((3, 5))).unwrap(), (plain_sum(3, 5),));
}

#[test]
fn what_waits_in_it_is_refused_and_undone() {
    let (guest, gates) = with_policy(StackPolicy::Separate);
    let module = flight::module(&Engine::default(), "stack.wasm");
    let before = stack_pointer(&guest, &module);
    let function = guest.all_exports().typed::<(u32, u32), (u32,)>("recurse").unwrap();
    let error = block_on(function.call_plain((4, 1))).unwrap_err();
    assert!(
        matches!(&error, Error::MustNotSuspend { function, import }
            if (&**function, &**import) == ("recurse", "env.wait")),
        "{error:?}"
    );
    assert!(gates.waiting().is_empty());
    assert_eq!(stack_pointer(&guest, &module), before);
    assert_eq!(block_on(guest.stats()).unwrap().parked_calls, 0);
}

#[test]
fn a_trap_in_it_names_the_function_and_poisons() {
    let wat = r#"(module (memory (export "memory") 1) (func (export "fail") unreachable))"#;
    let module = Module::new(&Engine::default(), wat).unwrap();
    let guest = block_on(Guest::builder(&module).instantiate()).unwrap();
    let fail = guest.all_exports().typed::<(), ()>("fail").unwrap();
    let error = block_on(fail.call_plain(())).unwrap_err();
    assert!(matches!(&error, Error::Trap { function, .. } if function == "fail"), "{error:?}");
    assert!(matches!(block_on(fail.call_plain(())), Err(Error::Poisoned { .. })));
}
