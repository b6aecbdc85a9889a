//! The rows that are a matter of room: each is taken in a process of its own.

use std::pin::Pin;
use std::time::Duration;

use asyncify_benches::by_hand::{self, Fibers};
use asyncify_benches::host::Host;
use asyncify_benches::table::{Row, Unit};
use asyncify_benches::{drive, ours, process};
use wasmtime::Engine;

const FRAMES: u32 = 3;
const OURS: &str = "--park-ours";
const THEIRS: &str = "--park-theirs";

pub(crate) fn rows(quick: bool) -> Vec<Row> {
    let measured = |side: &str, calls: u32| {
        let printed = process::again(&[side, &calls.to_string()], Duration::from_secs(10));
        let mut figures = printed.split(' ').map(|figure| figure.parse().unwrap_or(f64::NAN));
        (figures.next().unwrap_or(f64::NAN), figures.next().unwrap_or(f64::NAN))
    };
    let (_, ours) = measured(OURS, 10_000);
    let (_, theirs) = measured(THEIRS, 10_000);
    // Ours stop at a figure, theirs where the process dies: what was printed last counts.
    let most = if quick { 100_000 } else { 1_000_000 };
    let (most_ours, _) = measured(OURS, most);
    let (most_theirs, _) = measured(THEIRS, most);
    vec![
        Row::of("memory of a suspended call among 10,000", Unit::Bytes, ours, theirs, Some(0.05)),
        Row::of(
            "the most calls suspended in one process",
            Unit::Calls,
            most_ours,
            most_theirs,
            None,
        ),
    ]
}

/// Parks calls, if that is what this process is for: how many, and the bytes that each takes.
pub(crate) fn child(args: &[String]) -> Option<String> {
    let [side, calls] = args else { return None };
    let calls: u32 = calls.parse().ok()?;
    match side.as_str() {
        OURS => Some(park_ours(calls)),
        THEIRS => Some(drive::spin(park_theirs(calls))),
        _ => None,
    }
}

fn say(parked: u32, before: u64) -> String {
    let bytes = process::resident().saturating_sub(before) / u64::from(parked.max(1));
    format!("{parked} {bytes}")
}

fn park_ours(calls: u32) -> String {
    let (_guest, exports) = ours::instantiate(&ours::module(&Engine::default()), Host::default());
    // What the first call makes is not each call's.
    let mut first = exports.spin(FRAMES, 1);
    assert!(drive::poll_once(Pin::new(&mut first)).is_pending());
    let before = process::resident();
    let mut parked = Vec::new();
    for _ in 0..calls {
        let mut call = exports.spin(FRAMES, 1);
        if drive::poll_once(Pin::new(&mut call)).is_ready() {
            break;
        }
        parked.push(call);
        if parked.len() % 50_000 == 0 {
            println!("{}", say(u32::try_from(parked.len()).unwrap_or_default(), before));
        }
    }
    say(u32::try_from(parked.len()).unwrap_or_default(), before)
}

async fn park_theirs(calls: u32) -> String {
    let fibers = Fibers::new(&Engine::default());
    let before = process::resident();
    let mut parked = Vec::new();
    for count in 0..calls {
        let guest = fibers.instantiate(Host::default()).await;
        let mut call = Box::pin(async move {
            let by_hand::Guest { mut store, spin, .. } = guest;
            spin.call_async(&mut store, (FRAMES, 1)).await
        });
        if drive::poll_once(call.as_mut()).is_ready() {
            break;
        }
        parked.push(call);
        // It dies or hangs without another word.
        if count % 100 == 99 {
            println!("{}", say(count + 1, before));
        }
    }
    say(u32::try_from(parked.len()).unwrap_or_default(), before)
}
