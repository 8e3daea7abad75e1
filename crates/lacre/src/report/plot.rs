//! Plots without a script: a drawing that stretches to any width, and labels beside it that do not.
//!
//! In: moments and numbers. Out: an SVG with title and description inside a frame of plain text. Lines keep their width and marks their
//! shape however the drawing is stretched: a mark is a line of no length with a round or square end. Nothing here carries a style of its
//! own, so that the page's policy can forbid them.

use jiff::{Timestamp, tz::TimeZone};

use super::html::{At, Markup, html};
use crate::lang::Lang;

/// The width of every view box.
const WIDTH: f64 = 1000.0;
/// The height of a plot's view box.
const HEIGHT: f64 = 100.0;
/// How much of the height the largest value takes.
const FILLED: f64 = 0.94;
/// The widest a bar is, in units of the view box.
const BAR_WIDTH_MAX: f64 = 18.0;
/// The narrowest.
const BAR_WIDTH_MIN: f64 = 1.0;
/// Above this many, points are drawn as a line only.
const DOTS_MAX: usize = 120;

/// The time a plot is about.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

impl Axis {
    /// Where a moment lies between both ends.
    pub(super) fn x(&self, at: Timestamp) -> At {
        let whole = self.to.duration_since(self.from).as_secs_f64();
        let part = at.duration_since(self.from).as_secs_f64();
        // A plot of one moment has it in the middle.
        let share = if whole <= 0.0 { 0.5 } else { (part / whole).clamp(0.0, 1.0) };
        At(share * WIDTH)
    }

    /// The labels below: both ends, and the middle where it is another day.
    pub(super) fn labels(&self, lang: Lang, zone: &TimeZone) -> Markup {
        let half = self.to.duration_since(self.from) / 2;
        let middle = self.from.checked_add(half).unwrap_or(self.to);
        let mut days: Vec<String> = [self.from, middle, self.to].iter().map(|at| lang.day(*at, zone)).collect();
        days.dedup();
        let mut out = Markup::new();
        out.raw("<div class=\"x\" aria-hidden=\"true\">");
        for day in &days {
            html!(out, "<span>", day, "</span>");
        }
        out.raw("</div>");
        out
    }
}

/// What a plot is called and what it shows, for who cannot see it.
pub(super) struct Caption<'a> {
    /// Unique in the page.
    pub(super) id: String,
    pub(super) title: &'a str,
    pub(super) description: String,
}

/// A value at a moment, and what is said when it is pointed at.
pub(super) struct Point {
    pub(super) at: Timestamp,
    pub(super) value: u64,
    pub(super) says: String,
}

fn y(value: u64, top: u64) -> At {
    At(HEIGHT - super::ratio(value, top) * HEIGHT * FILLED)
}

fn largest(points: &[Point]) -> u64 {
    points.iter().map(|point| point.value).max().unwrap_or_default()
}

/// The beginning of a drawing of this height.
pub(super) fn begin(caption: &Caption<'_>, height: u32) -> Markup {
    let mut out = Markup::new();
    html!(out, "<svg viewBox=\"0 0 1000 ", height, "\" preserveAspectRatio=\"none\" role=\"img\" aria-labelledby=\"");
    html!(out, caption.id, "-t ", caption.id, "-d\"><title id=\"", caption.id, "-t\">", caption.title, "</title>");
    html!(out, "<desc id=\"", caption.id, "-d\">", caption.description, "</desc>");
    out
}

fn guides(out: &mut Markup) {
    out.raw("<path class=\"guide\" d=\"M0,6H1000M0,53H1000\"/><path class=\"base\" d=\"M0,100H1000\"/>");
}

/// A line through points, oldest first, with the ground below it filled.
pub(super) fn line(axis: &Axis, caption: &Caption<'_>, points: &[Point]) -> Markup {
    let top = largest(points);
    let mut out = begin(caption, 100);
    guides(&mut out);
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        out.raw("</svg>");
        return out;
    };
    html!(out, "<path class=\"ground\" d=\"M", axis.x(first.at), ",100");
    for point in points {
        html!(out, "L", axis.x(point.at), ",", y(point.value, top));
    }
    html!(out, "L", axis.x(last.at), ",100Z\"/><polyline class=\"line\" points=\"");
    for point in points {
        html!(out, axis.x(point.at), ",", y(point.value, top), " ");
    }
    out.raw("\"/>");
    if points.len() <= DOTS_MAX {
        for point in points {
            html!(out, "<path class=\"dot\" d=\"M", axis.x(point.at), ",", y(point.value, top), "h0\"><title>");
            html!(out, point.says, "</title></path>");
        }
    }
    out.raw("</svg>");
    out
}

/// Two lines over one another: the first with its ground, the second within it.
pub(super) fn lines(axis: &Axis, caption: &Caption<'_>, outer: &[Point], inner: &[Point]) -> Markup {
    let top = largest(outer).max(largest(inner));
    let mut out = begin(caption, 100);
    guides(&mut out);
    for (points, ground, stroke) in [(outer, "ground", "line"), (inner, "ground two", "line two")] {
        let (Some(first), Some(last)) = (points.first(), points.last()) else { continue };
        html!(out, "<path class=\"", ground, "\" d=\"M", axis.x(first.at), ",100");
        for point in points {
            html!(out, "L", axis.x(point.at), ",", y(point.value, top));
        }
        html!(out, "L", axis.x(last.at), ",100Z\"/><polyline class=\"", stroke, "\" points=\"");
        for point in points {
            html!(out, axis.x(point.at), ",", y(point.value, top), " ");
        }
        out.raw("\"/>");
    }
    out.raw("</svg>");
    out
}

/// A bar for each point.
pub(super) fn bars(axis: &Axis, caption: &Caption<'_>, points: &[Point]) -> Markup {
    let top = largest(points);
    let count = u32::try_from(points.len().max(1)).unwrap_or(u32::MAX);
    let width = (WIDTH * 0.6 / f64::from(count)).clamp(BAR_WIDTH_MIN, BAR_WIDTH_MAX);
    let mut out = begin(caption, 100);
    guides(&mut out);
    for point in points {
        let (left, upper) = (At(axis.x(point.at).0 - width / 2.0), y(point.value, top));
        let tall = At(HEIGHT - upper.0);
        html!(out, "<rect class=\"bar\" x=\"", left, "\" y=\"", upper, "\" width=\"", At(width), "\" height=\"", tall);
        html!(out, "\"><title>", point.says, "</title></rect>");
    }
    out.raw("</svg>");
    out
}

/// A drawing in its frame: the largest value above, nothing below, moments along the bottom.
pub(super) fn framed(title: &Markup, top: &str, drawing: &Markup, labels: &Markup) -> Markup {
    let mut out = Markup::new();
    html!(
        out,
        "<figure><figcaption>",
        title,
        "</figcaption><div class=\"plot\"><div class=\"y\" aria-hidden=\"true\"><span>"
    );
    html!(out, top, "</span><span>0</span></div><div class=\"drawing\">", drawing, "</div>", labels, "</div></figure>");
    out
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::{Axis, Caption, Point, bars, line};
    use crate::report::html::At;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn axis() -> Axis {
        Axis { from: at("2026-11-01T00:00:00Z"), to: at("2026-11-05T00:00:00Z") }
    }

    fn caption() -> Caption<'static> {
        Caption { id: "p".into(), title: "Size", description: "two points".into() }
    }

    fn points() -> Vec<Point> {
        let point = |day: &str, value| Point { at: at(day), value, says: format!("<{value}>") };
        vec![point("2026-11-02T00:00:00Z", 50), point("2026-11-05T00:00:00Z", 100)]
    }

    #[test]
    fn moments_lie_where_they_belong_and_none_lies_outside() {
        assert_eq!(axis().x(at("2026-11-02T00:00:00Z")), At(250.0));
        assert_eq!(axis().x(at("2026-12-02T00:00:00Z")), At(1000.0));
        let moment = at("2026-11-02T00:00:00Z");
        assert_eq!(Axis { from: moment, to: moment }.x(moment), At(500.0));
    }

    #[test]
    fn a_line_has_its_points_its_words_and_nothing_unescaped() {
        let drawn = line(&axis(), &caption(), &points()).into_string();
        assert!(drawn.contains("points=\"250,53 1000,6 \""), "{drawn}");
        assert!(drawn.contains("<title id=\"p-t\">Size</title><desc id=\"p-d\">two points</desc>"), "{drawn}");
        assert!(drawn.contains("<title>&lt;50&gt;</title>") && !drawn.contains("<50>"), "{drawn}");
    }

    #[test]
    fn bars_are_as_high_as_their_values() {
        let drawn = bars(&axis(), &caption(), &points()).into_string();
        assert!(drawn.contains("<rect class=\"bar\" x=\"241\" y=\"53\" width=\"18\" height=\"47\">"), "{drawn}");
        assert!(bars(&axis(), &caption(), &[]).into_string().ends_with("</svg>"));
    }
}
