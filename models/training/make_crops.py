"""Render a training set of rectified crops: python make_crops.py OUT COUNT [--seed N] [--glyphs DIR] [--photos DIR]

Most are cut as the corner network cuts (its corners are off by about 1 % of the width), the rest
by upright boxes or worse; most double-row plates with their rows side by side, as the program
reads them. Writes OUT.x.npy (uint8 N x 48 x 160 x 3), OUT.y.npy (N x 8 classes) and OUT.k.npy (kinds)
while they are made; what is not made yet has kind -2, and the trainer passes over it (growing.py).
"""
from __future__ import annotations

import argparse
import random
from multiprocessing import Pool
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

import camera
import plates
import render

PHOTOS: list = []


def sample(seed: int):
    rng = random.Random(seed)
    text, kind = plates.random_plate(rng)
    flat = camera.dirt(render.render(text, kind, rng), rng)
    img, quad = camera.shoot(flat, rng, photos=PHOTOS)
    one_row = kind in plates.DOUBLE_ROW and rng.random() < 0.7
    how = rng.random()
    if one_row or how < 0.6:
        crop = camera.rectify(img, quad, rng, jitter=rng.uniform(0.008, 0.028), one_row=one_row)
    elif how < 0.82:  # cut by an upright box, as many detectors do
        crop = camera.rectify(img, quad, rng, jitter=abs(rng.gauss(0, 0.03)), box=True)
    else:
        crop = camera.rectify(img, quad, rng, jitter=abs(rng.gauss(0, 0.045)))
    return (np.clip(crop, 0, 1) * 255).astype(np.uint8), plates.encode(text), plates.KIND_INDEX[kind]


def _init(glyphs, photos):
    cv2.setNumThreads(1)
    render.GLYPHS = Path(glyphs) if glyphs else None
    for p in sorted(Path(photos).iterdir())[:400] if photos else []:
        img = cv2.imread(str(p))
        if img is not None and min(img.shape[:2]) >= 24:
            PHOTOS.append(img)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("out"), ap.add_argument("count", type=int)
    ap.add_argument("--seed", type=int, default=0), ap.add_argument("--glyphs", help="folder of templates; without it a font draws")
    ap.add_argument("--photos", default=None), ap.add_argument("--jobs", type=int, default=2)
    a = ap.parse_args()
    seeds = range(a.seed * 10_000_000, a.seed * 10_000_000 + a.count)
    def array(name, kind, *shape):
        return np.lib.format.open_memmap(f"{a.out}.{name}.npy", "w+", kind, (a.count, *shape))

    x, y, k = array("x", np.uint8, camera.CROP_H, camera.CROP_W, 3), array("y", np.int16, plates.SLOTS), array("k", np.int8)
    k[:] = -2
    with Pool(a.jobs, _init, (a.glyphs, a.photos)) as pool:
        for i, row in enumerate(tqdm(pool.imap(sample, seeds, chunksize=64), total=a.count, mininterval=5)):
            x[i], y[i], k[i] = row


if __name__ == "__main__":
    main()
