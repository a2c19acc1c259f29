//! The drawings of the report: plain SVG, coloured by the page's own variables.
//!
//! What it is: scales, axes, and three kinds of drawing. What it is not: a choice of what to draw. The one design choice:
//! every mark carries its figures as a `title`, so that a browser shows them without a script.

use std::fmt::Write;

/// Colours of series, as the page names them.
pub(super) const COLOURS: [&str; 6] =
    ["var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)", "var(--c5)", "var(--c6)"];

/// A point of a drawing: where, how many colours on, round or square, filled, and what it says.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    pub x: f64,
    pub y: f64,
    pub series: usize,
    pub is_round: bool,
    pub says: String,
}

/// A line through points.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub points: Vec<(f64, f64)>,
    pub colour: &'static str,
    pub is_dashed: bool,
    /// Stands above its last point.
    pub label: String,
}

/// One direction of a drawing.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    pub title: &'static str,
    pub least: f64,
    pub most: f64,
    pub is_log: bool,
}

impl Axis {
    /// From 0 to a little above all values.
    pub fn linear(title: &'static str, values: impl Iterator<Item = f64>) -> Axis {
        let most = values.fold(0.0, f64::max).max(1e-9) * 1.08;
        Axis { title, least: 0.0, most, is_log: false }
    }

    /// Around all values, in powers.
    pub fn log(title: &'static str, values: impl Iterator<Item = f64> + Clone) -> Axis {
        let values = values.filter(|x| *x > 0.0);
        let (least, most) = (values.clone().fold(f64::INFINITY, f64::min), values.fold(0.0, f64::max));
        let (least, most) = if most > 0.0 { (least, most) } else { (1.0, 10.0) };
        Axis { title, least: least / 2.5, most: most * 2.5, is_log: true }
    }

    /// Where a value lies, from 0 to 1.
    fn share(&self, x: f64) -> f64 {
        let share = match self.is_log {
            true => (x.max(1e-12) / self.least).ln() / (self.most / self.least).ln(),
            false => (x - self.least) / (self.most - self.least),
        };
        share.clamp(-0.02, 1.02)
    }

    /// Values that are marked, five or so.
    fn ticks(&self) -> Vec<f64> {
        let nice = |raw: f64| {
            let power = 10f64.powf(raw.log10().floor());
            let steps = [1.0, 2.0, 5.0, 10.0];
            steps.into_iter().map(|step| step * power).find(|step| *step >= raw).unwrap_or(power)
        };
        if self.is_log {
            let all = (-12..16).flat_map(|power| [1.0, 2.0, 5.0].map(|x: f64| x * 10f64.powi(power)));
            let inside: Vec<f64> = all.filter(|x| *x >= self.least && *x <= self.most).collect();
            let few = inside.len() <= 8;
            let is_power = |x: &f64| (x.log10() - x.log10().round()).abs() < 1e-6;
            return inside.into_iter().filter(|x| few || is_power(x)).collect();
        }
        let step = nice((self.most - self.least) / 5.0);
        (0..).map(|n| f64::from(n) * step).take_while(|x| *x <= self.most).collect()
    }
}

/// Room around a drawing: left, top, right, bottom.
const ROOM: (f64, f64, f64, f64) = (62.0, 16.0, 16.0, 46.0);

/// A drawing of lines and marks, `width` by `height`.
pub(super) fn drawing(
    (width, height): (f64, f64),
    x: &Axis,
    y: &Axis,
    lines: &[Line],
    marks: &[Mark],
) -> String {
    let (left, top, right, bottom) = ROOM;
    let (inner, tall) = (width - left - right, height - top - bottom);
    let at = |point: (f64, f64)| (left + x.share(point.0) * inner, top + (1.0 - y.share(point.1)) * tall);
    let mut svg =
        format!("<svg viewBox=\"0 0 {width} {height}\" role=\"img\">\n{}", axes((width, height), x, y));
    for line in lines {
        let points = line.points.iter().map(|point| at(*point)).map(|(x, y)| format!("{x:.1},{y:.1} "));
        let dash = if line.is_dashed { " stroke-dasharray=\"5 4\"" } else { "" };
        let _ = writeln!(
            svg,
            "<polyline class=\"line\" points=\"{}\" style=\"stroke:{}\"{dash}/>",
            points.collect::<String>().trim_end(),
            line.colour
        );
        if let Some(last) = line.points.last().filter(|_| !line.label.is_empty()) {
            let (px, py) = at(*last);
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" class=\"tick\" text-anchor=\"end\">{}</text>",
                px - 2.0,
                py - 6.0,
                escaped(&line.label)
            );
        }
    }
    for mark in marks {
        let (px, py) = at((mark.x, mark.y));
        let colour = COLOURS[mark.series % COLOURS.len()];
        let shape = match mark.is_round {
            true => format!("<circle cx=\"{px:.1}\" cy=\"{py:.1}\" r=\"5\""),
            false => format!(
                "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"10\" height=\"10\" rx=\"1.5\"",
                px - 5.0,
                py - 5.0
            ),
        };
        let _ = writeln!(
            svg,
            "{shape} class=\"mark\" style=\"fill:{colour}\"><title>{}</title></{}>",
            escaped(&mark.says),
            if mark.is_round { "circle" } else { "rect" }
        );
    }
    svg + "</svg>\n"
}

/// The grid, what stands beside it, and the titles.
fn axes((width, height): (f64, f64), x: &Axis, y: &Axis) -> String {
    let (left, top, right, bottom) = ROOM;
    let (inner, tall) = (width - left - right, height - top - bottom);
    let mut svg = String::new();
    for tick in x.ticks() {
        let px = left + x.share(tick) * inner;
        let end = height - bottom;
        let _ = writeln!(svg, "<path class=\"grid\" d=\"M{px:.1} {top}V{end:.1}\"/>");
        let _ = writeln!(
            svg,
            "<text x=\"{px:.1}\" y=\"{:.1}\" class=\"tick\" text-anchor=\"middle\">{}</text>",
            end + 16.0,
            short(tick)
        );
    }
    for tick in y.ticks() {
        let py = top + (1.0 - y.share(tick)) * tall;
        let _ = writeln!(svg, "<path class=\"grid\" d=\"M{left} {py:.1}H{:.1}\"/>", width - right);
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" class=\"tick\" text-anchor=\"end\">{}</text>",
            left - 7.0,
            py + 4.0,
            short(tick)
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" class=\"axis\" text-anchor=\"middle\">{}</text>",
        left + inner / 2.0,
        height - 8.0,
        escaped(x.title)
    );
    let middle = top + tall / 2.0;
    let _ = writeln!(
        svg,
        "<text transform=\"translate(14 {middle:.1}) rotate(-90)\" class=\"axis\" text-anchor=\"middle\">{}</text>",
        escaped(y.title)
    );
    svg
}

/// Bars of shares, one below the other: a label, parts that are drawn in the order of the colours, and what stands behind.
pub(super) fn bars(width: f64, rows: &[(String, Vec<f64>, String)], names: &[&str]) -> String {
    const STEP: f64 = 28.0;
    let (left, right) = (250.0, 110.0);
    let height = STEP * rows.len() as f64 + 6.0;
    let mut svg = format!("<svg viewBox=\"0 0 {width} {height}\" role=\"img\">\n");
    for (number, (label, parts, behind)) in rows.iter().enumerate() {
        let (y, whole) = (number as f64 * STEP + 4.0, parts.iter().sum::<f64>().max(1e-12));
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" class=\"tick\" text-anchor=\"end\">{}</text>",
            left - 8.0,
            y + 14.0,
            escaped(label)
        );
        let mut x = left;
        for (n, part) in parts.iter().enumerate() {
            let wide = part / whole * (width - left - right);
            let says = format!("{}: {:.0}%", names.get(n).unwrap_or(&""), part / whole * 100.0);
            let _ = writeln!(
                svg,
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"20\" style=\"fill:{}\"><title>{}</title></rect>",
                (wide - 1.0).max(0.0),
                COLOURS[n % COLOURS.len()],
                escaped(&says)
            );
            if wide > 44.0 {
                let _ = writeln!(
                    svg,
                    "<text x=\"{:.1}\" y=\"{:.1}\" class=\"inside\" text-anchor=\"middle\">{:.0}%</text>",
                    x + wide / 2.0,
                    y + 14.0,
                    part / whole * 100.0
                );
            }
            x += wide;
        }
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" class=\"tick\">{}</text>",
            width - right + 8.0,
            y + 14.0,
            escaped(behind)
        );
    }
    svg + "</svg>\n"
}

/// Names beside their colours.
pub(super) fn legend<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let items = names.enumerate().map(|(n, name)| {
        let colour = COLOURS[n % COLOURS.len()];
        format!("<span><i style=\"background:{colour}\"></i>{}</span>", escaped(name))
    });
    format!("<p class=\"legend\">{}</p>\n", items.collect::<String>())
}

/// Text that a page shows as it is.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A number in few letters: 0.25, 12, 3k, 4M.
fn short(x: f64) -> String {
    let (x, unit) = match x {
        x if x >= 1e9 => (x / 1e9, "G"),
        x if x >= 1e6 => (x / 1e6, "M"),
        x if x >= 1e4 => (x / 1e3, "k"),
        x => (x, ""),
    };
    let text = format!("{x:.3}");
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_ticks_few() {
        for (x, text) in [(0.0, "0"), (0.25, "0.25"), (12.0, "12"), (20000.0, "20k"), (3e9, "3G")] {
            assert_eq!(short(x), text);
        }
        let linear = Axis::linear("", [90.0, 3.0].into_iter());
        assert_eq!(linear.ticks(), [0.0, 20.0, 40.0, 60.0, 80.0]);
        let log = Axis::log("", [1.0, 1e6].into_iter());
        assert!(log.ticks().len() <= 8 && log.ticks().contains(&1.0), "{:?}", log.ticks());
        assert!(Axis::log("", [].into_iter()).ticks().len() > 1);
    }

    #[test]
    fn what_is_drawn_stays_inside_and_is_escaped() {
        let axis = || Axis::linear("a < b", [1.0].into_iter());
        let mark = Mark { x: 1.0, y: 9.0, series: 7, is_round: false, says: "<\"&".to_string() };
        let svg = drawing((300.0, 200.0), &axis(), &axis(), &[], &[mark]);
        assert!(
            svg.contains("a &lt; b") && svg.contains("&lt;&quot;&amp;") && svg.contains("var(--c2)"),
            "{svg}"
        );
        assert!(svg.contains("y=\"8.2\""), "{svg}");
        assert!(
            bars(500.0, &[("x".to_string(), vec![1.0, 3.0], "4".to_string())], &["p", "q"])
                .contains("q: 75%")
        );
    }
}
