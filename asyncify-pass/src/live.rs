//! Which locals a site's frame must hold: those that are read before they are written again.
//!
//! A walk from the end of the function to its beginning; a loop is walked again until what is live
//! at its head grows no more.

use wasmparser::{Catch, Operator};

use crate::error::{Error, Result};
use crate::scanned::{Kind, Scanned, SiteKind};

/// Words that are held for one function, at most.
const MOST: usize = 1 << 24;
/// Words that are looked at while loops are walked again, at most.
const MOST_AGAIN: usize = 1 << 28;

/// A set of locals.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Locals(Vec<u64>);

impl Locals {
    fn new(words: usize) -> Self {
        Self(vec![0; words])
    }

    fn insert(&mut self, local: u32) {
        if let Some(word) = self.0.get_mut(local as usize / 64) {
            *word |= 1 << (local % 64);
        }
    }

    fn remove(&mut self, local: u32) {
        if let Some(word) = self.0.get_mut(local as usize / 64) {
            *word &= !(1 << (local % 64));
        }
    }

    /// Adds all of `other`: whether any was not there.
    fn add(&mut self, other: &Self) -> bool {
        let mut grown = false;
        for (word, other) in self.0.iter_mut().zip(&other.0) {
            grown |= *other & !*word != 0;
            *word |= *other;
        }
        grown
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        self.0.iter().enumerate().flat_map(|(at, word)| {
            let first = u32::try_from(at * 64).unwrap_or(u32::MAX);
            (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| first + bit)
        })
    }
}

struct Walk<'s, 'a> {
    scanned: &'s Scanned<'a>,
    /// What is live where a branch to the construct leads.
    label: Vec<Locals>,
    /// What is live behind it.
    behind: Vec<Locals>,
    /// What is live at the beginning of an `else`.
    otherwise: Vec<Option<Locals>>,
    /// For each construct, the `try_table` that it is, or that is nearest around it; 0 for none.
    tries: Vec<usize>,
    live: Locals,
    /// Words that were looked at while loops were walked again.
    again: usize,
    /// The sites, by operator, and what was found for each.
    found: Vec<Locals>,
}

/// For each site, what is live when it is entered again.
pub(crate) fn live(scanned: &Scanned<'_>) -> Result<Vec<Locals>> {
    let words = scanned.locals.len().div_ceil(64);
    let constructs = scanned.constructs.len();
    if words.saturating_mul(constructs * 3 + scanned.sites.len()) > MOST {
        let function = Some(scanned.function);
        let offset = scanned.ops.first().map_or(0, |op| op.start);
        return Err(Error::unsupported(
            "a function of so many locals and blocks",
            function,
            offset,
        ));
    }
    let none = Locals::new(words);
    let mut walk = Walk {
        scanned,
        label: vec![none.clone(); constructs],
        behind: vec![none.clone(); constructs],
        otherwise: vec![None; constructs],
        tries: tries(scanned),
        live: none.clone(),
        again: 0,
        found: vec![none; scanned.sites.len()],
    };
    walk.run()?;
    Ok(walk.found)
}

impl Walk<'_, '_> {
    fn run(&mut self) -> Result<()> {
        let ends: Vec<_> = construct_ends(self.scanned);
        let mut at = self.scanned.ops.len();
        let mut site = self.scanned.sites.len();
        while at > 0 {
            at -= 1;
            // What stands behind the operator: the site of a call.
            while let Some(index) = site.checked_sub(1)
                && let Some(found) = self.scanned.sites.get(index)
                && (found.at > at || found.at == at && found.kind != SiteKind::Yield)
            {
                if found.at == at {
                    self.note(index, found.construct, found.returns)?;
                }
                site = index;
            }
            let Some(op) = self.scanned.ops.get(at) else { break };
            let again = if op.dead { self.pass(at, &ends)? } else { self.op(at, &ends)? };
            if let Some(end) = again {
                self.again += (end - at).saturating_mul(1 + self.live.0.len());
                if self.again > MOST_AGAIN {
                    let function = Some(self.scanned.function);
                    let what = "a function of so many locals and loops";
                    return Err(Error::unsupported(what, function, op.start));
                }
                at = end + 1;
                site = self.scanned.sites.partition_point(|site| site.at < at);
                continue;
            }
            while let Some(index) = site.checked_sub(1)
                && let Some(found) = self.scanned.sites.get(index)
                && found.at == at
            {
                self.note(index, found.construct, false)?;
                site = index;
            }
        }
        Ok(())
    }

    /// Notes what is live at a site, and at the handlers that it may throw to.
    fn note(&mut self, site: usize, construct: usize, returns: bool) -> Result<()> {
        if returns {
            self.live = Locals::new(self.live.0.len());
        }
        self.throws(construct)?;
        let live = self.live.clone();
        if let Some(found) = self.found.get_mut(site) {
            found.add(&live);
        }
        Ok(())
    }

    /// Adds what is live at the handlers around.
    fn throws(&mut self, construct: usize) -> Result<()> {
        let nearest = |walk: &Self, at: usize| walk.tries.get(at).copied().unwrap_or_default();
        let mut at = nearest(self, construct);
        while at != 0 {
            let open = self.scanned.construct(at)?;
            for catch in &open.catches {
                let target = self.scanned.target(open.parent, label(catch))?;
                let live = self.label.get(target).cloned().unwrap_or_default();
                self.live.add(&live);
            }
            at = nearest(self, open.parent);
        }
        Ok(())
    }

    fn to(&self, from: usize, depth: u32) -> Result<Locals> {
        let target = self.scanned.target(from, depth)?;
        Ok(self.label.get(target).cloned().unwrap_or_default())
    }

    /// An operator that is never reached: only what opens and ends constructs is looked at.
    fn pass(&mut self, at: usize, ends: &[Option<usize>]) -> Result<Option<usize>> {
        let Some(op) = self.scanned.ops.get(at) else { return Ok(None) };
        match &op.operator {
            Operator::End | Operator::Else => self.op(at, ends),
            _ => Ok(None),
        }
    }

    /// The step over one operator; where to go on if a loop is to be walked again.
    fn op(&mut self, at: usize, ends: &[Option<usize>]) -> Result<Option<usize>> {
        let Some(op) = self.scanned.ops.get(at) else { return Ok(None) };
        let here = op.construct;
        match &op.operator {
            Operator::LocalGet { local_index } => self.live.insert(*local_index),
            Operator::LocalSet { local_index } | Operator::LocalTee { local_index } => {
                self.live.remove(*local_index);
            }
            Operator::Br { relative_depth } => self.live = self.to(here, *relative_depth)?,
            Operator::BrIf { relative_depth }
            | Operator::BrOnNull { relative_depth }
            | Operator::BrOnNonNull { relative_depth }
            | Operator::BrOnCast { relative_depth, .. }
            | Operator::BrOnCastFail { relative_depth, .. } => {
                let target = self.to(here, *relative_depth)?;
                self.live.add(&target);
            }
            Operator::BrTable { targets } => {
                let mut live = self.to(here, targets.default())?;
                for target in targets.targets() {
                    live.add(&self.to(here, target?)?);
                }
                self.live = live;
            }
            Operator::Return
            | Operator::ReturnCall { .. }
            | Operator::ReturnCallIndirect { .. }
            | Operator::ReturnCallRef { .. }
            | Operator::Unreachable => self.live = Locals::new(self.live.0.len()),
            Operator::Throw { .. } | Operator::ThrowRef => {
                self.live = Locals::new(self.live.0.len());
                self.throws(here)?;
            }
            Operator::Call { .. } | Operator::CallIndirect { .. } | Operator::CallRef { .. } => {
                self.throws(here)?;
            }
            Operator::End => {
                if let Some(ended) = ends.get(at).copied().flatten() {
                    let live = self.live.clone();
                    if let Some(behind) = self.behind.get_mut(ended) {
                        *behind = live.clone();
                    }
                    let kind = self.scanned.construct(ended)?.kind;
                    if kind != Kind::Loop
                        && let Some(label) = self.label.get_mut(ended)
                    {
                        *label = live;
                    }
                    if let Some(otherwise) = self.otherwise.get_mut(ended) {
                        *otherwise = None;
                    }
                }
            }
            Operator::Else => {
                let live = self.live.clone();
                let behind = self.behind.get(here).cloned().unwrap_or_default();
                if let Some(otherwise) = self.otherwise.get_mut(here) {
                    *otherwise = Some(live);
                }
                self.live = behind;
            }
            Operator::If { .. } => {
                if let Some(opened) = self.opened(at) {
                    let other = self.otherwise.get(opened).cloned().flatten();
                    let other = other.or_else(|| self.behind.get(opened).cloned());
                    self.live.add(&other.unwrap_or_default());
                }
            }
            Operator::Loop { .. } => {
                if let Some(opened) = self.opened(at) {
                    let live = self.live.clone();
                    if self.label.get_mut(opened).is_some_and(|label| label.add(&live)) {
                        let end = self.scanned.construct(opened)?.end;
                        self.live = self.behind.get(opened).cloned().unwrap_or_default();
                        return Ok(Some(end.saturating_sub(1)));
                    }
                }
            }
            _ => {}
        }
        Ok(None)
    }

    fn opened(&self, at: usize) -> Option<usize> {
        let constructs = &self.scanned.constructs;
        let index = constructs.partition_point(|construct| construct.open < at);
        // The function itself opens at 0 as well.
        (index..constructs.len()).find(|index| {
            constructs.get(*index).is_some_and(|found| found.open == at && *index != 0)
        })
    }
}

/// The nearest `try_table` of each construct. A construct stands behind the one around it.
fn tries(scanned: &Scanned<'_>) -> Vec<usize> {
    let mut tries: Vec<usize> = Vec::with_capacity(scanned.constructs.len());
    for (index, construct) in scanned.constructs.iter().enumerate() {
        let around = tries.get(construct.parent).copied().unwrap_or_default();
        tries.push(if construct.kind == Kind::Try { index } else { around });
    }
    tries
}

/// For each operator, the construct that it ends.
pub(crate) fn construct_ends(scanned: &Scanned<'_>) -> Vec<Option<usize>> {
    let mut ends = vec![None; scanned.ops.len()];
    for (index, construct) in scanned.constructs.iter().enumerate() {
        if let Some(end) = ends.get_mut(construct.end) {
            *end = Some(index);
        }
    }
    ends
}

/// The label of a clause, counted from outside of its `try_table`.
pub(crate) fn label(catch: &Catch) -> u32 {
    match catch {
        Catch::One { label, .. }
        | Catch::OneRef { label, .. }
        | Catch::All { label }
        | Catch::AllRef { label } => *label,
    }
}
