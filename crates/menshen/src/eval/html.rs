//! The report as one HTML file that needs nothing else: figures, diagrams, misread plates.
//!
//! Everything that comes from outside (labels, paths, names of columns) goes through [`Escaped`].

use std::fmt::{self, Display, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::labels::RowFault;
use super::report::{Fault, Misread, Report, Table, Unusable, tables};
use super::statistics::{Bin, Reliability};

/// Misread plates that are shown; a page with more of them is no use to anybody.
const SHOWN: usize = 3000;

const STYLE: &str = "\
body{font:15px/1.5 system-ui,'Noto Sans CJK SC','Microsoft YaHei',sans-serif;margin:2em auto;\
max-width:72em;padding:0 1em;color:#1b1f24;background:#fff}\
h1{font-size:1.5em}h2{font-size:1.15em;margin-top:2em}\
table{border-collapse:collapse;margin:.5em 0}\
th,td{text-align:left;padding:.25em .8em;border-bottom:1px solid #dde2e8;white-space:nowrap}\
th{background:#f3f5f8}td.path{white-space:normal;word-break:break-all;color:#5b6572}\
.sortable th{cursor:pointer}.sortable th::after{content:' \\2195';color:#9aa4b0}\
tr.group td{background:#f8f9fb;font-weight:600}\
.text{font:600 1.15em ui-monospace,'Noto Sans Mono CJK SC',monospace;letter-spacing:.08em}\
.text b{color:#fff;background:#c62828;border-radius:2px}\
.note{color:#5b6572;margin:.1em 0}img{display:block;max-width:220px;max-height:120px}\
svg text{font:12px system-ui,sans-serif;fill:#5b6572}summary{cursor:pointer;font-weight:600}";

const SCRIPT: &str = "\
for (const table of document.querySelectorAll('table.sortable')) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, i) => head.addEventListener('click', () => {
    const up = head.dataset.up !== '1';
    heads.forEach(h => delete h.dataset.up);
    head.dataset.up = up ? '1' : '0';
    const key = row => row.cells[i].dataset.value ?? row.cells[i].textContent;
    const order = (a, b) => {
      const x = key(a), y = key(b), n = x - y;
      return (Number.isNaN(n) ? x.localeCompare(y) : n) * (up ? 1 : -1);
    };
    table.tBodies[0].append(...[...table.tBodies[0].rows].sort(order));
  }));
}";

/// A text that is shown as it is, whatever stands in it.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// The whole page.
pub(super) fn page(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_page(&mut out, report);
    out
}

fn write_page(out: &mut String, report: &Report) -> fmt::Result {
    head(out, "eval 评测", "What the recogniser can do 识别评测")?;
    let mut about =
        |what: &str, value: &str| writeln!(out, "<p class=\"note\">{what}: {}</p>", Escaped(value));
    about("Labels 标注", &report.labels)?;
    about(
        "Pictures 图片",
        &format!("{} ({})", report.folder, report.rows),
    )?;
    if !report.filters.is_empty() {
        about("Only 仅限", &report.filters.join(", "))?;
    }
    about("Menshen", report.version)?;
    for model in &report.models {
        about(&Escaped(&model.name).to_string(), &model.sha256)?;
    }
    writeln!(
        out,
        "<p class=\"note\">In brackets Wilson's 95 % interval. 括号内为 Wilson 95 % 置信区间。</p>"
    )?;
    left_out(out, &report.faults, &report.unusable)?;
    for one in tables(report) {
        table(out, &one)?;
    }
    for (title, reliability) in [
        (
            "Whole pictures 整图",
            &report.measured.whole.readings.reliability,
        ),
        (
            "The reader alone 单独识别",
            &report.measured.reader.reliability,
        ),
    ] {
        if reliability.answers > 0 {
            writeln!(out, "<h2>Certainty and accuracy 把握与准确率: {title}</h2>")?;
            diagram(out, reliability)?;
        }
    }
    misread(out, &report.misread)?;
    writeln!(out, "<script>{SCRIPT}</script>\n</body></html>")
}

/// The beginning of a page, up to its heading.
pub(super) fn head(out: &mut String, title: &str, heading: &str) -> fmt::Result {
    writeln!(
        out,
        "<!doctype html>\n<html lang=\"zh-CN\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <title>Menshen 门神: {title}</title><style>{STYLE}</style></head><body>\n\
         <h1>{heading}</h1>"
    )
}

/// What was left out, if anything was.
pub(super) fn left_out(
    out: &mut String,
    faults: &[RowFault],
    unusable: &[Unusable],
) -> fmt::Result {
    if faults.is_empty() && unusable.is_empty() {
        return Ok(());
    }
    writeln!(out, "<h2>Not measured 未评测</h2><ul>")?;
    for fault in faults {
        writeln!(out, "<li>{}</li>", Escaped(&fault.to_string()))?;
    }
    for picture in unusable {
        writeln!(
            out,
            "<li>line {}: {}: {}</li>",
            picture.line,
            Escaped(&picture.path),
            Escaped(&picture.error)
        )?;
    }
    writeln!(out, "</ul>")
}

/// A table with its title and notes.
pub(super) fn table(out: &mut String, table: &Table) -> fmt::Result {
    writeln!(
        out,
        "<h2>{}</h2>\n<table><thead><tr>",
        Escaped(&table.title)
    )?;
    for heading in &table.headings {
        write!(out, "<th>{heading}</th>")?;
    }
    writeln!(out, "</tr></thead><tbody>")?;
    for row in &table.rows {
        if let [heading] = &row[..] {
            let wide = table.headings.len();
            let heading = Escaped(heading);
            writeln!(
                out,
                "<tr class=\"group\"><td colspan=\"{wide}\">{heading}</td></tr>"
            )?;
            continue;
        }
        write!(out, "<tr>")?;
        for cell in row {
            write!(out, "<td>{}</td>", Escaped(cell))?;
        }
        writeln!(out, "</tr>")?;
    }
    writeln!(out, "</tbody></table>")?;
    for note in &table.notes {
        writeln!(out, "<p class=\"note\">{}</p>", Escaped(note))?;
    }
    Ok(())
}

/// The reliability diagram: promised to the right, kept upwards, the diagonal is the truth.
fn diagram(out: &mut String, reliability: &Reliability) -> fmt::Result {
    /// Pixels of a side, and around it.
    const SIDE: f64 = 320.0;
    const MARGIN: f64 = 48.0;
    let least = |bin: &Bin| {
        let low = bin.exact.interval().map_or(1.0, |(low, _)| low);
        bin.confidence.min(low)
    };
    let lowest = reliability.bins.iter().map(least).fold(1.0, f64::min);
    // Most certainties are near 1; what lies below the lowest bin is not drawn.
    let from = ((lowest * 10.0).floor() / 10.0).clamp(0.0, 0.9);
    let along = |share: f64| (share - from) / (1.0 - from) * SIDE;
    let x = |share: f64| MARGIN + along(share);
    let y = |share: f64| MARGIN / 2.0 + SIDE - along(share);
    let size = SIDE + 2.0 * MARGIN;
    writeln!(
        out,
        "<svg width=\"{size}\" height=\"{size}\" viewBox=\"0 0 {size} {size}\" role=\"img\">"
    )?;
    let line = |out: &mut String, from: (f64, f64), to: (f64, f64), look: &str| {
        let ((x1, y1), (x2, y2)) = (from, to);
        writeln!(
            out,
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" {look}/>"
        )
    };
    for step in 0..=4 {
        let share = from + (1.0 - from) * f64::from(step) / 4.0;
        let grid = "stroke=\"#dde2e8\"";
        line(out, (x(share), y(from)), (x(share), y(1.0)), grid)?;
        line(out, (x(from), y(share)), (x(1.0), y(share)), grid)?;
        let percent = share * 100.0;
        writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{percent:.1}</text>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{percent:.1}</text>",
            x(share),
            y(from) + 18.0,
            x(from) - 6.0,
            y(share) + 4.0
        )?;
    }
    let dashed = "stroke=\"#9aa4b0\" stroke-dasharray=\"4 4\"";
    line(out, (x(from), y(from)), (x(1.0), y(1.0)), dashed)?;
    for bin in &reliability.bins {
        let (Some(kept), Some((low, high))) = (bin.exact.value(), bin.exact.interval()) else {
            continue;
        };
        let at = x(bin.confidence);
        line(out, (at, y(low)), (at, y(high)), "stroke=\"#1565c0\"")?;
        writeln!(
            out,
            "<circle cx=\"{at:.1}\" cy=\"{:.1}\" r=\"4\" fill=\"#1565c0\"/>",
            y(kept)
        )?;
    }
    writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">certainty 把握, %</text>\
         <text x=\"{:.1}\" y=\"{:.1}\">exact 全对, %</text></svg>",
        x(f64::midpoint(from, 1.0)),
        y(from) + 36.0,
        4.0,
        14.0
    )
}

fn misread(out: &mut String, list: &[Misread]) -> fmt::Result {
    writeln!(out, "<h2>Misread plates 读错的车牌: {}</h2>", list.len())?;
    if list.len() > SHOWN {
        writeln!(
            out,
            "<p class=\"note\">The {SHOWN} surest are shown, the JSON lists all. 仅显示前 {SHOWN} 个。</p>"
        )?;
    }
    let shown = &list[..list.len().min(SHOWN)];
    for (road, title) in [
        ("whole", "whole pictures 整图"),
        ("corners", "labelled corners 标注角点"),
        ("cut", "cut out 裁好的车牌"),
    ] {
        for fault in Fault::ALL {
            let group: Vec<&Misread> = shown
                .iter()
                .filter(|m| m.road == road && m.fault == fault)
                .collect();
            if !group.is_empty() {
                writeln!(
                    out,
                    "<details open><summary>{}: {title} ({})</summary>",
                    fault.title(),
                    group.len()
                )?;
                plates(out, &group)?;
                writeln!(out, "</details>")?;
            }
        }
    }
    Ok(())
}

fn plates(out: &mut String, group: &[&Misread]) -> fmt::Result {
    writeln!(
        out,
        "<table class=\"sortable\"><thead><tr><th>Picture 图片</th><th>Plate 车牌</th>\
         <th>Read 读作</th><th>Sure 把握</th><th>Kind 种类</th><th>Light 光线</th>\
         <th>Width 宽度</th><th>File 文件</th></tr></thead><tbody>"
    )?;
    for plate in group {
        write!(out, "<tr><td data-value=\"{}\">", plate.line)?;
        if let Some(picture) = &plate.picture {
            let data = STANDARD.encode(picture);
            write!(out, "<img alt=\"\" src=\"data:image/jpeg;base64,{data}\">")?;
        }
        let label = plate.label.as_deref().unwrap_or_default();
        let read = plate.read.as_deref().unwrap_or_default();
        let confidence = plate.confidence.unwrap_or_default();
        write!(
            out,
            "</td><td class=\"text\">{}</td><td class=\"text\">",
            Escaped(label)
        )?;
        marked(out, label, read)?;
        write!(
            out,
            "</td><td data-value=\"{confidence}\">{}</td><td>{}</td><td>{}</td>",
            plate
                .confidence
                .map(|c| format!("{:.1} %", c * 100.0))
                .unwrap_or_default(),
            plate
                .kind
                .map(|k| format!("{k} {}", k.chinese()))
                .unwrap_or_default(),
            Escaped(&plate.light)
        )?;
        let width = plate.width.unwrap_or_default();
        writeln!(
            out,
            "<td data-value=\"{width}\">{}</td><td class=\"path\">{}</td></tr>",
            plate.width.map(|w| format!("{w:.0}")).unwrap_or_default(),
            Escaped(&plate.path)
        )?;
    }
    writeln!(out, "</tbody></table>")
}

/// What was read, the characters that differ from the label marked.
fn marked(out: &mut String, label: &str, read: &str) -> fmt::Result {
    let mut label = label.chars();
    for c in read.chars() {
        let text = c.to_string();
        let text = Escaped(&text);
        if label.next() == Some(c) {
            write!(out, "{text}")?;
        } else {
            write!(out, "<b>{text}</b>")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use proptest::prelude::*;

    use super::super::report::tests::report;
    use super::*;

    #[test]
    fn the_page_shows_the_plates_with_what_is_wrong_in_them() {
        let page = page(&report("street/a.jpg"));
        assert!(page.contains("苏E12<b>8</b>45"), "{page}");
        assert!(page.contains("data:image/jpeg;base64,AQID"));
        assert!(page.contains("Not found") && page.contains("no plate is labelled"));
        assert_eq!(page.matches("<svg").count(), 1, "nothing was read alone");
        assert_eq!(page.matches("<circle").count(), 1);
        for tag in ["table", "details", "tr", "td", "svg", "p"] {
            let open = page.matches(&format!("<{tag}>")).count()
                + page.matches(&format!("<{tag} ")).count();
            assert_eq!(open, page.matches(&format!("</{tag}>")).count(), "{tag}");
        }
    }

    #[test]
    fn what_stands_in_a_label_file_never_becomes_markup() {
        let evil = "</td><script>alert('x')</script>\"&.jpg";
        let mut report = report(evil);
        report.labels = evil.into();
        report.folder = evil.into();
        report.filters = vec![evil.into()];
        report.measured.whole.readings.splits[0].title = evil.into();
        report.measured.whole.readings.splits[0].groups[0].title = evil.into();
        report.misread[0].light = evil.into();
        report.misread[0].label = Some(evil.into());
        report.misread[0].read = Some(evil.into());
        report.unusable.push(super::super::report::Unusable {
            line: 3,
            path: evil.into(),
            error: evil.into(),
        });
        let page = page(&report);
        assert_eq!(page.matches("<script>").count(), 1, "its own");
        assert!(!page.contains("alert('x')") && !page.contains("\"&.jpg"));
        assert!(page.matches("alert(&#39;x&#39;)").count() > 8);
    }

    proptest! {
        #[test]
        fn escaped_text_has_no_markup_and_can_be_read_back(text in "\\PC{0,40}|[<>&\"'a;#]{0,40}") {
            let escaped = Escaped(&text).to_string();
            prop_assert!(!escaped.contains(['<', '>', '"', '\'']));
            let back = escaped
                .replace("&lt;", "<")
                .replace("&gt;", ">")
                .replace("&quot;", "\"")
                .replace("&#39;", "'")
                .replace("&amp;", "&");
            prop_assert_eq!(back, text);
        }
    }
}
