"""A frozen rendered test set: python frozen.py OUT --renderer DIR --glyphs DIR [--per 200]

Every kind at character heights of 24, 20, 16, 12, 10 and 8 pixels, drawn by the renderer in DIR
(a folder with plates.py, render.py and camera.py) and not by the one here, so that an easier
renderer does not raise the figure; the seed is fixed. Writes pictures and an index.tsv whose
groups are kind and height. `cargo run --release -p vision --example evaluate -- --data OUT` then
prints the share read exactly, corners given, for each.
"""
from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path

SEED = 20_260_000
HEIGHTS = (24, 20, 16, 12, 10, 8)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("out", type=Path), ap.add_argument("--renderer", type=Path, required=True)
    ap.add_argument("--glyphs", type=Path, required=True), ap.add_argument("--per", type=int, default=200)
    a = ap.parse_args()
    sys.path.insert(0, str(a.renderer))
    import camera
    import cv2
    import numpy as np
    import plates
    import render
    from tqdm import tqdm

    render.GLYPHS = a.glyphs
    (a.out / "pictures").mkdir(parents=True, exist_ok=True)
    rows = ["path\tkind\tlabel\tcorners\tsplit\trepo\tcolour"]
    for number, kind in enumerate(tqdm(plates.KINDS)):
        for height in HEIGHTS:
            for i in range(a.per):
                rng = random.Random(SEED + (number * 100 + height) * 10_000 + i)
                text, _ = plates.random_plate(rng, kind)
                flat = camera.dirt(render.render(text, kind, rng), rng)
                tall = 90 if flat.shape[0] * 2 < flat.shape[1] else 110  # millimetres of its characters
                img, quad = camera.shoot(flat, rng, plate_px=height / tall * flat.shape[1])
                path = f"pictures/{kind}_{height}_{i}.png"
                cv2.imwrite(str(a.out / path), (np.clip(img, 0, 1) * 255).astype(np.uint8))
                corners = " ".join(f"{x:.2f},{y:.2f}" for x, y in quad)
                rows.append(f"{path}\tcrop\t{text}\t{corners}\ttest\t{kind} at {height:02} px\tany")
    (a.out / "index.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
