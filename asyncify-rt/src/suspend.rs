//! How a guest is suspended and resumed: the only room that knows a protocol.
//!
//! Whoever uses it knows of no place where frames lie, of no state of the guest's, and of no call
//! that is made a second time:
//!
//! | | |
//! | --- | --- |
//! | [`enter`], [`settle`] | a call begins; something runs within one |
//! | [`check_able`], [`check_frames`], [`begin`] | an import waits: from now on the guest leaves its frames |
//! | [`returned`], [`check_ended`], [`check_suspended`] | a run of wasm is over: did it suspend? |
//! | [`take_frames`] | takes what was left |
//! | [`put_frames`], [`resume`] | puts that back, and goes on with an answer |
//! | [`room_needed`], [`take_room`], [`make_do`] | where both need room in the guest |
//! | [`answer`] | an import is reached that is to be answered |
//! | [`set_frames_aside`], [`bring_frames_back`] | host code runs between frames, in a trampoline |
//! | [`forget`], [`give_up`] | it failed: whatever had begun is undone |
//! | [`overflow`] | what a trap means that frames may have met |
//!
//! There is one protocol, Binaryen's. Another one need not make calls again, nor have room for
//! frames in the guest.

mod binaryen;

pub(crate) use binaryen::{
    answer, astray, begin, bring_frames_back, check_able, check_ended, check_frames,
    check_suspended, enter, forget, give_up, is_resuming, is_suspending, make_do, never_reached,
    note_caller, overflow, put_frames, resume, returned, room_needed, set_frames_aside, settle,
    take_frames, take_room,
};
