//! The labels of a companion, and in which region each opens.

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::scanned::{Kind, Scanned, SiteKind};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Label {
    /// The companion is left, and a frame was written.
    Exit,
    /// The function has its results.
    Finish,
    /// A tail call is made, outside of all constructs.
    Tail(usize),
    /// Where a site is entered.
    Land(usize),
    /// In front of a region within another one.
    Inner(usize),
    /// Where a region begins that is entered as before.
    Start,
    /// The end of a construct that is laid flat.
    End(usize),
    /// The `else` of one.
    Else(usize),
    /// A construct that is there.
    Real(usize),
    Aux,
}

/// The labels that are open.
#[derive(Default)]
pub(super) struct Labels {
    open: Vec<Label>,
    places: HashMap<Label, Vec<usize>>,
}

impl Labels {
    pub(super) fn push(&mut self, label: Label) {
        self.places.entry(label).or_default().push(self.open.len());
        self.open.push(label);
    }

    pub(super) fn pop(&mut self, label: Label) -> Result<()> {
        let found = self.open.pop();
        let place = self.places.get_mut(&label).and_then(Vec::pop);
        if found == Some(label) && place == Some(self.open.len()) {
            Ok(())
        } else {
            Err(Error::internal(&format!("label {label:?} where {found:?} ends")))
        }
    }

    /// How many labels lie within it.
    pub(super) fn depth(&self, label: Label) -> Result<u32> {
        let place = self.places.get(&label).and_then(|places| places.last());
        let place = place.ok_or_else(|| Error::internal(&format!("label {label:?}")))?;
        Ok(u32::try_from(self.open.len() - 1 - place).unwrap_or(u32::MAX))
    }
}

/// A label, and where it ends: at which operator, and in which order there.
type Ending = ((usize, u8), Label);

/// Ways to sites, in all regions of a function, at most. Only constructs within each other by the
/// thousand have more: each loop leads to all sites within it.
const MOST_WAYS: usize = 1 << 20;

/// What a region opens at its beginning, and where its sites are entered.
#[derive(Default)]
struct Region {
    /// By where they end, the last first.
    labels: Vec<Label>,
    first: usize,
    ways: Vec<Label>,
}

pub(super) struct Regions(HashMap<usize, Region>);

fn is_region(kind: Kind) -> bool {
    matches!(kind, Kind::Function | Kind::Loop | Kind::Try)
}

/// For each construct, the region that it stands in, or is.
fn regions_of(scanned: &Scanned<'_>) -> Vec<usize> {
    let mut found: Vec<usize> = Vec::with_capacity(scanned.constructs.len());
    for (index, construct) in scanned.constructs.iter().enumerate() {
        let is = is_region(construct.kind) && construct.has_sites;
        let around = found.get(construct.parent).copied().unwrap_or_default();
        found.push(if is { index } else { around });
    }
    found
}

impl Regions {
    pub(super) fn new(scanned: &Scanned<'_>) -> Result<Self> {
        let mut regions: HashMap<usize, Region> = HashMap::new();
        let of = regions_of(scanned);
        let region_of = |at: usize| of.get(at).copied().unwrap_or_default();
        let mut ending: HashMap<usize, Vec<Ending>> = HashMap::new();
        let mut add = |region: usize, at: usize, part: u8, label: Label| {
            ending.entry(region).or_default().push(((at, part), label));
        };
        for (index, construct) in scanned.constructs.iter().enumerate().skip(1) {
            if !construct.has_sites {
                continue;
            }
            let around = region_of(construct.parent);
            if is_region(construct.kind) {
                add(around, construct.open, 1, Label::Inner(index));
                continue;
            }
            if construct.kind == Kind::If {
                let at = construct.otherwise.unwrap_or(construct.end);
                add(around, at, 2, Label::Else(index));
            }
            add(around, construct.end, 3, Label::End(index));
        }
        let mut ways = 0;
        for (index, site) in scanned.sites.iter().enumerate() {
            let part = if site.kind == SiteKind::Yield { 0 } else { 4 };
            let mut region = region_of(site.construct);
            add(region, site.at, part, Label::Land(index));
            let mut way = Label::Land(index);
            loop {
                let entry = regions.entry(region).or_default();
                if entry.ways.is_empty() {
                    entry.first = index;
                }
                entry.ways.push(way);
                ways += 1;
                if ways > MOST_WAYS {
                    let at = scanned.ops.get(site.at).map_or(0, |op| op.start);
                    let what = "a call within so many loops";
                    return Err(Error::unsupported(what, Some(scanned.function), at));
                }
                if region == 0 {
                    break;
                }
                way = Label::Inner(region);
                region = region_of(scanned.construct(region)?.parent);
            }
        }
        for (region, mut labels) in ending {
            labels.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
            regions.entry(region).or_default().labels =
                labels.into_iter().map(|(_, label)| label).collect();
        }
        Ok(Self(regions))
    }

    pub(super) fn labels(&self, region: usize) -> &[Label] {
        self.0.get(&region).map_or(&[], |region| &region.labels)
    }

    /// The first of the region's sites, and where each of them is entered.
    pub(super) fn ways(&self, region: usize) -> (usize, &[Label]) {
        self.0.get(&region).map_or((0, &[]), |region| (region.first, &region.ways))
    }
}
