//! Plots as SVG: lines and bars. Colours and dashes come from the page's style, by the engine's name.

use std::fmt::Write as _;

use crate::engines::figures::Spread;
use crate::engines::number::number;

const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 44.0;

/// How high a bar is, with the room around it.
const BAR: f64 = 30.0;

/// How an axis is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    /// From nothing, in equal steps.
    Linear,
    /// By factors of ten.
    Logarithmic,
}

/// An axis with its title and unit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis<'a> {
    pub(super) title: &'a str,
    pub(super) scale: Scale,
    /// Where it is marked; nothing where that is to be found out.
    pub(super) ticks: &'a [f64],
}

/// An axis over values, ready to draw on.
struct Ruler {
    scale: Scale,
    least: f64,
    most: f64,
    ticks: Vec<f64>,
}

impl Ruler {
    fn new(axis: Axis<'_>, values: impl Iterator<Item = f64>) -> Self {
        let usable = |value: &f64| value.is_finite() && (axis.scale == Scale::Linear || *value > 0.0);
        let (least, most) = values
            .filter(usable)
            .fold((f64::MAX, f64::MIN), |(least, most), value| (least.min(value), most.max(value)));
        let (least, most) = if least > most { (1.0, 1.0) } else { (least, most) };
        let mut ticks: Vec<f64> = axis.ticks.to_vec();
        let (least, most) = match axis.scale {
            Scale::Linear => (0.0, if most > 0.0 { most } else { 1.0 }),
            Scale::Logarithmic if ticks.is_empty() => (decade(least, f64::floor), decade(most, f64::ceil)),
            Scale::Logarithmic => (least, most),
        };
        let most = if most > least { most } else { least * 10.0 };
        if ticks.is_empty() {
            ticks = match axis.scale {
                Scale::Linear => steps(most),
                Scale::Logarithmic => decades(least, most),
            };
        }
        let most = ticks.last().map_or(most, |last| most.max(*last));
        Self { scale: axis.scale, least, most, ticks }
    }

    /// Where a value lies, from 0 to 1.
    fn place(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => value / self.most,
            Scale::Logarithmic => (value.max(self.least) / self.least).ln() / (self.most / self.least).ln(),
        }
    }
}

/// The power of ten that this value rounds to.
fn decade(value: f64, round: fn(f64) -> f64) -> f64 {
    10f64.powf(round(value.log10()))
}

/// The powers of ten from `least` to `most`, which are such; where they are few, also what lies between.
fn decades(least: f64, most: f64) -> Vec<f64> {
    let between: &[f64] = if most / least < 150.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let mut ticks = Vec::new();
    let mut power = least;
    // A bit more, since powers of ten are not exact.
    while power < most * 1.01 {
        ticks.extend(between.iter().map(|factor| factor * power).filter(|tick| *tick < most * 1.01));
        power *= 10.0;
    }
    ticks
}

/// From 0 past `most` in three to six round steps.
fn steps(most: f64) -> Vec<f64> {
    let rough = most / 5.0;
    let power = decade(rough, f64::floor);
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= rough);
    let step = step.unwrap_or(rough);
    let mut ticks = vec![0.0];
    while let Some(last) = ticks.last().copied().filter(|last| *last < most) {
        ticks.push(last + step);
    }
    ticks
}

/// A number of few characters, for an axis.
fn short(value: f64) -> String {
    let (scaled, unit) = match value {
        size if size >= 1e9 => (value / 1e9, "G"),
        size if size >= 1e6 => (value / 1e6, "M"),
        size if size >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    // Two digits after the point are enough for a mark; those that are nothing go.
    let digits = if scaled.abs() < 0.1 { 4 } else { 2 };
    let text = format!("{scaled:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

/// The lines of each engine over the same axes. An engine is a class of the page's style.
pub(super) fn lines(x: Axis<'_>, y: Axis<'_>, series: &[(&str, Vec<(f64, f64)>)]) -> String {
    let points = || series.iter().flat_map(|(_, points)| points.iter());
    let across = Ruler::new(x, points().map(|&(x, _)| x));
    let up = Ruler::new(y, points().map(|&(_, y)| y));
    let x_at = |value| LEFT + across.place(value) * (WIDTH - LEFT - RIGHT);
    let y_at = |value| HEIGHT - BOTTOM - up.place(value) * (HEIGHT - TOP - BOTTOM);
    let mut svg = begin(HEIGHT, &format!("{} over {}", y.title, x.title));
    for &tick in &up.ticks {
        let (at, right, label) = (y_at(tick), WIDTH - RIGHT, short(tick));
        let _ = write!(svg, r#"<line class="grid" x1="{LEFT}" x2="{right}" y1="{at:.1}" y2="{at:.1}"/>"#);
        let (left, below) = (LEFT - 6.0, at + 4.0);
        let _ = write!(svg, r#"<text class="axis" x="{left}" y="{below:.1}" text-anchor="end">{label}</text>"#);
    }
    for &tick in &across.ticks {
        let (at, below, label) = (x_at(tick), HEIGHT - BOTTOM + 16.0, short(tick));
        let _ = write!(svg, r#"<text class="axis" x="{at:.1}" y="{below}" text-anchor="middle">{label}</text>"#);
    }
    let (middle, below) = (f64::midpoint(LEFT, WIDTH - RIGHT), HEIGHT - 8.0);
    let _ = write!(svg, r#"<text class="axis" x="{middle}" y="{below}" text-anchor="middle">{}</text>"#, x.title);
    let up_middle = f64::midpoint(TOP, HEIGHT - BOTTOM);
    let _ = write!(
        svg,
        r#"<text class="axis" transform="translate(12 {up_middle}) rotate(-90)" text-anchor="middle">{}</text>"#,
        y.title
    );
    for (engine, points) in series {
        let places: Vec<_> = points.iter().map(|&(x, y)| format!("{:.1},{:.1}", x_at(x), y_at(y))).collect();
        let _ = write!(svg, r#"<polyline class="{engine}" points="{}"/>"#, places.join(" "));
        for &(x, y) in points {
            let (at_x, at_y, value) = (x_at(x), y_at(y), number(y));
            let _ = write!(
                svg,
                r#"<circle class="{engine}" cx="{at_x:.1}" cy="{at_y:.1}" r="3"><title>{engine}: {value}</title></circle>"#
            );
        }
    }
    svg.push_str("</svg>");
    svg
}

/// A bar of each engine, with its median as a number and a whisker from the lowest round to the highest.
pub(super) fn bars(title: &str, values: &[(&str, Spread)]) -> String {
    let (right, count) = (WIDTH - 70.0, u32::try_from(values.len()).unwrap_or(u32::MAX));
    let height = f64::from(count) * BAR + BOTTOM;
    let axis = Axis { title, scale: Scale::Linear, ticks: &[] };
    let ruler = Ruler::new(axis, values.iter().map(|(_, spread)| spread.most));
    let x_at = |value| LEFT + ruler.place(value) * (right - LEFT);
    let mut svg = begin(height, title);
    for &tick in &ruler.ticks {
        let (at, below, bottom) = (x_at(tick), height - BOTTOM + 18.0, height - BOTTOM + 4.0);
        let _ = write!(svg, r#"<line class="grid" x1="{at:.1}" x2="{at:.1}" y1="0" y2="{bottom}"/>"#);
        let label = short(tick);
        let _ = write!(svg, r#"<text class="axis" x="{at:.1}" y="{below}" text-anchor="middle">{label}</text>"#);
    }
    let mut top = 3.0;
    for (engine, spread) in values {
        let (width, text_at, middle) = (x_at(spread.median) - LEFT, top + 16.0, top + (BAR - 6.0) / 2.0);
        let (least, most, bar) = (x_at(spread.least), x_at(spread.most), BAR - 6.0);
        let _ = write!(
            svg,
            r#"<text x="{}" y="{text_at}" text-anchor="end">{engine}</text><rect class="{engine}" x="{LEFT}" y="{top}" width="{width:.1}" height="{bar}"/>"#,
            LEFT - 6.0
        );
        if most - least > 1.0 {
            let _ =
                write!(svg, r#"<line class="whisker" x1="{least:.1}" x2="{most:.1}" y1="{middle}" y2="{middle}"/>"#);
        }
        let (after, value) = (most.max(LEFT + width) + 6.0, number(spread.median));
        let _ = write!(svg, r#"<text x="{after:.1}" y="{text_at}">{value}</text>"#);
        top += BAR;
    }
    let (middle, below) = (f64::midpoint(LEFT, right), height - 8.0);
    let _ = write!(svg, r#"<text class="axis" x="{middle}" y="{below}" text-anchor="middle">{title}</text></svg>"#);
    svg
}

fn begin(height: f64, label: &str) -> String {
    format!(r#"<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}">"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: Axis<'_> = Axis { title: "x", scale: Scale::Logarithmic, ticks: &[] };
    const LINEAR: Axis<'_> = Axis { title: "x", scale: Scale::Linear, ticks: &[] };

    #[test]
    fn axes_have_round_marks_that_enclose_the_values() {
        let ticks = |axis, values: &[f64]| Ruler::new(axis, values.iter().copied()).ticks;
        assert_eq!(ticks(LOG, &[30.0, 2_000.0]), [10.0, 100.0, 1_000.0, 10_000.0]);
        assert_eq!(ticks(LOG, &[10.0]), [10.0, 20.0, 50.0, 100.0], "a single value has an axis too");
        assert_eq!(ticks(LINEAR, &[0.0, 7.0]), [0.0, 2.0, 4.0, 6.0, 8.0]);
        assert_eq!(ticks(LINEAR, &[]).first(), Some(&0.0));
        let ruler = Ruler::new(LOG, [10.0, 1_000.0].into_iter());
        assert!((ruler.place(100.0) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn marks_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (0.01, "0.01"),
            (0.5, "0.5"),
            (4096.0, "4096"),
            (50_000.0, "50k"),
            (1e6, "1M"),
            (2.5e9, "2.5G"),
        ] {
            assert_eq!(short(value), text);
        }
    }

    #[test]
    fn every_value_is_drawn_within_the_plot() {
        let spread = Spread::of([1.0, 5.0, 9.0]);
        let svg = bars("ms", &[("sqlite", spread), ("redb", Spread::of([0.0]))]);
        let document = roxmltree::Document::parse(&svg).expect("well-formed");
        let rects: Vec<_> = document.descendants().filter(|node| node.has_tag_name("rect")).collect();
        assert_eq!(rects.len(), 2);
        for node in document.descendants() {
            for name in ["x", "x1", "x2"] {
                let Some(at) = node.attribute(name).map(|at| at.parse::<f64>().expect("a number")) else { continue };
                assert!((0.0..WIDTH).contains(&at), "{at} in {svg}");
            }
        }
        let svg = lines(LOG, LOG, &[("sqlite", vec![(1.0, 10.0), (4096.0, 1e6)])]);
        let document = roxmltree::Document::parse(&svg).expect("well-formed");
        for node in document.descendants().filter(|node| node.has_tag_name("circle")) {
            let at = |name| node.attribute(name).and_then(|at| at.parse::<f64>().ok()).expect("a number");
            assert!((LEFT..=WIDTH).contains(&at("cx")) && (0.0..=HEIGHT - BOTTOM + 1.0).contains(&at("cy")), "{svg}");
        }
    }
}
