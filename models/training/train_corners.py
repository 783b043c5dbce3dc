"""Train the corner network: python train_corners.py OUT.pt CANVASES... [--init M.pt] [--epochs N]

CANVASES are the names given to make_corners.py. Every view is a fresh rough quad over a canvas:
moved, stretched, turned and bent as the detector errs, now and then much worse; a cut's own edge
stays where it is. One part in sixteen of every epoch's canvases (always the same) is held out and
reported: the corner error in parts of the plate's width, median and 90th percentile.
"""
from __future__ import annotations

import argparse
import random
import time

import cv2
import numpy as np
import torch
from torch.nn import functional as F

import corners
import make_corners
from train_reader import to_input


def rough(r: random.Random, cut: bool) -> np.ndarray:
    """A rough quad on a canvas, about the middle one."""
    q = make_corners.MIDDLE.copy()
    if cut:
        return q + np.array([[r.gauss(0, 0.4), r.gauss(0, 0.3)] for _ in range(4)], np.float32)
    wild = 2.0 if r.random() < 0.25 else 1.0
    w, h, c = corners.INNER_W, corners.INNER_H, q.mean(0)
    a = r.gauss(0, 0.03 * wild)
    turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]], np.float32)
    grow = np.exp(np.array([r.gauss(0.0, 0.06 * wild), r.gauss(0.0, 0.10 * wild)], np.float32))
    move = np.array([r.gauss(0, 0.035 * wild * w), r.gauss(0, 0.08 * wild * h)], np.float32)
    q = ((q - c) * grow) @ turn.T + c + move
    return q + np.array([[r.gauss(0, 0.02 * wild * w), r.gauss(0, 0.05 * wild * h)] for _ in range(4)], np.float32)


def varied(img: np.ndarray, r: random.Random) -> np.ndarray:
    """Light and sharpness drawn anew, so that few real surroundings serve long."""
    x = img.astype(np.float32)
    if r.random() < 0.15:
        x = np.repeat((x @ np.array([0.114, 0.587, 0.299], np.float32))[..., None], 3, 2)
    if r.random() < 0.2:
        x = cv2.GaussianBlur(x, (0, 0), r.uniform(0.3, 1.2))
    if r.random() < 0.2:
        k = r.uniform(0.3, 0.9)
        x = cv2.resize(cv2.resize(x, None, fx=k, fy=k, interpolation=cv2.INTER_AREA), (img.shape[1], img.shape[0]))
    x = x * r.uniform(0.6, 1.4) * np.array([r.gauss(1, 0.06) for _ in range(3)], np.float32)
    x = (x - x.mean()) * r.uniform(0.6, 1.2) + x.mean()
    return np.clip(x, 0, 255).astype(np.uint8)


def view(canvas, quad, cut, r: random.Random, vary: bool):
    """(view, the true corners in it); NaN corners stay NaN."""
    for _ in range(5):
        m = cv2.getPerspectiveTransform(rough(r, cut).astype(np.float32), corners.INNER)
        true = corners.through(m, quad)
        inside = np.isnan(true).any() or ((true > -4).all() and (true < np.array([corners.VIEW_W, corners.VIEW_H]) + 4).all())
        if inside:
            break
    out = cv2.warpPerspective(canvas, m, (corners.VIEW_W, corners.VIEW_H), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return varied(out, r) if vary else out, true


def batches(x, q, cut, order, size, r, vary):
    for s in range(0, len(order) - size + 1, size):
        pairs = [view(x[i], q[i], cut[i], r, vary) for i in order[s:s + size]]
        yield np.stack([p[0] for p in pairs]), np.stack([p[1] for p in pairs])


def widths(true: torch.Tensor) -> torch.Tensor:
    return (true[:, 1] - true[:, 0]).norm(dim=-1)


@torch.no_grad()
def held_out(model, x, q, cut, order):
    model.eval()
    errors, right, n = {False: [], True: []}, 0, 0
    r = random.Random(5)
    for s in range(0, len(order), 256):
        part = order[s:s + 256]
        pairs = [view(x[i], q[i], cut[i], r, False) for i in part]
        true = torch.from_numpy(np.stack([p[1] for p in pairs]))
        at, plate = model(to_input(np.stack([p[0] for p in pairs])))
        has = ~torch.isnan(true[:, 0, 0])
        right += int(((plate[:, 0] > 0) == has).sum())
        n += len(part)
        e = ((at - true).norm(dim=-1).mean(-1) / widths(true)).numpy()
        for i, v, h in zip(part, e, has):
            if h:
                errors[bool(cut[i])].append(v)
    say = "  ".join(f"{name} {100 * np.median(e):.2f} % ({100 * np.quantile(e, 0.9):.2f})" for name, e in (("rough", errors[False]), ("cut", errors[True])))
    return f"corner error {say}  plate or not {100 * right / n:.1f} %"


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("out"), ap.add_argument("canvases", nargs="+")
    ap.add_argument("--init"), ap.add_argument("--epochs", type=int, default=8), ap.add_argument("--batch", type=int, default=96)
    ap.add_argument("--lr", type=float, default=3e-3), ap.add_argument("--threads", type=int, default=2)
    a = ap.parse_args()
    torch.manual_seed(0), torch.set_num_threads(a.threads)
    cv2.setNumThreads(1)
    rng, r = np.random.default_rng(0), random.Random(0)
    x = np.concatenate([np.load(c + ".x.npy", mmap_mode="r") for c in a.canvases]) if len(a.canvases) > 1 else np.load(a.canvases[0] + ".x.npy", mmap_mode="r")
    q = np.concatenate([np.load(c + ".q.npy") for c in a.canvases])
    cut = np.concatenate([np.load(c + ".cut.npy") for c in a.canvases])
    apart, mine = np.arange(0, len(x), 16), np.setdiff1d(np.arange(len(x)), np.arange(0, len(x), 16))
    model = corners.CornerNet().to(memory_format=torch.channels_last)
    if a.init:
        model.load_state_dict(torch.load(a.init))
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.3f} M parameters, {len(mine)} canvases, {len(apart)} held out", flush=True)
    opt = torch.optim.AdamW(model.parameters(), lr=a.lr, weight_decay=1e-3)
    steps = len(mine) // a.batch
    sched = torch.optim.lr_scheduler.OneCycleLR(opt, a.lr, total_steps=steps * a.epochs, pct_start=0.15)
    for epoch in range(a.epochs):
        model.train()
        t0, total, s = time.time(), 0.0, 0
        for bx, bt in batches(x, q, cut, rng.permutation(mine), a.batch, r, True):
            true = torch.from_numpy(bt)
            has = ~torch.isnan(true[:, 0, 0])
            at, plate = model(to_input(bx).contiguous(memory_format=torch.channels_last))
            scale = widths(true)[has][:, None, None] / 100
            loss = F.smooth_l1_loss(at[has] / scale, true[has] / scale, beta=1.0)
            loss = loss + 0.3 * F.binary_cross_entropy_with_logits(plate[:, 0], has.float())
            opt.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            opt.step(), sched.step()
            total, s = total + loss.item(), s + 1
            if s % 100 == 0:
                print(f"  epoch {epoch} step {s}/{steps} loss {total / s:.3f} {time.time() - t0:.0f} s", flush=True)
        torch.save(model.state_dict(), a.out)
        print(f"epoch {epoch} loss {total / s:.4f} {time.time() - t0:.0f} s | {held_out(model, x, q, cut, apart)}", flush=True)


if __name__ == "__main__":
    main()
