"""Fresh variations of real crops (uint8 N x 48 x 160 x 3), one call a batch."""
from __future__ import annotations

import random

import cv2
import numpy as np


def real_crop(img: np.ndarray, rng: random.Random) -> np.ndarray:
    h, w = img.shape[:2]
    if rng.random() < 0.8:  # corner error, small tilt
        d = 0.035
        src = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32)
        dst = src + np.array([[rng.gauss(0, d * w * 0.35), rng.gauss(0, d * h)] for _ in range(4)], np.float32)
        dst += np.array([rng.gauss(0, 0.015 * w), rng.gauss(0, 0.04 * h)], np.float32)
        img = cv2.warpPerspective(img, cv2.getPerspectiveTransform(src, dst), (w, h), borderMode=cv2.BORDER_REPLICATE)
    if rng.random() < 0.35:  # farther away
        k = rng.uniform(0.3, 0.9)
        img = cv2.resize(cv2.resize(img, None, fx=k, fy=k, interpolation=cv2.INTER_AREA), (w, h), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.25:
        img = cv2.GaussianBlur(img, (0, 0), rng.uniform(0.4, 1.3))
    x = img.astype(np.float32) / 255
    x = x * np.array([rng.gauss(1, 0.06) for _ in range(3)], np.float32) * rng.uniform(0.6, 1.35)
    c = rng.uniform(0.6, 1.2)
    x = (x - x.mean()) * c + x.mean()
    if rng.random() < 0.2:
        x = np.repeat((x @ np.array([0.114, 0.587, 0.299], np.float32))[..., None], 3, 2)
    x = np.clip(x, 0, 1) ** rng.uniform(0.75, 1.35)
    if rng.random() < 0.4:
        x = x + np.random.default_rng(rng.getrandbits(32)).normal(0, rng.uniform(0, 0.03), x.shape)
    return (np.clip(x, 0, 1) * 255).astype(np.uint8)


def real_batch(batch: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    r = random.Random(int(rng.integers(1 << 62)))
    return np.stack([real_crop(i, r) for i in batch]) if len(batch) else batch
