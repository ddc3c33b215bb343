//! The curve as inline SVG. Colours come from the page's style sheet.

use std::fmt::Write as _;

use crate::protocol::Purpose;

use super::curve::{Curve, Point};
use super::text::{escape, micros, one_line};
use super::words;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 340.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 18.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 40.0;

/// Returns the drawing: best so far as a line, each candidate as a dot with its words, the kept ones filled.
pub(super) fn svg(curve: &Curve<'_>, metric: &str) -> String {
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"best {metric} by iteration, logarithmic scale\">\n"
    );
    axes(&mut svg, curve);
    if let Some(target) = curve.target {
        let (y, x) = (y(curve, target), WIDTH - RIGHT);
        writeln!(svg, "<line class=\"target\" x1=\"{LEFT}\" x2=\"{x}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>").ok();
        // At the left the curve is still far from it.
        let (x, above, label) = (LEFT + 12.0, y - 5.0, micros(target));
        writeln!(svg, "<text class=\"target\" x=\"{x}\" y=\"{above:.1}\">target {label}</text>").ok();
    }
    writeln!(svg, "<path class=\"best\" d=\"{}\"/>", path(curve)).ok();
    let start = y(curve, curve.baseline);
    writeln!(
        svg,
        "<circle class=\"baseline\" cx=\"{LEFT}\" cy=\"{start:.1}\" r=\"5\"><title>baseline {}</title></circle>",
        micros(curve.baseline)
    )
    .ok();
    // Kept ones last, so that they lie on top.
    for kept in [false, true] {
        for (place, point) in curve.points.iter().enumerate().filter(|(_, point)| point.record.kept.is_some() == kept) {
            dot(&mut svg, curve, place + 1, point);
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn x(curve: &Curve<'_>, place: usize) -> f64 {
    LEFT + (WIDTH - LEFT - RIGHT) * place as f64 / curve.points.len().max(1) as f64
}

fn y(curve: &Curve<'_>, us: f64) -> f64 {
    TOP + (HEIGHT - TOP - BOTTOM) * curve.depth(us)
}

fn path(curve: &Curve<'_>) -> String {
    let mut path = format!("M{LEFT:.1} {:.1}", y(curve, curve.baseline));
    for (place, point) in curve.points.iter().enumerate() {
        write!(path, "H{:.1}V{:.1}", x(curve, place + 1), y(curve, point.best)).ok();
    }
    path
}

fn dot(svg: &mut String, curve: &Curve<'_>, place: usize, point: &Point<'_>) {
    let Some(us) = point.us else { return };
    let record = point.record;
    let (class, radius) = if record.kept.is_some() { ("kept", 6) } else { ("tried", 3) };
    let (x, y) = (x(curve, place), y(curve, us));
    let found = match &record.confirmation {
        Some(found) => words::finding(Some(found), Purpose::Final),
        None => words::finding(record.candidate.as_ref(), Purpose::Candidate),
    };
    let title =
        format!("iteration {}, {}: {} ({})", record.iteration, record.decision, one_line(&record.change, 200), found);
    writeln!(
        svg,
        "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\"><title>{}</title></circle>",
        escape(&title)
    )
    .ok();
}

fn axes(svg: &mut String, curve: &Curve<'_>) {
    let (low, high) = curve.bounds;
    let right = WIDTH - RIGHT;
    for us in ticks(low, high) {
        let (y, x, label) = (y(curve, us), LEFT - 10.0, micros(us));
        writeln!(svg, "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>").ok();
        let base = y + 4.0;
        writeln!(svg, "<text x=\"{x}\" y=\"{base:.1}\" text-anchor=\"end\">{label}</text>").ok();
    }
    let count = curve.points.len();
    let every = count.div_ceil(12).max(1);
    let base = HEIGHT - BOTTOM + 20.0;
    for place in (0..=count).step_by(every) {
        let x = x(curve, place);
        writeln!(svg, "<text x=\"{x:.1}\" y=\"{base}\" text-anchor=\"middle\">{place}</text>").ok();
    }
    let (middle, base) = ((LEFT + right) / 2.0, HEIGHT - 4.0);
    writeln!(svg, "<text x=\"{middle}\" y=\"{base}\" text-anchor=\"middle\">iteration</text>").ok();
}

/// Returns round numbers between `low` and `high`; where they are few, evenly spaced ones on the logarithmic scale.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let first = low.log10().floor() as i32;
    let last = high.log10().ceil() as i32;
    let round: Vec<f64> = (first..=last)
        .flat_map(|exponent| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(exponent)))
        .filter(|us| (low..=high).contains(us))
        .collect();
    if round.len() >= 3 {
        return round;
    }
    (0..=4).map(|part| low * (high / low).powf(f64::from(part) / 4.0)).collect()
}
