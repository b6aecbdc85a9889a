//! Tail calls of a companion. It has another type than the function, so they are calls there, made
//! outside of all constructs, whose caller writes no frame.

use wasmparser::{Operator, RefType, ValType};

use super::Companion;
use super::label::Label;
use crate::error::{Error, Result};

impl Companion<'_, '_, '_> {
    /// The arguments of a tail call, where it stands.
    fn arguments(&mut self, at: usize) -> Result<Vec<(u32, ValType)>> {
        let op = self.function.scanned.ops.get(at).ok_or_else(|| Error::internal("a call"))?;
        let module = self.function.module;
        let mut types = match &op.operator {
            Operator::ReturnCall { function_index } => module.type_of(*function_index)?,
            Operator::ReturnCallIndirect { type_index, .. }
            | Operator::ReturnCallRef { type_index } => module.func_type(*type_index)?,
            _ => return Err(Error::internal("a call")),
        }
        .params()
        .to_vec();
        match &op.operator {
            Operator::ReturnCallIndirect { .. } => {
                types.push(op.tested.unwrap_or(ValType::I32));
            }
            Operator::ReturnCallRef { type_index } => {
                let ty = wasmparser::PackedIndex::from_module_index(*type_index)
                    .map(|index| RefType::concrete(true, index));
                types.push(ValType::Ref(ty.ok_or_else(|| Error::internal("a type"))?));
            }
            _ => {}
        }
        let spills = &mut *self.spills;
        let local = |(place, ty): (usize, &ValType)| {
            (spills.operand(usize::MAX - 2_000_000 - place, *ty), *ty)
        };
        Ok(types.iter().enumerate().map(local).collect())
    }

    pub(super) fn leave_to_tail(&mut self, at: usize) -> Result<()> {
        let arguments = self.arguments(at)?;
        self.set_all(&arguments);
        self.br(Label::Tail(at))?;
        self.dead = true;
        Ok(())
    }

    /// A tail call is a call whose caller writes no frame.
    pub(super) fn tail_call(&mut self, at: usize) -> Result<()> {
        let arguments = self.arguments(at)?;
        self.get_all(&arguments);
        let op = self.function.scanned.ops.get(at).ok_or_else(|| Error::internal("a call"))?;
        let mut code = wasm_encoder::InstructionSink::new(&mut self.code);
        match &op.operator {
            Operator::ReturnCall { function_index } => code.call(*function_index),
            Operator::ReturnCallIndirect { type_index, table_index } => {
                code.call_indirect(*table_index, *type_index)
            }
            Operator::ReturnCallRef { type_index } => code.call_ref(*type_index),
            _ => return Err(Error::internal("a call")),
        };
        let carriers = self.carriers(0)?;
        self.set_all(&carriers);
        let state = self.added.state;
        let exit = self.labels.depth(Label::Exit)?;
        self.sink().global_get(state).br_if(exit);
        self.br(Label::Finish)
    }
}
