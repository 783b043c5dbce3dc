//! Files that are no register, and files that want to hurt.

use std::io::{Cursor, Write as _};

use access::registry::import::{FILE_BYTES, ImportError, ImportOptions, UNPACKED_BYTES, parse};
use proptest::prelude::*;
use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

use crate::fixture::{Cells, as_xlsx};

const SKIP: ImportOptions = ImportOptions { skip_bad: true };

fn archive(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for (name, bytes) in parts {
        zip.start_file(*name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn small() -> Vec<u8> {
    let row: Cells = ["苏E12345", "王", "3", "2", "13812345678", ""].map(str::to_owned);
    as_xlsx(&[row])
}

/// The workbook with one part in another's place.
fn with_part(name: &str, new: &[u8]) -> Vec<u8> {
    let mut old = zip::ZipArchive::new(Cursor::new(small())).unwrap();
    let mut parts: Vec<(String, Vec<u8>)> = Vec::new();
    for at in 0..old.len() {
        let mut part = old.by_index(at).unwrap();
        let held_as = part.name().unwrap().into_owned();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut part, &mut bytes).unwrap();
        let held = if held_as == name { new.to_vec() } else { bytes };
        parts.push((held_as, held));
    }
    assert!(parts.iter().any(|(n, _)| n == name), "{name}");
    let parts: Vec<(&str, &[u8])> = parts.iter().map(|(n, b)| (n.as_str(), &b[..])).collect();
    archive(&parts)
}

#[test]
fn a_bomb_is_refused_before_it_unfolds() {
    // One part that unfolds to 16 MiB, under many names.
    let blank = archive(&[("a", &vec![b' '; 16 * 1024 * 1024])]);
    let mut blank = zip::ZipArchive::new(Cursor::new(blank)).unwrap();
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for n in 0..=(UNPACKED_BYTES / (16 * 1024 * 1024)) {
        let part = blank.by_index(0).unwrap();
        zip.raw_copy_file_rename(part, format!("xl/worksheets/sheet{n}.xml"))
            .unwrap();
    }
    let bomb = zip.finish().unwrap().into_inner();
    assert!(bomb.len() < 1024 * 1024, "{}", bomb.len());
    assert_eq!(parse(&bomb, SKIP), Err(ImportError::Bomb));
}

#[test]
fn a_workbook_that_announces_what_it_does_not_hold_is_refused() {
    let strings = |count: &str| {
        format!(
            "<?xml version=\"1.0\"?><sst xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\" count=\"1\" uniqueCount{count}><si><t>车牌</t></si></sst>"
        )
    };
    for count in ["=\"99999999999999\"", "  =  '888888888888'"] {
        let file = with_part("xl/sharedStrings.xml", strings(count).as_bytes());
        assert!(
            matches!(parse(&file, SKIP), Err(ImportError::Workbook { .. })),
            "{count}"
        );
    }
    // A lone cell at the far corner costs nothing.
    let corner = "<?xml version=\"1.0\"?><worksheet xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\"><dimension ref=\"A1:XFD1048576\"/><sheetData>\
        <row r=\"1\"><c r=\"A1\" t=\"inlineStr\"><is><t>车牌</t></is></c></row>\
        <row r=\"2\"><c r=\"A2\" t=\"inlineStr\"><is><t>苏E12345</t></is></c></row>\
        <row r=\"1048576\"><c r=\"XFD1048576\" t=\"inlineStr\"><is><t>x</t></is></c></row></sheetData></worksheet>";
    let file = with_part("xl/worksheets/sheet1.xml", corner.as_bytes());
    let read = parse(&file, SKIP).unwrap();
    assert_eq!(read.vehicles.len(), 1);
}

#[test]
fn what_is_no_list_is_called_by_its_name() {
    for (bytes, word) in [
        (&b"%PDF-1.7 ..."[..], "PDF"),
        (b"\x89PNG\r\n\x1a\n....", "picture"),
        (
            &[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1, 0, 0],
            ".xls",
        ),
        (b"<!DOCTYPE html><table>", "web page"),
        (b"Rar!\x1a\x07\x01\x00", "archive"),
    ] {
        let error = parse(bytes, SKIP).unwrap_err();
        assert!(matches!(error, ImportError::NoList { .. }), "{error}");
        let said = error.to_string();
        assert!(said.contains(word) && said.contains("另存为"), "{said}");
    }
    let no_book = archive(&[("hello.txt", b"hello")]);
    let error = parse(&no_book, SKIP).unwrap_err();
    assert!(
        matches!(
            error,
            ImportError::Workbook { .. } | ImportError::NoList { .. }
        ),
        "{error}"
    );
    let half = &small()[..300];
    assert!(matches!(
        parse(half, SKIP),
        Err(ImportError::Workbook { .. })
    ));
    let utf_16: Vec<u8> = "\u{feff}plate\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    assert!(matches!(
        parse(&utf_16, SKIP),
        Err(ImportError::Encoding { line: 1 })
    ));
    assert!(matches!(
        parse(&vec![b'x'; FILE_BYTES + 1], SKIP),
        Err(ImportError::TooLarge { .. })
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_workbook_with_any_bytes_changed_is_read_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = small();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let _ = parse(&bytes, SKIP);
    }

    #[test]
    fn a_sheet_of_any_xml_is_read_or_refused(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "<row>", "</row>", "<row r=\"3\">", "<row r=\"4294967295\">", "<row r=\"x\">", "<c>", "</c>", "<c r=\"A1\" t=\"s\">",
            "<c r=\"ZZZZZZZZ1\">", "<c r=\"A0\">", "<v>", "</v>", "0", "99999999", "-1", "<is><t>", "</t></is>", "车牌", "&amp;", "&x;",
            "<c r=\"B2\" t=\"d\"><v>2027-01-01</v></c>", "<c r=\"C2\" s=\"99999\"><v>1e308</v></c>", "<f t=\"shared\" si=\"999999999\">", "</f>",
            "<sheetData>", "</sheetData>", "<!--", "-->", "<![CDATA[", "]]>",
        ]), 0..30),
    ) {
        let sheet = format!("<worksheet><sheetData>{}</sheetData></worksheet>", pieces.concat());
        let file = with_part("xl/worksheets/sheet1.xml", sheet.as_bytes());
        let _ = parse(&file, SKIP);
    }
}
