"""The reader network: a crop to SLOTS x classes, by attention with a column prior.

Input  N x 3 x 48 x 160, BGR in 0..1 minus 0.5.
Output logits N x 8 x 78 (plates.ALPHABET) and plate kind N x 16.

Each of the eight slots looks at the 6 x 40 feature map through a softmax
attention whose logits start with a Gaussian over the columns where that
character usually stands; without that prior training does not start. No CTC:
repeated characters cannot collapse, and every slot gives a distribution.
Only layers that tract runs well (plain 3x3, 1x7, 1x1 convolutions, ReLU).
"""
from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

import plates

CLASSES = len(plates.ALPHABET)


def block(cin, cout, stride=1):
    return nn.Sequential(nn.Conv2d(cin, cout, 3, stride, 1, bias=False), nn.BatchNorm2d(cout), nn.ReLU(inplace=True))


class Res(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.a, self.b = block(c, c), nn.Sequential(nn.Conv2d(c, c, 3, 1, 1, bias=False), nn.BatchNorm2d(c))

    def forward(self, x):
        return F.relu(x + self.b(self.a(x)))


class SlotNet(nn.Module):
    def __init__(self, channels=(16, 40, 64, 80)):
        super().__init__()
        c1, c2, c3, c4 = channels
        self.body = nn.Sequential(
            block(3, c1, 2), block(c1, c1), block(c1, c2, 2), Res(c2),
            block(c2, c3, (2, 1)), Res(c3), Res(c3), block(c3, c4),
            nn.Conv2d(c4, c4, (1, 7), 1, (0, 3), bias=False), nn.BatchNorm2d(c4), nn.ReLU(inplace=True))
        self.position = nn.Parameter(torch.randn(1, c4, 6, 40) * 0.02)
        self.attend = nn.Conv2d(c4, plates.SLOTS, 1)
        cols = torch.arange(40).float() + 0.5
        centres = (torch.arange(plates.SLOTS).float() + 0.5) * 40 / 7.6
        prior = -((cols[None] - centres[:, None]) ** 2) / (2 * 3.0 ** 2)
        self.prior = nn.Parameter(prior[:, None, :].repeat(1, 6, 1)[None])  # 1 x 8 x 6 x 40
        self.char = nn.Linear(c4, CLASSES)
        self.slot_bias = nn.Parameter(torch.zeros(plates.SLOTS, CLASSES))
        self.kind = nn.Linear(c4, len(plates.KINDS))

    def forward(self, x):
        f = self.body(x)
        n, c = f.shape[:2]
        a = self.attend(f + self.position) + self.prior
        a = a.reshape(n, plates.SLOTS, 240).softmax(-1)
        z = a @ f.reshape(n, c, 240).transpose(1, 2)  # N x 8 x c
        return self.char(z) + self.slot_bias, self.kind(f.mean((2, 3)))
