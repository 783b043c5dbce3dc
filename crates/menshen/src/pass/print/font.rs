//! The Chinese font that passes are printed with: found on the system or named by a person.
//!
//! No font is part of the program: a Chinese one takes megabytes. Of the one that is found only the
//! characters in use go into what is printed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ttf_parser::{Face, GlyphId};

/// What a usable font can write.
const NEEDED: &str = "车辆人员供应商通行证有效期至次数请置于前挡风玻璃0123456789";
/// Where systems keep fonts.
const FOLDERS: [&str; 3] = [
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "/usr/share/texmf/fonts/opentype",
];
/// File names that are looked at first, best first.
const LIKED: [&str; 8] = [
    "notosanscjksc-regular",
    "notosanssc-regular",
    "sourcehansanscn-regular",
    "sourcehansanssc-regular",
    "notosanscjk-regular",
    "wqy-microhei",
    "wqy-zenhei",
    "uming",
];
/// Folders within folders.
const DEEPEST: usize = 6;
/// The largest file that is taken for a font.
const LARGEST: u64 = 128 * 1024 * 1024;

/// Why there is no font.
#[derive(Debug, thiserror::Error)]
pub(super) enum FontError {
    /// None was found.
    #[error(
        "no Chinese font was found below {}; install one (Debian, Ubuntu, Raspberry Pi OS: apt install fonts-noto-cjk, or the smaller fonts-wqy-microhei), or name a file with --font / 未找到中文字体，请安装 fonts-wqy-microhei 或用 --font 指定",
        FOLDERS.join(", ")
    )]
    None,
    /// The named file is of no use.
    #[error("{}: {why}; name a .ttf, .otf or .ttc file with Chinese characters / 不是可用的中文字体", .path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

/// A font file in memory.
pub(super) struct FontFile {
    /// Where it lies.
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
    /// Which of the file's fonts.
    pub(super) index: u32,
}

impl FontFile {
    /// The font in a file, if it can write Chinese.
    pub(super) fn read(path: &Path) -> Result<Self, FontError> {
        let unusable = |why: String| FontError::Unusable {
            path: path.to_owned(),
            why,
        };
        let size = fs::metadata(path)
            .map_err(|e| unusable(e.to_string()))?
            .len();
        if size > LARGEST {
            return Err(unusable("this is larger than any font".to_owned()));
        }
        let bytes = fs::read(path).map_err(|e| unusable(e.to_string()))?;
        let count = ttf_parser::fonts_in_collection(&bytes).unwrap_or(1);
        let usable = |&index: &u32| {
            Face::parse(&bytes, index)
                .is_ok_and(|face| NEEDED.chars().all(|c| face.glyph_index(c).is_some()))
        };
        let mainland = |&index: &u32| {
            Face::parse(&bytes, index).is_ok_and(|face| {
                let mut names = face.names().into_iter().filter_map(|n| n.to_string());
                names.any(|name| name.ends_with(" SC") || name.ends_with(" CN"))
            })
        };
        let all: Vec<u32> = (0..count.min(64)).filter(usable).collect();
        let index = all
            .iter()
            .copied()
            .find(|i| mainland(i))
            .or(all.first().copied());
        let index = index.ok_or_else(|| {
            unusable("it is no font, or lacks Chinese characters or digits".to_owned())
        })?;
        Ok(Self {
            path: path.to_owned(),
            bytes,
            index,
        })
    }

    /// The best Chinese font of the system.
    pub(super) fn find() -> Result<Self, FontError> {
        let mut files = BTreeSet::new();
        let own = std::env::home_dir().map(|home| home.join(".local/share/fonts"));
        for folder in FOLDERS.iter().map(PathBuf::from).chain(own) {
            walk(&folder, DEEPEST, &mut files);
        }
        let rank = |path: &PathBuf| {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let name = name.to_lowercase();
            LIKED.iter().position(|liked| name == *liked)
        };
        let mut files: Vec<(usize, PathBuf)> = files
            .into_iter()
            .map(|path| (rank(&path).unwrap_or(LIKED.len()), path))
            .collect();
        files.sort();
        let mut found = files.iter().filter_map(|(_, path)| Self::read(path).ok());
        found.next().ok_or(FontError::None)
    }

    /// The font, for measuring and drawing.
    pub(super) fn face(&self) -> Result<Font<'_>, FontError> {
        let face = Face::parse(&self.bytes, self.index).map_err(|e| FontError::Unusable {
            path: self.path.clone(),
            why: e.to_string(),
        })?;
        Ok(Font { face })
    }
}

fn walk(folder: &Path, deepest: usize, files: &mut BTreeSet<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let kind = path
            .extension()
            .and_then(|e| e.to_str())
            .unwrap_or_default();
        if path.is_dir() && deepest > 0 {
            walk(&path, deepest - 1, files);
        } else if ["ttf", "ttc", "otf", "otc"].contains(&kind.to_lowercase().as_str()) {
            files.insert(path);
        }
    }
}

/// A font's glyphs and their measures.
pub(super) struct Font<'a> {
    pub(super) face: Face<'a>,
}

impl Font<'_> {
    /// The glyph of a character; the font's own "missing" one where it has none.
    pub(super) fn glyph(&self, c: char) -> u16 {
        self.face.glyph_index(c).map_or(0, |g| g.0)
    }

    /// How far a glyph reaches, in parts of the font's size.
    pub(super) fn advance(&self, glyph: u16) -> f32 {
        let advance = self.face.glyph_hor_advance(GlyphId(glyph)).unwrap_or(0);
        f32::from(advance) / f32::from(self.face.units_per_em())
    }

    /// The width of a text of this size, in the size's own unit.
    pub(super) fn width(&self, text: &str, size: f32) -> f32 {
        text.chars()
            .map(|c| self.advance(self.glyph(c)) * size)
            .sum()
    }
}
