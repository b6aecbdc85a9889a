use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A call, and what is known of it.
struct Call {
    turn: Turn,
    count: Arc<Count>,
    /// The call that it was last polled within, or `GROUND`; `None` before it was polled.
    within: Option<u64>,
    /// Whether it waits to be woken, and how often it had been when that began.
    waits: Option<usize>,
}

impl Call {
    fn new(turns: &Arc<Turns>) -> Self {
        Self { turn: turns.enter(), count: Arc::default(), within: None, waits: None }
    }

    fn poll(&mut self) -> Poll<()> {
        let waker = Arc::clone(&self.count).into();
        let polled = self.turn.poll(&waker);
        self.waits = polled.is_pending().then(|| self.wakes());
        polled
    }

    fn was_woken(&self) -> bool {
        self.waits.is_none_or(|before| self.wakes() > before)
    }

    fn wakes(&self) -> usize {
        self.count.0.load(Ordering::SeqCst)
    }
}

#[derive(Clone, Debug)]
enum Op {
    Enter,
    /// Polls a call, within one that has begun or within none.
    Poll(Index, Index),
    End(Index),
    Clear,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        20 => Just(Op::Enter),
        60 => (any::<Index>(), any::<Index>()).prop_map(|(call, within)| Op::Poll(call, within)),
        20 => any::<Index>().prop_map(Op::End),
        1 => Just(Op::Clear),
    ]
}

proptest! {
    /// However calls are polled within each other and dropped: one on top of the others runs, those
    /// begin in the order they came who are polled within it, and whoever may go on is woken.
    #[test]
    fn turns_are_taken_in_order(ops in prop::collection::vec(op(), 0..200)) {
        let turns = Arc::new(Turns::default());
        let mut calls: Vec<Call> = Vec::new();
        // The numbers of those that have begun and not ended.
        let mut begun: Vec<u64> = Vec::new();
        for op in ops {
            let top = begun.last().copied();
            match op {
                Op::Enter => calls.push(Call::new(&turns)),
                Op::Clear => {
                    turns.clear();
                    begun.clear();
                }
                Op::End(_) | Op::Poll(..) if calls.is_empty() => continue,
                Op::End(which) => {
                    let ended = calls.remove(which.index(calls.len()));
                    begun.retain(|number| *number != ended.turn.number);
                    drop(ended);
                }
                Op::Poll(which, within) => {
                    let which = which.index(calls.len());
                    let number = calls[which].turn.number;
                    let at = within.index(begun.len() + 1);
                    let around = begun.get(at).copied().filter(|around| *around != number);
                    let _guard = around.and_then(|around| {
                        let call = calls.iter().find(|call| call.turn.number == around)?;
                        Some(call.turn.around())
                    });
                    let first = calls
                        .iter()
                        .filter(|call| !call.turn.begun && call.within == Some(around.unwrap_or(GROUND)))
                        .map(|call| call.turn.number)
                        .chain([number])
                        .min();
                    let call = &mut calls[which];
                    let polled = call.poll();
                    if call.turn.begun {
                        let waits = begun.contains(&number) && top != Some(number);
                        prop_assert_eq!(polled.is_pending(), waits);
                        continue;
                    }
                    call.within = Some(around.unwrap_or(GROUND));
                    prop_assert_eq!(polled.is_ready(), top == around);
                    let expected = match first {
                        _ if top != around => Begin::Woken,
                        first if first == Some(number) => Begin::Now,
                        _ => Begin::Asks,
                    };
                    prop_assert_eq!(call.turn.begin(), expected);
                    if expected == Begin::Now {
                        begun.push(number);
                    }
                }
            }
            // Whoever may go on was woken, or looks again by itself.
            let top = begun.last().copied();
            for call in &calls {
                let goes_on = match (call.turn.begun, call.within) {
                    (true, _) => top == Some(call.turn.number) || !begun.contains(&call.turn.number),
                    (false, Some(within)) => {
                        within == top.unwrap_or(GROUND) || within != GROUND && !begun.contains(&within)
                    }
                    (false, None) => false,
                };
                prop_assert!(!goes_on || call.was_woken());
            }
        }
        drop(calls);
        let inside = turns.inside.lock().unwrap();
        prop_assert!(inside.begun.is_empty() && !inside.ground.is_first(1));
    }
}

/// The first in the line is waited for as long as it may still come, and no longer.
#[test]
fn one_that_does_not_come_loses_its_turn() {
    let turns = Arc::new(Turns::default());
    let [mut running, mut gone, mut other, mut last] = [(); 4].map(|()| Call::new(&turns));
    for call in [&mut running, &mut gone, &mut other, &mut last] {
        let _ = call.poll();
    }
    assert_eq!(running.turn.begin(), Begin::Now);
    drop(running);
    assert!(gone.wakes() == 1 && other.wakes() == 1 && last.wakes() == 1);
    let mut asked = 0;
    loop {
        assert!(other.poll().is_ready());
        match other.turn.begin() {
            Begin::Asks => asked += 1,
            begin => break assert_eq!(begin, Begin::Now),
        }
    }
    assert!((1_000..1_100).contains(&asked), "{asked}");
    // It comes back to its place.
    assert!(gone.poll().is_pending() && last.poll().is_pending());
    drop(other);
    assert!(last.poll().is_ready() && gone.poll().is_ready());
    assert_eq!(last.turn.begin(), Begin::Asks);
    assert_eq!(gone.turn.begin(), Begin::Now);
}
