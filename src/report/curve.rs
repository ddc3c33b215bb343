//! The curve of the best metric over the iterations, and its drawing in text.

use crate::protocol::{Finding, IterationRecord, RunState};

use super::text::micros;

const ROWS: usize = 9;
const COLUMNS: usize = 72;
const WIDEST_STEP: usize = 4;

/// A candidate slower than so many baselines is drawn at the upper edge.
const CEILING: f64 = 1.6;

/// A target faster than the best by more than this factor is not drawn: the curve would be flat.
const TARGET_IN_SIGHT: f64 = 4.0;

/// One iteration.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Point<'a> {
    /// What it came to.
    pub(super) record: &'a IterationRecord,
    /// The metric of the change in the last benchmark that it passed, in microseconds. A smoke test's is no score.
    pub(super) us: Option<f64>,
    /// The best metric after it, in microseconds.
    pub(super) best: f64,
}

/// The curve: the baseline, then the iterations in order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Curve<'a> {
    /// The metric of the kernel as found, in microseconds.
    pub(super) baseline: f64,
    /// The iterations.
    pub(super) points: Vec<Point<'a>>,
    /// The target, where it is in sight.
    pub(super) target: Option<f64>,
    /// The lower and upper end of the scale, in microseconds, with a little room beyond the curve.
    pub(super) bounds: (f64, f64),
}

impl<'a> Curve<'a> {
    /// Returns the curve of a run; `None` before its baseline and first iteration are over.
    pub(super) fn of(state: &'a RunState) -> Option<Self> {
        let baseline = state.baseline.as_ref()?.us.get();
        let mut best = baseline;
        let mut points = Vec::new();
        for record in &state.ledger {
            let us = [&record.confirmation, &record.candidate].into_iter().find_map(|found| match found {
                Some(Finding::Passed(figure)) => Some(figure.us.get()),
                _ => None,
            });
            if let (Some(us), Some(_)) = (us, &record.kept) {
                best = us;
            }
            points.push(Point { record, us, best });
        }
        let in_sight =
            |target: &f64| target.is_finite() && *target > best / TARGET_IN_SIGHT && *target < baseline * CEILING;
        let target = state.target_us().filter(in_sight);
        let bounds = bounds(baseline, &points, target);
        (!points.is_empty()).then_some(Self { baseline, points, target, bounds })
    }

    /// Returns where `us` lies on the logarithmic scale: 0 at the upper end of the bounds, 1 at the lower.
    pub(super) fn depth(&self, us: f64) -> f64 {
        let (low, high) = self.bounds;
        ((high.ln() - us.ln()) / (high.ln() - low.ln())).clamp(0.0, 1.0)
    }

    /// Returns the drawing, a line each: `●` is a kept change, `·` another candidate, the line is the best so far.
    pub(super) fn plot(&self) -> Vec<String> {
        let count = self.points.len() + 1;
        let step = (COLUMNS / count).clamp(1, WIDEST_STEP);
        let column = |place: usize| if count > COLUMNS { place * COLUMNS / count } else { place * step };
        let width = (count * step).min(COLUMNS);
        let row = |us: f64| (self.depth(us) * (ROWS - 1) as f64).round() as usize;
        let mut canvas = Canvas::new(width);
        if let Some(target) = self.target {
            (0..width).for_each(|x| canvas.put(x, row(target), '┄'));
        }
        let mut before = self.baseline;
        for (place, best) in self.bests().enumerate() {
            let (start, end) = (column(place), column(place + 1).min(width));
            (start..end.max(start + 1)).for_each(|x| canvas.put(x, row(best), '─'));
            if row(before) != row(best) {
                let (upper, lower) = (row(before).min(row(best)), row(before).max(row(best)));
                (upper + 1..lower).for_each(|y| canvas.put(start, y, '│'));
                canvas.put(start, row(before), if row(before) < row(best) { '┐' } else { '┘' });
            }
            before = best;
        }
        for (place, point) in self.points.iter().enumerate() {
            if let (Some(us), None) = (point.us, &point.record.kept) {
                canvas.put(column(place + 1), row(us), '·');
            }
        }
        canvas.put(0, row(self.baseline), '○');
        for (place, point) in self.points.iter().enumerate() {
            if point.record.kept.is_some() {
                canvas.put(column(place + 1), row(point.best), '●');
            }
        }
        self.framed(&canvas)
    }

    fn bests(&self) -> impl Iterator<Item = f64> {
        [self.baseline].into_iter().chain(self.points.iter().map(|point| point.best))
    }

    fn framed(&self, canvas: &Canvas) -> Vec<String> {
        let (low, high) = self.bounds;
        let middle = (low * high).sqrt();
        let mut lines = Vec::new();
        for (y, cells) in canvas.rows.iter().enumerate() {
            let label = match y {
                0 => micros(high),
                y if y == ROWS / 2 => micros(middle),
                y if y == ROWS - 1 => micros(low),
                _ => String::new(),
            };
            lines.push(format!("{label:>10} │{}", cells.iter().collect::<String>().trim_end()));
        }
        let last = format!("iteration {}", self.points.len());
        let space = canvas.width.saturating_sub(1);
        lines.push(format!("{:>10} └{}", "", "─".repeat(canvas.width)));
        lines.push(format!("{:>10}  0{last:>space$}", ""));
        lines
    }
}

fn bounds(baseline: f64, points: &[Point<'_>], target: Option<f64>) -> (f64, f64) {
    let scores = points.iter().flat_map(|point| point.us.into_iter().chain([point.best]));
    let (mut low, mut high) = (baseline, baseline);
    for us in scores.chain(target) {
        low = low.min(us);
        high = high.max(us.min(baseline * CEILING));
    }
    (low * 0.96, high * 1.04)
}

struct Canvas {
    width: usize,
    rows: Vec<Vec<char>>,
}

impl Canvas {
    fn new(width: usize) -> Self {
        Self { width, rows: vec![vec![' '; width]; ROWS] }
    }

    /// Draws a character; outside of the canvas nothing happens.
    fn put(&mut self, x: usize, y: usize, c: char) {
        if let Some(cell) = self.rows.get_mut(y).and_then(|row| row.get_mut(x)) {
            *cell = c;
        }
    }
}
