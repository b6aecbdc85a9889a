//! Two sides measured in alternation, in turns so short that also on a busy machine some are not
//! disturbed. Those count, and they are told by the time that both sides took together, so that
//! neither is preferred.

use std::time::Duration;

use asyncify_benches::table::{Row, Unit, median};
use criterion::{Criterion, SamplingMode};

/// A turn of one side takes about this long.
const TURN: Duration = Duration::from_micros(150);

/// One in so many turns counts: the quickest.
const OUT_OF: usize = 10;

/// Measures pairs, and keeps the rows.
pub(crate) struct Pairs {
    criterion: Criterion,
    pub(crate) rows: Vec<Row>,
}

/// One turn of each side: nanoseconds for one.
struct Turn {
    ours: f64,
    theirs: f64,
}

/// The turns of one row.
#[derive(Default)]
struct Turns {
    taken: Vec<Turn>,
    /// How often the work is done in one turn.
    iters: u64,
    /// Which side is first: they alternate.
    ours_first: bool,
}

impl Pairs {
    pub(crate) fn new(quick: bool) -> Self {
        let (warm_up, measured) = if quick { (30, 400) } else { (300, 2_500) };
        let criterion = Criterion::default()
            .without_plots()
            .warm_up_time(Duration::from_millis(warm_up))
            .measurement_time(Duration::from_millis(measured))
            .sample_size(20)
            .nresamples(1_001);
        Self { criterion, rows: Vec::new() }
    }

    /// Measures one row. Each side does its work so many times and says how long that took.
    pub(crate) fn measure(
        &mut self,
        name: &str,
        at_most: Option<f64>,
        mut ours: impl FnMut(u64) -> Duration,
        mut theirs: impl FnMut(u64) -> Duration,
    ) {
        let mut turns = Turns { iters: 1, ..Turns::default() };
        let mut group = self.criterion.benchmark_group("pairs");
        group.sampling_mode(SamplingMode::Flat);
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|iters| turns.take(iters, &mut ours, &mut theirs));
        });
        group.finish();
        let quickest = turns.quickest();
        self.rows.push(Row {
            name: name.to_owned(),
            unit: Unit::Ns,
            ours: median(quickest.iter().map(|turn| turn.ours)),
            theirs: median(quickest.iter().map(|turn| turn.theirs)),
            ratio: median(quickest.iter().map(|turn| turn.ours / turn.theirs)),
            at_most,
        });
    }
}

impl Turns {
    /// The turns that the machine disturbed least.
    fn quickest(&mut self) -> &[Turn] {
        self.taken.sort_by(|a, b| (a.ours + a.theirs).total_cmp(&(b.ours + b.theirs)));
        &self.taken[..self.taken.len().div_ceil(OUT_OF)]
    }

    /// Lets the sides take turns until each has done its work so often: how long ours took.
    fn take(
        &mut self,
        iters: u64,
        ours: &mut impl FnMut(u64) -> Duration,
        theirs: &mut impl FnMut(u64) -> Duration,
    ) -> Duration {
        let (mut done, mut spent) = (0, Duration::ZERO);
        while done < iters {
            let now = self.iters.min(iters - done);
            self.ours_first = !self.ours_first;
            let early = self.ours_first.then(|| ours(now));
            let theirs = theirs(now);
            let ours = early.unwrap_or_else(|| ours(now));
            done += now;
            spent += ours;
            if now < self.iters {
                continue;
            }
            if ours.max(theirs) < TURN / 2 {
                // The warm-up finds out how much a turn is.
                self.iters *= 2;
                self.taken.clear();
            } else {
                self.taken.push(Turn { ours: per(ours, now), theirs: per(theirs, now) });
            }
        }
        spent
    }
}

#[allow(clippy::cast_precision_loss, reason = "there are fewer iterations than that")]
fn per(took: Duration, iters: u64) -> f64 {
    took.as_secs_f64() * 1e9 / iters as f64
}
