"""The networks in onnxruntime and in the program, on the same pictures: python compare.py [--data DIR] [--glyphs DIR]

Runs the ONNX files of models/ in onnxruntime on one thread, writes pictures and answers to
runs/check.npz, and has `check_tensors` (crates/vision/examples) run the same in tract. Prints the
largest differences, both median times and their ratio. Pictures: the real test scenes of --data
where it is given, rendered scenes else.
"""
from __future__ import annotations

import argparse
import re
import subprocess
import time
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

import camera
import corners
import make_scenes
import real
import render
from net_detect import SHAPES, quads_from

ROOT = Path(__file__).parents[2]


def session(name: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(ROOT / "models" / f"{name}.onnx", options)


def run(net, pictures):
    """(answers, one array an output; median milliseconds)"""
    times, answers = [], []
    for p in pictures:
        x = p[None].transpose(0, 3, 1, 2).astype(np.float32) / 255 - 0.5
        t = time.perf_counter()
        answers.append(net.run(None, {"image": x}))
        times.append(time.perf_counter() - t)
    return [np.concatenate(a) for a in zip(*answers)], float(np.median(times)) * 1e3


FIXTURES = ROOT / "crates/vision/tests/fixtures"


def record_fixtures():
    """onnxruntime's answers to the pictures that crates/vision/tests/models.rs feeds the program."""
    frame = cv2.imread(str(FIXTURES / "frame.png"))
    view = np.ascontiguousarray(frame[: corners.VIEW_H, : corners.VIEW_W])
    crops = np.fromfile(FIXTURES / "crops.bgr", np.uint8).reshape(-1, camera.CROP_H, camera.CROP_W, 3)
    for model, pictures, names in (("plate_finder", [frame], ["plates"]), ("plate_corners", [view], ["corners", "plate"]),
                                   ("plate_reader", crops, ["characters", "kind"])):
        for name, answer in zip(names, run(session(model), pictures)[0]):
            answer.astype("<f4").tofile(FIXTURES / f"{name}.f32")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--data", type=Path), ap.add_argument("--glyphs"), ap.add_argument("--count", type=int, default=100)
    ap.add_argument("--fixtures", action="store_true", help="record the answers that the program's tests expect, and end")
    a = ap.parse_args()
    if a.fixtures:
        record_fixtures()
        return
    if a.data:
        index = a.data / "index.tsv"
        pictures = [real.read(index, r) for r in real.rows(index, "test") if r["kind"] == "scene"][: a.count]
    else:
        render.GLYPHS = Path(a.glyphs) if a.glyphs else None
        pictures = [make_scenes.sample(900_000_000 + i)[0] for i in range(a.count)]
    boxed = [real.letterbox(p, SHAPES[0]) for p in pictures]
    frames = np.stack([b[0] for b in boxed])
    (plates,), finder_ms = run(session("plate_finder"), frames)
    views, crops = [], []
    for picture, (_, k), answer in zip(pictures, boxed, plates):
        for _, quad in quads_from(answer, 0.2)[:2]:
            views.append(corners.view_of(picture, quad / k)[0])
            crops.append(camera.rectify(picture, quad / k))
    (at, plate), corners_ms = run(session("plate_corners"), views)
    (characters, kind), reader_ms = run(session("plate_reader"), crops)
    out = ROOT / "runs" / "check.npz"
    out.parent.mkdir(exist_ok=True)
    np.savez_compressed(out, frames=frames, plates=plates, views=np.stack(views), corners=at, plate=plate,
                        crops=np.stack(crops), characters=characters, kind=kind)
    subprocess.run(["cargo", "build", "--release", "--workspace", "--examples"], cwd=ROOT, check=True)
    done = subprocess.run([ROOT / "target/release/examples/check_tensors", out], cwd=ROOT, capture_output=True, text=True)
    print(done.stdout, done.stderr, sep="")
    for name, ms in (("frames", finder_ms), ("views", corners_ms), ("crops", reader_ms)):
        found = re.search(rf"^{name}\b.*median ([0-9.]+) ms", done.stdout, re.M)
        if found:
            print(f"{name:8} onnxruntime {ms:6.2f} ms   tract {float(found[1]):6.2f} ms   ratio {float(found[1]) / ms:.2f}")
    raise SystemExit(done.returncode)


if __name__ == "__main__":
    cv2.setNumThreads(1)
    main()
