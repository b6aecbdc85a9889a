//! What one body does, as far as suspending is concerned.
//!
//! Binaryen's pass lets a function look at the state before it does anything, and once more right
//! after each call that may suspend. What a body does otherwise tells how it came about: it was left
//! out, or an instrumented function was inlined into one that was left out, or it drives Asyncify.

use wasmparser::Operator;

use super::asyncify::Asyncify;

/// What one body does.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a question of its own")]
pub(super) struct Body {
    /// It looks at Asyncify's state to tell what to do. With `asyncify-asserts`, a function that was
    /// left out compares it with what it was, and traps where it has changed.
    pub(super) looks: bool,
    /// It does something before it looks at the state for the first time.
    pub(super) acts_first: bool,
    /// It calls through a table, or by a reference.
    pub(super) calls_indirectly: bool,
    /// It refers to a function that sets the state, without calling it.
    pub(super) refers_to_setter: bool,
    /// The functions that it calls by name, and whether it looks at the state right afterwards.
    pub(super) calls: Vec<(u32, bool)>,
    sets: Sets,
    forward: Forward,
    acted: bool,
    /// The state was read just now.
    read: bool,
    /// The state was read before.
    has_read: bool,
    /// The call that was just made, as a position in `calls`.
    called: Option<usize>,
    constant: Option<i32>,
}

/// The values that a body sets the state to.
#[derive(Clone, Copy, Default)]
struct Sets {
    normal: bool,
    unwinding: bool,
    /// Or a value that is not known.
    rewinding: bool,
}

/// Whether a body only passes on to another function.
#[derive(Clone, Copy, Default)]
enum Forward {
    /// Nothing but arguments was made so far.
    #[default]
    Arguments,
    Called(u32),
    No,
}

impl Body {
    /// Whether it reads the state, for whatever.
    pub(super) fn reads(&self) -> bool {
        self.has_read
    }

    /// Whether it sets the state itself, or by one of Asyncify's functions.
    pub(super) fn drives(&self) -> bool {
        self.sets.normal || self.sets.unwinding || self.sets.rewinding
    }

    /// Whether it lets frames be rewound, or takes up where frames were unwound: it is never
    /// instrumented, as unwinding is to end in it.
    pub(super) fn schedules(&self) -> bool {
        self.sets.rewinding || self.sets.normal && !self.sets.unwinding
    }

    /// The function that it calls as the last thing it does, and the only one. It needs no look at
    /// the state: called again, it does nothing but call on.
    pub(super) fn forwards_to(&self) -> Option<u32> {
        match self.forward {
            Forward::Called(callee) => Some(callee),
            Forward::Arguments | Forward::No => None,
        }
    }

    pub(super) fn step(&mut self, operator: &Operator<'_>, asyncify: Option<&Asyncify<'_>>) {
        let state = asyncify.map(|asyncify| asyncify.globals.state);
        let constant = self.constant.take();
        if std::mem::take(&mut self.read) && !is_kept(operator) {
            self.look();
        }
        self.follow_call(operator, state);
        self.forward = match (self.forward, operator) {
            (forward, Operator::End | Operator::Return) => forward,
            (Forward::Arguments, Operator::Call { function_index }) => {
                Forward::Called(*function_index)
            }
            (Forward::Arguments, operator) if is_argument(operator) => Forward::Arguments,
            _ => Forward::No,
        };
        match *operator {
            Operator::GlobalGet { global_index } if Some(global_index) == state => {
                (self.read, self.has_read) = (true, true);
            }
            // The room for frames is of no use to one that only compares.
            Operator::GlobalGet { global_index }
                if self.has_read
                    && asyncify.is_some_and(|asyncify| asyncify.globals.data == global_index) =>
            {
                self.look();
            }
            Operator::I32Const { value } => self.constant = Some(value),
            Operator::GlobalSet { global_index } if Some(global_index) == state => {
                self.sets.note(constant);
            }
            Operator::RefFunc { function_index } => {
                self.refers_to_setter |=
                    asyncify.is_some_and(|asyncify| asyncify.sets(function_index).is_some());
            }
            Operator::Call { function_index } | Operator::ReturnCall { function_index } => {
                if let Some(role) = asyncify.and_then(|asyncify| asyncify.sets(function_index)) {
                    self.sets.note(role.sets());
                }
                self.called = Some(self.calls.len());
                self.calls.push((function_index, false));
            }
            Operator::CallIndirect { .. }
            | Operator::ReturnCallIndirect { .. }
            | Operator::CallRef { .. }
            | Operator::ReturnCallRef { .. } => self.calls_indirectly = true,
            _ => {}
        }
        self.acted |= acts(operator, asyncify);
    }

    fn look(&mut self) {
        self.acts_first |= !self.looks && self.acted;
        self.looks = true;
    }

    /// Sees what stands behind a call.
    fn follow_call(&mut self, operator: &Operator<'_>, state: Option<u32>) {
        if is_passed_over(operator) {
            return;
        }
        let is_question = matches!(operator, Operator::GlobalGet { global_index } if Some(*global_index) == state);
        // Nor is one needed where the function is not expected to return.
        if let Some(call) = self.called.take()
            && (is_question || matches!(operator, Operator::Unreachable))
            && let Some((_, asked)) = self.calls.get_mut(call)
        {
            *asked = true;
        }
    }
}

impl Sets {
    fn note(&mut self, state: Option<i32>) {
        match state {
            Some(0) => self.normal = true,
            Some(1) => self.unwinding = true,
            _ => self.rewinding = true,
        }
    }
}

/// What may stand between a call and the question that follows it: the answer is put away.
fn is_passed_over(operator: &Operator<'_>) -> bool {
    matches!(
        operator,
        Operator::LocalGet { .. }
            | Operator::LocalSet { .. }
            | Operator::LocalTee { .. }
            | Operator::Drop
            | Operator::I32Const { .. }
            | Operator::I64Const { .. }
    )
}

/// Whether the state that was read is kept, or compared with what was kept.
fn is_kept(operator: &Operator<'_>) -> bool {
    matches!(
        operator,
        Operator::LocalGet { .. }
            | Operator::LocalSet { .. }
            | Operator::LocalTee { .. }
            | Operator::I32Ne
    )
}

/// What makes an argument, and changes nothing but locals.
fn is_argument(operator: &Operator<'_>) -> bool {
    matches!(
        operator,
        Operator::LocalGet { .. }
            | Operator::LocalSet { .. }
            | Operator::LocalTee { .. }
            | Operator::GlobalGet { .. }
            | Operator::I32Const { .. }
            | Operator::I64Const { .. }
            | Operator::F32Const { .. }
            | Operator::F64Const { .. }
            | Operator::RefNull { .. }
            | Operator::RefFunc { .. }
    )
}

/// Whether an operator changes anything that is seen outside of its function.
fn acts(operator: &Operator<'_>, asyncify: Option<&Asyncify<'_>>) -> bool {
    match operator {
        Operator::GlobalSet { global_index } => {
            asyncify.is_none_or(|asyncify| !asyncify.globals.contains(*global_index))
        }
        Operator::Call { .. }
        | Operator::CallIndirect { .. }
        | Operator::CallRef { .. }
        | Operator::I32Store { .. }
        | Operator::I64Store { .. }
        | Operator::F32Store { .. }
        | Operator::F64Store { .. }
        | Operator::I32Store8 { .. }
        | Operator::I32Store16 { .. }
        | Operator::I64Store8 { .. }
        | Operator::I64Store16 { .. }
        | Operator::I64Store32 { .. }
        | Operator::V128Store { .. }
        | Operator::V128Store8Lane { .. }
        | Operator::V128Store16Lane { .. }
        | Operator::V128Store32Lane { .. }
        | Operator::V128Store64Lane { .. }
        | Operator::MemoryGrow { .. }
        | Operator::MemoryFill { .. }
        | Operator::MemoryCopy { .. }
        | Operator::MemoryInit { .. }
        | Operator::DataDrop { .. }
        | Operator::TableSet { .. }
        | Operator::TableGrow { .. }
        | Operator::TableFill { .. }
        | Operator::TableCopy { .. }
        | Operator::TableInit { .. }
        | Operator::ElemDrop { .. }
        | Operator::StructSet { .. }
        | Operator::ArraySet { .. }
        | Operator::ArrayFill { .. }
        | Operator::ArrayCopy { .. }
        | Operator::ArrayInitData { .. }
        | Operator::ArrayInitElem { .. }
        | Operator::MemoryDiscard { .. }
        | Operator::Throw { .. }
        | Operator::ThrowRef => true,
        _ => is_atomic_write(operator),
    }
}

/// Whether an operator is one of the threads' proposals, and does more than to read.
fn is_atomic_write(operator: &Operator<'_>) -> bool {
    macro_rules! is_of_threads {
        (threads) => {
            true
        };
        (shared_everything_threads) => {
            true
        };
        ($other:ident) => {
            false
        };
    }
    macro_rules! ask {
        ($( @$proposal:ident $operator:ident $({ $($field:ident: $ty:ty),* })? => $visit:ident ($($rest:tt)*) )*) => {
            match operator {
                $( Operator::$operator { .. } => is_of_threads!($proposal), )*
                _ => false,
            }
        };
    }
    match operator {
        Operator::AtomicFence
        | Operator::I32AtomicLoad { .. }
        | Operator::I32AtomicLoad8U { .. }
        | Operator::I32AtomicLoad16U { .. }
        | Operator::I64AtomicLoad { .. }
        | Operator::I64AtomicLoad8U { .. }
        | Operator::I64AtomicLoad16U { .. }
        | Operator::I64AtomicLoad32U { .. }
        | Operator::GlobalAtomicGet { .. }
        | Operator::TableAtomicGet { .. }
        | Operator::StructAtomicGet { .. }
        | Operator::StructAtomicGetS { .. }
        | Operator::StructAtomicGetU { .. }
        | Operator::ArrayAtomicGet { .. }
        | Operator::ArrayAtomicGetS { .. }
        | Operator::ArrayAtomicGetU { .. }
        | Operator::RefI31Shared => false,
        _ => wasmparser::for_each_operator!(ask),
    }
}

#[cfg(test)]
mod tests {
    use wasmparser::MemArg;

    use super::*;

    #[test]
    fn what_is_seen_outside_of_a_function_is_an_act() {
        let memarg = MemArg { align: 2, max_align: 2, offset: 0, memory: 0 };
        for act in [
            Operator::I32Store { memarg },
            Operator::V128Store { memarg },
            Operator::I32AtomicStore { memarg },
            Operator::I64AtomicStore32 { memarg },
            Operator::I32AtomicRmwAdd { memarg },
            Operator::I64AtomicRmw8CmpxchgU { memarg },
            Operator::MemoryAtomicNotify { memarg },
            Operator::MemoryAtomicWait64 { memarg },
            Operator::MemoryDiscard { mem: 0 },
            Operator::TableSet { table: 0 },
            Operator::StructSet { struct_type_index: 0, field_index: 0 },
            Operator::ArrayInitData { array_type_index: 0, array_data_index: 0 },
            Operator::ArrayInitElem { array_type_index: 0, array_elem_index: 0 },
            Operator::GlobalSet { global_index: 0 },
            Operator::Throw { tag_index: 0 },
        ] {
            assert!(acts(&act, None), "{act:?}");
        }
        for reads in [
            Operator::I32Load { memarg },
            Operator::I64AtomicLoad { memarg },
            Operator::AtomicFence,
            Operator::LocalSet { local_index: 0 },
            Operator::I32Add,
            Operator::GlobalGet { global_index: 0 },
        ] {
            assert!(!acts(&reads, None), "{reads:?}");
        }
    }
}
