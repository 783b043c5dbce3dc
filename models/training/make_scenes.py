"""Compose detector training scenes: python make_scenes.py OUT.npz COUNT --photos DIR [--seed N]

Half of them are real scenes of the training split, in two of three of which plates are painted
over by rendered ones in the same place (real surroundings, endless numbers). The rest:
a real photograph without plates (or a plain backdrop), zero to four rendered
plates in it under perspective, some on a dark or bright "bumper", then light,
optics, sensor and codec of the whole. Pictures have one of the detector's
shapes; each plate gives eight numbers: its corners TL, TR, BR, BL in pixels.
Text-like clutter (captions, house numbers, clock overlays, shop signs) is drawn
in without a label: a detector must not fire on it.

Writes OUT.W-H.x.npy (uint8) and OUT.W-H.q.npy (MAX_PLATES x 8, NaN where there
are fewer) for each shape, while they are made; what is not made yet is -inf, and
the trainer passes over it (growing.py).
"""
from __future__ import annotations

import argparse
import math
import random
from multiprocessing import Pool
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from tqdm import tqdm

import camera
import plates
import real
import render
from net_detect import SHAPES

MAX_PLATES = 4
SHAPE_WEIGHTS = [55, 20, 25]
LEAST, MOST = 13, 400  # widths of plates, in pixels of the input
PHOTOS: list = []
SCENES: list = []  # (picture, [4 x 2 corners])


def _width(rng):
    return math.exp(rng.uniform(math.log(LEAST), math.log(MOST)))


def shape_of(seed):
    """The shape of a seed's scene, known before it is made."""
    return random.Random(f"shape {seed}").choices(SHAPES, SHAPE_WEIGHTS)[0]


def _swapped(rng, W, H):
    """A real scene, zoomed and moved, mostly with its plates replaced: (scene, quads, whether all plates are real)."""
    stay = 0.2 if rng.random() < 0.65 else 1.0
    src, quads = SCENES[rng.randrange(len(SCENES))]
    lead = quads[rng.randrange(len(quads))]
    k = _width(rng) / max(8.0, float(np.linalg.norm(lead[1] - lead[0])))
    k = min(max(k, 0.65 * max(W / src.shape[1], H / src.shape[0])), 3.0)
    a = rng.gauss(0, 0.05)
    lin = k * np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]])
    goal = np.array([rng.uniform(0.1, 0.9) * W, rng.uniform(0.15, 0.9) * H])
    m = np.hstack([lin, (goal - lin @ lead.mean(0))[:, None]]).astype(np.float32)
    if k < 0.6:
        src = cv2.GaussianBlur(src, (0, 0), 0.35 / k)
    scene = cv2.warpAffine(src, m, (W, H), borderMode=cv2.BORDER_CONSTANT if rng.random() < 0.6 else cv2.BORDER_REPLICATE,
                           borderValue=(90, 90, 90)).astype(np.float32) / 255
    placed = []
    for q in quads:
        q = (q @ lin.T + m[:, 2]).astype(np.float32)
        if (q.mean(0) < 3).any() or (q.mean(0) > np.array([W, H]) - 3).any():
            continue
        if rng.random() >= stay:
            tall = np.linalg.norm(q[3] - q[0]) > 0.42 * np.linalg.norm(q[1] - q[0])
            kind = rng.choice(plates.DOUBLE_ROW) if tall else rng.choice([x for x in plates.KINDS if x not in plates.DOUBLE_ROW])
            text, kind = plates.random_plate(rng, kind)
            flat = camera.dirt(render.render(text, kind, rng), rng)
            x0, y0 = np.maximum(q.min(0), 0).astype(int)
            x1, y1 = np.minimum(q.max(0) + 1, [W, H]).astype(int)
            was = float(scene[y0:y1, x0:x1].mean()) if x1 > x0 and y1 > y0 else 0.4
            flat = np.clip(flat * (was / max(0.05, float(flat.mean()))) * rng.uniform(0.75, 1.3), 0, 1)
            c = q.mean(0)
            q = ((q - c) * rng.uniform(1.0, 1.06) + c).astype(np.float32)
            scene = paste(scene, flat, q)
        placed.append(q)
    return scene, placed, stay == 1.0


def _background(rng, W, H):
    if PHOTOS and rng.random() < 0.93:
        src = PHOTOS[rng.randrange(len(PHOTOS))]
        sh, sw = src.shape[:2]
        k = rng.uniform(0.35, 1.0) if min(sh, sw) > 200 else 1.0
        cw = max(16, int(sw * k))
        ch = max(12, min(sh, int(cw * H / W)))
        y, x = rng.randint(0, sh - ch), rng.randint(0, sw - cw)
        img = cv2.resize(src[y:y + ch, x:x + cw], (W, H), interpolation=cv2.INTER_AREA)
        return (img[:, ::-1] if rng.random() < 0.5 else img).astype(np.float32) / 255
    return camera.backdrop(H, W, rng)


def paste(scene, plate, quad):
    """The scene with a flat plate warped into the quad."""
    height, wide = scene.shape[:2]
    ph, pw = plate.shape[:2]
    width = float(np.linalg.norm(quad[1] - quad[0]))
    k = min(1.0, max(0.06, 1.5 * width / pw))
    small = cv2.resize(plate, None, fx=k, fy=k, interpolation=cv2.INTER_AREA)
    src = np.array([[0, 0], [small.shape[1], 0], [small.shape[1], small.shape[0]], [0, small.shape[0]]], np.float32)
    m = cv2.getPerspectiveTransform(src, quad.astype(np.float32))
    warped = cv2.warpPerspective(small, m, (wide, height))
    mask = cv2.warpPerspective(np.ones(small.shape[:2], np.float32), m, (wide, height))[..., None]
    return scene * (1 - mask) + warped * mask


def _clutter(scene, rng):
    H, W = scene.shape[:2]
    scene = np.ascontiguousarray((np.clip(scene, 0, 1) * 255).astype(np.uint8))
    for _ in range(rng.choice([0, 0, 1, 1, 2, 3])):
        size = rng.uniform(0.3, 1.4)
        text = "".join(rng.choice(plates.LETTERS + plates.DIGITS + "-:/ ") for _ in range(rng.randint(3, 19)))
        (tw, th), _b = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, 2)
        x, y = rng.randint(-20, max(0, W - tw // 2)), rng.randint(th, H)
        tone = tuple(rng.randrange(256) for _ in range(3)) if rng.random() < 0.5 else (rng.choice([5, 250]),) * 3
        if rng.random() < 0.5:
            cv2.rectangle(scene, (x - 4, y - th - 5), (x + tw + 4, y + 6), tuple(rng.randrange(256) for _ in range(3)), -1)
        cv2.putText(scene, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, size, tone, rng.choice([1, 2, 3]), cv2.LINE_AA)
    if rng.random() < 0.25:
        _sign(scene, rng)
    return scene.astype(np.float32) / 255


def _sign(scene, rng):
    """A shop sign or banner: Chinese characters in a row on a plain ground."""
    H, W = scene.shape[:2]
    size = int(math.exp(rng.uniform(math.log(9), math.log(60))))
    text = "".join(rng.choice(plates.PROVINCES + plates.SPECIAL[1:]) for _ in range(rng.randint(2, 9)))
    ground, ink = (tuple(rng.randrange(256) for _ in range(3)) for _ in range(2))
    font = ImageFont.truetype(render.CHINESE, size)
    board = Image.new("RGB", (int(font.getlength(text) + size * rng.uniform(0.2, 2)), int(size * rng.uniform(1.2, 2))), ground)
    ImageDraw.Draw(board).text((board.width / 2, board.height / 2), text, ink, font=font, anchor="mm")
    sign = np.asarray(board)[:H, :W]
    y, x = rng.randint(0, H - sign.shape[0]), rng.randint(0, W - sign.shape[1])
    scene[y:y + sign.shape[0], x:x + sign.shape[1]] = sign


def sample(seed):
    rng = random.Random(seed)
    W, H = shape_of(seed)
    taken = False
    if SCENES and rng.random() < 0.55:
        scene, quads, taken = _swapped(rng, W, H)
        n = 0
    else:
        scene, quads = _clutter(_background(rng, W, H), rng), []
        n = rng.choices([0, 1, 2, 3, 4], [22, 52, 16, 6, 4])[0]
    for _ in range(n):
        text, kind = plates.random_plate(rng)
        flat = camera.dirt(render.render(text, kind, rng), rng)
        width = _width(rng)
        quad = camera.quad_for(width, width * flat.shape[0] / flat.shape[1], rng)
        lo, hi = quad.min(0), quad.max(0)
        span = np.array([W, H]) - (hi - lo)
        if (span <= 2).any():
            continue
        quad = quad - lo + np.array([rng.uniform(0, span[0]), rng.uniform(0, span[1])], np.float32)
        if any((np.abs(quad.mean(0) - q.mean(0)) < (np.ptp(quad, 0) + np.ptp(q, 0)) / 2 + 4).all() for q in quads):
            continue
        if rng.random() < 0.6:  # a bumper or recess around the plate
            c = quad.mean(0)
            bump = ((quad - c) * np.array([rng.uniform(1.2, 2.6), rng.uniform(1.3, 3.0)]) + c).astype(np.int32)
            tone = np.clip(np.array([rng.uniform(0.02, 0.95)] * 3) + np.array([rng.gauss(0, 0.08) for _ in range(3)]), 0, 1)
            cover = np.zeros((H, W), np.float32)
            cv2.fillConvexPoly(cover, bump, 1.0)
            cover = cv2.GaussianBlur(cover, (0, 0), rng.uniform(1, 6))[..., None] * rng.uniform(0.5, 1)
            scene = scene * (1 - cover) + tone.astype(np.float32) * cover
        scene = paste(scene, flat, quad)
        quads.append(quad)
    smallest = min((float(np.linalg.norm(q[3] - q[0])) * 0.6 for q in quads), default=20.0)
    # A camera has been at work on a real scene already.
    img = scene if taken and rng.random() < 0.7 else camera.sensor(camera.light(scene, rng), min(smallest, 24.0), rng)
    out = np.full((MAX_PLATES, 8), np.nan, np.float32)
    for i, q in enumerate(quads[:MAX_PLATES]):
        out[i] = q.reshape(-1)
    return (np.clip(img, 0, 1) * 255).astype(np.uint8), out


def _init(glyphs, photos, index):
    cv2.setNumThreads(1)
    for r in real.rows(Path(index), "train") if index else []:
        img = real.read(Path(index), r) if r["kind"] == "scene" and r["corners"] else None
        if img is not None:
            SCENES.append((img, real.quads(r)))
    render.GLYPHS = Path(glyphs) if glyphs else None
    for p in sorted(Path(photos).rglob("*"))[:900] if photos else []:
        img = cv2.imread(str(p))
        if img is not None and min(img.shape[:2]) >= 120:
            k = min(1.0, 1200 / max(img.shape[:2]))
            PHOTOS.append(cv2.resize(img, None, fx=k, fy=k, interpolation=cv2.INTER_AREA) if k < 1 else img)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("out"), ap.add_argument("count", type=int)
    ap.add_argument("--seed", type=int, default=0), ap.add_argument("--glyphs", help="folder of templates; without it a font draws")
    ap.add_argument("--photos", default=None), ap.add_argument("--index", default=None, help="index.tsv with real training scenes"), ap.add_argument("--jobs", type=int, default=2)
    a = ap.parse_args()
    seeds = range(a.seed * 10_000_000, a.seed * 10_000_000 + a.count)
    counts = {shape: sum(shape_of(s) == shape for s in seeds) for shape in SHAPES}
    x, q, at = {}, {}, dict.fromkeys(SHAPES, 0)
    for (w, h), n in counts.items():
        x[w, h] = np.lib.format.open_memmap(f"{a.out}.{w}-{h}.x.npy", "w+", np.uint8, (n, h, w, 3))
        q[w, h] = np.lib.format.open_memmap(f"{a.out}.{w}-{h}.q.npy", "w+", np.float32, (n, MAX_PLATES, 8))
        q[w, h][:] = -np.inf
    with Pool(a.jobs, _init, (a.glyphs, a.photos, a.index)) as pool:
        for img, quads in tqdm(pool.imap(sample, seeds, chunksize=16), total=a.count, mininterval=5):
            shape = img.shape[1], img.shape[0]
            x[shape][at[shape]], q[shape][at[shape]] = img, quads
            at[shape] += 1
    for shape in SHAPES:
        x[shape].flush(), q[shape].flush()


if __name__ == "__main__":
    main()
