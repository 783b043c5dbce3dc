"""Flat pictures of number plates, drawn from glyph templates.

Characters come from a folder of templates (README.md says how it is laid out); what is not in
it, or everything where there is none, is drawn from a free font. Geometry in millimetres after GA 36-2018: small plate 440x140, new energy
480x140, double row 440x220, characters 45x90 (new energy 43x90, upper row
80x60, lower row 65x110). One plate becomes a float32 BGR picture in 0..1 at
PX_PER_MM, with paint jitter, bolts and a dirty surface.
"""
from __future__ import annotations

import random
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

import plates

PX_PER_MM = 1.0
GLYPHS: Path | None = None  # folder with 140_*.jpg, 220_*.jpg, green_*.jpg
CHINESE = Path(__file__).parents[2] / "crates/sim/assets/plates.otf"  # Noto Sans CJK SC Bold, OFL

# (background, character) colours in BGR, 0..255
PAINT = {
    "blue": ((196, 84, 18), (245, 245, 245)),
    "yellow": ((20, 175, 245), (15, 15, 15)),
    "yellow2": ((20, 175, 245), (15, 15, 15)),
    "learner": ((20, 175, 245), (15, 15, 15)),
    "trailer2": ((20, 175, 245), (15, 15, 15)),
    "green_small": ((110, 200, 60), (15, 15, 15)),
    "green_large": ((80, 190, 60), (15, 15, 15)),
    "police": ((235, 235, 235), (15, 15, 15)),
    "military": ((235, 235, 235), (15, 15, 15)),
    "white2": ((235, 235, 235), (15, 15, 15)),
    "armed_police": ((235, 235, 235), (15, 15, 15)),
    "hk_macau": ((20, 20, 20), (245, 245, 245)),
    "embassy": ((20, 20, 20), (245, 245, 245)),
    "consulate": ((20, 20, 20), (245, 245, 245)),
    "emergency": ((40, 190, 240), (15, 15, 15)),
    "civil_aviation": ((70, 120, 10), (245, 245, 245)),
}
RED = (40, 30, 200)
RED_AT = {"military": (0, 1), "white2": (0, 1), "armed_police": (0, 1), "police": (6,), "emergency": (6, 7)}


@lru_cache(maxsize=4096)
def glyph(name: str, width: int, height: int) -> np.ndarray:
    """Ink coverage 0..1 of one template, resized; templates are black on white."""
    head, char = name.rsplit("_", 1)
    if char == "O":  # no template of its own; GA 36 draws it like the zero
        name = f"{head.removesuffix('_up').removesuffix('_down')}_0"
    path = GLYPHS / f"{name}.jpg" if GLYPHS else None
    if path and path.exists():
        ink = 1.0 - cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_GRAYSCALE).astype(np.float32) / 255.0
    else:
        ink = from_font(name.rsplit("_", 1)[1])
    return cv2.resize(ink, (width, height), interpolation=cv2.INTER_AREA)


def from_font(char: str) -> np.ndarray:
    """Ink coverage of one character of a font, cut to its edges."""
    font = ImageFont.load_default(160) if char.isascii() else ImageFont.truetype(CHINESE, 160)
    canvas = Image.new("L", (320, 320))
    ImageDraw.Draw(canvas).text((80, 60), char, 255, font=font, stroke_width=4 if char.isascii() else 0)
    box = canvas.getbbox()
    if box is None:
        raise ValueError(f"neither the glyph folder nor the font has {char!r}")
    if char == "1":  # a stroke without room at its sides would fill the whole box
        box = (box[0] - 30, box[1], box[2] + 30, box[3])
    return np.asarray(canvas.crop(box), np.float32) / 255


def _layout(kind: str, text: str):
    """(plate width, plate height, [(glyph name, x, y, w, h)]) in millimetres."""
    if kind in plates.DOUBLE_ROW:
        boxes = [(110, 15, 80, 60), (250, 15, 80, 60)]
        boxes += [(27 + 80 * i, 90, 65, 110) for i in range(5)]
        names = []
        for i, c in enumerate(text):
            if i < 2:
                names.append(f"220_up_{c}" if c.isascii() and c.isalpha() else f"220_{c}")
            else:
                names.append(f"220_down_{c}" if c.isascii() and c.isalpha() else f"220_{c}")
        return 440, 220, [(n, *b) for n, b in zip(names, boxes)]
    if kind.startswith("green") or kind == "emergency":
        boxes = [(15.5, 25, 45, 90), (69.5, 25, 43, 90)]
        boxes += [(161.5 + 52 * i, 25, 43, 90) for i in range(6)]
        return 480, 140, [(f"green_{c}", *b) for c, b in zip(text, boxes)]  # the emergency plate has the same boxes
    if kind == "armed_police":
        xs = [12, 58, 120, 186, 236, 286, 336, 386]
        widths = [40, 40, 45, 42, 42, 42, 42, 42]
        return 440, 140, [(f"140_{c}", x, 28 if i == 2 else 25, w, 84 if i == 2 else 90)
                          for i, (c, x, w) in enumerate(zip(text, xs, widths))]
    if kind == "embassy":
        xs = [15.5, 72.5, 129.5, 186.5, 265.5, 322.5, 379.5]
    else:
        xs = [15.5, 72.5, 151.5, 208.5, 265.5, 322.5, 379.5]
    return 440, 140, [(f"140_{c}", x, 25, 45, 90) for c, x in zip(text, xs)]


def render(text: str, kind: str, rng: random.Random) -> np.ndarray:
    """Draw one clean, worn plate. Returns float32 BGR in 0..1, h x w x 3."""
    w_mm, h_mm, placed = _layout(kind, text)
    s = PX_PER_MM
    w, h = round(w_mm * s), round(h_mm * s)
    back, ink = (np.array(c, np.float32) / 255 for c in PAINT[kind])
    hsv_jitter = np.array([rng.gauss(1, 0.12), rng.gauss(1, 0.12), rng.gauss(1, 0.12)], np.float32)
    back = np.clip(back * hsv_jitter * rng.uniform(0.75, 1.12), 0, 1)
    ink = np.clip(ink * rng.uniform(0.82, 1.05) + rng.uniform(0, 0.12), 0, 1)
    plate = np.empty((h, w, 3), np.float32)
    plate[:] = back
    if kind == "green_small":  # white fading into green downwards
        fade = np.linspace(0, 1, h, dtype=np.float32)[:, None, None] ** rng.uniform(0.5, 1.2)
        plate = plate * fade + np.float32(0.93) * (1 - fade)
    elif kind == "emergency":  # white fading into yellow downwards
        fade = np.linspace(0, 1, h, dtype=np.float32)[:, None, None] ** rng.uniform(0.5, 1.2)
        plate = plate * fade + np.float32(0.93) * (1 - fade)
    elif kind == "green_large":  # first third yellow, the rest green
        plate[:, : int(140 * s)] = np.array([30, 190, 240], np.float32) / 255 * rng.uniform(0.8, 1.1)
    if rng.random() < 0.75:  # the painted rim
        m = round(rng.uniform(2, 5) * s)
        cv2.rectangle(plate, (m, m), (w - m, h - m), tuple(float(v) for v in ink), max(1, round(1.7 * s)), cv2.LINE_AA)
    boldness = rng.uniform(-0.25, 0.25)
    dx, dy = rng.gauss(0, 1.2), rng.gauss(0, 1.2)
    for i, (name, x, y, gw, gh) in enumerate(placed):
        gw_px, gh_px = max(2, round(gw * s)), max(2, round(gh * s))
        cover = glyph(name, gw_px, gh_px)
        cover = np.clip((cover - 0.5) * 1.6 + 0.5 + boldness * 0.6, 0, 1)
        x0, y0 = round((x + dx + rng.gauss(0, 0.5)) * s), round((y + dy + rng.gauss(0, 0.5)) * s)
        x0, y0 = min(max(x0, 0), w - gw_px), min(max(y0, 0), h - gh_px)
        colour = ink
        if i in RED_AT.get(kind, ()) or (kind in ("embassy", "consulate") and text[i] in "使领"):
            colour = np.array(RED, np.float32) / 255 * rng.uniform(0.7, 1.1)
        patch = plate[y0:y0 + gh_px, x0:x0 + gw_px]
        patch[:] = patch * (1 - cover[..., None]) + colour * cover[..., None]
    if kind not in (*plates.DOUBLE_ROW, "emergency") and not kind.startswith("green") and rng.random() < 0.9:
        cx = {"embassy": 248, "armed_police": 175}.get(kind, 134.5)
        cv2.circle(plate, (round(cx * s), round(70 * s)), max(1, round(5 * s)), tuple(float(v) for v in ink), -1, cv2.LINE_AA)
    for bx in (w * 0.25, w * 0.75):  # bolts
        for by in (round(10 * s), h - round(10 * s)):
            if rng.random() < 0.55:
                tone = rng.uniform(0.15, 0.95)
                cv2.circle(plate, (round(bx + rng.gauss(0, 4) * s), by), round(rng.uniform(3, 7) * s), (tone,) * 3, -1, cv2.LINE_AA)
    return np.clip(plate, 0, 1)
