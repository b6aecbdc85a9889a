//! One function as the later steps see it: its operators, its constructs, and its sites, which are
//! the places where it may be left and entered again.

use std::collections::HashMap;

use wasmparser::{Catch, Operator, ValType};

use crate::error::{Error, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Function,
    Block,
    Loop,
    If,
    Try,
}

pub(crate) struct Construct {
    pub(crate) kind: Kind,
    pub(crate) parent: usize,
    /// How deep it stands, and a construct further out: by these one far out is soon found.
    pub(crate) level: usize,
    pub(crate) jump: usize,
    /// The operators that open it, part it, and end it. The function opens before the first.
    pub(crate) open: usize,
    pub(crate) otherwise: Option<usize>,
    pub(crate) end: usize,
    pub(crate) params: Vec<ValType>,
    pub(crate) results: Vec<ValType>,
    /// Operands below its parameters.
    pub(crate) height: usize,
    /// The types of those of them that its parent can reach, the topmost last.
    pub(crate) below: Vec<ValType>,
    /// Whether a site stands in it, at any depth.
    pub(crate) has_sites: bool,
    pub(crate) catches: Vec<Catch>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SiteKind {
    /// It calls an import that may be pending.
    Import,
    /// It calls a function that may have suspended.
    Call,
    /// It yields before the operator.
    Yield,
}

pub(crate) struct Site {
    pub(crate) kind: SiteKind,
    /// The operator.
    pub(crate) at: usize,
    pub(crate) construct: usize,
    /// The types of the operands that the construct can reach, without the results.
    pub(crate) operands: Vec<ValType>,
    pub(crate) results: Vec<ValType>,
    /// How many operands lie below the construct's.
    pub(crate) base: usize,
    /// Whether the function returns with the results: a tail call of an import.
    pub(crate) returns: bool,
}

pub(crate) struct Op<'a> {
    pub(crate) operator: Operator<'a>,
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// The construct that it stands in; one that opens or ends a construct stands outside of it.
    pub(crate) construct: usize,
    /// Whether it can never be reached.
    pub(crate) dead: bool,
    /// The type of the topmost operand, where a later step asks for it.
    pub(crate) tested: Option<ValType>,
}

pub(crate) struct Scanned<'a> {
    pub(crate) function: u32,
    /// Parameters, and what is declared.
    pub(crate) locals: Vec<ValType>,
    pub(crate) ops: Vec<Op<'a>>,
    pub(crate) constructs: Vec<Construct>,
    pub(crate) sites: Vec<Site>,
    /// For each `br_table`, the types of the values that it carries.
    pub(crate) tables: HashMap<usize, Vec<ValType>>,
}

impl Scanned<'_> {
    /// The construct that a branch from within `from` leads to.
    pub(crate) fn target(&self, from: usize, depth: u32) -> Result<usize> {
        let mut at = from;
        let level = self.construct(from)?.level.saturating_sub(depth as usize);
        while let found = self.construct(at)?
            && found.level > level
        {
            let far = self.construct(found.jump)?.level >= level;
            at = if far { found.jump } else { found.parent };
        }
        Ok(at)
    }

    /// The level of a construct within `parent`, and where it jumps to: over as much as its parent
    /// and that one's jump do, if these jump equally far.
    pub(crate) fn outward(&self, parent: usize) -> Result<(usize, usize)> {
        let around = self.construct(parent)?;
        let (first, second) = (around.level, self.construct(around.jump)?);
        let third = self.construct(second.jump)?.level;
        let equal = first - second.level == second.level - third;
        Ok((first + 1, if equal { second.jump } else { parent }))
    }

    /// Whether a site there is a tail call of an import.
    pub(crate) fn returns_at(&self, at: usize) -> bool {
        let first = self.sites.partition_point(|site| site.at < at);
        let here = self.sites.iter().skip(first).take_while(|site| site.at == at);
        here.into_iter().any(|site| site.returns)
    }

    pub(crate) fn construct(&self, at: usize) -> Result<&Construct> {
        self.constructs.get(at).ok_or_else(|| Error::internal("a construct"))
    }
}
