//! What a function adds to its locals, and what each of its sites puts into a frame.
//!
//! ```text
//! frame   0            4       6        8
//!         +------------+-------+--------+----------------------------+
//!         | companion  | site  | size/8 | values, the widest first   |
//!         +------------+-------+--------+----------------------------+
//! ```

use std::collections::HashMap;

use wasmparser::ValType;

use crate::added::{bytes, nullable};
use crate::error::{Error, Result};
use crate::live::Locals;
use crate::run::LONGEST;
use crate::scanned::{Scanned, Site};

/// Bytes before the first value.
pub(crate) const HEADER: u32 = 8;
/// Bytes of the code that stores a value.
const LEAST: usize = 8;
/// An engine takes no more locals.
const MOST_LOCALS: usize = 50_000;

/// What is added behind a function's own locals: one for each operand's place and type, and others.
pub(crate) struct Spills {
    first: u32,
    pub(crate) types: Vec<ValType>,
    operands: HashMap<(usize, ValType), u32>,
    labels: HashMap<(usize, usize, bool), u32>,
    /// The address of the frame that is written or read.
    pub(crate) frame: u32,
    /// In a companion: the site that is to be entered.
    pub(crate) site: u32,
    /// A condition or an index that stands above operands.
    pub(crate) chosen: u32,
}

impl Spills {
    pub(crate) fn new(scanned: &Scanned<'_>) -> Self {
        let first = u32::try_from(scanned.locals.len()).unwrap_or(u32::MAX);
        let types = vec![ValType::I32; 3];
        let (operands, labels) = (HashMap::new(), HashMap::new());
        Self { first, types, operands, labels, frame: first, site: first + 1, chosen: first + 2 }
    }

    fn add(&mut self, ty: ValType) -> u32 {
        self.types.push(nullable(ty));
        self.first + u32::try_from(self.types.len() - 1).unwrap_or(u32::MAX)
    }

    /// The local that keeps an operand of this height.
    pub(crate) fn operand(&mut self, height: usize, ty: ValType) -> u32 {
        let key = (height, nullable(ty));
        if let Some(local) = self.operands.get(&key) {
            return *local;
        }
        let local = self.add(ty);
        self.operands.insert(key, local);
        local
    }

    /// The local that carries a value of a construct's label, or of its results.
    pub(crate) fn label(
        &mut self,
        construct: usize,
        place: usize,
        ty: ValType,
        is_param: bool,
    ) -> u32 {
        let key = (construct, place, is_param);
        if let Some(local) = self.labels.get(&key) {
            return *local;
        }
        let local = self.add(ty);
        self.labels.insert(key, local);
        local
    }

    pub(crate) fn check(&self, scanned: &Scanned<'_>) -> Result<()> {
        if self.first as usize + self.types.len() > MOST_LOCALS {
            let offset = scanned.ops.first().map_or(0, |op| op.start);
            let function = Some(scanned.function);
            return Err(Error::unsupported("a function of so many locals", function, offset));
        }
        Ok(())
    }
}

/// A value in a frame.
#[derive(Clone, Copy)]
pub(crate) struct Saved {
    pub(crate) local: u32,
    pub(crate) ty: ValType,
    pub(crate) offset: u32,
}

/// What a site's frame holds.
pub(crate) struct Layout {
    pub(crate) saved: Vec<Saved>,
    pub(crate) size: u32,
}

/// Lays out the frames of all sites.
pub(crate) fn layouts(
    scanned: &Scanned<'_>,
    live: &[Locals],
    spills: &mut Spills,
) -> Result<Vec<Layout>> {
    let mut layouts = Vec::with_capacity(scanned.sites.len());
    // Values in all frames: the function stores each.
    let mut all = 0;
    for (site, live) in scanned.sites.iter().zip(live) {
        let mut values: Vec<(u32, ValType)> = Vec::new();
        for local in live.iter() {
            let ty = scanned.locals.get(local as usize);
            values.push((local, *ty.ok_or_else(|| Error::internal("a local"))?));
        }
        if !site.returns {
            operands(scanned, site, spills, &mut values)?;
        }
        all += values.len();
        if all > LONGEST / LEAST {
            let at = scanned.ops.get(site.at).map_or(0, |op| op.start);
            let function = Some(scanned.function);
            return Err(Error::unsupported("a function of this length", function, at));
        }
        values.sort_by_key(|(local, ty)| (std::cmp::Reverse(bytes(*ty)), *local));
        let mut offset = HEADER;
        let mut saved = Vec::with_capacity(values.len());
        for (local, ty) in values {
            saved.push(Saved { local, ty, offset });
            offset += bytes(ty);
        }
        let size = offset.next_multiple_of(8);
        if size / 8 > u16::MAX.into() {
            let at = scanned.ops.get(site.at).map_or(0, |op| op.start);
            let function = Some(scanned.function);
            return Err(Error::unsupported("a frame of so many values", function, at));
        }
        layouts.push(Layout { saved, size });
    }
    Ok(layouts)
}

/// The operands below a site: those that its construct can reach, and those below each construct
/// around it.
fn operands(
    scanned: &Scanned<'_>,
    site: &Site,
    spills: &mut Spills,
    values: &mut Vec<(u32, ValType)>,
) -> Result<()> {
    for (place, ty) in site.operands.iter().enumerate() {
        values.push((spills.operand(site.base + place, *ty), *ty));
    }
    let mut at = site.construct;
    while at != 0 {
        let construct = scanned.construct(at)?;
        let base = construct.height - construct.below.len();
        for (place, ty) in construct.below.iter().enumerate() {
            values.push((spills.operand(base + place, *ty), *ty));
        }
        at = construct.parent;
    }
    Ok(())
}
