//! `Call::cancel`: the guest is answered, and can clean up.

use asyncify_rt::Error;
use wasmtime::Val;

use crate::common::{Desk, answer, assert_error, call, ends, fails, guest_with, park, ran};

#[test]
fn a_cancelled_call_resumes_with_the_given_answer() {
    let desk = Desk::new();
    let guest = guest_with(&desk, "");
    let mut run = call(&guest, "run", 5);
    park(&mut run);
    run.cancel(&[Val::I32(-125)]).unwrap();
    assert_eq!(desk.dropped(), 1, "the import's future is dropped at once");
    assert_eq!(ends(&mut run), (-120,));
    assert_eq!(guest.try_stats().unwrap().parked_calls, 0);
    desk.answer(6);
    assert_eq!(ends(&mut call(&guest, "run", 6)), (answer(6) + 6,));
}

#[test]
fn only_a_parked_call_can_be_cancelled() {
    const TEXT: &str =
        "`run` is not parked, so there is no import to answer; drop the call instead";
    let desk = Desk::new();
    let guest = guest_with(&desk, "");
    let mut run = call(&guest, "run", 5);
    let not_parked = |result: asyncify_rt::Result<()>| {
        assert_error!(result.unwrap_err(), Error::NotParked { function } if function == "run", TEXT);
    };
    not_parked(run.cancel(&[Val::I32(1)]));
    park(&mut run);
    run.cancel(&[Val::I32(1)]).unwrap();
    not_parked(run.cancel(&[Val::I32(2)]));
    assert_eq!(ends(&mut run), (6,));
    not_parked(run.cancel(&[Val::I32(3)]));
}

#[test]
fn a_call_that_is_refused_the_cancelling_goes_on_as_before() {
    let desk = Desk::new();
    let guest = guest_with(&desk, "");
    let mut run = call(&guest, "run", 5);
    run.cancel(&[Val::I32(1)]).unwrap_err();
    park(&mut run);
    desk.answer(5);
    assert_eq!(ends(&mut run), (ran(5),));
}

#[test]
fn an_answer_of_another_type_ends_the_call_alone() {
    let desk = Desk::new();
    let guest = guest_with(&desk, "");
    for wrong in [vec![], vec![Val::I64(1)], vec![Val::I32(1), Val::I32(2)]] {
        let mut run = call(&guest, "run", 5);
        park(&mut run);
        run.cancel(&wrong).unwrap();
        assert_error!(
            fails(&mut run),
            Error::BadValue { function, parameter, .. } if function == "env.wait" && parameter == "result",
            format!("`env.wait`: parameter `result`: it was answered {wrong:?}, and its results are (i32)")
        );
    }
    desk.answer(6);
    assert_eq!(ends(&mut call(&guest, "run", 6)), (ran(6),));
}
