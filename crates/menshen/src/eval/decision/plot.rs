//! The trade-off as a drawing (SVG): strangers admitted to the right, residents admitted upwards.
//! Pure.

use std::fmt::{self, Write};

use super::figures::{MethodFigures, Rates, Report};
use super::trial::Role;
use crate::eval::html::{self, Escaped};

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 520.0;
/// What lies around the field: left, top, right, bottom.
const AROUND: [f64; 4] = [70.0, 24.0, 24.0, 128.0];
/// The least share that the logarithmic axis shows; what is less stands at its left end.
const LEAST: f64 = 1e-5;
/// The same in powers of ten.
const DECADES: i32 = 5;
const FONT: &str = "font-family=\"system-ui,'Noto Sans CJK SC','Microsoft YaHei',sans-serif\" font-size=\"12\" fill=\"#3c4650\"";

/// Who is drawn, with a colour and a caption.
const DRAWN: [(Role, &str, &str); 3] = [
    (Role::Stranger, "#1565c0", "strangers 陌生车"),
    (
        Role::Neighbour,
        "#ef6c00",
        "one character off a resident 随机差一字",
    ),
    (
        Role::RunnerUp,
        "#c62828",
        "the reader's runner-up 识别最易混",
    ),
];

/// The drawing as a file of its own.
pub(super) fn svg(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = draw(&mut out, report);
    out
}

/// The whole page: drawing and tables.
pub(super) fn page(report: &Report) -> String {
    let mut out = String::new();
    let _ = write_page(&mut out, report);
    out
}

fn write_page(out: &mut String, report: &Report) -> fmt::Result {
    html::head(
        out,
        "eval decision 判定评测",
        "Strangers admitted against residents refused 误放与误拒",
    )?;
    let mut about =
        |what: &str, value: &str| writeln!(out, "<p class=\"note\">{what}: {}</p>", Escaped(value));
    about("Labels 标注", &report.labels)?;
    about("Pictures 图片", &report.folder)?;
    if !report.filters.is_empty() {
        about("Only 仅限", &report.filters.join(", "))?;
    }
    for line in super::said(report) {
        about("*", &line)?;
    }
    about("Menshen", report.version)?;
    for model in &report.models {
        about(&Escaped(&model.name).to_string(), &model.sha256)?;
    }
    html::left_out(out, &report.faults, &report.unusable)?;
    draw(out, report)?;
    for table in super::figures::tables(report) {
        html::table(out, &table)?;
    }
    writeln!(out, "</body></html>")
}

/// Where shares lie in the drawing.
struct Field {
    /// The least share of residents that is shown.
    floor: f64,
}

impl Field {
    fn new(report: &Report) -> Self {
        let shares = report
            .methods
            .iter()
            .filter_map(|m| m.rates.residents.share);
        let lowest = shares.fold(1.0, f64::min);
        // The methods stand in the upper half; the curve goes down to nobody and is cut off.
        let floor = 1.0 - 2.5 * (1.0 - lowest);
        Self {
            floor: ((floor * 100.0).floor() / 100.0).clamp(0.0, 0.95),
        }
    }

    fn x(share: f64) -> f64 {
        let [left, _, right, _] = AROUND;
        let along = (share.max(LEAST) / LEAST).log10() / f64::from(DECADES);
        left + along * (WIDTH - left - right)
    }

    fn y(&self, share: f64) -> f64 {
        let [_, top, _, bottom] = AROUND;
        let up = (share.max(self.floor) - self.floor) / (1.0 - self.floor);
        HEIGHT - bottom - up * (HEIGHT - top - bottom)
    }

    /// Where a method stands for one role; nothing if it was not tried.
    fn at(&self, rates: &Rates, role: Role) -> Option<(f64, f64)> {
        let (x, y) = (rates.of(role).share?, rates.residents.share?);
        Some((Self::x(x), self.y(y)))
    }
}

fn draw(out: &mut String, report: &Report) -> fmt::Result {
    let field = Field::new(report);
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
         viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n\
         <title>Residents admitted against strangers admitted 住户放行率与陌生车误放率</title>\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>"
    )?;
    axes(out, &field)?;
    for (role, colour, _) in DRAWN {
        let points: Vec<String> = report
            .curve
            .iter()
            .filter(|point| {
                point
                    .rates
                    .residents
                    .share
                    .is_some_and(|s| s >= field.floor)
            })
            .filter_map(|point| field.at(&point.rates, role))
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>",
            points.join(" ")
        )?;
    }
    for (number, method) in (1..).zip(&report.methods) {
        for (role, colour, _) in DRAWN {
            mark(out, &field, number, method, (role, colour))?;
        }
    }
    legend(out, report)?;
    writeln!(out, "</svg>")
}

fn axes(out: &mut String, field: &Field) -> fmt::Result {
    let [left, top, right, bottom] = AROUND;
    let (low, high) = (HEIGHT - bottom, WIDTH - right);
    let grid = "stroke=\"#dde2e8\"";
    for decade in 0..=DECADES {
        let share = LEAST * 10_f64.powi(decade);
        let x = Field::x(share);
        let label = match decade {
            0 => "≤ 0.001".to_owned(),
            _ => format!("{}", (share * 1e5).round() / 1e3),
        };
        writeln!(
            out,
            "<line x1=\"{x:.1}\" y1=\"{top}\" x2=\"{x:.1}\" y2=\"{low}\" {grid}/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" {FONT}>{label}</text>",
            low + 18.0
        )?;
    }
    for step in 0..=5 {
        let share = field.floor + (1.0 - field.floor) * f64::from(step) / 5.0;
        let y = field.y(share);
        writeln!(
            out,
            "<line x1=\"{left}\" y1=\"{y:.1}\" x2=\"{high}\" y2=\"{y:.1}\" {grid}/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" {FONT}>{:.1}</text>",
            left - 6.0,
            y + 4.0,
            share * 100.0
        )?;
    }
    writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" {FONT}>strangers admitted 陌生车误放, %</text>\
         <text x=\"4\" y=\"14\" {FONT}>residents admitted 住户放行, %</text>",
        f64::midpoint(left, high),
        low + 36.0
    )
}

/// A method's point with its number, and its interval sideways.
fn mark(
    out: &mut String,
    field: &Field,
    number: usize,
    method: &MethodFigures,
    (role, colour): (Role, &str),
) -> fmt::Result {
    let Some((x, y)) = field.at(&method.rates, role) else {
        return Ok(());
    };
    let rate = method.rates.of(role);
    if let (Some(low), Some(high)) = (rate.low, rate.high) {
        writeln!(
            out,
            "<line x1=\"{:.1}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" stroke=\"{colour}\" stroke-opacity=\"0.5\"/>",
            Field::x(low),
            Field::x(high)
        )?;
    }
    writeln!(
        out,
        "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"8\" fill=\"{colour}\"/>\
         <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-family=\"sans-serif\" font-size=\"11\" fill=\"#fff\">{number}</text>",
        y + 4.0
    )
}

fn legend(out: &mut String, report: &Report) -> fmt::Result {
    let top = HEIGHT - AROUND[3] + 58.0;
    let columns = [0.0, 270.0, 540.0].map(|x| AROUND[0] + x);
    for ((_, colour, caption), x) in DRAWN.into_iter().zip(columns) {
        writeln!(
            out,
            "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"12\" height=\"12\" fill=\"{colour}\"/>\
             <text x=\"{:.1}\" y=\"{top:.1}\" {FONT}>{caption}</text>",
            top - 10.0,
            x + 17.0
        )?;
    }
    for (at, method) in report.methods.iter().enumerate() {
        writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" {FONT}>{} {}</text>",
            columns[at % columns.len()],
            top + 20.0 * (1 + at / columns.len()) as f64,
            at + 1,
            method.title
        )?;
    }
    writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\" {FONT}>lines: Menshen at every margin; bars: 95 % over distinct plates 线：门神在各界限下；横条：95 % 区间</text>",
        AROUND[0],
        top + 60.0
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::super::figures::tests::report;
    use super::*;

    #[test]
    fn the_drawing_has_every_method_and_curve_and_is_well_formed() {
        let report = report();
        let svg = svg(&report);
        assert_eq!(svg.matches("<polyline").count(), 3);
        assert_eq!(svg.matches("<circle").count(), 3 * report.methods.len());
        for tag in ["svg", "text", "title"] {
            let open =
                svg.matches(&format!("<{tag}>")).count() + svg.matches(&format!("<{tag} ")).count();
            assert_eq!(open, svg.matches(&format!("</{tag}>")).count(), "{tag}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn nobody_admitted_stands_at_the_left_end_and_everybody_at_the_right() {
        let field = Field::new(&report());
        let [left, _, right, _] = AROUND;
        assert!((Field::x(0.0) - left).abs() < 1e-9);
        assert!((Field::x(1.0) - (WIDTH - right)).abs() < 1e-9);
        assert!(Field::x(0.01) < Field::x(0.1) && field.y(0.9) > field.y(1.0));
    }

    #[test]
    fn what_stands_in_a_label_file_never_becomes_markup() {
        let evil = "</td><script>alert('x')</script>\"&";
        let mut report = report();
        report.labels = evil.into();
        report.folder = evil.into();
        report.registers.file = Some(evil.into());
        report.splits[0].title = evil.into();
        report.splits[0].groups[0].title = evil.into();
        report.let_in[0].path = evil.into();
        let page = page(&report);
        assert!(!page.contains("<script>") && !page.contains("\"&<"));
        assert_eq!(page.matches("alert(&#39;x&#39;)").count(), 6);
        assert_eq!(page.matches("<svg").count(), 1);
    }
}
