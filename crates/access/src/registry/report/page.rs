//! The report as one page of HTML, without anything from outside.

use std::fmt::Write as _;

use crate::registry::import::{Column, Draft, Finding, Severity, Topic};

const STYLE: &str = "body{font:15px/1.5 'Noto Sans CJK SC','Microsoft YaHei',sans-serif;margin:2em auto;max-width:70em;padding:0 1em;color:#222}\
h1{font-size:1.5em}h2{font-size:1.15em;margin-top:1.8em;border-bottom:2px solid #ddd}\
table{border-collapse:collapse;width:100%}th,td{border:1px solid #ccc;padding:.3em .5em;text-align:left;vertical-align:top}\
th{background:#f3f3f3}.en{color:#666;font-size:.85em}.error{background:#ffe0e0}.warning{background:#fff4cc}\
.box{display:inline-block;width:1em;height:1em;border:1px solid #888}.summary td:last-child{text-align:right}\
@media print{body{margin:0;max-width:none}tr{break-inside:avoid}}";

/// The report on a list; `name` is the list's, for the heading.
pub fn html(name: &str, draft: &Draft) -> String {
    let mut out = String::new();
    let (errors, warnings) = (draft.errors().count(), draft.warnings().count());
    let name = escaped(name);
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"zh-CN\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>登记表检查报告 {name}</title>\n<style>{STYLE}</style>\n\
         <h1>登记表检查报告 <span class=\"en\">What was found in the list</span></h1>\n\
         <p>文件 {name}：共 {rows} 行，可导入 {good} 行；<b>{errors} 处错误</b>（改正前不会导入），{warnings} 处请核对。\
         尚未导入任何内容。<br><span class=\"en\">{rows} rows, {good} could be stored; {errors} errors (nothing is stored until they are \
         corrected), {warnings} to look at. Nothing has been stored yet.</span></p>\n",
        rows = draft.table.rows.len(),
        good = draft.good_rows(),
    );
    if draft.is_cut_short() {
        out.push_str(
            "<p class=\"error\">错误太多，检查提前结束；请确认这是车辆登记表。<br><span class=\"en\">So many errors that reading ended early: \
             is this the register?</span></p>\n",
        );
    }
    for note in &draft.notes {
        let _ = writeln!(
            out,
            "<p>{}<br><span class=\"en\">{}</span></p>",
            escaped(&note.chinese),
            escaped(&note.english)
        );
    }
    summary(draft, &mut out);
    for &topic in Topic::ALL {
        let list: Vec<&Finding> = draft.findings.iter().filter(|f| f.topic == topic).collect();
        if !list.is_empty() {
            section(draft, topic, &list, &mut out);
        }
    }
    out
}

fn class(topic: Topic) -> &'static str {
    match topic.severity() {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn summary(draft: &Draft, out: &mut String) {
    out.push_str("<table class=\"summary\">\n");
    for &topic in Topic::ALL {
        let count = draft.findings.iter().filter(|f| f.topic == topic).count();
        if count > 0 {
            let _ = writeln!(
                out,
                "<tr class=\"{}\"><td>{} <span class=\"en\">{}</span></td><td>{count}</td></tr>",
                class(topic),
                topic.chinese(),
                topic.english()
            );
        }
    }
    out.push_str("</table>\n");
}

fn section(draft: &Draft, topic: Topic, list: &[&Finding], out: &mut String) {
    let _ = write!(
        out,
        "<h2>{} <span class=\"en\">{}</span></h2>\n<table>\n<tr><th>✓<th>行<th>车牌<th>车主<th>楼栋 单元<th>电话<th>问题<th>可能是</tr>\n",
        topic.chinese(),
        topic.english()
    );
    for finding in list {
        let row = draft
            .table
            .rows
            .binary_search_by_key(&finding.line, |row| row.line)
            .ok()
            .map(|at| &draft.table.rows[at]);
        let cell = |column: Column| escaped(row.map_or("", |row| row.cell(column)));
        let mark = |columns: &[Column]| {
            if columns.contains(&finding.column) {
                format!(" class=\"{}\"", class(topic))
            } else {
                String::new()
            }
        };
        let _ = writeln!(
            out,
            "<tr><td><span class=\"box\"></span><td>{}<td{}>{}<td{}>{}<td{}>{} {}<td{}>{}<td>{}：{}；{}<br><span class=\"en\">{}; {}</span><td>{}</tr>",
            finding.line,
            mark(&[Column::Plate]),
            cell(Column::Plate),
            mark(&[Column::Owner]),
            cell(Column::Owner),
            mark(&[Column::Building, Column::Unit]),
            cell(Column::Building),
            cell(Column::Unit),
            mark(&[Column::Phone]),
            cell(Column::Phone),
            finding.column.chinese(),
            escaped(&finding.cause.chinese),
            escaped(&finding.cure.chinese),
            escaped(&finding.cause.english),
            escaped(&finding.cure.english),
            escaped(&finding.suggestions.join(" ")),
        );
    }
    out.push_str("</table>\n");
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other if other.is_control() => out.push(' '),
            other => out.push(other),
        }
    }
    out
}
