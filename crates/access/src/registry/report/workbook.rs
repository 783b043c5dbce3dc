//! The list itself with its problems marked.

use std::collections::HashMap;

use rust_xlsxwriter::{Color, Format, Note, Workbook, XlsxError};

use crate::registry::import::{Column, Draft, Finding, Severity};

/// Characters that one cell of a workbook may hold, with room to spare.
const CELL: usize = 30_000;

/// The list as a workbook: on the first sheet its rows with the cells in question coloured
/// (red: must be corrected, yellow: look at it), a note on each and all problems of a row in its
/// last column; on the second sheet the problems one below the other. The first sheet can be
/// corrected and imported again: its headings are those of a register.
///
/// # Errors
/// If the list has more rows than a sheet.
pub fn xlsx(draft: &Draft) -> Result<Vec<u8>, XlsxError> {
    let mut book = Workbook::new();
    list(&mut book, draft)?;
    problems(&mut book, draft)?;
    book.save_to_buffer()
}

fn colour(severity: Severity) -> Color {
    match severity {
        Severity::Error => Color::RGB(0x00FF_9999),
        Severity::Warning => Color::RGB(0x00FF_E699),
    }
}

fn list(book: &mut Workbook, draft: &Draft) -> Result<(), XlsxError> {
    let text = Format::new().set_num_format("@");
    let bold = Format::new().set_bold();
    let marked = |severity| text.clone().set_background_color(colour(severity));
    let (error, warning) = (marked(Severity::Error), marked(Severity::Warning));
    let mut by_line: HashMap<u64, Vec<&Finding>> = HashMap::new();
    for finding in &draft.findings {
        by_line.entry(finding.line).or_default().push(finding);
    }
    let sheet = book.add_worksheet();
    sheet.set_name("登记表")?;
    sheet.set_freeze_panes(1, 0)?;
    let columns = &draft.table.columns;
    let last = columns.len() as u16;
    for (place, column) in (0_u16..).zip(columns) {
        sheet.set_column_format(place, &text)?;
        sheet.set_column_width(place, 14)?;
        sheet.write_string_with_format(0, place, column.chinese(), &bold)?;
    }
    sheet.write_string_with_format(0, last, "问题（原文件行号）", &bold)?;
    sheet.set_column_width(last, 80)?;
    for (at, row) in (1_u32..).zip(&draft.table.rows) {
        let found = by_line.get(&row.line).map_or(&[][..], Vec::as_slice);
        for (place, &column) in (0_u16..).zip(columns) {
            let content: String = row.cell(column).chars().take(CELL).collect();
            let mut here: Vec<&&Finding> = found.iter().filter(|f| f.column == column).collect();
            here.sort_by_key(|f| f.severity());
            let Some(worst) = here.first() else {
                if !content.is_empty() {
                    sheet.write_string_with_format(at, place, content, &text)?;
                }
                continue;
            };
            let format = match worst.severity() {
                Severity::Error => &error,
                Severity::Warning => &warning,
            };
            sheet.write_string_with_format(at, place, content, format)?;
            let words: Vec<String> = here.iter().map(|f| in_chinese(f)).collect();
            let note = Note::new(words.join("\n"))
                .set_author("Menshen")
                .add_author_prefix(false);
            sheet.insert_note(at, place, &note)?;
        }
        if !found.is_empty() {
            let words: Vec<String> = found
                .iter()
                .map(|f| format!("{}：{}", f.column.chinese(), in_chinese(f)))
                .collect();
            let words = format!("第 {} 行 {}", row.line, words.join(" | "));
            sheet.write_string(at, last, words)?;
        }
    }
    sheet.autofilter(0, 0, draft.table.rows.len() as u32, last)?;
    Ok(())
}

fn in_chinese(finding: &Finding) -> String {
    let mut words = format!("{}；{}", finding.cause.chinese, finding.cure.chinese);
    if !finding.suggestions.is_empty() {
        words.push_str("；可能是：");
        words.push_str(&finding.suggestions.join(" "));
    }
    words
}

fn problems(book: &mut Workbook, draft: &Draft) -> Result<(), XlsxError> {
    let bold = Format::new().set_bold();
    let text = Format::new().set_num_format("@");
    let sheet = book.add_worksheet();
    sheet.set_name("问题清单")?;
    sheet.set_freeze_panes(1, 0)?;
    let heads = [
        ("行 / line", 8),
        ("列 / column", 16),
        ("类别", 24),
        ("原内容 / text", 24),
        ("问题与办法", 60),
        ("可能是 / likely", 24),
        ("English", 70),
    ];
    for (place, (head, width)) in (0_u16..).zip(heads) {
        sheet.write_string_with_format(0, place, head, &bold)?;
        sheet.set_column_width(place, width)?;
    }
    for (at, finding) in (1_u32..).zip(&draft.findings) {
        let mark = Format::new().set_background_color(colour(finding.severity()));
        sheet.write_number(at, 0, finding.line as f64)?;
        sheet.write_string(at, 1, Column::chinese(finding.column))?;
        sheet.write_string_with_format(at, 2, finding.topic.chinese(), &mark)?;
        sheet.write_string_with_format(at, 3, &finding.text, &text)?;
        sheet.write_string(
            at,
            4,
            format!("{}；{}", finding.cause.chinese, finding.cure.chinese),
        )?;
        sheet.write_string(at, 5, finding.suggestions.join(" "))?;
        sheet.write_string(
            at,
            6,
            format!("{}; {}", finding.cause.english, finding.cure.english),
        )?;
    }
    Ok(())
}
