"""The corner network: a rough quad around a plate becomes an exact one.

The detector's corners are off by some 3 % of the plate's width, and an upright box that somebody
cut around a tilted plate has no corners at all; both cost the reader far more than the network
below. It sees the rough quad straight on, with as much again around it, and answers where the
plate's own corners are.

Input  N x 3 x 64 x 192, BGR in 0..1 minus 0.5: the plane of the rough quad, which fills the middle
       120 x 40 pixels (INNER); what lies outside of the picture repeats its border.
Output corners N x 4 x 2: TL, TR, BR, BL in pixels of the view.
       plate   N x 1: logit of "this is a plate".

Corners come as the mean place of a heat map each (a soft argmax), because a place that is an
average over many cells is exact to a fraction of a cell. Only layers that tract runs well.
"""
from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

VIEW_W, VIEW_H = 192, 64
INNER_W, INNER_H = 120, 40
INNER = np.array([[0, 0], [INNER_W, 0], [INNER_W, INNER_H], [0, INNER_H]], np.float32) + np.array(
    [(VIEW_W - INNER_W) / 2, (VIEW_H - INNER_H) / 2], np.float32)
STRIDE = 4


def conv(cin, cout, stride=1, k=3):
    return nn.Sequential(nn.Conv2d(cin, cout, k, stride, k // 2, bias=False), nn.BatchNorm2d(cout), nn.ReLU(inplace=True))


class Res(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.a = conv(c, c)
        self.b = nn.Sequential(nn.Conv2d(c, c, 3, 1, 1, bias=False), nn.BatchNorm2d(c))

    def forward(self, x):
        return F.relu(x + self.b(self.a(x)))


class CornerNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.s4 = nn.Sequential(conv(3, 16, 2), conv(16, 32, 2), Res(32))
        self.s8 = nn.Sequential(conv(32, 48, 2), Res(48))
        self.s16 = nn.Sequential(conv(48, 64, 2), Res(64), Res(64))
        self.up16, self.up8 = conv(64, 48, k=1), conv(48, 32, k=1)
        self.heat = nn.Sequential(conv(32, 32), nn.Conv2d(32, 4, 1))
        self.plate = nn.Linear(64, 1)
        h, w = VIEW_H // STRIDE, VIEW_W // STRIDE
        y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
        places = torch.stack([x, y], -1).reshape(1, h * w, 2).float()
        self.register_buffer("places", (places + 0.5) * STRIDE)

    def forward(self, x):
        a = self.s4(x)
        b = self.s8(a)
        c = self.s16(b)
        b = b + F.interpolate(self.up16(c), scale_factor=2, mode="nearest")
        a = a + F.interpolate(self.up8(b), scale_factor=2, mode="nearest")
        heat = self.heat(a).reshape(x.shape[0], 4, -1).softmax(-1)
        return torch.matmul(heat, self.places), self.plate(c.mean((2, 3)))


def view_of(img: np.ndarray, quad: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(view, 3 x 3 map from the picture to the view) of a rough quad."""
    m = cv2.getPerspectiveTransform(quad.astype(np.float32), INNER)
    width = float(np.ptp(quad[:, 0]))
    k = 1.0
    if width > INNER_W * 1.6:  # average over area before shrinking, or single look-ups alias
        k = INNER_W * 1.3 / width
        img = cv2.resize(img, None, fx=k, fy=k, interpolation=cv2.INTER_AREA)
    small = m @ np.diag([1 / k, 1 / k, 1.0])
    view = cv2.warpPerspective(img, small, (VIEW_W, VIEW_H), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return view, m


def through(m: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points through a 3 x 3 map."""
    p = np.hstack([points, np.ones((len(points), 1))]) @ m.T
    return (p[:, :2] / p[:, 2:]).astype(np.float32)
