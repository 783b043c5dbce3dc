"""Canvases for the corner network: python make_corners.py OUT COUNT [--seed N] --glyphs DIR --photos DIR --index FILE

A canvas is twice as wide as a view needs, so that the trainer can draw a fresh rough quad from
it each time: 288 x 96 pixels whose middle 120 x 40 show a first rough quad. One in ten shows no
plate; one in ten a real plate of the training scenes; the rest rendered plates, a third of them
in a real plate's place; a quarter of those cut out by an upright box as crops are (beyond the cut
the border repeats). Writes OUT.x.npy (uint8), OUT.q.npy (corners on the canvas; NaN: no plate) and
OUT.cut.npy (whether the rough quad is a cut's own edge and must stay).
"""
from __future__ import annotations

import argparse
import math
import random
from multiprocessing import Pool
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

import camera
import corners
import make_scenes
import plates
import real
import render

W, H = 288, 96
MIDDLE = corners.INNER + np.array([(W - corners.VIEW_W) / 2, (H - corners.VIEW_H) / 2], np.float32)
PHOTOS: list = []
SCENES: list = []


def canvas_of(img, quad):
    """(canvas, map from the picture to it) with the quad in its middle."""
    m = cv2.getPerspectiveTransform(quad.astype(np.float32), MIDDLE)
    width = float(np.ptp(quad[:, 0]))
    k = 1.0
    if width > corners.INNER_W * 1.6:
        k = corners.INNER_W * 1.3 / width
        img = cv2.resize(img, None, fx=k, fy=k, interpolation=cv2.INTER_AREA)
    small = m @ np.diag([1 / k, 1 / k, 1.0])
    out = cv2.warpPerspective(img, small, (W, H), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return out, m


def byte(img):
    return img if img.dtype == np.uint8 else (np.clip(img, 0, 1) * 255).astype(np.uint8)


def upright(quad):
    (x0, y0), (x1, y1) = quad.min(0), quad.max(0)
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float32)


def drawn(rng):
    """A rendered plate in a small scene with room around it: (picture, quad)."""
    text, kind = plates.random_plate(rng)
    flat = camera.dirt(render.render(text, kind, rng), rng)
    width = math.exp(rng.uniform(math.log(40), math.log(300)))
    return camera.shoot(flat, rng, plate_px=width, photos=PHOTOS, room=rng.uniform(0.25, 1.0))


def painted_over(rng):
    """A real plate's surroundings with a rendered plate in its place: (picture, quad)."""
    img, quads = SCENES[rng.randrange(len(SCENES))]
    quad = quads[rng.randrange(len(quads))].astype(np.float32)
    wide, high = np.ptp(quad[:, 0]), np.ptp(quad[:, 1])
    left, top = np.floor(quad.min(0) - np.array([wide, 1.5 * high])).astype(int).clip(0)
    right, bottom = np.minimum(np.ceil(quad.max(0) + np.array([wide, 1.5 * high])).astype(int), [img.shape[1], img.shape[0]])
    part, quad = img[top:bottom, left:right], quad - np.array([left, top], np.float32)
    k = math.exp(rng.uniform(math.log(40), math.log(300))) / max(8.0, wide)
    k = min(k, 2.5)
    part = cv2.resize(part, None, fx=k, fy=k, interpolation=cv2.INTER_AREA if k < 1 else cv2.INTER_LINEAR).astype(np.float32) / 255
    quad = quad * np.float32(k)
    tall = np.linalg.norm(quad[3] - quad[0]) > 0.42 * np.linalg.norm(quad[1] - quad[0])
    text, kind = plates.random_plate(rng, rng.choice([x for x in plates.KINDS if (x in plates.DOUBLE_ROW) == tall]))
    flat = camera.dirt(render.render(text, kind, rng), rng)
    x0, y0 = np.maximum(quad.min(0), 0).astype(int)
    x1, y1 = np.ceil(quad.max(0)).astype(int)
    was = float(part[y0:y1, x0:x1].mean())
    flat = np.clip(flat * (was / max(0.05, float(flat.mean()))) * rng.uniform(0.75, 1.3), 0, 1)
    c = quad.mean(0)
    quad = ((quad - c) * rng.uniform(1.0, 1.06) + c).astype(np.float32)
    part = make_scenes.paste(part, flat, quad)
    rows = 2 if tall else 1
    char_px = float(np.linalg.norm(quad[3] - quad[0])) * (0.64 if rows == 1 else 0.4)
    return camera.sensor(camera.light(part, rng), char_px, rng), quad


def sample(seed):
    rng = random.Random(seed)
    what = rng.random()
    if what < 0.1 and PHOTOS:  # no plate
        img = PHOTOS[rng.randrange(len(PHOTOS))]
        h, w = img.shape[:2]
        width = math.exp(rng.uniform(math.log(30), math.log(max(40, w / 2))))
        quad = camera.quad_for(width, width / rng.choice([3.14, 3.14, 2.0]), rng)
        lo, hi = quad.min(0), quad.max(0)
        quad = quad - lo + np.array([rng.uniform(0, max(1, w - hi[0] + lo[0])), rng.uniform(0, max(1, h - hi[1] + lo[1]))], np.float32)
        canvas, _ = canvas_of(img, quad)
        return canvas, np.full((4, 2), np.nan, np.float32), False
    if what < 0.2 and SCENES:
        img, quads = SCENES[rng.randrange(len(SCENES))]
        quad = quads[rng.randrange(len(quads))].astype(np.float32)
        canvas, m = canvas_of(img, quad)
        return canvas, corners.through(m, quad), False
    img, quad = painted_over(rng) if SCENES and rng.random() < 0.35 else drawn(rng)
    img = byte(img)
    if what < 0.42:  # cut by an upright box, more or less tight
        box = upright(quad)
        size = box.max(0) - box.min(0)
        left, top = np.floor(box.min(0) - size * np.array([rng.gauss(0.01, 0.02), rng.gauss(0.01, 0.05)])).astype(int)
        right, bottom = np.ceil(box.max(0) + size * np.array([rng.gauss(0.01, 0.02), rng.gauss(0.01, 0.05)])).astype(int)
        left, top = max(0, left), max(0, top)
        right, bottom = min(img.shape[1], right), min(img.shape[0], bottom)
        if right - left > 12 and bottom - top > 6:
            part = np.ascontiguousarray(img[top:bottom, left:right])
            h, w = part.shape[:2]
            rough = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32)
            canvas, m = canvas_of(part, rough)
            return canvas, corners.through(m, quad - np.array([left, top], np.float32)), True
    canvas, m = canvas_of(img, quad)
    return canvas, corners.through(m, quad), False


def _init(glyphs, photos, index):
    cv2.setNumThreads(1)
    render.GLYPHS = Path(glyphs) if glyphs else None
    for r in real.rows(Path(index), "train") if index else []:
        img = real.read(Path(index), r) if r["kind"] == "scene" and r["corners"] else None
        if img is not None:
            SCENES.append((img, real.quads(r)))
    for p in sorted(Path(photos).rglob("*"))[:900] if photos else []:
        img = cv2.imread(str(p))
        if img is not None and min(img.shape[:2]) >= 60:
            k = min(1.0, 1200 / max(img.shape[:2]))
            PHOTOS.append(cv2.resize(img, None, fx=k, fy=k, interpolation=cv2.INTER_AREA) if k < 1 else img)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("out"), ap.add_argument("count", type=int)
    ap.add_argument("--seed", type=int, default=0), ap.add_argument("--glyphs", help="folder of templates; without it a font draws")
    ap.add_argument("--photos"), ap.add_argument("--index"), ap.add_argument("--jobs", type=int, default=2)
    a = ap.parse_args()
    seeds = range(a.seed * 10_000_000, a.seed * 10_000_000 + a.count)
    x = np.lib.format.open_memmap(a.out + ".x.npy", "w+", np.uint8, (a.count, H, W, 3))
    q = np.empty((a.count, 4, 2), np.float32)
    cut = np.empty(a.count, bool)
    with Pool(a.jobs, _init, (a.glyphs, a.photos, a.index)) as pool:
        for i, (img, quad, edge) in enumerate(tqdm(pool.imap(sample, seeds, chunksize=64), total=a.count, mininterval=5)):
            x[i], q[i], cut[i] = img, quad, edge
    x.flush()
    np.save(a.out + ".q.npy", q), np.save(a.out + ".cut.npy", cut)


if __name__ == "__main__":
    main()
