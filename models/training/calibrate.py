"""The reader's temperature: python calibrate.py READER.pt HELD_OUT.npz...

Divides the logits by one number so that the probability of the whole text is the share of texts
that are right (Guo et al. 2017), fitted by likelihood on crops that were held out of training.
Prints it, and the calibration error of the text's probability before and after, in ten bins of
equal mass. `export.py reader` takes it as its last argument.
"""
from __future__ import annotations

import sys

import numpy as np
import torch
from torch.nn import functional as F

from net import SlotNet
from train_reader import predict


def error(logits: torch.Tensor, y: torch.Tensor, bins: int = 10) -> tuple[float, float, float]:
    """(calibration error, mean probability, share right) of whole texts."""
    p, best = logits.softmax(-1).max(-1)
    sure, right = p.prod(-1).numpy(), (best == y).all(-1).numpy()
    order = np.argsort(sure)
    parts = [i for i in np.array_split(order, bins) if len(i)]
    off = sum(len(i) * abs(sure[i].mean() - right[i].mean()) for i in parts) / len(order)
    return float(off), float(sure.mean()), float(right.mean())


def main(weights, *held_out):
    net = SlotNet()
    net.load_state_dict(torch.load(weights))
    parts = [np.load(p) for p in held_out]
    x = np.concatenate([p["x"] for p in parts])
    y = torch.from_numpy(np.concatenate([p["y"] for p in parts])).long()
    logits = predict(net, x)[0]
    tries = np.exp(np.linspace(np.log(0.4), np.log(2.5), 200))
    cost = [float(F.cross_entropy((logits / t).flatten(0, 1), y.flatten())) for t in tries]
    best = float(tries[int(np.argmin(cost))])
    for name, t in (("as trained", 1.0), ("calibrated", best)):
        off, sure, right = error(logits / t, y)
        print(f"{name:10} temperature {t:.3f}: calibration error {100 * off:.2f} %, mean probability {sure:.4f}, right {right:.4f} of {len(y)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
