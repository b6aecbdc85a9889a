//! What is known of an operand or a local: which watched globals it may come from, and how.

/// A value that was read from the global and not changed.
pub(super) const SAME: u8 = 1;
/// Lower than the global by a constant that keeps it aligned to 4: a frame.
pub(super) const FRAME: u8 = 2;
/// Lower by something that is masked, as a frame of variable size is.
pub(super) const MASKED: u8 = 4;
/// Lower by anything else.
pub(super) const TAKEN: u8 = 8;
/// Higher by a constant.
pub(super) const RAISED: u8 = 16;
/// Moved by an unknown value.
pub(super) const ADDED: u8 = 32;
/// The kinds of values that may be lower than the global is.
pub(super) const LOWER: u8 = FRAME | MASKED | TAKEN | ADDED;

/// So many globals are followed at a time.
pub(super) const LANES: usize = 8;

/// The global's own value, less something: no write of it and no call lies between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exact {
    pub(super) lane: usize,
    /// Counts what may have changed the global.
    pub(super) version: u32,
    /// A constant, or else a size that is not known here.
    pub(super) less: Option<i64>,
}

impl Exact {
    fn moved(self, by: i64) -> Option<Self> {
        match self.less {
            Some(less) => Some(Self { less: Some(less.wrapping_sub(by)), ..self }),
            None if by < 0 => Some(self),
            // Higher than the global, perhaps.
            None => None,
        }
    }

    /// Less a size as well. What was raised before may be higher than the global still.
    fn lowered(self) -> Option<Self> {
        self.less.is_none_or(|less| less >= 0).then_some(Self { less: None, ..self })
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Value {
    /// For each global that is followed, how the value may come from it: no bit if it does not.
    pub(super) kinds: [u8; LANES],
    pub(super) constant: Option<i64>,
    /// Whether it is a multiple of 4 for certain.
    aligned: bool,
    pub(super) exact: Option<Exact>,
}

impl Value {
    pub(super) const UNKNOWN: Self =
        Self { kinds: [0; LANES], constant: None, aligned: false, exact: None };
    /// Any of them, for all that is known.
    pub(super) const ANY: Self =
        Self { kinds: [u8::MAX; LANES], constant: None, aligned: false, exact: None };

    pub(super) fn constant(value: i64) -> Self {
        Self { constant: Some(value), aligned: value % 4 == 0, ..Self::UNKNOWN }
    }

    pub(super) fn global(lane: usize, version: u32) -> Self {
        let mut value =
            Self { exact: Some(Exact { lane, version, less: Some(0) }), ..Self::UNKNOWN };
        value.kinds[lane] = SAME;
        value
    }

    pub(super) fn is_pointer(self) -> bool {
        self.kinds != [0; LANES]
    }

    /// The same, where the global may have changed since.
    pub(super) fn inexact(self) -> Self {
        Self { exact: None, ..self }
    }

    /// Either of both.
    pub(super) fn or(self, other: Self) -> Self {
        let mut kinds = self.kinds;
        kinds.iter_mut().zip(other.kinds).for_each(|(kind, other)| *kind |= other);
        Self {
            kinds,
            constant: self.constant.filter(|_| self.constant == other.constant),
            aligned: self.aligned && other.aligned,
            exact: self.exact.filter(|_| self.exact == other.exact),
        }
    }

    pub(super) fn add(self, other: Self) -> Self {
        match (self.constant, other.constant) {
            (Some(a), Some(b)) => Self::constant(a.wrapping_add(b)),
            (None, Some(by)) if self.is_pointer() => self.moved(by),
            (Some(by), None) if other.is_pointer() => other.moved(by),
            _ => {
                let kinds = self.or(other).to(ADDED).kinds;
                Self { kinds, aligned: self.aligned && other.aligned, ..Self::UNKNOWN }
            }
        }
    }

    pub(super) fn sub(self, other: Self) -> Self {
        match (self.constant, other.constant) {
            (Some(a), Some(b)) => Self::constant(a.wrapping_sub(b)),
            (None, Some(by)) if self.is_pointer() => self.moved(by.wrapping_neg()),
            _ => {
                let exact = self.exact.filter(|_| !other.is_pointer()).and_then(Exact::lowered);
                Self { exact, ..self.to(if other.aligned { MASKED } else { TAKEN }) }
            }
        }
    }

    pub(super) fn and(self, other: Self) -> Self {
        let (mask, value) = match (self.constant, other.constant) {
            (Some(a), Some(b)) => return Self::constant(a & b),
            (Some(mask), None) => (Some(mask), other),
            (None, Some(mask)) => (Some(mask), self),
            (None, None) => (None, self.or(other)),
        };
        // Aligning a value may lower it, and turns a size of any kind into that of a frame.
        let masked = |kind| match kind {
            0 => 0,
            _ if kind & (TAKEN | SAME) != 0 => kind & !TAKEN | MASKED,
            _ => kind,
        };
        // Further down, to a boundary.
        let exact = value.exact.filter(|_| mask.is_some_and(i64::is_negative));
        Self {
            kinds: value.kinds.map(masked),
            aligned: mask.is_some_and(|mask| mask % 4 == 0),
            exact: exact.and_then(Exact::lowered),
            ..Self::UNKNOWN
        }
    }

    pub(super) fn shl(self, other: Self) -> Self {
        match (self.constant, other.constant) {
            (None, Some(2..)) => Self { aligned: true, ..Self::UNKNOWN },
            _ => Self { aligned: self.aligned, ..Self::UNKNOWN },
        }
    }

    fn moved(self, by: i64) -> Self {
        let kind = match by {
            0 => return self,
            1.. => RAISED,
            _ if by % 4 == 0 => FRAME,
            _ => TAKEN,
        };
        let exact = self.exact.and_then(|exact| exact.moved(by));
        Self { exact, ..self.to(kind) }
    }

    /// The same origins, come from in another way.
    fn to(self, kind: u8) -> Self {
        let kinds = self.kinds.map(|before| if before == 0 { 0 } else { kind });
        Self { kinds, ..Self::UNKNOWN }
    }
}
