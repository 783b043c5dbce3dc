//! The models that ship: their tensors, and what is refused.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use vision::models::manifest::FINDER_INPUTS;
use vision::models::{ModelError, Models};

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
        .collect()
}

fn assert_close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() <= 1e-3, "{a} {b}");
    }
}

#[test]
fn outputs_equal_the_recorded_ones() {
    let models = Models::embedded().unwrap();
    let mut runners = models.runners().unwrap();
    let characters = floats(include_bytes!("fixtures/characters.f32"));
    let kinds = floats(include_bytes!("fixtures/kind.f32"));
    let crops = include_bytes!("fixtures/crops.bgr").chunks_exact(48 * 160 * 3);
    assert_eq!(crops.len(), 2);
    // Twice, because the second run uses the first one's buffers.
    for _ in 0..2 {
        for (index, crop) in crops.clone().enumerate() {
            let rgb: Vec<u8> = crop
                .chunks_exact(3)
                .flat_map(|p| [p[2], p[1], p[0]])
                .collect();
            let answer = runners.read(&rgb).unwrap();
            assert_close(
                answer.values(0),
                characters
                    .chunks_exact(8 * models.alphabet().classes())
                    .nth(index)
                    .unwrap(),
            );
            let looks = models.reader().kinds.len();
            assert_close(
                answer.values(1),
                kinds.chunks_exact(looks).nth(index).unwrap(),
            );
            assert!(answer.values(2).is_empty());
        }
    }
    let frame = vision::picture::decode(include_bytes!("fixtures/frame.png")).unwrap();
    let answer = runners.find(FINDER_INPUTS[0], &frame.rgb).unwrap();
    assert_close(
        answer.values(0),
        &floats(include_bytes!("fixtures/plates.f32")),
    );
    let view: Vec<u8> = frame
        .rgb
        .chunks_exact(frame.width as usize * 3)
        .take(64)
        .flat_map(|row| &row[..192 * 3])
        .copied()
        .collect();
    let answer = runners.corners(&view).unwrap();
    assert_close(
        answer.values(0),
        &floats(include_bytes!("fixtures/corners.f32")),
    );
    assert_close(
        answer.values(1),
        &floats(include_bytes!("fixtures/plate.f32")),
    );
    for (size, bytes) in [(FINDER_INPUTS[0], 5), ((288, 288), 288 * 288 * 3)] {
        let found = runners.find(size, &vec![0; bytes]);
        assert!(matches!(found, Err(ModelError::Run { .. })));
    }
}

fn shipped() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../models"))
}

/// A copy of the shipped models with one file changed.
fn altered(file: &str, change: impl Fn(Vec<u8>) -> Vec<u8>) -> Result<Models, ModelError> {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "plate_finder.toml",
        "plate_finder.onnx",
        "plate_corners.toml",
        "plate_corners.onnx",
        "plate_reader.toml",
        "plate_reader.onnx",
    ] {
        let mut bytes = std::fs::read(shipped().join(name)).unwrap();
        if name == file {
            bytes = change(bytes);
        }
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    Models::load(folder.path())
}

fn edited(file: &str, from: &str, to: &str) -> String {
    let result = altered(file, |bytes| {
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1).into_bytes()
    });
    result
        .expect_err("the edited manifest was taken")
        .to_string()
}

#[test]
fn the_shipped_folder_loads_and_says_what_it_is() {
    let models = Models::load(shipped()).unwrap();
    assert_eq!(models.alphabet().classes(), 78);
    assert_eq!(models.reader().kinds.len(), 16);
    assert_eq!(models.finder().name, "plate_finder");
    for figure in models.finder().figure.iter().chain(&models.reader().figure) {
        let share = figure.hits as f32 / figure.of as f32;
        assert!(
            figure.interval[0] <= share && share <= figure.interval[1],
            "{figure:?}"
        );
    }
}

#[test]
fn every_model_has_a_card() {
    for name in ["plate_finder.md", "plate_corners.md", "plate_reader.md"] {
        let card = std::fs::read_to_string(shipped().join(name)).unwrap();
        for part in [
            "## Data",
            "## Licences",
            "## Figures",
            "## Cost",
            "## Limits",
        ] {
            assert!(card.contains(part), "{name} lacks {part}");
        }
    }
}

#[test]
fn a_missing_folder_or_file_is_named() {
    let error = Models::load(Path::new("no/such/folder")).unwrap_err();
    assert!(matches!(error, ModelError::File { .. }));
    assert!(error.to_string().contains("plate_finder.toml"), "{error}");
    let error = edited(
        "plate_reader.toml",
        "file = \"plate_reader.onnx\"",
        "file = \"other.onnx\"",
    );
    assert!(error.contains("other.onnx"), "{error}");
}

#[test]
fn a_changed_or_cut_model_file_is_refused() {
    for change in [
        (|mut b: Vec<u8>| {
            b[1000] ^= 1;
            b
        }) as fn(Vec<u8>) -> Vec<u8>,
        |mut b| {
            b.truncate(5000);
            b
        },
        |_| Vec::new(),
    ] {
        let error = altered("plate_reader.onnx", change).unwrap_err();
        assert!(matches!(error, ModelError::Checksum { .. }), "{error}");
    }
}

#[test]
fn a_file_with_the_right_sum_that_is_no_network_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "plate_finder.toml",
        "plate_finder.onnx",
        "plate_corners.toml",
        "plate_corners.onnx",
        "plate_reader.toml",
    ] {
        std::fs::copy(shipped().join(name), folder.path().join(name)).unwrap();
    }
    // The finder's file under the reader's name, with its own right checksum.
    std::fs::copy(
        shipped().join("plate_finder.onnx"),
        folder.path().join("plate_reader.onnx"),
    )
    .unwrap();
    let finder = Models::embedded().unwrap().finder().sha256.clone();
    let text = std::fs::read_to_string(shipped().join("plate_reader.toml")).unwrap();
    let reader = Models::embedded().unwrap().reader().sha256.clone();
    std::fs::write(
        folder.path().join("plate_reader.toml"),
        text.replace(&reader, &finder),
    )
    .unwrap();
    let error = Models::load(folder.path()).unwrap_err();
    assert!(matches!(error, ModelError::Network { .. }), "{error}");
}

#[test]
fn manifests_that_do_not_fit_are_refused_with_the_key() {
    for (file, from, to, word) in [
        (
            "plate_reader.toml",
            "role = \"reader\"",
            "role = \"finder\"",
            "role",
        ),
        (
            "plate_reader.toml",
            "name = \"plate_reader\"",
            "nmae = \"x\"",
            "nmae",
        ),
        (
            "plate_reader.toml",
            "[1, 3, 48, 160]",
            "[1, 3, 32, 160]",
            "input.shape",
        ),
        ("plate_reader.toml", "京津", "京京", "twice"),
        ("plate_reader.toml", "京津", "京", "outputs"),
        ("plate_reader.toml", "\"bgr\"", "\"grey\"", "channels"),
        (
            "plate_reader.toml",
            "divide = 255.0",
            "divide = 0.0",
            "divide",
        ),
        (
            "plate_reader.toml",
            "kind = \"coach\"",
            "kind = \"bus\"",
            "bus",
        ),
        ("plate_reader.toml", "rows = 2", "rows = 3", "rows"),
        ("plate_reader.toml", "sha256 = \"", "sha256 = \"x", "sha256"),
        (
            "plate_reader.toml",
            "name = \"image\"",
            "name = \"picture\"",
            "picture",
        ),
        (
            "plate_reader.toml",
            "name = \"kind\"",
            "name = \"sort\"",
            "sort",
        ),
        (
            "plate_reader.toml",
            "file = \"plate_reader.onnx\"",
            "file = \"../plate_reader.onnx\"",
            "file",
        ),
        ("plate_finder.toml", "padding_grey = 90", "", "padding_grey"),
        ("plate_finder.toml", "[384, 384]", "[384, 392]", "sizes"),
        ("plate_finder.toml", "stride = 8", "stride = 7", "stride"),
        ("plate_finder.toml", "stride = 8", "stride = 16", "outputs"),
        ("plate_finder.toml", "unit = 32.0", "unit = -1.0", "unit"),
        (
            "plate_corners.toml",
            "inner = [40, 120]",
            "inner = [40, 160]",
            "inner",
        ),
        (
            "plate_corners.toml",
            "shape = [1, 4, 2]",
            "shape = [1, 8]",
            "outputs",
        ),
        ("plate_finder.toml", "[cells]", "[cels]", "cels"),
    ] {
        let error = edited(file, from, to);
        assert!(
            error.contains(word) && error.contains(file.trim_end_matches(".toml")),
            "{from} -> {to}: {error}"
        );
    }
}
