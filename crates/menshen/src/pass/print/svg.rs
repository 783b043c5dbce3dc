//! Pages as SVG. Text is drawn as outlines of the font, so a page looks the same everywhere, and
//! needs no font where it is shown.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ttf_parser::{GlyphId, OutlineBuilder};

use super::font::Font;
use super::slip::{self, Page, Shape};

/// Writes a page.
pub(super) fn write(page: &Page, font: &Font<'_>) -> String {
    let (width, height) = page.size;
    let mut glyphs: BTreeMap<u16, String> = BTreeMap::new();
    let mut body = String::new();
    for shape in &page.shapes {
        // Writing to a string cannot fail.
        let _ = match shape {
            Shape::Text { x, y, size, text } => {
                let scale = size / f32::from(font.face.units_per_em());
                let mut at = *x;
                let _ = write!(body, "<g aria-label=\"{}\">", escaped(text));
                for c in text.chars() {
                    let glyph = font.glyph(c);
                    glyphs.entry(glyph).or_insert_with(|| outline(font, glyph));
                    let _ = write!(
                        body,
                        "<use href=\"#g{glyph}\" transform=\"translate({at:.3} {y:.3}) scale({scale:.6} -{scale:.6})\"/>"
                    );
                    at += font.advance(glyph) * size;
                }
                writeln!(body, "</g>")
            }
            Shape::Line { from, to } => writeln!(
                body,
                "<path d=\"M{:.2} {:.2}L{:.2} {:.2}\" stroke=\"#888\" stroke-width=\".15\"/>",
                from.0, from.1, to.0, to.1
            ),
            Shape::Code { x, y, side, code } => {
                let module = side / code.size() as f32;
                let _ = write!(
                    body,
                    "<path shape-rendering=\"crispEdges\" transform=\"translate({x:.3} {y:.3}) scale({module:.5})\" d=\""
                );
                for (row, column, length) in slip::runs(code) {
                    let _ = write!(body, "M{column} {row}h{length}v1h-{length}z");
                }
                writeln!(body, "\"/>")
            }
        };
    }
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}mm\" height=\"{height}mm\" viewBox=\"0 0 {width} {height}\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n<defs>\n"
    );
    for (glyph, path) in &glyphs {
        let _ = writeln!(svg, "<path id=\"g{glyph}\" d=\"{path}\"/>");
    }
    svg.push_str("</defs>\n");
    svg.push_str(&body);
    svg.push_str("</svg>\n");
    svg
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .chars()
        .filter(|c| !c.is_control())
        .collect()
}

/// A glyph's outline as the text of an SVG path, in the font's own units.
#[derive(Default)]
struct Path(String);

impl Path {
    fn step(&mut self, command: char, numbers: &[f32]) {
        self.0.push(command);
        for (at, number) in numbers.iter().enumerate() {
            if at > 0 {
                self.0.push(' ');
            }
            // Writing to a string cannot fail.
            let _ = write!(self.0, "{number}");
        }
    }
}

impl OutlineBuilder for Path {
    fn move_to(&mut self, x: f32, y: f32) {
        self.step('M', &[x, y]);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.step('L', &[x, y]);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        self.step('Q', &[x1, y1, x, y]);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        self.step('C', &[x1, y1, x2, y2, x, y]);
    }

    fn close(&mut self) {
        self.step('Z', &[]);
    }
}

fn outline(font: &Font<'_>, glyph: u16) -> String {
    let mut path = Path::default();
    font.face.outline_glyph(GlyphId(glyph), &mut path);
    path.0
}
