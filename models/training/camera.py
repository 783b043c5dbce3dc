"""What a gate camera does to a plate: perspective, light, optics, sensor, codec.

`shoot` puts a flat plate into a small scene as a camera would see it;
`rectify` is what the reader is fed: the quad warped to CROP_W x CROP_H.
Pictures are float32 BGR in 0..1.
"""
from __future__ import annotations

import math
import random

import cv2
import numpy as np

CROP_W, CROP_H = 160, 48


def quad_for(w: float, h: float, rng: random.Random, yaw=None, pitch=None, roll=None) -> np.ndarray:
    """Corners (TL, TR, BR, BL) of a w x h plate seen under random angles, centred on 0,0."""
    yaw = math.radians(rng.gauss(0, 16) if yaw is None else yaw)
    pitch = math.radians(rng.gauss(8, 9) if pitch is None else pitch)
    roll = math.radians(rng.gauss(0, 5 if rng.random() < 0.7 else 11) if roll is None else roll)
    cy, sy, cp, sp, cr, sr = (f(a) for a in (yaw, pitch, roll) for f in (math.cos, math.sin))
    rot_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    rot_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    rot_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    pts = np.array([[-w / 2, -h / 2, 0], [w / 2, -h / 2, 0], [w / 2, h / 2, 0], [-w / 2, h / 2, 0]])
    pts = pts @ (rot_z @ rot_x @ rot_y).T
    depth = w * rng.uniform(4, 12)
    return (pts[:, :2] * (depth / (depth + pts[:, 2:3]))).astype(np.float32)


def light(img: np.ndarray, rng: random.Random) -> np.ndarray:
    """Exposure, gamma, colour cast, shadow edges, hot spots."""
    h, w = img.shape[:2]
    img = img * np.array([rng.gauss(1, 0.07) for _ in range(3)], np.float32)
    if rng.random() < 0.35:  # a shadow or light edge across the plate
        a = rng.uniform(0, 2 * math.pi)
        yy, xx = np.mgrid[0:h, 0:w].astype(np.float32)
        d = (xx - rng.uniform(0, w)) * math.cos(a) + (yy - rng.uniform(0, h)) * math.sin(a)
        soft = rng.uniform(0.5, max(1.0, w * 0.25))
        img = img * (1 - rng.uniform(0.15, 0.65) / (1 + np.exp(np.clip(-d / soft, -30, 30))))[..., None]
    if rng.random() < 0.12:  # headlight or sun glare
        yy, xx = np.mgrid[0:h, 0:w].astype(np.float32)
        r2 = ((xx - rng.uniform(-0.1, 1.1) * w) / (w * rng.uniform(0.1, 0.5))) ** 2 + ((yy - rng.uniform(-0.1, 1.1) * h) / (h * rng.uniform(0.2, 0.9))) ** 2
        img = img + (rng.uniform(0.2, 0.9) * np.exp(-r2))[..., None]
    mean = float(img.mean()) + 1e-3
    target = min(0.75, max(0.07, rng.gauss(0.40, 0.15)))
    img = np.clip(img * (target / mean), 0, 1.15)
    img = np.clip(img, 0, 1) ** rng.uniform(0.7, 1.5)
    contrast = rng.uniform(0.45, 1.05)
    lift = rng.uniform(0, 1 - contrast) if contrast < 1 else 0.0
    img = img * contrast + lift * rng.uniform(0.2, 1.0)
    if rng.random() < 0.15:  # infrared or night: no colour
        grey = img @ np.array([0.114, 0.587, 0.299], np.float32)
        if rng.random() < 0.3:
            grey = 1 - grey if rng.random() < 0.15 else grey
        img = np.repeat(grey[..., None], 3, 2)
    elif rng.random() < 0.4:
        grey = (img @ np.array([0.114, 0.587, 0.299], np.float32))[..., None]
        img = grey + (img - grey) * rng.uniform(0.2, 1.3)
    return np.clip(img, 0, 1).astype(np.float32)


def _motion(img, rng, length):
    k = max(2, int(round(length)))
    kernel = np.zeros((2 * k + 1, 2 * k + 1), np.float32)
    a = rng.gauss(0, 0.5) + (math.pi / 2 if rng.random() < 0.35 else 0)
    dx, dy = math.cos(a) * length / 2, math.sin(a) * length / 2
    cv2.line(kernel, (round(k - dx), round(k - dy)), (round(k + dx), round(k + dy)), 1.0, 1, cv2.LINE_AA)
    return cv2.filter2D(img, -1, kernel / max(kernel.sum(), 1e-6), borderType=cv2.BORDER_REPLICATE)


def sensor(img: np.ndarray, char_px: float, rng: random.Random) -> np.ndarray:
    """Blur, noise, sharpening and compression at the picture's own resolution.

    char_px: height of a character in this picture; blur is scaled to it, so
    that a sample stays (nearly always) readable.
    """
    limit = char_px * 0.10
    if rng.random() < 0.75:
        img = cv2.GaussianBlur(img, (0, 0), max(0.3, rng.uniform(0.2, 1.0) * max(0.5, limit)))
    if rng.random() < 0.22:
        img = _motion(img, rng, rng.uniform(1.5, max(2.0, char_px * 0.28)))
    if rng.random() < 0.75:
        sigma = min(abs(rng.gauss(0, 0.03)), float(img.std()) * 0.35)
        noise = np.random.default_rng(rng.getrandbits(32)).normal(0, sigma, img.shape).astype(np.float32)
        if rng.random() < 0.4:
            noise = np.repeat(noise[..., :1], 3, 2)
        img = img + noise
    if rng.random() < 0.3:
        img = img + (img - cv2.GaussianBlur(img, (0, 0), 1.0)) * rng.uniform(0.3, 1.5)
    img = np.clip(img, 0, 1)
    if rng.random() < 0.8:
        ok, buf = cv2.imencode(".jpg", (img * 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, rng.randint(25, 95)])
        img = cv2.imdecode(buf, cv2.IMREAD_COLOR).astype(np.float32) / 255
    return img


def backdrop(h: int, w: int, rng: random.Random, photos=None) -> np.ndarray:
    """A bumper-like surrounding: a crop of a real picture, or smooth noise."""
    if photos is not None and len(photos) and rng.random() < 0.7:
        src = photos[rng.randrange(len(photos))]
        sh, sw = src.shape[:2]
        scale = rng.uniform(0.5, 2.0)
        ch, cw = min(sh, max(8, int(h / scale))), min(sw, max(8, int(w / scale)))
        y, x = rng.randint(0, sh - ch), rng.randint(0, sw - cw)
        return cv2.resize(src[y:y + ch, x:x + cw], (w, h), interpolation=cv2.INTER_LINEAR).astype(np.float32) / 255
    g = np.random.default_rng(rng.getrandbits(32))
    base = g.uniform(0.03, 0.9) * np.ones(3) + g.normal(0, 0.06, 3)
    img = np.zeros((h, w, 3), np.float32) + np.clip(base, 0, 1).astype(np.float32)
    for cells in (3, 9, 27):
        n = g.normal(0, 0.16, (max(2, cells // 2), cells, 1)).astype(np.float32)
        img = img + cv2.resize(n, (w, h), interpolation=cv2.INTER_CUBIC)[..., None]
    return np.clip(img, 0, 1)


def dirt(plate: np.ndarray, rng: random.Random) -> np.ndarray:
    h, w = plate.shape[:2]
    if rng.random() < 0.35:
        g = np.random.default_rng(rng.getrandbits(32))
        mud = cv2.resize(g.random((6, 18)).astype(np.float32), (w, h), interpolation=cv2.INTER_CUBIC)
        amount = np.clip((mud - rng.uniform(0.5, 0.95)) * rng.uniform(0.4, 2.0), 0, 0.75)[..., None]
        plate = plate * (1 - amount) + np.float32(rng.uniform(0.15, 0.6)) * amount
    if rng.random() < 0.25:  # a frame (holder) covering the rim
        t = rng.randint(2, max(3, h // 16))
        tone = rng.choice([0.05, 0.1, 0.5, 0.75])
        cv2.rectangle(plate, (0, 0), (w - 1, h - 1), (tone,) * 3, t)
    return plate


def shoot(plate: np.ndarray, rng: random.Random, plate_px: float | None = None, photos=None, room: float = 0.0):
    """(picture, quad): the plate in a small scene; quad in the picture's pixels."""
    ph, pw = plate.shape[:2]
    width = plate_px or math.exp(rng.uniform(math.log(48), math.log(260)))
    quad = quad_for(width, width * ph / pw, rng)
    lo, hi = quad.min(0), quad.max(0)
    pad = (hi - lo) * (np.array([rng.uniform(0.12, 0.3), rng.uniform(0.2, 0.6)], np.float32) + room * np.array([0.5, 1.0], np.float32))
    size = np.ceil(hi - lo + 2 * pad).astype(int)
    quad = quad - lo + pad
    scene = backdrop(int(size[1]), int(size[0]), rng, photos)
    src = np.array([[0, 0], [pw, 0], [pw, ph], [0, ph]], np.float32)
    small = plate
    if width < pw * 0.6:  # area-average first, as a lens does, against aliasing
        k = max(width / pw, 0.08) * 1.5
        small = cv2.resize(plate, None, fx=min(1, k), fy=min(1, k), interpolation=cv2.INTER_AREA)
        src = src * np.array([small.shape[1] / pw, small.shape[0] / ph], np.float32)
    m = cv2.getPerspectiveTransform(src, quad)
    warped = cv2.warpPerspective(small, m, (int(size[0]), int(size[1])), flags=cv2.INTER_LINEAR)
    mask = cv2.warpPerspective(np.ones(small.shape[:2], np.float32), m, (int(size[0]), int(size[1])), flags=cv2.INTER_LINEAR)
    scene = scene * (1 - mask[..., None]) + warped * mask[..., None]
    rows = 2 if ph > 0.4 * pw else 1
    char_px = width * ph / pw * (0.64 if rows == 1 else 0.4)
    return sensor(light(scene, rng), char_px, rng), quad


# A double-row plate's parts and where they go, in millimetres: where the part ends on the single
# row (440 x 140), left edges on plate and row, scale across and down, tops on plate and row. The
# same table stands in crates/vision/src/recognise/rectify.rs.
ROW_PARTS = [
    (67.0, 82.4, 0.0, 119.2 / 67.0, 76.0 / 114.0, 8.0, 14.5),
    (134.0, 240.2, 67.0, 119.1 / 67.0, 76.0 / 114.0, 8.0, 14.5),
    (1e9, 20.0, 134.0, 410.0 / 306.0, 136.0 / 111.3, 78.0, 15.2),
]


def _row_places() -> np.ndarray:
    """For each pixel of the reader's picture the place on the rectified double-row plate it shows."""
    out = np.empty((CROP_H, CROP_W, 2), np.float32)
    for v in range(CROP_H):
        for u in range(CROP_W):
            x, y = u / CROP_W * 440.0, v / CROP_H * 140.0
            _, left, row_left, across, down, top, row_top = next(p for p in ROW_PARTS if x < p[0])
            out[v, u] = (left + (x - row_left) * across) / 440.0 * CROP_W, (top + (y - row_top) * down) / 220.0 * CROP_H
    return out


ROW_PLACES = _row_places()


def rectify(img: np.ndarray, quad: np.ndarray, rng: random.Random | None = None, jitter: float = 0.0, box: bool = False,
            one_row: bool = False) -> np.ndarray:
    """Warp the quad (or its upright box) to CROP_H x CROP_W; jitter in parts of the plate's size.
    one_row: a double-row plate with its rows side by side."""
    q = quad.astype(np.float32)
    if box:
        (x0, y0), (x1, y1) = q.min(0), q.max(0)
        q = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float32)
    if rng is not None and jitter > 0:
        ext = np.array([np.ptp(q[:, 0]), np.ptp(q[:, 1])], np.float32)
        shift = np.array([rng.gauss(0, jitter * 0.5), rng.gauss(0, jitter)], np.float32) * ext
        grow = np.array([1 + rng.gauss(0.015, jitter), 1 + rng.gauss(0.03, jitter * 1.5)], np.float32)
        c = q.mean(0)
        q = (q - c) * grow + c + shift
        q = q + np.array([[rng.gauss(0, jitter * 0.35), rng.gauss(0, jitter * 0.7)] for _ in range(4)], np.float32) * ext
    dst = np.array([[0, 0], [CROP_W, 0], [CROP_W, CROP_H], [0, CROP_H]], np.float32)
    m = cv2.getPerspectiveTransform(q.astype(np.float32), dst)
    width = float(np.ptp(q[:, 0]))
    if width > CROP_W * 1.6:  # area-average before shrinking
        k = CROP_W * 1.3 / width
        img = cv2.resize(img, None, fx=k, fy=k, interpolation=cv2.INTER_AREA)
        m = cv2.getPerspectiveTransform((q * k).astype(np.float32), dst)
    if one_row:
        places = cv2.perspectiveTransform(ROW_PLACES.reshape(1, -1, 2), np.linalg.inv(m)).reshape(CROP_H, CROP_W, 2).astype(np.float32)
        return cv2.remap(img, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return cv2.warpPerspective(img, m, (CROP_W, CROP_H), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
