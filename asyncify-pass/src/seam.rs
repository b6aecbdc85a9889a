//! What a host drives the module by: functions that are added to it.
//!
//! ```text
//! segment   | frame | frame | ... | trailer |     what one suspension wrote, the innermost frame first
//!           ^ begin                         ^ end
//! trailer   0               4                 8                 12
//!           | trailer-begin | trailer-frame   | trailer-trailer | 0 |
//!                             where to go on in an older segment, and that one's trailer; 0: nowhere
//! ```
//!
//! `run` goes on with one frame after the other, the innermost first. Each is called through its
//! companion, and leaves its results in globals for the next. If one suspends again, what it wrote
//! becomes a segment, whose trailer says where the rest is. All distances are relative, so that the
//! bytes of a call can be put anywhere.

use wasm_encoder::{BlockType, InstructionSink};
use wasmparser::ValType;

use crate::added::{Added, References, nullable};
use crate::error::Result;

/// Bytes of a trailer.
const TRAILER: i32 = 16;

/// A function that is added: its type and its body.
pub(crate) struct Function {
    /// The type, where it is one of the module's own.
    pub(crate) ty: Option<u32>,
    pub(crate) params: Vec<ValType>,
    pub(crate) results: Vec<ValType>,
    pub(crate) body: Vec<u8>,
}

/// Makes a body: its locals behind the parameters, and its code, without the last `end`.
fn function(
    params: &[ValType],
    results: &[ValType],
    locals: &[ValType],
    code: impl FnOnce(&mut InstructionSink<'_>),
) -> Result<Function> {
    let mut body = Vec::new();
    crate::body::locals(&mut body, 0, &[], locals)?;
    let mut sink = InstructionSink::new(&mut body);
    code(&mut sink);
    sink.end();
    Ok(Function { ty: None, params: params.to_vec(), results: results.to_vec(), body })
}

/// Makes room for so many bytes: where they are. If there are no more, it traps at the memory's end.
pub(crate) fn push(added: &Added) -> Result<Function> {
    let (pos, memory) = (added.pos, added.memory);
    let (size, end) = (0, 1);
    function(&[ValType::I32], &[ValType::I32], &[ValType::I32], |code| {
        code.global_get(pos).local_get(size).i32_add().local_tee(end);
        code.memory_size(memory).i32_const(16).i32_shl().i32_gt_u().if_(BlockType::Empty);
        code.local_get(end).i32_const(16).i32_shr_u().i32_const(1).i32_add();
        code.memory_size(memory).i32_sub().memory_grow(memory).i32_const(-1).i32_eq();
        code.if_(BlockType::Empty).i32_const(-1).i32_load(added.at(0, 2)).drop().unreachable();
        code.end().end();
        code.global_get(pos).local_get(end).global_set(pos);
    })
}

/// Goes on with the frames that end at `end`: 0 when they have ended, or where those end that were
/// left again. `base` is where the call's bytes begin.
pub(crate) fn run(added: &Added) -> Result<Function> {
    let [base, end, frame, trailer, rest, rest_trailer, begin, next] = [0, 1, 2, 3, 4, 5, 6, 7];
    let at = |offset| added.at(offset, 2);
    let (pos, state) = (added.pos, added.state);
    let locals = [ValType::I32; 6];
    function(&[ValType::I32; 2], &[ValType::I32], &locals, |code| {
        code.local_get(end).i32_const(TRAILER).i32_sub().local_tee(trailer);
        code.local_get(trailer).i32_load(at(0)).i32_sub().local_set(frame);
        code.loop_(BlockType::Empty);
        code.local_get(frame).local_get(frame).i32_load16_u(added.at(6, 1));
        code.i32_const(3).i32_shl().i32_add().local_tee(next);
        code.local_get(trailer).i32_eq().if_(BlockType::Empty);
        {
            // The last of a segment: its bytes are free once it has restored its values.
            let other = |code: &mut InstructionSink<'_>, offset| {
                code.local_get(trailer).local_get(trailer).i32_load(at(offset)).i32_sub();
            };
            code.local_get(trailer).i32_load(at(4)).if_(BlockType::Empty);
            other(code, 4);
            code.local_set(rest);
            other(code, 8);
            code.local_set(rest_trailer).else_().i32_const(0).local_set(rest).end();
            other(code, 0);
            code.local_set(begin);
        }
        code.else_();
        code.local_get(next).local_set(rest).local_get(trailer).local_set(rest_trailer);
        code.local_get(trailer).i32_const(TRAILER).i32_add().local_set(begin);
        code.end();
        code.local_get(frame).global_set(added.frame).local_get(begin).global_set(pos);
        call_companion(code, added, frame);
        code.global_get(state).if_(BlockType::Empty);
        {
            code.i32_const(0).global_set(state);
            code.i32_const(TRAILER).call(added.push).local_set(next);
            code.local_get(next).local_get(next).local_get(begin).i32_sub().i32_store(at(0));
            code.local_get(next).i64_const(0).i64_store(added.at(4, 2));
            code.local_get(next).i32_const(0).i32_store(at(12));
            code.local_get(rest).if_(BlockType::Empty);
            code.local_get(next).local_get(next).local_get(rest).i32_sub().i32_store(at(4));
            code.local_get(next).local_get(next).local_get(rest_trailer).i32_sub();
            code.i32_store(at(8)).end();
            code.local_get(base).global_set(pos);
            code.local_get(next).i32_const(TRAILER).i32_add().return_();
        }
        code.end();
        code.local_get(rest).local_set(frame).local_get(rest_trailer).local_set(trailer);
        code.local_get(frame).br_if(0).end();
        code.local_get(base).global_set(pos);
        if let Some(exn) = added.exn {
            code.global_get(exn).ref_is_null().i32_eqz().if_(BlockType::Empty);
            code.global_get(exn).ref_null(EXN).global_set(exn).throw_ref().end();
        }
        code.i32_const(0);
    })
}

const EXN: wasm_encoder::HeapType =
    wasm_encoder::HeapType::Abstract { shared: false, ty: wasm_encoder::AbstractHeapType::Exn };

/// Calls the companion of a frame. An exception that leaves it is kept for the next frame, which
/// throws it where it was suspended.
fn call_companion(code: &mut InstructionSink<'_>, added: &Added, frame: u32) {
    let call = |code: &mut InstructionSink<'_>| {
        code.local_get(frame).i32_load(added.at(0, 2));
        code.call_indirect(added.companions, added.nothing);
    };
    let Some(exn) = added.exn else {
        return call(code);
    };
    let ty = BlockType::Result(wasm_encoder::ValType::Ref(wasm_encoder::RefType {
        nullable: true,
        heap_type: EXN,
    }));
    code.block(BlockType::Empty).block(ty);
    code.try_table(BlockType::Empty, [wasm_encoder::Catch::AllRef { label: 0 }]);
    call(code);
    code.end().br(1).end().global_set(exn).end();
}

/// The entry of a function: its results, and 0 or where the frames end that it left.
pub(crate) fn entry(
    added: &Added,
    function_index: u32,
    params: &[ValType],
    results: &[ValType],
) -> Result<Function> {
    let first = u32::try_from(params.len()).unwrap_or(u32::MAX);
    let [base, trailer] = [first, first + 1];
    let mut locals = vec![ValType::I32; 2];
    locals.extend(results.iter().map(|ty| nullable(*ty)));
    let mut leaves = results.to_vec();
    leaves.push(ValType::I32);
    let (pos, state) = (added.pos, added.state);
    function(params, &leaves, &locals, |code| {
        code.global_get(pos).local_set(base);
        (0..first).for_each(|param| {
            code.local_get(param);
        });
        code.call(function_index);
        let kept = first + 2..first + 2 + u32::try_from(results.len()).unwrap_or(u32::MAX);
        kept.clone().rev().for_each(|local| {
            code.local_set(local);
        });
        for (local, ty) in kept.zip(results) {
            crate::body::get(code, local, *ty);
        }
        code.global_get(state).if_(BlockType::Result(wasm_encoder::ValType::I32));
        code.i32_const(0).global_set(state);
        code.i32_const(TRAILER).call(added.push).local_tee(trailer);
        code.local_get(trailer).local_get(base).i32_sub().i32_store(added.at(0, 2));
        code.local_get(trailer).i64_const(0).i64_store(added.at(4, 2));
        code.local_get(trailer).i32_const(0).i32_store(added.at(12, 2));
        code.local_get(base).global_set(pos);
        code.local_get(trailer).i32_const(TRAILER).i32_add();
        code.else_().i32_const(0).end();
    })
}

/// What an export calls: the function, which must not suspend there.
pub(crate) fn guard(
    added: &Added,
    function_index: u32,
    params: &[ValType],
    results: &[ValType],
) -> Result<Function> {
    let first = u32::try_from(params.len()).unwrap_or(u32::MAX);
    let (pos, state) = (added.pos, added.state);
    function(params, results, &[ValType::I32], |code| {
        code.global_get(pos).local_set(first);
        (0..first).for_each(|param| {
            code.local_get(param);
        });
        code.call(function_index).global_get(state).if_(BlockType::Empty);
        code.i32_const(0).global_set(state).local_get(first).global_set(pos).unreachable().end();
    })
}

/// Goes on with a call that has these results, with the answer of the import that it waits in.
pub(crate) fn resume(added: &mut Added, results: &[ValType]) -> Result<Function> {
    let (end, answer, status) = (0, 1, 2);
    let mut leaves: Vec<_> = results.iter().map(|ty| nullable(*ty)).collect();
    let globals: Vec<_> =
        leaves.iter().enumerate().map(|(place, ty)| added.result(*ty, place)).collect();
    leaves.push(ValType::I32);
    function(&[ValType::I32, ValType::I64], &leaves, &[ValType::I32], |code| {
        code.local_get(answer).global_set(added.answer);
        code.global_get(added.pos).local_get(end).call(added.run).local_set(status);
        for global in globals {
            code.global_get(global);
        }
        code.local_get(status);
    })
}

/// Puts a reference into a free place of its table: the place, or 0 for null. Takes one from there.
pub(crate) fn references(of: &References) -> Result<[Function; 2]> {
    let ty = of.of;
    let (reference, place) = (0, 1);
    let References { table, count, hint, .. } = *of;
    let null = of.ty.heap_type;
    let put = function(&[ty], &[ValType::I32], &[ValType::I32], |code| {
        code.local_get(reference).ref_is_null().if_(BlockType::Empty).i32_const(0).return_().end();
        // Half of the table is free, so that a free place is found soon.
        code.global_get(count).i32_const(1).i32_shl().i32_const(2).i32_add();
        code.table_size(table).i32_ge_u().if_(BlockType::Empty);
        code.ref_null(null).global_get(count).i32_const(16).i32_add().table_grow(table);
        code.i32_const(-1).i32_eq().if_(BlockType::Empty).unreachable().end().end();
        code.global_get(hint).local_set(place).loop_(BlockType::Empty);
        code.local_get(place).i32_const(1).i32_add().local_tee(place);
        code.table_size(table).i32_ge_u().if_(BlockType::Empty).i32_const(1).local_set(place).end();
        code.local_get(place).table_get(table).ref_is_null().i32_eqz().br_if(0).end();
        code.local_get(place).local_get(reference).table_set(table);
        code.local_get(place).global_set(hint);
        code.global_get(count).i32_const(1).i32_add().global_set(count).local_get(place);
    })?;
    let take = function(&[ValType::I32], &[ty], &[], |code| {
        code.local_get(0).i32_eqz().if_(BlockType::Empty).ref_null(null).return_().end();
        code.local_get(0).table_get(table).local_get(0).ref_null(null).table_set(table);
        code.global_get(count).i32_const(1).i32_sub().global_set(count);
    })?;
    Ok([put, take])
}
