//! What stands where on a pass and on a sheet of them: shapes, and no file format.
//!
//! Lengths are millimetres from the top left corner. A slip is designed for [`SLIP`] and scaled as a
//! whole.

use access::pass::{Bearer, Pass};
use qrcodegen::{QrCode, QrCodeEcc, QrSegment, Version};

use super::font::Font;

/// A slip's own size: a tenth of A4.
pub(super) const SLIP: (f32, f32) = (105.0, 59.4);
/// A4.
pub(super) const A4: (f32, f32) = (210.0, 297.0);
/// What stays free around the printing of a slip, for printers that cannot reach the paper's edge.
const MARGIN: (f32, f32) = (7.0, 5.5);
/// Side of the QR code without its quiet zone.
const CODE: f32 = 34.0;
/// Light modules around a QR code; four are what readers need.
const QUIET: f32 = 4.0;
/// Half the length of a cut mark.
const MARK: f32 = 3.0;

/// One thing on a page.
#[derive(Clone)]
pub(super) enum Shape {
    /// A line of text; `y` is its baseline.
    Text {
        x: f32,
        y: f32,
        size: f32,
        text: String,
    },
    /// A thin line.
    Line { from: (f32, f32), to: (f32, f32) },
    /// A QR code, its top left dark corner and its side.
    Code {
        x: f32,
        y: f32,
        side: f32,
        code: QrCode,
    },
}

/// One page.
pub(super) struct Page {
    pub(super) size: (f32, f32),
    pub(super) shapes: Vec<Shape>,
}

/// What is the same on all slips.
#[derive(Debug, Clone)]
pub(super) struct Style {
    /// The compound's name.
    pub(super) title: String,
    /// Rules below; those that belong to the bearer's kind if there are none.
    pub(super) rules: Vec<String>,
}

/// How slips lie on paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sheet {
    /// One slip a page of its own size.
    Single,
    /// A4 with so many columns and rows of them.
    Grid { columns: u16, rows: u16 },
}

impl Sheet {
    /// Slips a page.
    pub(super) fn holds(self) -> usize {
        match self {
            Self::Single => 1,
            Self::Grid { columns, rows } => usize::from(columns) * usize::from(rows),
        }
    }
}

/// The QR code of a text, at level M.
///
/// # Errors
/// If the text is too long for any, which no pass's is.
pub(super) fn code(text: &str) -> Result<QrCode, qrcodegen::DataTooLong> {
    QrCode::encode_segments_advanced(
        &QrSegment::make_segments(text),
        QrCodeEcc::Medium,
        Version::MIN,
        Version::MAX,
        // One mask for all: trying all eight is most of the work, and every reader undoes any.
        None,
        false,
    )
}

fn rules(bearer: &Bearer) -> [&'static str; 3] {
    let last = "3. 过期、注销后无效；遗失请速到居委会挂失补办。";
    match bearer {
        Bearer::Vehicle(_) => [
            "1. 请置于前挡风玻璃左下角，二维码朝外。",
            "2. 仅限本证车牌使用，不得转借、涂改、复制。",
            last,
        ],
        Bearer::Foot => [
            "1. 进出小区请主动出示，配合核验。",
            "2. 仅限本人使用，不得转借、涂改、复制。",
            last,
        ],
        Bearer::Supplier => [
            "1. 进出小区请主动出示，按规定时段送货。",
            "2. 仅限本单位使用，不得转借、涂改、复制。",
            last,
        ],
        Bearer::Blank => [
            "1. 本证登记使用人后方可使用。",
            "2. 不得转借、涂改、复制。",
            last,
        ],
    }
}

/// Draws one slip with its top left corner at the origin.
fn slip(pass: &Pass, code: &QrCode, style: &Style, font: &Font<'_>) -> Vec<Shape> {
    let mut shapes = Vec::with_capacity(12);
    let left = MARGIN.0;
    let right = SLIP.0 - MARGIN.0;
    let code_x = right - CODE;
    let quiet = CODE / code.size() as f32 * QUIET;
    let room = code_x - quiet - left;
    let mut text = |x: f32, y: f32, size: f32, room: f32, text: String| {
        // What is too long is set smaller rather than cut.
        let wide = font.width(&text, size);
        let size = if wide > room {
            size * room / wide
        } else {
            size
        };
        shapes.push(Shape::Text { x, y, size, text });
    };
    text(left, MARGIN.1 + 4.0, 4.2, room, style.title.clone());
    text(
        left,
        MARGIN.1 + 9.6,
        4.2,
        room,
        pass.bearer.chinese().to_owned(),
    );
    text(left, MARGIN.1 + 22.0, 13.0, room, pass.number.to_string());
    let whose = match &pass.bearer {
        Bearer::Vehicle(plate) => plate.dotted(),
        Bearer::Blank => "车牌：________________".to_owned(),
        Bearer::Foot | Bearer::Supplier => pass.holder.clone(),
    };
    text(left, MARGIN.1 + 29.6, 6.0, room, whose);
    let days = format!("有效期 {} 至 {}", pass.from, pass.until);
    text(left, MARGIN.1 + 35.2, 3.2, room, days);
    let mut facts = vec![match pass.entries {
        Some(n) => format!("限进 {n} 次"),
        None => "不限次数".to_owned(),
    }];
    if let Some(household) = &pass.household {
        facts.push(format!("户号 {household}"));
    }
    text(left, MARGIN.1 + 39.4, 2.8, room, facts.join("　"));
    let own: Vec<String> = rules(&pass.bearer).map(str::to_owned).to_vec();
    let lines = if style.rules.is_empty() {
        &own
    } else {
        &style.rules
    };
    // Rules take what is left below, however many they are.
    let below = SLIP.1 - MARGIN.1 - (MARGIN.1 + 40.4);
    let pitch = (below / lines.len() as f32).min(2.9);
    for (line, at) in lines.iter().zip(1_u8..) {
        let y = MARGIN.1 + 40.4 + pitch * f32::from(at);
        let wide = if y > MARGIN.1 + CODE + quiet + 4.0 {
            right - left
        } else {
            room
        };
        text(left, y, pitch * 0.82, wide, line.clone());
    }
    let small = format!("第 {} 版　门神", pass.edition);
    text(code_x, MARGIN.1 + CODE + 4.6, 2.4, CODE, small);
    shapes.push(Shape::Code {
        x: code_x,
        y: MARGIN.1,
        side: CODE,
        code: code.clone(),
    });
    shapes
}

impl Shape {
    /// Itself, larger and elsewhere.
    fn placed(self, scale: f32, (dx, dy): (f32, f32)) -> Self {
        let at = |x: f32, y: f32| (x * scale + dx, y * scale + dy);
        match self {
            Self::Text { x, y, size, text } => {
                let (x, y) = at(x, y);
                let size = size * scale;
                Self::Text { x, y, size, text }
            }
            Self::Line { from, to } => Self::Line {
                from: at(from.0, from.1),
                to: at(to.0, to.1),
            },
            Self::Code { x, y, side, code } => {
                let (x, y) = at(x, y);
                let side = side * scale;
                Self::Code { x, y, side, code }
            }
        }
    }
}

/// One page with these passes, at most as many as the sheet holds.
pub(super) fn page(
    passes: &[(&Pass, &QrCode)],
    sheet: Sheet,
    style: &Style,
    font: &Font<'_>,
) -> Page {
    let Sheet::Grid { columns, rows } = sheet else {
        let shapes = passes
            .iter()
            .flat_map(|(pass, code)| slip(pass, code, style, font));
        return Page {
            size: SLIP,
            shapes: shapes.collect(),
        };
    };
    let cell = (A4.0 / f32::from(columns), A4.1 / f32::from(rows));
    let scale = (cell.0 / SLIP.0).min(cell.1 / SLIP.1);
    let inset = (
        (cell.0 - SLIP.0 * scale) / 2.0,
        (cell.1 - SLIP.1 * scale) / 2.0,
    );
    let places = (0..rows).flat_map(|row| (0..columns).map(move |column| (column, row)));
    let mut shapes = Vec::new();
    for ((pass, code), (column, row)) in passes.iter().zip(places) {
        let corner = (
            f32::from(column) * cell.0 + inset.0,
            f32::from(row) * cell.1 + inset.1,
        );
        let drawn = slip(pass, code, style, font).into_iter();
        shapes.extend(drawn.map(|shape| shape.placed(scale, corner)));
    }
    // A cross where cuts cross, half of one at the paper's edge.
    for column in 0..=columns {
        for row in 0..=rows {
            let (x, y) = (f32::from(column) * cell.0, f32::from(row) * cell.1);
            let edge = (column == 0 || column == columns, row == 0 || row == rows);
            if !edge.0 {
                let (from, to) = ((x, (y - MARK).max(0.0)), (x, (y + MARK).min(A4.1)));
                shapes.push(Shape::Line { from, to });
            }
            if !edge.1 {
                let (from, to) = (((x - MARK).max(0.0), y), ((x + MARK).min(A4.0), y));
                shapes.push(Shape::Line { from, to });
            }
        }
    }
    Page { size: A4, shapes }
}

/// Runs of dark modules: row, first column, length.
pub(super) fn runs(code: &QrCode) -> Vec<(i32, i32, i32)> {
    let mut runs = Vec::new();
    for row in 0..code.size() {
        let mut column = 0;
        while column < code.size() {
            let length = (column..code.size())
                .take_while(|&c| code.get_module(c, row))
                .count() as i32;
            if length > 0 {
                runs.push((row, column, length));
            }
            column += length + 1;
        }
    }
    runs
}

/// Every character that a page needs of a font.
pub(super) fn characters(page: &Page) -> impl Iterator<Item = char> + '_ {
    page.shapes.iter().flat_map(|shape| match shape {
        Shape::Text { text, .. } => text.chars(),
        Shape::Line { .. } | Shape::Code { .. } => "".chars(),
    })
}
