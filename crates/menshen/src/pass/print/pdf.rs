//! Pages as one PDF. The font is embedded with the characters in use alone, as text that can be
//! searched and copied; QR codes are drawn as areas, because programs that print blur small pictures.

use std::collections::BTreeMap;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use pdf_writer::types::{CidFontType, FontFlags, SystemInfo, UnicodeCmap};
use pdf_writer::{Content, Filter, Finish as _, Name, Pdf, Rect, Ref, Str, TextStr};
use subsetter::GlyphRemapper;

use super::font::{Font, FontError, FontFile};
use super::slip::{self, Page, Shape};

/// Points a millimetre.
const POINT: f32 = 72.0 / 25.4;
const FONT: Name<'static> = Name(b"F");
const ADOBE_IDENTITY: SystemInfo<'static> = SystemInfo {
    registry: Str(b"Adobe"),
    ordering: Str(b"Identity"),
    supplement: 0,
};
/// What six letters and a plus sign before a font's name say: this is a part of it.
const BASE_FONT: Name<'static> = Name(b"MSHENA+Menshen");

/// A PDF that pages are added to one by one.
pub(super) struct Document<'f> {
    font: &'f Font<'f>,
    pdf: Pdf,
    next: i32,
    pages: Vec<Ref>,
    /// The glyphs in use, and the characters that they show.
    glyphs: GlyphRemapper,
    characters: BTreeMap<u16, char>,
    tree: Ref,
    font_ref: Ref,
}

impl<'f> Document<'f> {
    pub(super) fn new(font: &'f Font<'f>) -> Self {
        Self {
            font,
            pdf: Pdf::new(),
            next: 10,
            pages: Vec::new(),
            glyphs: GlyphRemapper::new(),
            characters: BTreeMap::new(),
            tree: Ref::new(2),
            font_ref: Ref::new(3),
        }
    }

    fn fresh(&mut self) -> Ref {
        self.next += 1;
        Ref::new(self.next)
    }

    /// Adds a page.
    pub(super) fn add(&mut self, page: &Page) {
        let height = page.size.1;
        let mut content = Content::new();
        content.set_line_width(0.15 * POINT);
        for shape in &page.shapes {
            match shape {
                Shape::Text { x, y, size, text } => {
                    let glyphs = self.encode(text);
                    content.begin_text();
                    content.set_font(FONT, size * POINT);
                    content.next_line(x * POINT, (height - y) * POINT);
                    content.show(Str(&glyphs));
                    content.end_text();
                }
                Shape::Line { from, to } => {
                    content.set_stroke_gray(0.5);
                    content.move_to(from.0 * POINT, (height - from.1) * POINT);
                    content.line_to(to.0 * POINT, (height - to.1) * POINT);
                    content.stroke();
                }
                Shape::Code { x, y, side, code } => {
                    let module = side * POINT / code.size() as f32;
                    let (x, y) = (x * POINT, (height - y) * POINT);
                    content.save_state();
                    content.transform([module, 0.0, 0.0, -module, x, y]);
                    // One area, so that no seam shows between its parts.
                    for (row, column, length) in slip::runs(code) {
                        content.rect(column as f32, row as f32, length as f32, 1.0);
                    }
                    content.fill_nonzero();
                    content.restore_state();
                }
            }
        }
        let content_ref = self.fresh();
        let drawn = packed(&content.finish());
        self.pdf
            .stream(content_ref, &drawn)
            .filter(Filter::FlateDecode);
        let page_ref = self.fresh();
        let (width, height) = (page.size.0 * POINT, height * POINT);
        let mut written = self.pdf.page(page_ref);
        written.media_box(Rect::new(0.0, 0.0, width, height));
        written.parent(self.tree);
        written.contents(content_ref);
        let mut resources = written.resources();
        resources.fonts().pair(FONT, self.font_ref);
        resources.finish();
        written.finish();
        self.pages.push(page_ref);
    }

    /// A text as the glyphs of the part of the font that is embedded, two bytes each.
    fn encode(&mut self, text: &str) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(2 * text.len());
        for c in text.chars() {
            let glyph = self.glyphs.remap(self.font.glyph(c));
            self.characters.entry(glyph).or_insert(c);
            bytes.extend_from_slice(&glyph.to_be_bytes());
        }
        bytes
    }

    /// The whole file.
    ///
    /// # Errors
    /// If the font cannot be reduced to the characters in use.
    pub(super) fn finish(mut self, file: &FontFile, title: &str) -> Result<Vec<u8>, FontError> {
        let subset = subsetter::subset(&file.bytes, file.index, &self.glyphs).map_err(|e| {
            FontError::Unusable {
                path: file.path.clone(),
                why: format!("its characters cannot be taken out ({e})"),
            }
        })?;
        let count = i32::try_from(self.pages.len()).unwrap_or(i32::MAX);
        self.pdf.catalog(Ref::new(1)).pages(self.tree);
        self.pdf
            .pages(self.tree)
            .kids(self.pages.iter().copied())
            .count(count);
        let info = self.fresh();
        let mut about = self.pdf.document_info(info);
        about.title(TextStr(title));
        about.producer(TextStr("Menshen"));
        about.finish();
        self.write_font(&subset);
        Ok(self.pdf.finish())
    }

    fn write_font(&mut self, subset: &[u8]) {
        let face = &self.font.face;
        let (cid, descriptor, data, cmap) =
            (self.fresh(), self.fresh(), self.fresh(), self.fresh());
        let outlines = face.tables().cff.is_some();
        let mut font = self.pdf.type0_font(self.font_ref);
        font.base_font(BASE_FONT);
        font.encoding_predefined(Name(b"Identity-H"));
        font.descendant_font(cid);
        font.to_unicode(cmap);
        font.finish();

        let mut font = self.pdf.cid_font(cid);
        font.subtype(if outlines {
            CidFontType::Type0
        } else {
            CidFontType::Type2
        });
        font.base_font(BASE_FONT);
        font.system_info(ADOBE_IDENTITY);
        font.font_descriptor(descriptor);
        font.default_width(0.0);
        if !outlines {
            font.cid_to_gid_map_predefined(Name(b"Identity"));
        }
        let advances = self.glyphs.remapped_gids();
        let advances = advances.map(|glyph| self.font.advance(glyph) * 1000.0);
        font.widths().consecutive(0, advances);
        font.finish();

        let scale = 1000.0 / f32::from(face.units_per_em());
        let box_ = face.global_bounding_box();
        let corner = |x: i16, y: i16| (f32::from(x) * scale, f32::from(y) * scale);
        let (left, bottom) = corner(box_.x_min, box_.y_min);
        let (right, top) = corner(box_.x_max, box_.y_max);
        let mut about = self.pdf.font_descriptor(descriptor);
        about.name(BASE_FONT);
        about.flags(FontFlags::SYMBOLIC);
        about.bbox(Rect::new(left, bottom, right, top));
        about.italic_angle(0.0);
        about.ascent(f32::from(face.ascender()) * scale);
        about.descent(f32::from(face.descender()) * scale);
        about.cap_height(f32::from(face.capital_height().unwrap_or(face.ascender())) * scale);
        about.stem_v(80.0);
        if outlines {
            about.font_file3(data);
        } else {
            about.font_file2(data);
        }
        about.finish();

        let length = subset.len() as i32;
        let cff = ttf_parser::RawFace::parse(subset, 0).ok();
        let cff = cff.and_then(|raw| raw.table(ttf_parser::Tag::from_bytes(b"CFF ")));
        let part = packed(if outlines {
            cff.unwrap_or(subset)
        } else {
            subset
        });
        let mut stream = self.pdf.stream(data, &part);
        stream.filter(Filter::FlateDecode);
        if outlines {
            stream.pair(Name(b"Subtype"), Name(b"CIDFontType0C"));
        } else {
            stream.pair(Name(b"Length1"), length);
        }
        stream.finish();

        let mut map = UnicodeCmap::new(Name(b"Menshen"), ADOBE_IDENTITY);
        for (glyph, c) in &self.characters {
            map.pair(*glyph, *c);
        }
        self.pdf.cmap(cmap, &map.finish());
    }
}

/// Bytes as a PDF packs them.
fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    // Writing to memory cannot fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}
